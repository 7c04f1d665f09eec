"""The package as it is given away: wheel, source archive, metadata. At work the wheel is seen in tests/matrix."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
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

pytestmark = pytest.mark.xdist_group("package")  # its files are built once


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


#: What lies in the checkout and not in the source archive: it serves the code host alone.
OF_THE_HOST = {".ci", ".github", ".pre-commit-config.yaml"}


def test_source_archive_holds_what_it_takes_to_build_and_test_it(dist: Path) -> None:
    with tarfile.open(dist / f"{NAME}-{VERSION}.tar.gz") as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {
        "pyproject.toml",
        "setup.cfg",
        "Makefile",
        "noxfile.py",
        "mkdocs.yml",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
        "PKG-INFO",
    }
    assert needed <= names
    assert {"tests/test_package.py", "example_dags/toloka_archive_project.py", f"{NAME}/py.typed"} <= names
    assert not [name for name in names if name.endswith((".pyc", ".db", ".log"))]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only a clone tells which files belong to it")
def test_source_archive_holds_what_the_clone_does(dist: Path) -> None:
    tracked = set(execute("git", "ls-files", cwd=ROOT).splitlines())
    with tarfile.open(dist / f"{NAME}-{VERSION}.tar.gz") as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names == {name for name in tracked if name.partition("/")[0] not in OF_THE_HOST} | {"PKG-INFO"}


def test_the_files_can_be_made_again(dist: Path, tmp_path: Path) -> None:
    execute(sys.executable, "-m", "build", "--outdir", tmp_path, ROOT, cwd=tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in dist.iterdir()
    }


def test_an_index_would_take_them(dist: Path) -> None:
    execute(sys.executable, "-m", "twine", "check", "--strict", *dist.iterdir(), cwd=dist)


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
    assert len(requirements) == len(always) + len(extra)


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
