"""The sensor, as a task of real DAG runs against the emulator, in each of its modes."""

from __future__ import annotations

import itertools
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout, BaseOperator

from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.sensors.pool import TolokaPoolSensor
from airflow_provider_toloka.sensors.toloka import OperationSensor
from tests.running import Ended, Run, new_dag, run, run_logged

pytestmark = pytest.mark.usefixtures("airflow_database")

MODES: dict[str, dict[str, Any]] = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
}
each_mode = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)


def sense(operation_id: Any, **arguments: Any) -> tuple[Ended, Run]:
    return run_logged(OperationSensor, **{"operation_id": operation_id, "poke_interval": 0.2} | arguments)


def add(toloka: TolokaEmulator, finishes_in: float | None = None, status: str = "RUNNING", **fields: Any) -> str:
    operation: str = toloka.add_operation(
        "PROJECT.ARCHIVE", status=status, finishes_in=finishes_in, parameters={"project_id": "1001"}, **fields
    )["id"]
    return operation


def looks_at(toloka: TolokaEmulator, operation_id: str) -> list[float]:
    return [request.at for request in toloka.requests if request.path == f"/operations/{operation_id}"]


@contextmanager
def finishing_after(toloka: TolokaEmulator, operation_id: str, looks: int) -> Iterator[None]:
    """Finish an operation as soon as it was polled this often."""
    is_over = threading.Event()

    def finish() -> None:
        path = f"/operations/{operation_id}"
        while sum(request.path == path and request.status == 200 for request in toloka.requests) < looks:
            if is_over.wait(0.02):
                return
        toloka.finish(operation_id)

    thread = threading.Thread(target=finish)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@each_mode
def test_waits_for_one_operation(toloka: TolokaEmulator, mode: dict[str, Any]) -> None:
    operation = add(toloka, finishes_in=600)
    with finishing_after(toloka, operation, 1):
        task, ran = sense(operation, **mode)
    assert (task.state, task.tries) == ("success", 1)
    assert (task.result["id"], task.result["status"], task.result["progress"]) == (operation, "SUCCESS", 100)
    assert f"operation {operation} (PROJECT.ARCHIVE) is SUCCESS, progress 100 %" in ran.log
    assert ran.deferrals == int("deferrable" in mode)


@each_mode
def test_waits_for_each_of_several(toloka: TolokaEmulator, mode: dict[str, Any]) -> None:
    operations = [add(toloka, finishes_in=0.8), add(toloka, status="SUCCESS"), add(toloka, finishes_in=0.4)]
    task, _ = sense([operations[0], "already done", "postponed", *operations[1:]], **mode)
    assert task.state == "success"
    assert [(operation["id"], operation["status"]) for operation in task.result] == [
        (operation, "SUCCESS") for operation in operations
    ]


@each_mode
@pytest.mark.parametrize(
    ("nothing", "result"), [("already done", None), ("postponed", None), (["already done", "postponed"], [])]
)
def test_nothing_to_wait_for_is_a_success(
    toloka: TolokaEmulator, mode: dict[str, Any], nothing: Any, result: Any
) -> None:
    task, ran = sense(nothing, **mode)
    assert (task.state, task.result, ran.deferrals) == ("success", result, 0)
    assert toloka.requests == []


@each_mode
@pytest.mark.parametrize("finishes_in", [None, 1], ids=["at first", "in the wait"])
def test_a_failed_operation_fails_the_task_at_once(
    toloka: TolokaEmulator, mode: dict[str, Any], finishes_in: float | None
) -> None:
    toloka.add_operation("POOL.OPEN", id="other", status="RUNNING")
    operation = add(
        toloka,
        finishes_in,
        status="RUNNING" if finishes_in else "FAIL",
        outcome="FAIL",
        details={"reason": "the moon"},
        log=[{"type": "A", "success": False, "output": {"code": "MOON"}}, {"type": "B", "success": True}],
    )
    task, _ = sense([operation, "other"], retries=3, **mode)
    assert (task.state, task.tries) == ("failed", 1)
    assert isinstance(task.errors[0], AirflowFailException)
    told = (operation, "PROJECT.ARCHIVE", "'project_id': '1001'", "MOON")
    assert [text for text in told if text not in task.error] == []
    assert "'B'" not in task.error
    assert "".join(traceback.format_exception(task.errors[0])).count("Traceback") == 1


