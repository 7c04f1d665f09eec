"""The package as it is given away: wheel, source archive, metadata. At work the wheel is seen in tests/matrix."""

from __future__ import annotations

import json
import os
import re
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
import yaml
from packaging.requirements import Requirement

import airflow_provider_toloka
import release
from airflow_provider_toloka.emulator import TolokaEmulator
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
    "rich",
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
    """Return the folder with the wheel and the source archive; the wheel is built from the archive."""
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


#: The content of the package: modules, the marker for type checkers, and the assets of reports.
KINDS = {".py", ".typed", ".css", ".js"}


def test_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / NAME).rglob("*") if path.suffix in KINDS}
    info = f"{NAME}-{VERSION}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert names == sources | {
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
        "release.py",
        "mkdocs.yml",
        "llms.txt",
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


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="only a clone knows its files")
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
    assert metadata.get_all("Provides-Extra") == ["emulator", "parquet", "socks"]
    requirements = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    always = {requirement.name for requirement in requirements if requirement.marker is None}
    extras = {
        extra: {
            requirement.name
            for requirement in requirements
            if requirement.marker is not None and requirement.marker.evaluate({"extra": extra})
        }
        for extra in ("emulator", "parquet", "socks")
    }
    assert always == DEPENDENCIES
    assert extras == {
        "emulator": {"starlette", "uvicorn"},
        "parquet": {"pyarrow"},
        "socks": {"aiohttp-socks", "pysocks"},
    }
    assert len(requirements) == len(always) + sum(map(len, extras.values()))


