"""The record of a clean-up: whatever ends a try, what was archived is reported, and written down."""

from __future__ import annotations

import json
import re
import threading
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, TaskDeferred
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_3_PLUS

from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.operators.stale import TolokaArchiveStaleProjectsOperator
from tests.operators.killed import recorded
from tests.processes import until
from tests.running import Ended, clear, ended_tasks, new_dag, run, run_logged, run_try

pytestmark = pytest.mark.usefixtures("airflow_database")

LISTED = ["985", "990"]
needs_record = pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="the record is kept over tries from Airflow 3.3 on")


def told(ended: Ended) -> dict[str, set[str]]:
    """Return the ids of the projects by outcome."""
    return {name: {one["id"] for one in entries} for name, entries in ended.result.items() if entries}


def cleanup(**arguments: Any) -> DAG:
    """Make a DAG with a clean-up, of the listed projects by default."""
    given: dict[str, Any] = {"project_ids": LISTED, "poll_interval": 0.2, "deferrable": False}
    with new_dag() as dag:
        TolokaArchiveStaleProjectsOperator(task_id="task", **given | arguments)
    return dag


def next_try(dag: DAG, dag_run: Any) -> Ended:
    clear(dag, dag_run)
    run_try(dag, dag_run)
    return ended_tasks(dag, dag_run)["task"]


@needs_record
@pytest.mark.parametrize("stale", [600], indirect=True, ids=["endless"])
@pytest.mark.parametrize("project_ids", [LISTED, "all"], ids=["listed", "all"])
@pytest.mark.parametrize("deferrable", [False, True], ids=["on the worker", "deferrable"])
def test_what_is_under_way_when_a_token_is_refused_is_known_to_the_next_try(
    stale: TolokaEmulator, deferrable: bool, project_ids: Any
) -> None:
    dag = cleanup(
        deferrable=deferrable, project_ids=project_ids, name_pattern="Finished*", inactive_for=timedelta(days=180)
    )

    def submitted() -> dict[str, str]:
        return {one["parameters"]["project_id"]: one["id"] for one in list(stale.operations.values())}

    def refuse() -> None:
        until("all are submitted", lambda: len(submitted()) == (7 if project_ids == "all" else 2))
        until("all are recorded", lambda: all(id_ in recorded(dag.dag_id) for id_ in submitted()), 60)
        stale.fault("GET /**", times=None, status=401)

    thread = threading.Thread(target=refuse)
    thread.start()
    ran = run(dag)
    thread.join()
    assert ran.tasks["task"].state == "failed"
    assert told(ran.tasks["task"]) == {"submitted": {*submitted()}}
    stale.clear_faults()
    for operation_id in list(stale.operations):
        stale.finish(operation_id)
    again = next_try(dag, ran.dag_run)
    assert {one["id"]: one["operation_id"] for one in again.result["archived"]} == submitted()


class Store(dict[str, Any]):
    """Keeps what Airflow's task state store would keep."""

    def set(self, key: str, value: Any) -> None:
        self[key] = json.loads(json.dumps(value))


@pytest.mark.parametrize("stale", [600], indirect=True, ids=["endless"])
def test_what_is_under_way_when_a_deferred_task_is_marked_failed_is_known_to_the_next_try(
    stale: TolokaEmulator,
) -> None:
    ti = SimpleNamespace(
        dag_id="d", run_id="r", task_id="a", try_number=1, map_index=-1, xcom_push=lambda *_, **__: None
    )
    context: Any = {"ti": ti, "task_state_store": Store()}
    task = TolokaArchiveStaleProjectsOperator(task_id="a", project_ids=LISTED, deferrable=True)
    with pytest.raises(TaskDeferred):
        task.execute(context)
    for operation_id in list(stale.operations):
        stale.finish(operation_id)
    ti.try_number = 2
    result = task.execute(context)
    assert {one["id"] for one in result["archived"]} == {*LISTED}
    assert {one["operation_id"] for one in result["archived"]} == {*stale.operations}


@needs_record
@pytest.mark.parametrize("what", ["token refused", "account away", "too many"])
def test_a_try_that_cannot_begin_still_tells_of_the_earlier_ones(stale: TolokaEmulator, what: str) -> None:
    dag = cleanup(project_ids="all", inactive_for=timedelta(days=180))
    stale.fail_next("PROJECT.ARCHIVE")
    ran = run(dag)
    archived = told(ran.tasks["task"])["archived"]
    assert len(archived) == 13
    if what == "too many":
        task: Any = dag.get_task("task")
        task.max_projects = 1
        for _ in range(2):
            stale.add_project(created=1_500_000_000)
    else:
        stale.fault("GET /projects", times=None, status=401 if what == "token refused" else 503)
    again = next_try(dag, ran.dag_run)
    assert again.state == "failed"
    assert told(again)["archived"] == archived


