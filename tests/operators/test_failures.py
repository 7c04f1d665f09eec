"""How the operators fail, and when they do not: as tasks of real DAG runs against the emulator."""

from __future__ import annotations

import math
import os
import time
import traceback
from datetime import UTC, datetime, timedelta
from typing import Any

import pendulum
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.exceptions import (
    TolokaConflictError,
    TolokaNotArchivableError,
    TolokaOperationFailedError,
    TolokaTimeoutError,
    TolokaUnavailableError,
)
from airflow_provider_toloka.operators.open import TolokaOpenPoolOperator, TolokaOpenTrainingOperator
from airflow_provider_toloka.operators.toloka import (
    TolokaArchivePoolOperator,
    TolokaArchiveProjectOperator,
    TolokaArchiveTrainingOperator,
    TolokaClosePoolOperator,
    TolokaCloseTrainingOperator,
)
from tests.operators.test_toloka import archive, both_ways, endless
from tests.running import new_dag, posts, run, run_logged, run_task

PACKAGE = "/airflow_provider_toloka/"

pytestmark = pytest.mark.usefixtures("airflow_database")


def test_pools_that_are_not_archived_are_named_with_the_remedy(toloka: TolokaEmulator) -> None:
    task = archive("1005", retries=1)
    assert (task.state, task.tries) == ("failed", 2)
    assert isinstance(task.errors[0], TolokaNotArchivableError)
    assert "\n  pool 2006 'Berlin' is CLOSED\n  pool 2007 'Hamburg' is OPEN\n" in task.error
    assert "pools='archive_closed'" in task.error
    assert "pools='close_and_archive'" in task.error
    assert posts(toloka) == []


def test_open_pools_stop_the_archiving_of_closed_ones_before_anything_is_changed(toloka: TolokaEmulator) -> None:
    task = archive("1005", pools="archive_closed")
    assert task.state == "failed"
    assert "pool 2007 'Hamburg' is OPEN" in task.error
    assert "Berlin" not in task.error
    assert "pools='close_and_archive'" in task.error
    assert posts(toloka) == []


@both_ways
def test_a_wait_for_a_lock_ends_at_the_timeout_however_long_the_interval(
    toloka: TolokaEmulator, deferrable: bool
) -> None:
    toloka.add_pool("1001", status="LOCKED")
    before = time.monotonic()
    task = archive("1001", pools="archive_closed", poll_interval=3600, timeout=1, deferrable=deferrable)
    assert isinstance(task.errors[0], TolokaTimeoutError)
    assert "is LOCKED" in task.error
    assert time.monotonic() - before < 300


@pytest.mark.parametrize(
    ("project_id", "code", "remedy"),
    [
        ("1007", "THERE_IS_REJECTED_ASSIGNMENT", "9 days after the last rejection"),
        ("1008", "THERE_IS_ACTIVE_ASSIGNMENT", "Wait until the Tolokers have finished"),
    ],
)
def test_assignments_that_hold_a_pool_are_explained(
    toloka: TolokaEmulator, project_id: str, code: str, remedy: str
) -> None:
    task = archive(project_id, pools="archive_closed")
    assert (task.state, toloka.projects[project_id]["status"]) == ("failed", "ACTIVE")
    assert code in task.error
    assert remedy in task.error


@both_ways
def test_a_failed_operation_fails_the_task_with_its_details(toloka: TolokaEmulator, deferrable: bool) -> None:
    toloka.fail_next("PROJECT.ARCHIVE", details={"reason": "the moon"})
    task = archive(deferrable=deferrable)
    assert task.state == "failed"
    assert isinstance(task.errors[0], TolokaOperationFailedError)
    (operation,) = toloka.operations.values()
    for told in (operation["id"], "PROJECT.ARCHIVE", "'project_id': '1001'", "'reason': 'the moon'"):
        assert told in task.error


