"""The sensor for pools, as a task of real DAG runs against the emulator."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from airflow.providers.common.compat.sdk import AirflowSensorTimeout

from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.exceptions import TolokaTlsError, TolokaUnavailableError
from airflow_provider_toloka.sensors.pool import TolokaPoolSensor
from tests.running import Ended, Run, run_logged

pytestmark = pytest.mark.usefixtures("airflow_database")

each_way = pytest.mark.parametrize("how", [{"deferrable": False}, {"deferrable": True}], ids=["poke", "deferrable"])
each_mode = pytest.mark.parametrize(
    "how",
    [{"deferrable": False}, {"deferrable": False, "mode": "reschedule"}, {"deferrable": True}],
    ids=["poke", "reschedule", "deferrable"],
)
STARTED = "2026-11-01T10:00:00"


@pytest.fixture
def toloka(monkeypatch: pytest.MonkeyPatch) -> Iterator[TolokaEmulator]:
    with TolokaEmulator({"projects": [{"id": "1"}], "pools": [pool()]}) as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_TOLOKA_DEFAULT", json.dumps(emulator.connection | {"extra": {"retries": 1}}))
        yield emulator


def pool(status: str = "OPEN", **more: Any) -> dict[str, Any]:
    return {"id": "7", "project_id": "1", "status": status, "last_started": STARTED, **more}


def change(toloka: TolokaEmulator, status: str, reason: str | None = None, **more: Any) -> None:
    toloka.load({"projects": [{"id": "1"}], "pools": [pool(status, last_close_reason=reason, **more)]})


@contextlib.contextmanager
def after_the_first_poll(toloka: TolokaEmulator, status: str, reason: str) -> Iterator[None]:
    """Change the pool when it was polled once."""
    held = toloka.fault("GET /pools/7", times=1)

    def act() -> None:
        held.wait(200)
        change(toloka, status, reason)

    thread = threading.Thread(target=act)
    thread.start()
    yield
    thread.join()


def wait(**arguments: Any) -> tuple[Ended, Run]:
    return run_logged(TolokaPoolSensor, **{"pool_id": "7", "poke_interval": 0.3, "timeout": 30} | arguments)


@each_way
def test_a_pool_that_is_complete_is_not_waited_for(toloka: TolokaEmulator, how: Any) -> None:
    change(toloka, "CLOSED", "COMPLETED")
    task, ran = wait(**how)
    assert task.result == {"pool_id": "7", "status": "CLOSED", "last_close_reason": "COMPLETED"}
    assert ran.deferrals == 0


@each_way
@pytest.mark.parametrize("status", ["CLOSED", "ARCHIVED"])
def test_it_waits_until_the_pool_is_complete(toloka: TolokaEmulator, how: Any, status: str) -> None:
    with after_the_first_poll(toloka, status, "COMPLETED"):
        task, ran = wait(**how)
    assert task.result == {"pool_id": "7", "status": status, "last_close_reason": "COMPLETED"}
    assert ran.deferrals == how["deferrable"]


@each_way
def test_another_reason_fails_at_once_and_says_what_to_do(toloka: TolokaEmulator, how: Any) -> None:
    with after_the_first_poll(toloka, "CLOSED", "NOT_ENOUGH_BALANCE"):
        task, _ = wait(**how, retries=2)
    assert (task.state, task.tries) == ("failed", 1)
    assert "closed as NOT_ENOUGH_BALANCE, not as COMPLETED. Top up the account" in task.error


@each_way
def test_a_wanted_reason_is_a_success(toloka: TolokaEmulator, how: Any) -> None:
    change(toloka, "CLOSED", "EXPIRED")
    assert wait(**how, reasons=["EXPIRED", "COMPLETED"])[0].state == "success"


@each_way
@pytest.mark.parametrize(
    "seen",
    [pool("CLOSED", last_started=None), pool("CLOSED", last_close_reason="FOR_UPDATE"), pool("OPEN")],
    ids=["never opened", "for an update", "open"],
)
def test_it_times_out_in_words(toloka: TolokaEmulator, how: Any, seen: Any) -> None:
    toloka.load({"projects": [{"id": "1"}], "pools": [seen]})
    task, _ = wait(**how, timeout=1)
    assert task.state == "failed"
    assert f"Timed out (timeout): pool 7 did not close: it is {seen['status']}. Clear the task" in task.error


def test_it_says_which_limit_has_passed(toloka: TolokaEmulator) -> None:
    change(toloka, "OPEN")
    task, _ = wait(deferrable=True, execution_timeout=timedelta(seconds=1))
    assert "Timed out (execution_timeout): pool 7 did not close: it is OPEN" in task.error
    assert "or increase execution_timeout" in task.error


@each_way
def test_an_outage_does_not_fail_the_wait(toloka: TolokaEmulator, how: Any) -> None:
    change(toloka, "CLOSED", "COMPLETED")
    toloka.fault("GET /pools/7", times=4, status=503)
    assert wait(**how)[0].state == "success"


@each_way
@pytest.mark.parametrize("fault", [{"status": 200, "body": "<html>"}, {"status": 403, "body": "<html>"}], ids=str)
def test_the_page_of_a_gateway_does_not_fail_the_wait(toloka: TolokaEmulator, how: Any, fault: Any) -> None:
    change(toloka, "CLOSED", "COMPLETED")
    toloka.fault("GET /pools/7", times=1, **fault)
    task, _ = wait(**how)
    assert task.state == "success", task.errors


@each_way
def test_an_unknown_pool_fails_at_once(toloka: TolokaEmulator, how: Any) -> None:
    task, _ = wait(**how, pool_id="8", retries=2)
    assert (task.state, task.tries) == ("failed", 1)
    assert [request.path for request in toloka.requests] == ["/pools/8"] * 3


@each_mode
def test_a_pool_that_is_unknown_for_a_moment_is_waited_for(toloka: TolokaEmulator, how: Any) -> None:
    change(toloka, "CLOSED", "COMPLETED")
    toloka.fault("GET /pools/7", times=2, status=404)
    task, _ = wait(**how)
    assert task.state == "success", task.errors


@each_mode
def test_a_tls_failure_before_any_response_ends_the_wait(
    toloka: TolokaEmulator, monkeypatch: pytest.MonkeyPatch, how: Any
) -> None:
    host = f"https://127.0.0.1:{urlsplit(toloka.url).port}"
    monkeypatch.setenv("AIRFLOW_CONN_TOLOKA_DEFAULT", json.dumps(toloka.connection | {"host": host, "port": None}))
    task, _ = wait(**how)
    assert [type(error) for error in task.errors] == [TolokaTlsError]


def test_a_later_tls_failure_does_not_end_the_wait(toloka: TolokaEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    sensor = TolokaPoolSensor(task_id="wait", pool_id="7")
    assert not sensor.poke({})
    host = f"https://127.0.0.1:{urlsplit(toloka.url).port}"
    monkeypatch.setenv("AIRFLOW_CONN_TOLOKA_DEFAULT", json.dumps(toloka.connection | {"host": host, "port": None}))
    assert not sensor.poke({})


@each_way
def test_a_refused_token_fails_at_once(toloka: TolokaEmulator, how: Any) -> None:
    toloka.fault("GET /pools/7", times=None, status=401)
    task, _ = wait(**how, retries=2)
    assert (task.state, task.tries, "refuses the token" in task.error) == ("failed", 1, True)


@each_way
@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"pool_id": "{{ none }}"}, "pool_id should be an id"),
        ({"pool_id": None}, "pool_id should be an id"),
        ({"reasons": "{{ '' }}"}, "reasons should be one or more of"),
        ({"reasons": ["{{ 'DONE' }}"]}, "reasons should be one or more of"),
    ],
)
def test_wrong_arguments_fail_at_once(toloka: TolokaEmulator, how: Any, arguments: Any, problem: str) -> None:
    task, _ = wait(**how, retries=2, **arguments)
    assert (task.state, task.tries, problem in task.error) == ("failed", 1, True), task.error
    assert toloka.requests == []


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"pool_id": "1/2"}, "pool_id should be an id"),
        ({"pool_id": ""}, "pool_id should be an id"),
        ({"reasons": []}, "reasons should be one or more of"),
        ({"reasons": "DONE"}, "reasons should be one or more of"),
    ],
)
def test_wrong_arguments_that_are_no_templates_fail_when_the_dag_is_parsed(arguments: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        TolokaPoolSensor(task_id="wait", **{"pool_id": "7"} | arguments)


@each_way
def test_it_waits_until_all_answers_are_checked(toloka: TolokaEmulator, how: Any) -> None:
    change(toloka, "CLOSED", "COMPLETED")
    left = {"items": [{"id": "a1", "status": "SUBMITTED", "pool_id": "7"}], "has_more": False}
    toloka.fault("GET /assignments", times=3, body=left)
    task, _ = wait(**how, answers_checked=True)
    assert task.state == "success"
    asked = [request.query for request in toloka.requests if request.path == "/assignments"]
    assert len(asked) >= 4
    assert asked[0] == {"pool_id": "7", "status": "ACTIVE,SUBMITTED", "limit": "1"}


def test_an_outage_on_return_from_the_triggerer_does_not_fail_the_task(toloka: TolokaEmulator) -> None:
    asked = toloka.fault("GET /assignments", times=1)

    def act() -> None:
        asked.wait(200)
        toloka.fault("GET /**", times=None, status=503)

    thread = threading.Thread(target=act)
    thread.start()
    with after_the_first_poll(toloka, "CLOSED", "COMPLETED"):
        task, ran = wait(deferrable=True, answers_checked=True)
    thread.join()
    assert (task.state, ran.deferrals) == ("success", 1), task.errors


def test_an_outage_of_the_assignments_is_told_at_the_timeout(toloka: TolokaEmulator) -> None:
    toloka.fault("GET /assignments", times=None, status=503)
    with after_the_first_poll(toloka, "CLOSED", "COMPLETED"):
        task, _ = wait(deferrable=True, answers_checked=True, timeout=1)
    assert isinstance(task.errors[-1], AirflowSensorTimeout)
    assert "pool 7 did not close: it is CLOSED, and answers may be unchecked" in task.error
    assert "The last poll failed: " in task.error
    assert "503" in task.error


def test_poke_and_execute_may_be_called_directly(toloka: TolokaEmulator) -> None:
    change(toloka, "CLOSED", "COMPLETED")
    result = {"pool_id": "7", "status": "CLOSED", "last_close_reason": "COMPLETED"}
    poked: Any = TolokaPoolSensor(task_id="a", pool_id="7").poke({})
    assert poked.xcom_value == result
    assert TolokaPoolSensor(task_id="b", pool_id="7").execute({}) == result


def test_an_error_of_the_wait_comes_as_its_own_class_and_leaves_the_retries() -> None:
    sensor = TolokaPoolSensor(task_id="wait", pool_id="1")
    with pytest.raises(TolokaUnavailableError, match="gone"):
        sensor.execute_complete({}, {"error": TolokaUnavailableError("gone").to_json()})
