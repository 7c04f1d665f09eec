"""Assignments as rows: one for each task's answer. Pure.

API: ``AssignmentViewV1``: ``solutions`` are in the order of ``tasks``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airflow_provider_toloka.client.parsing import InvalidModelError

TIMES = ("created", "submitted", "accepted", "rejected", "skipped", "expired")
#: The parts of a row that hold the project's own fields.
VALUES = {"input": "INPUT", "output": "OUTPUT", "golden": "GOLDEN"}


def rows_of(assignment: Mapping[str, Any], *, without_golden: bool = False) -> Iterator[dict[str, Any]]:
    """Return the answers of an assignment.

    :param assignment: the assignment, as the API returns it.
    :param without_golden: whether to leave out tasks with known solutions.
    :returns: for each task ``assignment_id``, ``status``, ``user_id``, ``pool_id``, ``task_suite_id``, ``task_id``,
        ``input``, ``output`` (None: not answered), ``golden`` (the first known solution; None: there is none), and
        the assignment's times.
    :raises InvalidModelError: the answers do not fit to the tasks.
    """
    tasks = _objects(assignment, "tasks")
    solutions = _objects(assignment, "solutions")
    if solutions and len(solutions) != len(tasks):
        raise InvalidModelError("solutions", f"one answer to each of {len(tasks)} tasks", len(solutions))
    for number, task in enumerate(tasks):
        known = _objects(task, "known_solutions")
        if known and without_golden:
            continue
        yield {
            "assignment_id": assignment.get("id"),
            "status": assignment.get("status"),
            "user_id": assignment.get("user_id"),
            "pool_id": assignment.get("pool_id"),
            "task_suite_id": assignment.get("task_suite_id"),
            "task_id": task.get("id"),
            "input": task.get("input_values"),
            "output": solutions[number].get("output_values") if solutions else None,
            "golden": known[0].get("output_values") if known else None,
            **{name: assignment.get(name) for name in TIMES},
        }


def _objects(json: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = json.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise InvalidModelError(key, "a list of objects", value)
    return value
