"""The operators, as tasks of real DAG runs against the emulator."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from typing import Any
from unittest.mock import MagicMock

import pytest
import requests
from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.exceptions import (
    TolokaTimeoutError,
    TolokaUnavailableError,
)
from airflow_provider_toloka.operators.open import TolokaOpenPoolOperator
from airflow_provider_toloka.operators.toloka import (
    TolokaArchivePoolOperator,
    TolokaArchiveProjectOperator,
    TolokaArchiveTrainingOperator,
    TolokaClosePoolOperator,
    TolokaCloseTrainingOperator,
)
from airflow_provider_toloka.sensors.toloka import OperationSensor
from tests.conftest import ROOT
from tests.running import Ended, clear, ended_tasks, new_dag, posts, run, run_logged, run_task, run_try

pytestmark = pytest.mark.usefixtures("airflow_database")

both_ways = pytest.mark.parametrize("deferrable", [False, True], indirect=True, ids=["on the worker", "deferrable"])
endless = pytest.mark.parametrize("toloka", [600], indirect=True, ids=["endless"])


def archive(project_id: Any = "1001", **arguments: Any) -> Ended:
    return run_task(TolokaArchiveProjectOperator, **{"project_id": project_id, "poll_interval": 0.1} | arguments)


@both_ways
@pytest.mark.parametrize("toloka", [2], indirect=True, ids=["slow"])  # longer than until the first look
def test_archives_a_project_and_tells_the_operation(toloka: TolokaEmulator, deferrable: bool) -> None:
    task, ran = run_logged(TolokaArchiveProjectOperator, project_id="1001", poll_interval=0.1, deferrable=deferrable)
    assert task.state == "success"
    assert toloka.projects["1001"]["status"] == "ARCHIVED"
    assert list(toloka.operations) == [task.result]
    told = ("id", "type", "status", "progress", "parameters")
    assert [task.operation[name] for name in told] == [
        task.result,
        "PROJECT.ARCHIVE",
        "SUCCESS",
        100,
        {"project_id": "1001"},
    ]
    assert ran.deferrals == deferrable


@both_ways
@pytest.mark.parametrize(
    ("operator", "ids", "outcome"),
    [
        (TolokaArchiveProjectOperator, {"project_id": "1003"}, r"Archived project 1003 'Empty draft' in \d s"),
        (TolokaClosePoolOperator, {"pool_id": "2007"}, r"Closed pool 2007 'Hamburg' in \d s"),
        (TolokaOpenPoolOperator, {"pool_id": "2005"}, r"Opened pool 2005 'German' in \d s"),
        (TolokaArchiveTrainingOperator, {"training_id": "3002"}, r"Archived training 3002 'Irony' in \d s"),
    ],
)
def test_the_log_ends_with_the_outcome_and_has_no_ids_of_operations(
    toloka: TolokaEmulator, operator: type[BaseOperator], ids: dict[str, str], outcome: str, deferrable: bool
) -> None:
    toloka.add_training("1005", id="3002", status="CLOSED", private_name="Irony")
    task, ran = run_logged(operator, **ids, poll_interval=0.1, deferrable=deferrable)
    assert task.state == "success"
    (found,) = {match.group() for match in re.finditer(outcome, ran.log)}
    assert ran.log.rindex("Waiting: ") < ran.log.rindex(found)
    if not deferrable:  # the trigger's own log has them
        assert [id_ for id_ in toloka.operations if id_ in ran.log] == []


@pytest.mark.usefixtures("toloka")
@pytest.mark.parametrize(
    ("operator", "ids", "outcome"),
    [
        (TolokaArchiveProjectOperator, {"project_id": "1006"}, "Project 1006 'Voice commands' is archived already"),
        (TolokaClosePoolOperator, {"pool_id": "2005"}, "Pool 2005 'German' is closed already"),
        (TolokaOpenPoolOperator, {"pool_id": "2007"}, "Pool 2007 'Hamburg' was opened already"),
        (TolokaCloseTrainingOperator, {"training_id": "3001"}, "Training 3001 'How to tell irony' is closed already"),
    ],
)
def test_the_log_says_that_nothing_was_left_to_do(
    operator: type[BaseOperator], ids: dict[str, str], outcome: str
) -> None:
    task, ran = run_logged(operator, **ids)
    assert (task.result, outcome in ran.log) == ("already done", True)


@pytest.mark.parametrize(("toloka", "deferrals"), [(0.3, 0), (3, 1)], indirect=["toloka"], ids=["quick", "slow"])
def test_what_finishes_while_the_worker_looks_is_not_deferred(toloka: TolokaEmulator, deferrals: int) -> None:
    task, ran = run_logged(TolokaArchiveProjectOperator, project_id="1001", poll_interval=0.5, deferrable=True)
    assert (task.state, task.result, ran.deferrals) == ("success", *toloka.operations, deferrals)
    assert toloka.projects["1001"]["status"] == "ARCHIVED"


@both_ways
def test_a_project_archived_before_is_a_success_without_a_request_to_archive(
    toloka: TolokaEmulator, deferrable: bool
) -> None:
    task = archive("1006", deferrable=deferrable)
    assert (task.state, task.result, task.operation) == ("success", "already done", None)
    assert posts(toloka) == []


@endless
@both_ways
def test_without_waiting_it_ends_when_the_operation_is_submitted(toloka: TolokaEmulator, deferrable: bool) -> None:
    task, ran = run_logged(
        TolokaArchiveProjectOperator, project_id="1001", wait_for_completion=False, deferrable=deferrable
    )
    assert (task.state, task.operation, ran.deferrals) == ("success", None, 0)
    assert list(toloka.operations) == [task.result]


@both_ways
def test_waits_for_an_operation_that_runs_already(toloka: TolokaEmulator, deferrable: bool) -> None:
    running = toloka.add_operation("PROJECT.ARCHIVE", status="RUNNING", parameters={"project_id": "1001"})
    task = archive(deferrable=deferrable, timeout=0.5)
    assert isinstance(task.errors[0], TolokaTimeoutError)
    assert f"operation {running['id']} (PROJECT.ARCHIVE) is RUNNING" in task.error
    assert posts(toloka) == []


@both_ways
@pytest.mark.parametrize("toloka", [2], indirect=True, ids=["slow"])  # longer than the pause before the second look
def test_a_lost_answer_does_not_submit_twice(toloka: TolokaEmulator, deferrable: bool) -> None:
    toloka.fault("POST /projects/*/archive", disconnect="after")
    task = archive(deferrable=deferrable)
    assert task.state == "success"
    assert posts(toloka) == ["/projects/1001/archive"]
    assert list(toloka.operations) == [task.result]


@endless
def test_a_retry_after_a_lost_answer_finds_the_operation(toloka: TolokaEmulator) -> None:
    lost = toloka.fault("POST /projects/*/archive", disconnect="after", hold=True)

    def break_off() -> None:
        lost.wait(60)
        toloka.fault("GET /operations", times=2, status=503)  # one request, and its retry
        lost.release()

    breaking = threading.Thread(target=break_off)
    breaking.start()
    task = archive(retries=1, wait_for_completion=False)
    breaking.join()
    assert [type(error) for error in task.errors] == [TolokaUnavailableError]
    assert (task.state, task.tries) == ("success", 2)
    assert posts(toloka) == ["/projects/1001/archive"]
    assert list(toloka.operations) == [task.result]


@endless
def test_runs_one_after_the_other_share_one_operation(toloka: TolokaEmulator) -> None:
    first, second = archive(wait_for_completion=False), archive(wait_for_completion=False)
    assert first.result == second.result
    assert list(toloka.operations) == [first.result]


_IN_ANOTHER_PROCESS = """
import tests.conftest, os, sys
from airflow.utils.db import initdb
os.environ["AIRFLOW_CONN_TOLOKA_DEFAULT"] = sys.argv[1]
initdb()
from tests.operators.test_toloka import archive
task = archive()
print("ended", task.state, task.result)
"""


def test_runs_at_the_same_time_share_one_operation(toloka: TolokaEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both read the state before either of them submits."""
    patient = toloka.connection | {"extra": {"retries": 1, "timeout": 300}}  # the other one takes its time to begin
    monkeypatch.setenv("AIRFLOW_CONN_TOLOKA_DEFAULT", json.dumps(patient))
    looked = toloka.fault("GET /projects/1001", times=2, hold=True)
    command = [sys.executable, "-c", _IN_ANOTHER_PROCESS, os.environ["AIRFLOW_CONN_TOLOKA_DEFAULT"]]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as other:

        def release_when_both_have_looked() -> None:
            try:
                looked.wait(300)
                looked.wait(300)
            finally:
                looked.release()

        releasing = threading.Thread(target=release_when_both_have_looked)
        releasing.start()
        task = archive()
        releasing.join()
        printed, _ = other.communicate(timeout=300)
    assert task.state == "success"
    assert f"ended success {task.result}" in printed
    assert list(toloka.operations) == [task.result]