@each_mode
def test_details_of_a_failure_are_told(toloka: TolokaEmulator, mode: dict[str, Any]) -> None:
    task, _ = sense(add(toloka, status="FAIL", details={"reason": "the moon"}), **mode)
    assert "'reason': 'the moon'" in task.error


@each_mode
def test_a_timeout_fails_the_task(toloka: TolokaEmulator, mode: dict[str, Any]) -> None:
    operation = add(toloka)
    task, ran = sense(operation, timeout=0.5, retries=3, **mode)
    assert (task.state, task.tries) == ("failed", 1)
    assert isinstance(task.errors[0], AirflowSensorTimeout)
    assert f"operation {operation} (PROJECT.ARCHIVE) is RUNNING" in ran.log


@each_mode
@pytest.mark.parametrize("case", ["failed", "failed in the wait", "late", "not there"])
def test_soft_fail_skips(toloka: TolokaEmulator, mode: dict[str, Any], case: str) -> None:
    arguments: dict[str, Any] = {"operation_id": "999", "timeout": 5}
    if case == "late":
        arguments = {"operation_id": add(toloka), "timeout": 0.3}
    elif case != "not there":
        arguments["operation_id"] = add(toloka, 0.6 if case == "failed in the wait" else 0, outcome="FAIL")
    task, _ = sense(**arguments, soft_fail=True, **mode)
    assert task.state == "skipped"


@each_mode
@pytest.mark.usefixtures("toloka")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"operation_id": "999"}, "DOES_NOT_EXIST"),
        ({"operation_id": "{{ '1/2' }}"}, "operation_id"),
        ({"operation_id": ["1", "{{ '' }}"]}, "operation_id"),
        ({"operation_id": None}, "operation_id is empty"),
        ({"operation_id": "{{ none }}"}, "operation_id is empty"),
        ({"operation_id": ["1", None]}, "operation_id is empty"),
    ],
)
def test_what_no_retry_mends_fails_at_the_first_try(mode: dict[str, Any], arguments: dict[str, Any], told: str) -> None:
    task, _ = sense(**arguments, retries=3, **mode)
    assert (task.state, task.tries) == ("failed", 1)
    assert isinstance(task.errors[0], AirflowFailException)
    assert told in task.error


def test_ids_that_are_no_templates_are_checked_when_the_dag_is_parsed() -> None:
    with new_dag():
        upstream = BaseOperator(task_id="upstream").output
        ids: list[Any] = ["1", 1, "already done", "postponed", None]
        for number, given in enumerate([*ids, ids, [], upstream, [upstream, "1"], ["1", "{{ params.id }}"]]):
            OperationSensor(task_id=f"wait_{number}", operation_id=given)
    for refused in ("1/2", "", "None", ["1", ""], ["1", "1/2"]):
        with pytest.raises(ValueError, match="operation_id"):
            OperationSensor(task_id="wait", operation_id=refused)


def test_wrong_values_of_mapped_tasks_fail_at_the_first_try(toloka: TolokaEmulator) -> None:
    with new_dag(retries=3) as dag:
        OperationSensor.partial(task_id="wait", poke_interval=0.1).expand(
            operation_id=[add(toloka, status="SUCCESS"), "1/2", None]
        )
    tasks = [task for _, task in sorted(run(dag).tasks.items())]
    assert [(task.state, task.tries) for task in tasks] == [("success", 1), ("failed", 1), ("failed", 1)]
    assert {type(error) for task in tasks for error in task.errors} == {AirflowFailException}


