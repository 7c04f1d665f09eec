from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.exceptions import (
    TolokaOperationFailedError,
    TolokaTasksRefusedError,
    TolokaUnavailableError,
)
from airflow_provider_toloka.labelling.chunks import chunks_of
from airflow_provider_toloka.labelling.upload import failure
from tests.driving import Driver, api, error, ok

TASKS = [{"input_values": {"image": name}} for name in ("a", "b", "c")]
FAILED = Operation(id="op1", type="TASK.BATCH_CREATE", status="FAIL")
ENTRY = {"type": "TASK_VALIDATE", "success": False, "input": {"input_values": {"image": "b"}, "pool_id": "1"}}
WHY = {"input_values.image": {"code": "URL_EXPECTED", "message": "Not a URL"}}


def explain(log: Any, operation: Operation = FAILED) -> TolokaOperationFailedError:
    (chunk,) = chunks_of(TASKS, "1")
    return Driver([log]).run(failure(api(), operation, chunk))


@pytest.mark.parametrize(
    "output",
    [WHY, {"code": "VALIDATION_ERROR", "message": "Validation failed", "payload": WHY}],
    ids=["as in the examples", "as described"],
)
def test_a_refused_task_is_named_by_its_number_with_field_and_reason(output: Any) -> None:
    problem = explain(ok([{**ENTRY, "output": output}]))
    assert isinstance(problem, TolokaTasksRefusedError)
    assert "refuses 1 tasks: tasks[1] (input_values.image: URL_EXPECTED Not a URL)" in str(problem)
    assert "operation op1" in str(problem)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"output": {"code": "SOME_CODE", "message": "So it is"}}, "tasks[1] (SOME_CODE So it is)"),
        ({"output": None}, "tasks[1] (None)"),
        ({"output": WHY, "input": {"input_values": {"image": "z"}}}, "the task {'input_values': {'image': 'z'}}"),
        ({"output": WHY, "input": None}, "the task None"),
    ],
)
def test_whatever_the_log_says_is_told(entry: Any, told: str) -> None:
    assert told in str(explain(ok([{**ENTRY, **entry}])))


def test_many_refused_tasks_are_not_all_told() -> None:
    text = str(explain(ok([{**ENTRY, "output": WHY}] * 25)))
    assert "refuses 25 tasks" in text
    assert text.count("tasks[1]") == 10
    assert "and 15 more" in text


@pytest.mark.parametrize(
    ("details", "log"),
    [
        ({"success_count": 0}, error(404, "DOES_NOT_EXIST")),
        ({"success_count": 0}, ok([])),
        ({}, ok([])),
        ({"success_count": None}, ok([{"type": "TASK_CREATE", "success": False}])),
    ],
)
def test_a_failure_that_has_added_nothing_may_be_repeated(details: Any, log: Any) -> None:
    problem = explain(log, replace(FAILED, details=details))
    assert not problem.is_permanent
    assert "op1" in str(problem)


@pytest.mark.parametrize("details", [{}, {"success_count": None}, {"total_count": 3}])
def test_tasks_that_only_the_log_lists_are_counted(details: Any) -> None:
    created = {"type": "TASK_CREATE", "success": True, "output": {"task_id": "1"}}
    problem = explain(ok([created, created, {**created, "success": False}]), replace(FAILED, details=details))
    assert problem.is_permanent
    assert "added only 2 of 3 tasks of chunk 0" in str(problem)


@pytest.mark.parametrize("log", [error(404, "DOES_NOT_EXIST"), error(409, "OPERATION_LOGS_ARCHIVED"), ok("no list")])
def test_a_failure_that_may_have_added_tasks_is_not_repeated(log: Any) -> None:
    problem = explain(log)
    assert problem.is_permanent
    assert str(problem) == (
        "The upload of chunk 0 (tasks[0] and the 2 after it) failed, and it is unknown how many tasks were added. "
        "Tasks cannot be deleted: check the pool's tasks and add the missing ones manually, or use another pool. "
        "[operation op1]"
    )


def test_a_log_that_cannot_be_read_now_is_read_by_the_next_try() -> None:
    (chunk,) = chunks_of(TASKS, "1")
    with pytest.raises(TolokaUnavailableError):
        Driver([error(503)]).run(failure(api(retries=0), FAILED, chunk))


def test_a_failure_that_is_none_of_the_tasks_may_be_repeated() -> None:
    problem = explain(ok([{"type": "TASK_CREATE", "success": False, "output": {"code": "INTERNAL"}}]))
    assert not isinstance(problem, TolokaTasksRefusedError)
    assert "INTERNAL" in str(problem)


def test_the_error_survives_a_copy() -> None:
    import pickle

    problem = explain(ok([{**ENTRY, "output": WHY}]))
    assert str(pickle.loads(pickle.dumps(problem))) == str(problem)  # noqa: S301