@both_ways
@pytest.mark.parametrize(
    ("project_id", "pools"), [("1004", "archive_closed"), ("1004", "close_and_archive"), ("1005", "close_and_archive")]
)
def test_pools_and_trainings_go_into_the_archive_first(
    toloka: TolokaEmulator, project_id: str, pools: str, deferrable: bool
) -> None:
    task = archive(project_id, pools=pools, deferrable=deferrable)
    assert task.state == "success", task.errors
    assert toloka.operations[task.result]["type"] == "PROJECT.ARCHIVE"
    held = [*toloka.pools.values(), *toloka.trainings.values()]
    assert {item["status"] for item in held if item["project_id"] == project_id} == {"ARCHIVED"}
    assert toloka.projects[project_id]["status"] == "ARCHIVED"
    assert len(posts(toloka)) == len(set(posts(toloka)))


def test_projects_are_archived_by_mapping(toloka: TolokaEmulator) -> None:
    with new_dag() as dag:
        TolokaArchiveProjectOperator.partial(task_id="archive", poll_interval=0.1, deferrable=True).expand(
            project_id=["1001", "1006", "1003"]
        )
    ran = run(dag)
    assert ran.state == "success"
    results = [ran.tasks["archive", index].result for index in range(3)]
    assert results[1] == "already done"
    assert [toloka.operations[results[index]]["parameters"]["project_id"] for index in (0, 2)] == ["1001", "1003"]


