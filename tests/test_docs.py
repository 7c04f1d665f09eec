"""README and docs are correct: all of their snippets are run."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.emulator.options import Tolokers
from airflow_provider_toloka.hooks.toloka import TolokaHook
from tests.conftest import ROOT
from tests.pages import PAGES, SNIPPETS, Snippet
from tests.running import everything_logged, store

PYTHON = [snippet for snippet in SNIPPETS if snippet.language == "python"]
DAGS = [snippet for snippet in PYTHON if snippet.name.startswith("dags/")]
TESTS = [snippet for snippet in PYTHON if snippet.name.startswith(("test_", "conftest"))]
SCRIPTS = [snippet for snippet in PYTHON if snippet not in (*DAGS, *TESTS)]
SHELL = [snippet for snippet in SNIPPETS if snippet.language == "shell"]


def shell(page: str, start: str) -> list[Snippet]:
    """Return the shell snippets of a page that start with a text."""
    return [snippet for snippet in SHELL if snippet.page == page and snippet.text.startswith(start)]


GETTING_STARTED, CONNECTION, TESTING = (f"docs/{name}.md" for name in ("getting-started", "connection", "testing"))
EXPORTS = [snippet for snippet in SHELL if snippet.text.startswith("export AIRFLOW_CONN_")]
MAKE = [snippet for snippet in SHELL if snippet.text.startswith("make ")]
#: tests/test_package.py installs the wheel with this extra, and without. Here, it would be an index that is tested.
INSTALLS = [snippet for snippet in SHELL if snippet.text.startswith("python -m pip install ")]
[SERVE] = shell(GETTING_STARTED, "python -m airflow_provider_toloka.emulator")
[ADD_HERE, SHOW_DAG, RUN_DAG] = shell(GETTING_STARTED, "airflow ")
[ADD] = shell(CONNECTION, "airflow connections add")
[BACKEND] = shell(CONNECTION, "cat > connections.json")
[RUN_TESTS] = shell(TESTING, "python -m pytest")
[SERVE_ADMIN, SERVE_STATE] = shell(TESTING, "python -m airflow_provider_toloka.emulator")
[ADMIN] = shell(TESTING, "curl")
[READ_STALE] = shell("docs/reports.md", "export TOLOKA_TOKEN")
[DEFERRABLE] = shell("docs/waiting.md", "export AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE")


def test_no_shell_snippet_is_left_out() -> None:
    tested = [*EXPORTS, *MAKE, *INSTALLS, SERVE, ADD_HERE, RUN_DAG, ADD, BACKEND, RUN_TESTS, SERVE_ADMIN]
    tested += [SERVE_STATE, ADMIN, DEFERRABLE, READ_STALE, SHOW_DAG]
    assert set(SHELL) == set(tested)
    assert {snippet.language for snippet in SNIPPETS} == {"python", "shell"}


# Python


@dataclass(frozen=True)
class Expected:
    """What a DAG of a page does.

    :param archived: the projects that are archived afterwards, and were not before.
    :param pools: the status of other pools and trainings afterwards.
    :param said: what is logged.
    :param tolokers: how many made-up people work on open pools.
    :param is_run: whether ``dag.test()`` runs it; Airflow 3.3.2 cannot for a DAG with a deadline alert.
    """

    seed: str = "demo"
    conf: dict[str, Any] = field(default_factory=dict)
    archived: frozenset[str] = frozenset()
    pools: dict[str, str] = field(default_factory=dict)
    said: str = ""
    tolokers: int = 0
    is_run: bool = True


STALE = frozenset({"995", "996", "1000", "1001", "1005", "1006", "1010", "1011", "1015"})
EXPECTED = {
    "dags/archive_project.py": Expected(archived=frozenset({"1001"})),
    "dags/archive_one.py": Expected(archived=frozenset({"1004"})),
    "dags/archive_with_pools.py": Expected(archived=frozenset({"1004"})),
    "dags/archive_with_closed_pools.py": Expected(conf={"project_id": "1004"}, archived=frozenset({"1004"})),
    "dags/archive_projects.py": Expected(archived=frozenset({"1001", "1002", "1003"})),
    "dags/archive_in_the_sandbox.py": Expected(archived=frozenset({"1001"})),
    "dags/retire_pools.py": Expected(
        pools={"2004": "ARCHIVED", "2005": "ARCHIVED", "2007": "ARCHIVED", "3001": "ARCHIVED"}
    ),
    "dags/report_stale_projects.py": Expected("stale", said="1016 Forgotten labelling 36: no activity for 820 days"),
    "dags/monthly_cleanup.py": Expected("stale", said="DRY RUN: 14 projects would be archived"),
    "dags/archive_a_list.py": Expected("stale", archived=frozenset({"980", "981", "982"})),
    "dags/what_is_stale.py": Expected("stale", said="Stale: 4"),
    "dags/cleanup.py": Expected("stale", {"preview": False}, archived=STALE),
    "dags/submit_and_wait.py": Expected(archived=frozenset({"1001", "1002"})),
    "dags/open_pool.py": Expected(pools={"2006": "OPEN"}),
    "dags/three_ways.py": Expected(archived=frozenset({"1001", "1002"})),
    "dags/wait_for_pool.py": Expected(said="closed as MANUAL"),
    "dags/create_pool.py": Expected(),
    "dags/add_tasks.py": Expected(said="Tasks added to pool 2004: 2; invalid: 0"),
    "dags/open_the_pool.py": Expected(pools={"2004": "OPEN"}),
    "dags/export_answers.py": Expected(said="Wrote 0 rows of 0 assignments"),
    "dags/aggregate.py": Expected(said="Wrote 0 rows"),
    "dags/label_images.py": Expected(tolokers=4, archived=frozenset({"98"}), said="Wrote 12 rows"),
    "dags/retry_transient.py": Expected(archived=frozenset({"1001"})),
    "dags/archive_with_retries.py": Expected(archived=frozenset({"1001"})),
    "dags/alert_when_late.py": Expected(is_run=False),
    "dags/stale_on_all_accounts.py": Expected("stale", said="Stale: "),
    "dags/pool_completed.py": Expected(),  # tests/triggers lets it see pools close
    "dags/close_and_report.py": Expected(pools={"2007": "CLOSED"}),
    "dags/pool_closed.py": Expected(),  # tests/events lets it be started by an event
}


def test_no_dag_is_left_out() -> None:
    assert {snippet.name for snippet in DAGS} == EXPECTED.keys()


@contextmanager
def account(monkeypatch: pytest.MonkeyPatch, seed: str) -> Iterator[TolokaEmulator]:
    """Run an emulator that the connections of the pages lead to."""
    with TolokaEmulator(seed, operation_seconds=0.2) as toloka:
        for name in ("DEFAULT", "SANDBOX"):
            monkeypatch.setenv(f"AIRFLOW_CONN_TOLOKA_{name}", json.dumps(toloka.connection))
        yield toloka


def archived(toloka: TolokaEmulator) -> set[str]:
    return {id_ for id_, project in toloka.projects.items() if project["status"] == "ARCHIVED"}


def load(snippet: Snippet, folder: Path) -> Any:
    """Return the DAG of a page, as stored by Airflow."""
    path = snippet.write(folder)
    dag = runpy.run_path(str(path), run_name=path.stem)["dag"]
    store(dag)
    return dag


@pytest.mark.usefixtures("airflow_database")
@pytest.mark.parametrize("snippet", DAGS, ids=lambda snippet: f"{snippet.page} {snippet.name}")
def test_dag(snippet: Snippet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = EXPECTED[snippet.name]
    if not expected.is_run:
        assert runpy.run_path(str(snippet.write(tmp_path)))["dag"].task_ids
        return
    dag = load(snippet, tmp_path)
    conf = expected.conf | ({"folder": f"file://{tmp_path}"} if "params.folder" in snippet.text else {})
    with account(monkeypatch, expected.seed) as toloka, everything_logged() as log:
        if expected.tolokers:
            toloka.configure(tolokers=Tolokers(count=expected.tolokers))
        before = archived(toloka)
        state = dag.test(run_conf=conf).state
        assert state == "success", log.getvalue()[-3000:]
        assert archived(toloka) - before == expected.archived
        held = toloka.pools | toloka.trainings
        assert {id_: held[id_]["status"] for id_ in expected.pools} == expected.pools
        assert expected.said in log.getvalue()


@pytest.mark.usefixtures("airflow_database")
def test_dag_that_is_told_to_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [snippet] = [snippet for snippet in DAGS if snippet.page == GETTING_STARTED]
    [told] = re.findall(r"```text\n(.*?)\n```", PAGES[GETTING_STARTED], re.DOTALL)
    dag = load(snippet, tmp_path)
    with account(monkeypatch, "demo") as toloka, everything_logged() as log:
        assert dag.test(run_conf={"project_id": "1004"}).state == "failed"
        assert {request.method for request in toloka.requests} == {"GET"}
        assert told in log.getvalue()


@pytest.mark.parametrize("snippet", SCRIPTS, ids=lambda snippet: f"{snippet.page} {snippet.name}")
def test_script(
    snippet: Snippet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with account(monkeypatch, "demo"):
        runpy.run_path(str(snippet.write(tmp_path)))
    snippet.expect(capsys.readouterr().out)


def run(command: str, cwd: Path, status: int = 0, **env: str) -> str:
    """Run a command in a shell, without this test run's Airflow; give all that it says."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "COVERAGE_"))}
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    own = {"PATH": programs, "AIRFLOW_HOME": str(cwd), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    ran = subprocess.run(
        ["/bin/bash", "-ec", command],
        cwd=cwd,
        env=inherited | own | env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ran.returncode == status, ran.stdout
    return ran.stdout


def test_tests_of_a_dag(tmp_path: Path) -> None:
    for snippet in PYTHON:
        if snippet.page == TESTING:
            snippet.write(tmp_path)
    count = sum(snippet.text.count("\ndef test_") for snippet in TESTS)
    assert count == 5
    assert f"{count} passed" in run(RUN_TESTS.text, tmp_path)


# Shell


@contextmanager
def served(snippet: Snippet, cwd: Path) -> Iterator[str]:
    """Run a command that starts the emulator, at a free port: that of the pages may be taken here."""
    command = [*shlex.split(snippet.text)[1:], "--port", "0"]
    emulator = subprocess.Popen([sys.executable, *command], cwd=cwd, stdout=subprocess.PIPE, text=True)
    try:
        assert emulator.stdout
        at = re.search(r"http://127\.0\.0\.1:(\d+)", emulator.stdout.readline())
        assert at
        yield at[1]
    finally:
        emulator.terminate()
        emulator.communicate()


def ask(port: str, path: str) -> requests.Response:
    token = "AQAD-emulator-made-up-token"
    headers = {"Authorization": f"OAuth {token}"}
    return requests.get(f"http://127.0.0.1:{port}/api/v1{path}", headers=headers, timeout=60)


# One process runs the tests of it, where several run tests.
users_airflow = pytest.mark.xdist_group("a user's Airflow")


@pytest.fixture(scope="module")
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a user's Airflow with a database."""
    home = tmp_path_factory.mktemp("airflow")
    run("airflow db migrate", home)
    return home


@users_airflow
def test_getting_started(airflow_home: Path) -> None:
    [dag] = [snippet for snippet in DAGS if snippet.page == GETTING_STARTED]
    dag.write(airflow_home)
    with served(SERVE, airflow_home) as port:
        run(ADD_HERE.text.replace("8765", port), airflow_home)
        known = f"airflow dags details {dag.name.removeprefix('dags/').removesuffix('.py')}"
        run(known, airflow_home, status=1)
        run(f"{SHOW_DAG.text}\n{known}", airflow_home)
        run(RUN_DAG.text, airflow_home)
        assert ask(port, "/projects/1001").json()["status"] == "ARCHIVED"


@users_airflow
def test_connection_added_in_a_shell(airflow_home: Path) -> None:
    show = """
from airflow.models import Connection
from airflow.utils.session import create_session
with create_session() as session:
    [connection] = session.query(Connection).filter_by(conn_id="toloka_sandbox", conn_type="toloka")
    print("read:", connection.password, connection.extra_dejson["environment"])
"""
    assert "read: my-token sandbox" in run(f"{ADD.text}\npython -c {shlex.quote(show)}", airflow_home)


@pytest.mark.parametrize("snippet", EXPORTS, ids=lambda snippet: snippet.page)
def test_connection_from_the_environment(snippet: Snippet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_TOLOKA_DEFAULT", run(f"{snippet.text}\nprintenv AIRFLOW_CONN_TOLOKA_DEFAULT", tmp_path).strip()
    )
    settings = TolokaHook().api.settings
    is_proxied = "proxy.example.com" in snippet.text
    assert settings.token == "my-token"
    host = "sandbox.toloka.dev" if "sandbox" in snippet.text.lower() else "toloka.dev"
    assert settings.base_url == ("https://proxy.example.com/toloka" if is_proxied else f"https://{host}/api/v1")
    assert settings.timeout == (60 if "timeout" in snippet.text else 30)


def test_connection_from_a_secrets_backend(tmp_path: Path) -> None:
    show = """
from airflow_provider_toloka.hooks.toloka import TolokaHook
settings = TolokaHook().api.settings
print("read:", settings.token, settings.base_url)
"""
    told = run(f"{BACKEND.text}\npython -c {shlex.quote(show)}", tmp_path)
    assert "read: my-token https://sandbox.toloka.dev/api/v1" in told


def test_deferrable_by_default(tmp_path: Path) -> None:
    show = """
from airflow_provider_toloka.operators.toloka import TolokaArchiveProjectOperator
from airflow_provider_toloka.sensors.toloka import OperationSensor
print(TolokaArchiveProjectOperator(task_id="a", project_id="1").deferrable)
print(OperationSensor(task_id="b", operation_id="1").deferrable)
"""
    assert run(f"{DEFERRABLE.text}\npython -c {shlex.quote(show)}", tmp_path).count("True") == 2


def test_stale_projects_from_the_command_line(tmp_path: Path) -> None:
    with TolokaEmulator("stale") as toloka:
        READ_STALE.expect(run(READ_STALE.text.replace("my-token", toloka.token), tmp_path, TOLOKA_URL=toloka.url))
    assert {path.name for path in tmp_path.iterdir()} >= {"stale.html", "stale.csv"}


def test_emulator_for_other_processes(tmp_path: Path) -> None:
    with served(SERVE_ADMIN, tmp_path) as port:
        run(ADMIN.text.replace("8765", port), tmp_path)
        assert [ask(port, "/projects/980").status_code for _ in range(3)] == [503, 503, 200]
    with served(SERVE_STATE, tmp_path) as port:
        assert len(ask(port, "/projects").json()["items"]) == 40


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)$", "".join(snippet.text for snippet in MAKE), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    assert all(re.fullmatch(r"make \w+\n", snippet.text) for snippet in MAKE)