def test_classifiers_name_the_pythons_of_the_matrix(metadata: Message) -> None:
    classifiers = metadata.get_all("Classifier", [])
    told = {
        match[1] for one in classifiers if (match := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", one))
    }
    sessions = json.loads(execute(sys.executable, "-m", "nox", "--list", "--json", cwd=ROOT))
    assert told == {session["python"] for session in sessions}


def test_urls(metadata: Message) -> None:
    urls = dict(url.split(", ") for url in metadata.get_all("Project-URL", []))
    assert {"Documentation", "Source", "Issues", "Changelog"} == urls.keys()
    assert len({url.partition("#")[0].removesuffix("/issues").partition("/blob/")[0] for url in urls.values()}) == 1


def test_entry_points(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        text = archive.read(f"{NAME}-{VERSION}.dist-info/entry_points.txt").decode()
    assert text.split() == [
        "[apache_airflow_provider]",
        *f"provider_info = {NAME}.provider_info:get_provider_info".split(),
        "[pytest11]",
        *f"toloka = {NAME}.emulator.pytest_plugin".split(),
    ]


WITHOUT_AIRFLOW = """
import asyncio, sys
from airflow_provider_toloka.client import AsyncTolokaClient, TolokaClient

url, token, project_id = sys.argv[1:]

async def status():
    async with AsyncTolokaClient.from_token(token, url=url) as client:
        return (await client.get_project(project_id)).status

with TolokaClient.from_token(token, url=url) as client:
    operation = client.archive_project(project_id)
    client.wait_for_operation(operation.id)
print(asyncio.run(status()))
print(*{name.partition(".")[0] for name in sys.modules} & {"airflow", "pendulum"})
"""


def test_the_client_works_where_airflow_is_not_installed(
    wheel: Path, tmp_path: Path, toloka_emulator: TolokaEmulator
) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    uv = (sys.executable, "-m", "uv")
    execute(*uv, "venv", "--python", sys.executable, tmp_path / "venv", cwd=tmp_path)
    install = (*uv, "pip", "install", "--python", python)
    execute(*install, "--no-deps", wheel, cwd=tmp_path)
    execute(*install, "aiohttp", "requests", "urllib3", cwd=tmp_path)
    project_id = toloka_emulator.add_project()["id"]
    arguments = (toloka_emulator.url, toloka_emulator.token, project_id)
    told = execute(python, "-c", WITHOUT_AIRFLOW, *arguments, cwd=tmp_path)
    assert told.splitlines() == ["ARCHIVED", ""]
    assert toloka_emulator.projects[project_id]["status"] == "ARCHIVED"


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
    # The schema does not validate the fields' own schemas.
    for conn_field in connection_type["conn-fields"].values():
        jsonschema.Draft202012Validator.check_schema(conn_field["schema"])
        if "default" in conn_field["schema"]:
            jsonschema.validate(conn_field["schema"]["default"], conn_field["schema"])


def test_there_is_one_version() -> None:
    [entry_point] = entry_points(group="apache_airflow_provider", name="provider_info", module=f"{NAME}.provider_info")
    assert entry_point.load()()["versions"] == [VERSION]
    assert release.version() == VERSION
    places = [str(path.relative_to(ROOT)) for path in (ROOT / NAME).rglob("*.py") if f'"{VERSION}"' in path.read_text()]
    assert places == [release.VERSION_FILE]
    assert VERSION not in (ROOT / "pyproject.toml").read_text()


def test_airflows_page_of_providers_shows_the_description_as_it_is() -> None:
    description = get_provider_info()["description"]
    # Airflow strips these, and with them breaks an address in angle brackets.
    assert not set("`_<>\n") & set(description)


# What a release checks


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout of version 2.3.4 with a changelog."""
    (tmp_path / NAME).mkdir()
    (tmp_path / release.VERSION_FILE).write_text('"""A package."""\n\n__version__ = "2.3.4"\n')
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## 2.4.0 (unreleased)\n\nNext.\n\n"
        "## 2.3.4 (2026-01-31)\n\n### Fixed\n\n- A fault.\n\n## 2.3.3 (2026-01-01)\n\n- Older.\n"
    )
    return tmp_path


def test_release_notes_are_the_versions_part_of_the_changelog(checkout: Path) -> None:
    assert release.notes(checkout, "v2.3.4") == "### Fixed\n\n- A fault."


@pytest.mark.parametrize(
    ("version", "tag", "said"),
    [
        ("2.3.4", "v2.3.5", "says 2.3.4: expected the tag v2.3.4"),
        ("2.3.4", "2.3.4", "expected the tag v2.3.4"),
        ("2.4.0", "v2.4.0", "set the date"),
        ("2.5.0", "v2.5.0", "no section"),
    ],
)
def test_what_is_not_ready_is_not_released(checkout: Path, version: str, tag: str, said: str) -> None:
    (checkout / release.VERSION_FILE).write_text(f'__version__ = "{version}"\n')
    with pytest.raises(release.NotReadyError, match=said):
        release.notes(checkout, tag)


def test_this_version_has_notes() -> None:
    assert release.notes()


# The workflows

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
in_a_clone = pytest.mark.skipif(not WORKFLOWS, reason="the source archive has no workflows")


@in_a_clone
def test_actions_are_pinned_by_commit_and_say_their_version() -> None:
    pinned: dict[str, set[str]] = {}
    for workflow in WORKFLOWS:
        for action, version in re.findall(r"uses: (\S+)(.*)", workflow.read_text()):
            if not action.startswith("$/"):
                assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), (workflow.name, action)
                assert re.fullmatch(r" # v\d+\.\d+\.\d+", version), (workflow.name, action)
                pinned.setdefault("/".join(action.partition("@")[0].split("/")[:2]), set()).add(action[-40:] + version)
    assert all(len(versions) == 1 for versions in pinned.values()), pinned


def targets_of(workflow: Path) -> set[str]:
    """Return the targets of make that a workflow's steps run, those of its matrix too."""
    run = set()
    for job in yaml.safe_load(workflow.read_text())["jobs"].values():
        commands = " ".join(step.get("run", "") for step in job.get("steps", ()))
        run |= set(re.findall(r"\bmake (?:--silent )?([a-z][\w-]*)", commands))
        if "$TARGET" in commands:
            run |= set(job["strategy"]["matrix"]["target"])
    return run


@in_a_clone
def test_workflows_run_targets_of_make() -> None:
    targets = set(re.findall(r"^([\w-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for workflow in WORKFLOWS:
        run = targets_of(workflow)
        assert run, workflow.name
        assert run <= targets, workflow.name


@in_a_clone
def test_ci_runs_all_that_the_gate_does() -> None:
    gate = set(re.findall(r'^    "([\w-]+)', (ROOT / ".ci" / "run").read_text(), re.MULTILINE))
    assert "test" in gate
    assert gate <= targets_of(ROOT / ".github" / "workflows" / "ci.yml")


# The overview for language models


def test_llms_txt_names_every_page() -> None:
    linked = set(re.findall(r"\]\(([^)]+)\)", (ROOT / "llms.txt").read_text()))
    assert {path for path in linked if not (ROOT / path).is_file()} == set()
    assert {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} <= linked


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
    from airflow_provider_toloka.links import toloka

    links = [one for one in vars(toloka).values() if isinstance(one, type) and issubclass(one, toloka.TolokaLink)]
    classes = {f"{link.__module__}.{link.__qualname__}" for link in links if link is not toloka.TolokaLink}
    assert set(get_provider_info()["extra-links"]) == classes


def test_reading_the_metadata_imports_nothing_but_the_package() -> None:
    script = (
        f"import sys, typing; known = {{*sys.modules}}; import {NAME}.provider_info; print(*{{*sys.modules}} - known)"
    )
    assert set(execute(sys.executable, "-c", script, cwd=ROOT).split()) == {NAME, f"{NAME}.provider_info", "__future__"}


# The plugin for pytest: what it costs a project that has the wheel installed, and does not use the fixture

PLUGIN = f"{NAME}.emulator.pytest_plugin"
#: The most that its import may take, as a part of what pytest's own import takes.
SHARE = 0.01


def modules_after_a_run(folder: Path, *options: str) -> set[str]:
    """Run pytest on one empty test, without other plugins; return what was loaded at its end."""
    (folder / "test_nothing.py").write_text("import sys\n\ndef test_nothing():\n    print('loaded', *sys.modules)\n")
    told = execute(
        *(sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", *options),
        cwd=folder,
        env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)},
    )
    [loaded] = re.findall(r"^.*loaded (.*)$", told, re.MULTILINE)
    return set(loaded.split())


def test_the_pytest_plugin_loads_nothing_for_other_projects(tmp_path: Path) -> None:
    added = modules_after_a_run(tmp_path, "-p", PLUGIN) - modules_after_a_run(tmp_path)
    assert added == {NAME, f"{NAME}.emulator", PLUGIN}


def test_the_pytest_plugin_costs_other_projects_no_time() -> None:
    script = f"""
from time import perf_counter
start = perf_counter()
import pytest
between = perf_counter()
import {PLUGIN}
print((perf_counter() - between) / (between - start))
"""
    # The best of several: the machine may be busy.
    shares = [float(execute(sys.executable, "-c", script, cwd=ROOT)) for _ in range(5)]
    assert min(shares) < SHARE, shares
