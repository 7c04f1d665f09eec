"""The package as it is given away: wheel, source archive, metadata, and the wheel at work beside a plain Airflow."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from packaging.requirements import Requirement

import airflow_provider_toloka
from airflow_provider_toloka.provider_info import get_provider_info
from tests.conftest import ROOT

NAME = "airflow_provider_toloka"
VERSION = airflow_provider_toloka.__version__
DEPENDENCIES = {
    "apache-airflow",
    "apache-airflow-providers-common-compat",
    "aiohttp",
    "pendulum",
    "requests",
    "urllib3",
}
AIRFLOWS = ("3.3.2", "2.11.2")
TOKEN = "AQAD-a-token-to-look-for"

pytestmark = pytest.mark.xdist_group("package")  # what it builds and installs is built and installed once


def execute(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run a program to its good end; give what it wrote to its standard output."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW_", "COVERAGE_", "PYTHON", "PYTEST_"))
    }
    run = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=inherited | (env or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, f"{command}\n{run.stdout}\n{run.stderr}"
    assert TOKEN not in run.stdout + run.stderr
    return run.stdout


# The files


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder with the wheel and the source archive; the one is built from the other."""
    folder = tmp_path_factory.mktemp("dist")
    execute(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    return folder


@pytest.fixture(scope="session")
def wheel(dist: Path) -> Path:
    return dist / f"{NAME}-{VERSION}-py3-none-any.whl"


@pytest.fixture(scope="session")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"{NAME}-{VERSION}.dist-info/METADATA").decode()
    return HeaderParser().parsestr(text)


def test_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / NAME).rglob("*.py")}
    info = f"{NAME}-{VERSION}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert names == sources | {
        f"{NAME}/py.typed",
        f"{info}/METADATA",
        f"{info}/RECORD",
        f"{info}/WHEEL",
        f"{info}/entry_points.txt",
        f"{info}/licenses/LICENSE",
    }


def test_source_archive_holds_what_it_takes_to_test_it(dist: Path) -> None:
    with tarfile.open(dist / f"{NAME}-{VERSION}.tar.gz") as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    files = {"pyproject.toml", "setup.cfg", "Makefile", "README.md", "CHANGELOG.md", "LICENSE", "PKG-INFO"}
    files |= {"CONTRIBUTING.md", "mkdocs.yml", "mkdocs_hooks.py"}
    folders = (f"{NAME}/", "benchmarks/", "constraints/", "demo/", "docs/", "example_dags/", "tests/")
    assert files <= names
    assert {name for name in names if not name.startswith(folders)} <= files | {".gitignore"}
    assert {"tests/test_package.py", "example_dags/toloka_archive_project.py", f"{NAME}/py.typed"} <= names
    assert not [name for name in names if name.endswith((".pyc", ".db", ".log"))]


def test_metadata(metadata: Message) -> None:
    assert metadata["Name"] == "airflow-provider-toloka"
    assert metadata["Version"] == VERSION
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_all("Provides-Extra") == ["emulator"]
    requirements = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    always = {requirement.name for requirement in requirements if requirement.marker is None}
    extra = {
        requirement.name
        for requirement in requirements
        if requirement.marker is not None and requirement.marker.evaluate({"extra": "emulator"})
    }
    assert always == DEPENDENCIES
    assert extra == {"starlette", "uvicorn"}
    assert len(requirements) == 7


def test_entry_points(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"{NAME}-{VERSION}.dist-info/entry_points.txt").decode()
    assert text.split() == [
        "[apache_airflow_provider]",
        *f"provider_info = {NAME}.provider_info:get_provider_info".split(),
        "[pytest11]",
        *f"toloka = {NAME}.emulator.pytest_plugin".split(),
    ]


# The provider's metadata


def airflow_schema(name: str) -> dict[str, Any]:
    import airflow

    schema: dict[str, Any] = json.loads((Path(airflow.__path__[0]) / name).read_text())
    return schema


def test_provider_info_follows_airflows_schema() -> None:
    jsonschema.validate(get_provider_info(), airflow_schema("provider_info.schema.json"))


def test_connection_types_follow_airflows_schema() -> None:
    schema = airflow_schema("provider.yaml.schema.json")["properties"]["connection-types"]
    connection_types = get_provider_info()["connection-types"]
    jsonschema.validate(connection_types, schema)
    [connection_type] = connection_types
    # The schema does not look into the fields' own schemas.
    for conn_field in connection_type["conn-fields"].values():
        jsonschema.Draft202012Validator.check_schema(conn_field["schema"])
        if "default" in conn_field["schema"]:
            jsonschema.validate(conn_field["schema"]["default"], conn_field["schema"])


def test_there_is_one_version() -> None:
    [entry_point] = entry_points(group="apache_airflow_provider", name="provider_info", module=f"{NAME}.provider_info")
    assert entry_point.load()()["versions"][0] == VERSION
    assert f"## {VERSION}" in (ROOT / "CHANGELOG.md").read_text()