def test_a_retry_after_a_failed_operation_submits_a_new_one(toloka: TolokaEmulator) -> None:
    toloka.fail_next("PROJECT.ARCHIVE")
    task = archive(retries=1)
    assert (task.state, task.tries) == ("success", 2)
    submitted = sorted(toloka.operations.values(), key=lambda operation: operation["submitted"])
    assert [operation["status"] for operation in submitted] == ["FAIL", "SUCCESS"]


@endless
@both_ways
@pytest.mark.parametrize("timeout", [0.5, timedelta(seconds=0.5)], ids=["seconds", "timedelta"])
def test_a_timeout_says_how_the_operation_stands(toloka: TolokaEmulator, deferrable: bool, timeout: Any) -> None:
    task = archive(deferrable=deferrable, timeout=timeout)
    (operation,) = toloka.operations
    assert task.state == "failed"
    assert isinstance(task.errors[0], TolokaTimeoutError)
    assert f"operation {operation} (PROJECT.ARCHIVE) is PENDING" in task.error
    assert "keeps running at Toloka" in task.error


@pytest.mark.usefixtures("toloka")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"project_id": "{{ '' }}"}, "project_id"),
        ({"project_id": "{{ '1/2' }}"}, "project_id"),
        ({"project_id": None}, "project_id"),
        ({"project_id": "{{ none }}"}, "project_id"),
        ({"project_id": "999"}, "DOES_NOT_EXIST"),
        ({"pools": "{{ 'all' }}"}, "pools should be one of"),
        ({"pools": "{{ none }}"}, "pools is empty"),
    ],
)
def test_what_no_retry_mends_fails_at_the_first_try(arguments: dict[str, Any], told: str) -> None:
    task = archive(**{"retries": 3} | arguments)
    assert (task.state, task.tries) == ("failed", 1)
    assert isinstance(task.errors[0], AirflowFailException)
    assert told in task.error


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"timeout": 0}, "timeout should be a duration above 0"),
        ({"timeout": "half an hour"}, "timeout should be a duration above 0"),
        ({"timeout": timedelta(seconds=-1)}, "timeout should be a duration above 0"),
        ({"timeout": math.inf}, "timeout should be a duration above 0"),
        ({"poll_interval": 0}, "poll_interval should be a duration above 0"),
        ({"pools": "all"}, "pools should be one of"),
        ({"on_conflict": "wait"}, "on_conflict should be one of"),
        ({"project_id": ""}, "project_id should be an id"),
        ({"project_id": "10/01"}, "project_id should be an id"),
        ({"project_id": "1?x"}, "project_id should be an id"),
        ({"project_id": 1.5}, "project_id should be an id"),
    ],
)
def test_wrong_arguments_that_are_no_templates_fail_when_the_dag_is_parsed(
    arguments: dict[str, Any], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        archive(**arguments)


@pytest.mark.parametrize(
    ("operator", "name"),
    [
        (TolokaArchiveProjectOperator, "project_id"),
        (TolokaClosePoolOperator, "pool_id"),
        (TolokaArchivePoolOperator, "pool_id"),
        (TolokaOpenPoolOperator, "pool_id"),
        (TolokaCloseTrainingOperator, "training_id"),
        (TolokaArchiveTrainingOperator, "training_id"),
        (TolokaOpenTrainingOperator, "training_id"),
    ],
)
def test_ids_that_are_no_templates_are_checked_when_the_dag_is_parsed(operator: Any, name: str) -> None:
    with new_dag():
        upstream = BaseOperator(task_id="upstream")
        for number, accepted in enumerate(("1001", 1001, " 1001 ", "{{ params.id }}", upstream.output, None)):
            operator(task_id=f"task_{number}", **{name: accepted})
    for refused in ("10/01", "", "None", ["1001"]):
        with pytest.raises(ValueError, match=f"{name} should be an id"):
            operator(task_id="task", **{name: refused})


@both_ways
def test_wrong_values_of_mapped_tasks_fail_at_the_first_try(toloka: TolokaEmulator, deferrable: bool) -> None:
    """Airflow creates a mapped task on the worker, where a ValueError would cost its retries."""
    with new_dag(retries=3) as dag:
        TolokaArchiveProjectOperator.partial(task_id="ids", poll_interval=0.1, deferrable=deferrable).expand(
            project_id=["1003", "10/01", None]
        )
        TolokaArchiveProjectOperator.partial(task_id="rules", project_id="1006").expand(pools=["all"])
    tasks = run(dag).tasks
    assert [tasks["ids", index].state for index in range(3)] == ["success", "failed", "failed"]
    for task in (tasks["ids", 1], tasks["ids", 2], tasks["rules", 0]):
        assert (task.tries, [type(error) for error in task.errors]) == (1, [AirflowFailException])
    assert posts(toloka) == ["/projects/1003/archive"]


@pytest.mark.parametrize("duration", [5, 5.0, "5", "PT5S", timedelta(seconds=5), pendulum.duration(seconds=5)])
@pytest.mark.usefixtures("toloka")
def test_durations_may_be_given_in_any_form(duration: Any) -> None:
    assert archive(timeout=duration, poll_interval=duration).state == "success"


@both_ways
def test_a_missing_connection_leaves_the_retries(toloka: TolokaEmulator, deferrable: bool) -> None:
    task = archive(deferrable=deferrable, retries=1, toloka_conn_id="nowhere")
    assert (task.state, task.tries, posts(toloka)) == ("failed", 2, [])


@endless
@both_ways
def test_execution_timeout_bounds_the_wait_too(toloka: TolokaEmulator, deferrable: bool) -> None:
    limits: dict[str, Any] = {"timeout": None, "execution_timeout": timedelta(seconds=4)}
    task = archive(deferrable=deferrable, **limits)
    assert task.state == "failed"
    assert len(posts(toloka)) == 1
    if deferrable or not AIRFLOW_V_3_0_PLUS:  # on a worker, Airflow 3 may end the task at the same moment
        assert "execution_timeout" in task.error


def test_rejected_answers_cost_no_retry(toloka: TolokaEmulator) -> None:
    task = archive("1007", pools="archive_closed", retries=3)
    assert (task.state, task.tries) == ("failed", 1)
    assert isinstance(task.errors[0], AirflowFailException)
    assert toloka.projects["1007"]["status"] == "ACTIVE"


@both_ways
def test_rejected_answers_may_postpone_the_project(toloka: TolokaEmulator, deferrable: bool) -> None:
    task, ran = run_logged(
        TolokaArchiveProjectOperator,
        project_id="1007",
        pools="archive_closed",
        on_conflict="skip",
        poll_interval=0.1,
        deferrable=deferrable,
    )
    assert (task.state, task.tries, task.result, task.operation) == ("success", 1, "postponed", None)
    (ti,) = ran.dag_run.get_task_instances()
    until = datetime.fromisoformat(ti.xcom_pull(task_ids="task", key="postponed_until"))
    assert timedelta(days=6) < until - datetime.now(UTC) < timedelta(days=8)  # rejected two days ago
    told = f"Project 1007 'Product categories' is postponed to {until:%Y-%m-%d}: rejected answers in pool 2009"
    assert told in ran.log
    assert "request id" not in ran.log
    assert toloka.projects["1007"]["status"] == "ACTIVE"


def test_a_refused_token_fails_at_the_first_try(toloka: TolokaEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    accepted = os.environ["AIRFLOW_CONN_TOLOKA_DEFAULT"]
    monkeypatch.setenv("AIRFLOW_CONN_TOLOKA_DEFAULT", accepted.replace(toloka.token, "another"))
    task = archive(retries=3)
    assert (task.state, task.tries) == ("failed", 1)
    assert isinstance(task.errors[0], AirflowFailException)
    assert "401" in task.error


@both_ways
def test_a_token_that_is_refused_in_the_wait_fails_the_task_at_once(toloka: TolokaEmulator, deferrable: bool) -> None:
    toloka.fault("GET /operations/*", times=None, status=401)
    task = archive(deferrable=deferrable, retries=3)
    assert (task.state, task.tries) == ("failed", 1)
    assert isinstance(task.errors[0], AirflowFailException)
    assert "Toloka refuses the token" in task.error


def test_an_outage_before_the_wait_leaves_the_retries(toloka: TolokaEmulator) -> None:
    toloka.fault("GET /operations", times=2, status=503)
    task = archive(retries=1)
    assert (task.state, task.tries) == ("success", 2)
    assert [type(error) for error in task.errors] == [TolokaUnavailableError]


@both_ways
def test_an_outage_in_the_wait_is_no_failure(toloka: TolokaEmulator, deferrable: bool) -> None:
    toloka.fault("GET /operations/*", times=2, status=503)
    toloka.fault("GET /operations/*", times=1, disconnect="before")
    task = archive(deferrable=deferrable)
    assert (task.state, task.tries) == ("success", 1)


@pytest.mark.usefixtures("toloka")
@both_ways
@pytest.mark.parametrize(
    ("operator", "arguments", "told"),
    [
        (TolokaArchiveProjectOperator, {"project_id": "404"}, "Could not read project 404"),
        (TolokaArchiveProjectOperator, {"project_id": "1005"}, "Could not archive project 1005"),
        (TolokaArchiveProjectOperator, {"project_id": "{{ none }}"}, "project_id should be an id"),
        (TolokaArchivePoolOperator, {"pool_id": "2007"}, "POOL_INAPPROPRIATE_STATUS"),
        (TolokaOpenPoolOperator, {"pool_id": "404"}, "Could not read pool 404"),
    ],
)
def test_a_failure_is_told_once_without_the_frames_that_would_hide_it(
    operator: type[BaseOperator], arguments: dict[str, str], told: str, deferrable: bool
) -> None:
    task = run_task(operator, **arguments, deferrable=deferrable)
    check_is_told_once(task.errors[0], told)


@both_ways
@pytest.mark.parametrize("operator", [TolokaArchivePoolOperator, TolokaOpenPoolOperator])
def test_a_failure_in_the_wait_is_told_once(toloka: TolokaEmulator, operator: Any, deferrable: bool) -> None:
    toloka.add_tasks("2004", [{"image": "https://example.com/1.jpg"}])
    for type_ in ("POOL.ARCHIVE", "POOL.OPEN"):
        toloka.fail_next(type_, details={"reason": "the moon"})
    task = run_task(operator, pool_id="2004", deferrable=deferrable, poll_interval=0.1)
    check_is_told_once(task.errors[0], "the moon")


def check_is_told_once(error: BaseException, told: str) -> None:
    """Check what Airflow logs of the error: few of its frames are this package's, and none is of another error."""
    text = "".join(traceback.format_exception(error))
    assert text.count(told) == text.count("Traceback") == 1, text
    frames = {frame.name for frame in traceback.extract_tb(error.__traceback__) if PACKAGE in frame.filename}
    assert frames <= {"execute", "execute_complete", "__exit__"}


@pytest.mark.usefixtures("toloka")
@pytest.mark.parametrize(
    ("operator", "ids", "code"),
    [
        (TolokaArchivePoolOperator, {"pool_id": "2007"}, "POOL_INAPPROPRIATE_STATUS"),
        (TolokaArchiveTrainingOperator, {"training_id": "3001"}, "a pool that requires training 3001 is not archived"),
    ],
)
def test_a_state_that_forbids_the_change_is_told(operator: type[BaseOperator], ids: dict[str, str], code: str) -> None:
    task = run_task(operator, **ids, retries=1)
    assert (task.state, task.tries) == ("failed", 2)
    assert isinstance(task.errors[0], TolokaConflictError)
    assert code in task.error