def test_cleared_after_its_success_it_looks_again_and_does_what_is_missing(toloka: TolokaEmulator) -> None:
    pool_id = toloka.add_pool("1001", status="OPEN")["id"]
    toloka.add_tasks(pool_id, [{"image": "https://example.com/1.jpg"}])  # an empty pool cannot be opened again
    with new_dag() as dag:
        TolokaClosePoolOperator(task_id="task", pool_id=pool_id, poll_interval=0.1)
    ran = run(dag)
    assert (ran.state, toloka.pools[pool_id]["status"], len(posts(toloka))) == ("success", "CLOSED", 1)

    clear(dag, ran.dag_run)
    run_try(dag, ran.dag_run)
    assert ended_tasks(dag, ran.dag_run)["task"].state == "success"
    assert len(posts(toloka)) == 1  # nothing was missing

    reopen = requests.post(
        f"{toloka.url}/api/v1/pools/{pool_id}/open", headers={"Authorization": f"OAuth {toloka.token}"}, timeout=60
    )
    toloka.finish(reopen.json()["id"])
    assert toloka.pools[pool_id]["status"] == "OPEN"
    clear(dag, ran.dag_run)
    run_try(dag, ran.dag_run)
    assert ended_tasks(dag, ran.dag_run)["task"].state == "success"
    assert toloka.pools[pool_id]["status"] == "CLOSED"
    assert [path.rpartition("/")[2] for path in posts(toloka)] == ["close", "open", "close"]