@each_mode
@pytest.mark.parametrize("outage", [{"status": 503}, {"disconnect": "before"}], ids=["503", "cut off"])
def test_an_outage_is_no_failure(toloka: TolokaEmulator, mode: dict[str, Any], outage: dict[str, Any]) -> None:
    operation = add(toloka, status="SUCCESS")
    toloka.fault("GET /operations/*", times=2, **outage)
    task, ran = sense(operation, **mode)
    assert (task.state, task.tries) == ("success", 1)
    assert "still waiting" in ran.log
    assert len(looks_at(toloka, operation)) >= 3


@each_mode
def test_the_poke_interval_is_kept(toloka: TolokaEmulator, mode: dict[str, Any]) -> None:
    operation = add(toloka, finishes_in=600)
    with finishing_after(toloka, operation, 4):
        task, _ = sense(operation, poke_interval=0.7, **mode)
    assert task.state == "success"
    looks = looks_at(toloka, operation)
    if "deferrable" in mode:
        looks = looks[1:]  # the first one is the worker's, before it defers
    pauses = [after - before for before, after in itertools.pairwise(looks)]
    assert pauses
    assert min(pauses) >= 0.5


@pytest.mark.parametrize(("max_wait", "longest"), [(None, 86_400), (60, 60)])
def test_exponential_backoff_reaches_the_trigger(
    toloka: TolokaEmulator, max_wait: float | None, longest: float
) -> None:
    deferred_with: list[dict[str, Any]] = []

    class Recorded(OperationSensor):
        def defer(self, *, trigger: Any, **kwargs: Any) -> NoReturn:
            deferred_with.append(trigger.serialize()[1])
            super().defer(trigger=trigger, **kwargs)

    run_logged(
        Recorded,
        operation_id=add(toloka),
        poke_interval=7,
        exponential_backoff=True,
        max_wait=max_wait,
        timeout=0.5,
        deferrable=True,
    )
    (arguments,) = deferred_with
    assert (arguments["poll_interval"], arguments["longest_interval"]) == (7, longest)


def test_tasks_that_may_not_be_nested_run_it_too(toloka: TolokaEmulator) -> None:
    task, ran = sense(add(toloka, status="SUCCESS"), allow_nested_operators=False)
    assert task.state == "success", task.errors
    assert "cannot be called outside" not in ran.log


def test_the_last_poke_before_the_timeout_says_why(toloka: TolokaEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow's own timeout, which would come a moment later, does not say how the operation stands."""
    operation = toloka.add_operation("POOL.CLOSE", status="RUNNING")
    sensor = OperationSensor(task_id="a", operation_id=operation["id"])
    monkeypatch.setattr("airflow_provider_toloka._task.Deadline.left", lambda _: 0.05)
    with pytest.raises(AirflowSensorTimeout, match=rf"{operation['id']} .*is RUNNING"):
        sensor.poke({})


def test_poke_and_execute_may_be_called_directly(toloka: TolokaEmulator) -> None:
    operation_id = add(toloka, status="SUCCESS")
    context: Any = {}
    poked: Any = OperationSensor(task_id="a", operation_id=operation_id).poke(context)
    assert poked.xcom_value["id"] == operation_id
    assert OperationSensor(task_id="b", operation_id=operation_id).execute(context)["id"] == operation_id


def test_a_missing_connection_leaves_the_retries(toloka: TolokaEmulator) -> None:
    task, _ = sense(add(toloka, status="SUCCESS"), toloka_conn_id="nowhere", retries=1)
    assert (task.state, task.tries) == ("failed", 2)


@pytest.mark.parametrize("sensor", [OperationSensor, TolokaPoolSensor])
@pytest.mark.parametrize(("given", "kept"), [(1, 7.0), (60, 60.0)])
def test_a_rescheduled_sensor_starts_again_when_the_scheduler_has_seen_it_leave(
    sensor: Any, given: float, kept: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_toloka._settling.settling_seconds", lambda: 7.0)
    name = "operation_id" if sensor is OperationSensor else "pool_id"
    for mode, expected in (("reschedule", kept), ("poke", given)):
        task = sensor(task_id="wait", mode=mode, poke_interval=given, **{name: "1"})
        assert task._get_next_poke_interval(0.0, lambda: 0.0, 1) == expected
