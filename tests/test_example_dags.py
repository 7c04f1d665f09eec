"""Each example DAG, run by Airflow to its end, against the emulator."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.version_compat import (
    AIRFLOW_V_3_0_PLUS,
    AIRFLOW_V_3_1_PLUS,
    AIRFLOW_V_3_2_PLUS,
    AIRFLOW_V_3_3_PLUS,
)

from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.emulator.options import Tolokers
from tests.conftest import ROOT
from tests.mailbox import Mailbox
from tests.running import posts

pytestmark = pytest.mark.usefixtures("airflow_database")

FOLDER = ROOT / "example_dags"
#: Of the account "stale": those with closed pools and a training; those whose pools are in the archive.
FORGOTTEN = {str(986 + 5 * i) for i in range(7)}
STALE = FORGOTTEN | {str(985 + 5 * i) for i in range(7)}

APPROVED = "toloka_approved_cleanup"
NOTIFY = "toloka_notify"
#: This one is run in tests/events, by a real scheduler and triggerer.
FINISHED = "toloka_archive_finished"
#: Its watcher is tested in tests/triggers/test_pools.py.
COLLECT = "toloka_collect_answers"
LABELLING = "toloka_labelling"
# A person is asked since Airflow 3.1; there, and in 3.2, only a triggerer finds the answer.
needs_approvals = pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="dag.test() finds no person's answer before 3.3")

#: What each DAG is run with: the account, the run's parameters, the states of its tasks, and the projects that it
#: archives.
RUNS: dict[str, tuple[str, dict[str, Any], dict[str, int], set[str]]] = {
    "toloka_archive_project": ("demo", {}, {"archive success": 1}, {"1001"}),
    "toloka_deferrable": ("demo", {"project_id": "1005"}, {"archive_with_pools success": 1}, {"1005"}),
    "toloka_hook": ("demo", {}, {"count_pools success": 1, "report success": 1}, set()),
    "toloka_mapped": (
        "demo",
        {"project_ids": ["1001", "1006", "1003"]},
        {"project_ids success": 1, "archive success": 3},
        {"1001", "1003"},
    ),
    "toloka_submit_and_wait": ("demo", {}, {"submit success": 1, "wait success": 1}, {"1002"}),
    "toloka_mapped_cleanup": ("stale", {}, {"find_stale_projects success": 1, "archive success": 7}, FORGOTTEN),
    "toloka_monthly_cleanup": ("stale", {"preview": False}, {"archive_stale_projects success": 1}, STALE - {"1000"}),
}


@pytest.fixture
def toloka(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[TolokaEmulator]:
    """Run a Toloka with the account that the parameter names."""
    with TolokaEmulator(request.param, operation_seconds=0.2) as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_TOLOKA_DEFAULT", json.dumps(emulator.connection))
        yield emulator


def load(name: str) -> Any:
    """Return the DAG of a file, as Airflow loads it."""
    home: Any = import_module("airflow.dag_processing.dagbag" if AIRFLOW_V_3_2_PLUS else "airflow.models.dagbag")
    bag = home.DagBag(FOLDER / f"{name}.py")
    assert bag.import_errors == {}
    return bag.dags[name]


def run(dag: Any, params: dict[str, Any]) -> tuple[str, dict[str, int]]:
    """Run an example DAG, or the one with this name; return its state, and how many of its tasks ended in which."""
    dag_run = (load(dag) if isinstance(dag, str) else dag).test(run_conf=params)
    return str(dag_run.state), Counter(f"{ti.task_id} {ti.state}" for ti in dag_run.get_task_instances())


def archived(toloka: TolokaEmulator) -> set[str]:
    """Return the projects that were archived since the emulator was started."""
    done = [one for one in toloka.operations.values() if one["type"] == "PROJECT.ARCHIVE"]
    assert {one["status"] for one in done} <= {"SUCCESS"}
    return {one["parameters"]["project_id"] for one in done}


def test_each_file_of_the_folder_is_run() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == {*RUNS, APPROVED, FINISHED, LABELLING, COLLECT, NOTIFY}


@pytest.mark.parametrize(
    ("name", "toloka", "params", "states", "projects"),
    [(name, *rest) for name, rest in RUNS.items()],
    indirect=["toloka"],
    ids=list(RUNS),
)
def test_it_runs_to_its_end(
    name: str, toloka: TolokaEmulator, params: dict[str, Any], states: dict[str, int], projects: set[str]
) -> None:
    assert run(name, params) == ("success", states)
    assert archived(toloka) == projects
    held = [*toloka.pools.values(), *toloka.trainings.values()]
    assert {row["status"] for row in held if row["project_id"] in projects} <= {"ARCHIVED"}


@pytest.mark.skipif(AIRFLOW_V_3_0_PLUS, reason="there it holds a DAG")
def test_a_file_of_what_airflow_2_does_not_have_holds_no_dag_there() -> None:
    home: Any = import_module("airflow.models.dagbag")
    bag = home.DagBag(FOLDER / f"{FINISHED}.py")
    assert (bag.import_errors, bag.dags) == ({}, {})


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="Airflow 2 has no events")
@pytest.mark.parametrize("toloka", ["demo"], indirect=True)
def test_what_starts_by_an_event_changes_nothing_when_it_is_started_by_hand(toloka: TolokaEmulator) -> None:
    assert run(FINISHED, {}) == ("success", {"projects_without_an_open_pool success": 1, "archive skipped": 1})
    assert toloka.requests == []


@pytest.mark.parametrize("toloka", ["stale"], indirect=True)
def test_the_monthly_cleanup_is_a_dry_run_by_default(toloka: TolokaEmulator) -> None:
    assert run("toloka_monthly_cleanup", {}) == ("success", {"archive_stale_projects success": 1})
    assert {request.method for request in toloka.requests} == {"GET"}


@pytest.mark.parametrize("toloka", ["stale"], indirect=True)
@pytest.mark.parametrize("ends", ["success", "failed"])
def test_people_are_notified_however_it_ends(
    toloka: TolokaEmulator, ends: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("airflow.providers.smtp")
    monkeypatch.setenv("TOLOKA_REPORTS", str(tmp_path))
    if ends == "failed":
        toloka.fault("* /**", times=None, status=401)
    with Mailbox() as mailbox:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", mailbox.connection)
        assert run(NOTIFY, {"preview": False}) == (ends, {f"archive_stale_projects {ends}": 1})
    [mail] = mailbox.mails
    assert mail["Subject"].startswith(f"Toloka clean-up {'failed' if ends == 'failed' else 'succeeded'} (manual__")
    body = mail.get_body()
    assert body
    [page] = tmp_path.iterdir()
    assert f"Report: {page}" in body.get_content()
    if ends == "failed":
        assert "refuses the token" in page.read_text()
        return
    assert archived(toloka) == STALE
    assert "archived: 14" in body.get_content()
    assert "<b>14</b>" in page.read_text()


def test_without_other_providers_nobody_is_notified(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("airflow.providers.smtp.notifications.smtp", "airflow.providers.slack.notifications.slack_webhook"):
        monkeypatch.setitem(sys.modules, name, None)
    [task] = load(NOTIFY).tasks
    assert not task.on_success_callback
    assert not task.on_failure_callback


class Person:
    """Answers what the DAG asks for, as on the page "Required Actions": through Airflow's own REST API.

    :param option: the answer.
    """

    def __init__(self, option: str) -> None:
        from airflow.api_fastapi.app import create_app
        from fastapi.testclient import TestClient

        self.asked: dict[str, Any] = {}
        self.name = ""
        self._option = option
        self._client = TestClient(create_app(apps="core"))
        token = self._client.get("/auth/token").json()["access_token"]
        self._client.headers["Authorization"] = f"Bearer {token}"
        self._thread = threading.Thread(target=self._answer)
        self._has_asked = threading.Event()
        self._log = logging.getLogger("airflow.sdk.definitions.dag")

    def _note(self, record: logging.LogRecord) -> bool:
        """Note that dag.test() is done with the task that asks."""
        if "end task task_id=ask " in record.getMessage():
            self._has_asked.set()
        return True

    def __enter__(self) -> Person:
        self._log.addFilter(self._note)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._log.removeFilter(self._note)
        self._client.close()

    def _answer(self) -> None:
        runs = f"/api/v2/dags/{APPROVED}/dagRuns"
        deadline = time.monotonic() + 120
        try:
            while not self.asked:
                if time.monotonic() > deadline:
                    pytest.fail("Nobody was asked within 120 s.")
                time.sleep(0.2)
                found = self._client.get(f"{runs}/~/hitlDetails?response_received=false").json()
                if found["hitl_details"]:
                    # dag.test() sets the task's state once more after it has asked.
                    assert self._has_asked.wait(60)
                for self.asked in found["hitl_details"]:
                    ti = self.asked["task_instance"]
                    task = f"{runs}/{ti['dag_run_id']}/taskInstances/{ti['task_id']}/{ti['map_index']}"
                    given = {"chosen_options": [self._option], "params_input": {}}
                    self._client.patch(f"{task}/hitlDetails", json=given).raise_for_status()
                    self.name = self._client.get(f"{task}/hitlDetails").json()["responded_by_user"]["name"]
        except BaseException:
            # Nobody will answer: without this, the run would wait for ever.
            for one in self._client.get(runs).json()["dag_runs"]:
                self._client.patch(f"{runs}/{one['dag_run_id']}", json={"state": "failed"})
            raise


@needs_approvals
@pytest.mark.parametrize("toloka", ["stale"], indirect=True)
@pytest.mark.parametrize(("option", "last", "projects"), [("Approve", "success", STALE), ("Reject", "skipped", set())])
def test_the_approved_cleanup_does_as_the_person_says(
    toloka: TolokaEmulator,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    option: str,
    last: str,
    projects: set[str],
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")
    monkeypatch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "made-up" * 10)
    dag = load(APPROVED)
    report = tmp_path / "report.json"
    dag.get_task("archive").report_path = str(report)
    with Person(option) as person:
        state, states = run(dag, {"preview": False})
    where = f"account 'Emulated requester' ({toloka.url})"
    assert person.asked["subject"] == f"Archive 14 projects of {where}?"
    rows = [line for line in person.asked["body"].splitlines() if line.startswith("| [")]
    assert len(rows) == 14
    assert re.fullmatch(
        r"\| \[1016\]\(http\S+/requester/project/1016\) \| Forgotten labelling 36 \| \d{4}-\d\d-\d\d "
        r"\| 3 pools and trainings \|",
        rows[0],
    )
    assert (state, states) == (
        "success",
        {
            "find_stale_projects success": 1,
            "somebody_has_to_approve success": 1,
            "ask success": 1,
            f"archive {last}": 1,
        },
    )
    assert archived(toloka) == projects
    assert bool(posts(toloka)) == bool(projects)
    if projects:
        assert json.loads(report.read_text())["run"]["approved_by"] == person.name


@pytest.mark.parametrize("toloka", [None], indirect=True)
def test_the_labelling_goes_from_a_project_to_its_answers(toloka: TolokaEmulator, tmp_path: Path) -> None:
    toloka.configure(tolokers=Tolokers(count=4, seconds=0.5))
    dag = load(LABELLING)
    dag.get_task("wait").poke_interval = 0.5
    images = [f"https://example.com/{number}.jpg" for number in range(12)]
    dag_run = dag.test(run_conf={"images": images, "folder": f"file://{tmp_path}"})
    assert {ti.task_id: str(ti.state) for ti in dag_run.get_task_instances()} == dict.fromkeys(dag.task_ids, "success")
    ((pool_id, pool),) = toloka.pools.items()
    ((project_id, project),) = toloka.projects.items()
    assert (pool["status"], project["status"]) == ("ARCHIVED", "ARCHIVED")
    lines = (tmp_path / f"pool-{pool_id}-result.jsonl").read_text().splitlines()
    results = [json.loads(line) for line in lines]
    assert sorted(one["input"]["image"] for one in results) == sorted(images)
    assert {one["output"]["result"] for one in results} <= {"cat", "dog", "other"}
    answers = (tmp_path / f"pool-{pool_id}-answers.csv").read_text().splitlines()
    assert len(answers) == 1 + 3 * len(images)
    assert Counter(path.rpartition("/")[2] for path in posts(toloka)) == {
        "projects": 1, "pools": 1, "tasks": 1, "open": 1, "aggregate-by-pool": 1, "archive": 2,
    }  # fmt: skip
    assert project_id == pool["project_id"]


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="Airflow 2 has no events")
@pytest.mark.parametrize("toloka", ["demo"], indirect=True)
def test_the_collection_does_nothing_when_it_is_started_by_hand(toloka: TolokaEmulator) -> None:
    assert run(COLLECT, {}) == ("success", {"files success": 1, "export_answers skipped": 1})
    assert toloka.requests == []


#: Airflow before 3.1 asks nobody: the file holds no DAG there.
needs_hitl = pytest.mark.skipif(not AIRFLOW_V_3_1_PLUS, reason="Airflow asks people since 3.1")


@needs_hitl
@pytest.mark.parametrize("toloka", ["stale"], indirect=True)
@pytest.mark.parametrize("params", [{}, {"preview": False, "days": 5_000}], ids=["preview", "nothing is stale"])
def test_nobody_is_asked_without_need(toloka: TolokaEmulator, params: dict[str, Any]) -> None:
    state, states = run(APPROVED, params)
    assert (state, states) == (
        "success",
        {
            "find_stale_projects success": 1,
            "somebody_has_to_approve success": 1,
            "ask skipped": 1,
            "archive skipped": 1,
        },
    )
    assert posts(toloka) == []


@needs_hitl
@pytest.mark.parametrize("toloka", ["stale"], indirect=True)
def test_nobody_is_asked_about_more_projects_than_the_limit(toloka: TolokaEmulator) -> None:
    state, states = run(APPROVED, {"preview": False, "max_projects": 13})
    assert (state, states["find_stale_projects failed"], states["ask upstream_failed"]) == ("failed", 1, 1)
    assert posts(toloka) == []


@needs_hitl
@pytest.mark.parametrize("toloka", ["stale"], indirect=True)
@pytest.mark.parametrize("native", [False, True], ids=["text", "native objects"])
def test_the_form_of_the_approved_cleanup_tunes_it(toloka: TolokaEmulator, native: bool) -> None:
    dag = load(APPROVED)
    dag.render_template_as_native_obj = native
    params = {"days": 250, "name_pattern": "F*o*", "exclude_project_ids": ["1016", "1011"], "max_projects": 5}
    dag_run = dag.test(run_conf=params)
    [find] = [ti for ti in dag_run.get_task_instances() if ti.task_id == "find_stale_projects"]
    assert find.xcom_pull(task_ids="find_stale_projects") == ["1006", "1001", "996", "991"]
    assert posts(toloka) == []