def test_ids_and_the_connection_may_be_templates(toloka: TolokaEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_TOLOKA_OTHER", os.environ.pop("AIRFLOW_CONN_TOLOKA_DEFAULT"))
    task = archive("{{ 1000 + 1 }}", toloka_conn_id="toloka_{{ 'other' }}", deferrable=True)
    assert task.state == "success"
    assert toloka.projects["1001"]["status"] == "ARCHIVED"


@pytest.mark.parametrize(
    ("project_id", "nothing", "status"),
    [("1001", None, "ARCHIVED"), ("1006", "already done", "ARCHIVED"), ("1007", "postponed", "ACTIVE")],
)
def test_a_sensor_takes_what_the_operator_returns(
    toloka: TolokaEmulator, project_id: str, nothing: str | None, status: str
) -> None:
    with new_dag() as dag:
        submit = TolokaArchiveProjectOperator(
            task_id="submit",
            project_id=project_id,
            pools="archive_closed",
            on_conflict="skip",
            wait_for_completion=False,
        )
        OperationSensor(task_id="wait", operation_id=submit.output, poke_interval=0.1)
    ran = run(dag)
    assert ran.state == "success"
    found = ran.tasks["wait"].result
    assert (found["id"] if found else nothing) == ran.tasks["submit"].result
    assert toloka.projects[project_id]["status"] == status


@both_ways
@pytest.mark.parametrize(
    ("operator", "ids", "then"),
    [
        (TolokaClosePoolOperator, {"pool_id": "2007"}, "CLOSED"),
        (TolokaArchivePoolOperator, {"pool_id": "2005"}, "ARCHIVED"),
        (TolokaCloseTrainingOperator, {"training_id": "3002"}, "CLOSED"),
        (TolokaArchiveTrainingOperator, {"training_id": "3003"}, "ARCHIVED"),
    ],
)
def test_one_pool_or_training_is_changed(
    toloka: TolokaEmulator, operator: type[BaseOperator], ids: dict[str, str], then: str, deferrable: bool
) -> None:
    toloka.add_training("1005", id="3002", status="OPEN")
    toloka.add_training("1005", id="3003", status="CLOSED")
    (object_id,) = ids.values()
    first = run_task(operator, **ids, poll_interval=0.1, deferrable=deferrable)
    assert (first.state, first.operation["id"], first.operation["status"]) == ("success", first.result, "SUCCESS")
    assert (toloka.pools | toloka.trainings)[object_id]["status"] == then
    again = run_task(operator, **ids, deferrable=deferrable)
    assert (again.state, again.result) == ("success", "already done")
    assert len(posts(toloka)) == 1


def event_of_a_pause(*, seconds_late: float) -> dict[str, Any]:
    return {"operations": {}, "unfinished": [], "errors": {}, "trouble": None, "limit": "timeout",
            "carry": {"paused_for": "it was locked"}, "deadline": time.time() - seconds_late}  # fmt: skip


@pytest.mark.parametrize(
    ("operator", "ids"),
    [
        (TolokaOpenPoolOperator, {"pool_id": "2005"}),
        (TolokaClosePoolOperator, {"pool_id": "2007"}),
        (TolokaArchiveProjectOperator, {"project_id": "1001"}),
    ],
)
@pytest.mark.parametrize("seconds_late", [60, -60], ids=["late", "in time"])
def test_after_a_pause_for_a_lock_nothing_is_changed_after_the_deadline(
    toloka: TolokaEmulator, operator: Any, ids: dict[str, str], seconds_late: float
) -> None:
    toloka.add_tasks("2005", [{"image": "https://example.com/1.jpg"}])
    task = operator(task_id="task", **ids, poll_interval=0.1)
    context = {"ti": MagicMock(try_number=1), "dag_run": MagicMock(start_date=datetime.now(UTC))}
    if seconds_late < 0:
        task.execute_complete(context, event_of_a_pause(seconds_late=seconds_late))
        assert len(posts(toloka)) == 1
        return
    with pytest.raises(TolokaTimeoutError, match=r"Timed out \(timeout\): it was locked. Clear the"):
        task.execute_complete(context, event_of_a_pause(seconds_late=seconds_late))
    assert posts(toloka) == []


@pytest.mark.parametrize(
    ("operator", "ids"),
    [
        (TolokaOpenPoolOperator, {"pool_id": "2005"}),
        (TolokaClosePoolOperator, {"pool_id": "2007"}),
        (TolokaArchiveProjectOperator, {"project_id": "1001"}),
    ],
)
def test_when_reading_takes_longer_than_the_timeout_nothing_is_changed(
    toloka: TolokaEmulator, operator: Any, ids: dict[str, str]
) -> None:
    toloka.add_tasks("2005", [{"image": "https://example.com/1.jpg"}])
    task = run_task(operator, **ids, timeout=0.001)
    assert isinstance(task.errors[0], TolokaTimeoutError), task.errors
    assert "Timed out (timeout): the deadline passed before the next change. Clear the" in task.error
    assert posts(toloka) == []


def test_what_others_have_done_during_a_pause_is_a_success_after_the_deadline(toloka: TolokaEmulator) -> None:
    task = TolokaArchiveProjectOperator(task_id="task", project_id="1006")
    assert task.execute_complete({"ti": MagicMock()}, event_of_a_pause(seconds_late=60)) == "already done"
    assert posts(toloka) == []


@both_ways
@pytest.mark.parametrize(
    ("operator", "ids", "path"),
    [
        (TolokaOpenPoolOperator, {"pool_id": "2005"}, "/pools/2005/open"),
        (TolokaClosePoolOperator, {"pool_id": "2007"}, "/pools/2007/close"),
    ],
)
def test_a_lock_that_is_released_too_late_is_named_and_nothing_is_changed(
    toloka: TolokaEmulator, operator: Any, ids: dict[str, str], path: str, deferrable: bool
) -> None:
    toloka.add_tasks("2005", [{"image": "https://example.com/1.jpg"}])
    toloka.fault(f"POST {path}", status=409, body={"code": "POOL_LOCKED_BY_ANOTHER_OPERATION"})
    task = run_task(operator, **ids, poll_interval=30, timeout=1, deferrable=deferrable)
    assert isinstance(task.errors[-1], TolokaTimeoutError), task.errors
    assert "POOL_LOCKED_BY_ANOTHER_OPERATION" in task.error
    assert posts(toloka) == [path]