@pytest.mark.parametrize("what", ["too many", "token refused", "account away"])
def test_a_report_is_written_in_every_ending(stale: TolokaEmulator, tmp_path: Path, what: str) -> None:
    path = tmp_path / "report.json"
    if what == "too many":
        task, _ = run_logged(
            TolokaArchiveStaleProjectsOperator, project_ids=LISTED, max_projects=1, report_path=str(path)
        )
    else:
        answer = {"status": 401 if what == "token refused" else 503}
        stale.fault("GET /operations", times=None, **answer)
        task, _ = run_logged(TolokaArchiveStaleProjectsOperator, project_ids=LISTED, report_path=str(path))
    assert task.state == "failed"
    report = json.loads(path.read_text())
    assert sorted(report["error"].split()) == sorted(task.error.split())  # the log has the remedy on its own line
    assert report["run"]["task_id"] == "task"
    assert {one["id"] for one in report["projects"]} >= ({*LISTED} if what == "too many" else set())


def test_an_archived_project_is_linked_and_a_failed_one_has_a_remedy(stale: TolokaEmulator, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    task, ran = run_logged(
        TolokaArchiveStaleProjectsOperator, project_ids=["985", "983", "404"], report_path=str(path), poll_interval=0.2
    )
    projects = {one["id"]: one for one in json.loads(path.read_text())["projects"]}
    assert projects["985"]["url"] == f"{stale.url}/requester/project/985"
    assert projects["983"]["reason"] == "pool 2031 'Live' is OPEN"
    assert "pools='close_and_archive'" in projects["983"]["remedy"]
    assert (projects["404"]["reason"], projects["404"]["remedy"].partition(",")[0]) == ("not found", "Check the id")
    assert "request id" in projects["404"]["error"]
    assert "pools='close_and_archive'" in task.error
    assert "request id" not in task.error
    if AIRFLOW_V_3_0_PLUS:  # older ones log an error twice themselves
        assert ran.log.count("pool 2031 'Live' is OPEN") == task.error.count("pool 2031 'Live' is OPEN")


@pytest.mark.parametrize(
    ("path", "why"),
    [("https://reports.example.com/{{ ds }}.html", "a web address"), ("foo://bucket/{{ ds }}.html", "foo")],
)
def test_a_report_that_cannot_be_written_fails_the_task_before_anything_is_changed(
    stale: TolokaEmulator, path: str, why: str
) -> None:
    task, _ = run_logged(TolokaArchiveStaleProjectsOperator, project_ids=LISTED, report_path=path, retries=1)
    assert (task.state, task.tries) == ("failed", 1)
    assert re.match(f"report_path is .*{why}.* report_url", task.error)
    assert stale.requests == []


@pytest.mark.skipif(AIRFLOW_V_3_3_PLUS, reason="the record is kept over tries there")
def test_without_a_record_what_others_archived_is_told_only_if_it_was_asked_for(stale: TolokaEmulator) -> None:
    dag = cleanup(project_ids=["985", "990"])
    stale.fail_next("PROJECT.ARCHIVE")
    ran = run(dag)
    stale.add_operation("PROJECT.ARCHIVE", status="SUCCESS", parameters={"project_id": "995"})
    again = next_try(dag, ran.dag_run)
    result = told(again)
    assert result["archived"] | result["already_archived"] == {*LISTED}


def test_the_report_is_linked_by_its_web_address(stale: TolokaEmulator, tmp_path: Path) -> None:
    with new_dag() as dag:
        task = TolokaArchiveStaleProjectsOperator(
            task_id="task",
            project_ids=["985"],
            poll_interval=0.2,
            report_path=str(tmp_path / "report.html"),
            report_url="https://reports.example.com/{{ ti.task_id }}.html",
        )
    ran = run(dag)
    (ti,) = ran.dag_run.get_task_instances()
    assert ti.xcom_pull(task_ids="task", key="_link_TolokaReportLink") == "https://reports.example.com/task.html"
    assert "Report" in [link.name for link in task.operator_extra_links]
    assert stale.projects["985"]["status"] == "ARCHIVED"


def test_one_project_that_may_not_be_read_does_not_stop_the_others(stale: TolokaEmulator) -> None:
    stale.fault("GET /projects/985", times=None, status=403)
    task, _ = run_logged(TolokaArchiveStaleProjectsOperator, project_ids=LISTED, poll_interval=0.2, retries=2)
    assert (task.state, task.tries) == ("failed", 1)
    assert told(task) == {"archived": {"990"}, "failed": {"985"}}


def test_an_exclusion_that_is_not_in_the_list_is_warned_about(stale: TolokaEmulator) -> None:
    _, ran = run_logged(
        TolokaArchiveStaleProjectsOperator, project_ids=LISTED, exclude_project_ids=["9855"], poll_interval=0.2
    )
    assert "exclude_project_ids: 9855 is not in project_ids" in ran.log
    assert stale.projects["985"]["status"] == "ARCHIVED"
