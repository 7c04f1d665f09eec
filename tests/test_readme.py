"""The README's snippets do what it says."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.provider_info import get_provider_info
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text()
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()


def snippets(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


EXPORTS = [snippet for snippet in snippets("shell") if snippet.startswith("export AIRFLOW_CONN_")]
[CONNECTIONS_ADD] = [snippet for snippet in snippets("shell") if snippet.startswith("airflow connections add")]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a folder with the README's Python files; each names itself in its first line."""
    for snippet in snippets("python"):
        path = tmp_path / snippet.splitlines()[0].removeprefix("# ")
        assert path.suffix == ".py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(snippet)
    return tmp_path


def run(*command: str, cwd: Path, status: int = 0, **env: str) -> str:
    """Run a program outside this checkout, without this test run's Airflow."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "COVERAGE_"))}
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    ran = subprocess.run(
        command,
        cwd=cwd,
        env=inherited | {"PATH": programs, "AIRFLOW_HOME": str(cwd / "airflow")} | env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == status, ran.stdout + ran.stderr
    return ran.stdout


def test_tests_of_a_dag(project: Path) -> None:
    assert "2 passed" in run("python", "-m", "pytest", cwd=project)


def test_dags_load(project: Path) -> None:
    for path in (project / "dags").glob("*.py"):
        run("python", str(path), cwd=project)


def test_hook(project: Path) -> None:
    with TolokaEmulator("demo") as toloka:
        connection = json.dumps(toloka.connection)
        out = run("python", "active_projects.py", cwd=project, AIRFLOW_CONN_TOLOKA_DEFAULT=connection)
    assert "1001 Cats or dogs" in out
    assert "1006" not in out


SHOW = """
from airflow_provider_toloka.hooks.toloka import TolokaHook
settings = TolokaHook().api.settings
print("read:", settings.token, settings.base_url, settings.timeout)
"""


@pytest.mark.parametrize(
    ("snippet", "expected"),
    list(
        zip(
            EXPORTS,
            (
                "my-token https://sandbox.toloka.dev/api/v1 30.0",
                "my-token https://sandbox.toloka.dev/api/v1 60.0",
                "my-token https://proxy.example.com/toloka 30.0",
            ),
            strict=True,
        )
    ),
)
def test_connection_from_the_environment(snippet: str, expected: str, tmp_path: Path) -> None:
    out = run("bash", "-c", f"{snippet}\npython -c {shlex.quote(SHOW)}", cwd=tmp_path)
    assert f"read: {expected}\n" in out


READ = """
from airflow.models import Connection
from airflow.utils.session import create_session
with create_session() as session:
    [connection] = session.query(Connection).filter_by(conn_id="toloka_default", conn_type="toloka")
    print("read:", connection.password, connection.extra_dejson["environment"])
"""


def test_connection_added_in_a_shell(tmp_path: Path) -> None:
    out = run(
        "bash", "-ec", f"airflow db migrate >/dev/null\n{CONNECTIONS_ADD}python -c {shlex.quote(READ)}", cwd=tmp_path
    )
    assert "read: my-token sandbox" in out


def test_emulator_in_a_shell(tmp_path: Path) -> None:
    [command] = [snippet for snippet in snippets("shell") if "airflow_provider_toloka.emulator" in snippet]
    # The fixed port may be taken here; that it starts is told of elsewhere.
    assert "--seed" in run(*shlex.split(command), "--help", cwd=tmp_path)


def test_fields_of_the_form_are_all_told_of() -> None:
    [connection_type] = get_provider_info()["connection-types"]
    for name, conn_field in connection_type["conn-fields"].items():
        assert f"| {conn_field['label']} | `extra.{name}` |" in README


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^\| `make (\w+)` \|", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README + CHANGELOG):
        assert (ROOT / target).exists(), target