def test_modules_named_in_the_metadata_exist() -> None:
    info = get_provider_info()
    modules = [
        module
        for kind in ("hooks", "operators", "sensors", "triggers")
        for part in info[kind]
        for module in part["python-modules"]
    ]
    classes = [connection_type["hook-class-name"] for connection_type in info["connection-types"]]
    for module in [*modules, *(path.rpartition(".")[0] for path in classes)]:
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file(), module


def test_each_extra_link_of_the_package_is_in_the_metadata() -> None:
    from airflow_provider_toloka.links.toloka import LINKS

    classes = {f"{type(link).__module__}.{type(link).__qualname__}" for link in LINKS.values()}
    assert set(get_provider_info()["extra-links"]) == classes


@pytest.mark.parametrize("module", ["provider_info", "emulator.pytest_plugin"])
def test_reading_the_metadata_imports_nothing_heavy(module: str) -> None:
    script = f"import sys, {NAME}.{module}; print(*sys.modules)"
    loaded = set(execute(sys.executable, "-c", script, cwd=ROOT).split())
    assert not loaded & {"airflow", "requests", "aiohttp", "pendulum", "starlette", "uvicorn"}


# The wheel at work


@dataclass(frozen=True)
class Installation:
    """The wheel beside a plain Airflow.

    :param version: Airflow's.
    :param bin: where its programs are.
    :param home: an empty ``AIRFLOW_HOME``, with a folder for DAGs.
    """

    version: str
    bin: Path
    home: Path

    def run(self, program: str, *arguments: str | Path) -> str:
        env = {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
            "PATH": os.pathsep.join([str(self.bin), os.environ["PATH"]]),
        }
        return execute(self.bin / program, *arguments, cwd=self.home, env=env)


@pytest.fixture(scope="session", params=AIRFLOWS)
def installation(request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Install Airflow alone, then the wheel. The virtual environment is kept for the next time."""
    version: str = request.param
    if version.startswith("2.") and sys.version_info >= (3, 13):
        pytest.skip(f"Airflow {version} does not run on this Python")
    constraints = ROOT / "constraints" / f"airflow-{version}.txt"
    venv = ROOT / f".venv-wheel-{version}"
    python = venv / "bin" / "python"
    key = hashlib.sha256(constraints.read_bytes() + sys.version.encode()).hexdigest()
    done = venv / "installed"
    install = (python, "-m", "pip", "install", "--quiet")
    if not done.is_file() or done.read_text() != key:
        execute(sys.executable, "-m", "venv", "--clear", venv, cwd=ROOT)
        execute(*install, "--upgrade", "pip", cwd=ROOT)
        execute(*install, f"apache-airflow=={version}", "--constraint", constraints, cwd=ROOT)
        done.write_text(key)
    execute(*install, "--force-reinstall", "--no-deps", wheel, cwd=ROOT)
    execute(*install, f"{wheel}[emulator]", "--constraint", constraints, cwd=ROOT)
    home = tmp_path_factory.mktemp("wheel")
    (home / "dags").mkdir()
    return Installation(version, venv / "bin", home)


def test_airflow_lists_the_provider(installation: Installation) -> None:
    providers = json.loads(installation.run("airflow", "providers", "list", "--output", "json"))
    assert [(row["package_name"], row["version"]) for row in providers if "toloka" in row["package_name"]] == [
        ("airflow-provider-toloka", VERSION)
    ]


def test_airflow_lists_the_hook(installation: Installation) -> None:
    hooks = json.loads(installation.run("airflow", "providers", "hooks", "--output", "json"))
    [row] = [row for row in hooks if row["connection_type"] == "toloka"]
    assert row["class"] == f"{NAME}.hooks.toloka.TolokaHook"
    assert row["package_name"] == "airflow-provider-toloka"
    assert row["hook_name"] == "Toloka"


RUN_A_DAG = """
import json, os, sys, sysconfig
from airflow.utils.db import initdb
import airflow_provider_toloka
from airflow_provider_toloka.emulator import TolokaEmulator

assert airflow_provider_toloka.__file__.startswith(sysconfig.get_path("purelib"))
initdb()
sys.path.insert(0, "dags")
with TolokaEmulator("demo", tokens=[sys.argv[1]], operation_seconds=1) as toloka:
    os.environ["AIRFLOW_CONN_TOLOKA_DEFAULT"] = json.dumps(toloka.connection)
    from toloka_deferrable import dag
    run = dag.test()
    print(f"state={run.state} project={toloka.projects['1004']['status']}")
"""


def test_a_dag_runs_and_leaves_no_token_behind(installation: Installation) -> None:
    shutil.copy(ROOT / "example_dags" / "toloka_deferrable.py", installation.home / "dags")
    out = installation.run("python", "-c", RUN_A_DAG, TOKEN)
    assert "state=success project=ARCHIVED" in out
    written = [path for path in installation.home.rglob("*") if path.is_file()]
    assert installation.home / "airflow.db" in written
    assert not [path for path in written if TOKEN.encode() in path.read_bytes()]
