"""Convert assignments to rows, one per task. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow_provider_toloka.client.work import ASSIGNMENT_TIMES, Assignment

#: The parts of a row with the project's own fields, and the prefixes of their columns in flat formats.
VALUES = {"input": "INPUT", "output": "OUTPUT", "golden": "GOLDEN"}


def rows_of(assignment: Assignment, *, without_golden: bool = False) -> Iterator[dict[str, Any]]:
    """Return the rows of an assignment.

    :param assignment: the assignment.
    :param without_golden: whether to leave out control tasks.
    :returns: for each task ``assignment_id``, ``status``, ``user_id``, ``pool_id``, ``task_suite_id``, ``task_id``,
        ``input``, ``output`` (None: not answered), ``golden`` (the first known solution; None: there is none), and
        the assignment's times in UTC.
    """
    times = {name: getattr(assignment, name) for name in ASSIGNMENT_TIMES}
    written = {name: time.isoformat() if time else None for name, time in times.items()}
    for number, task in enumerate(assignment.tasks):
        known = task.get("known_solutions") or ()
        if known and without_golden:
            continue
        yield {
            "assignment_id": assignment.id,
            "status": assignment.status,
            "user_id": assignment.user_id,
            "pool_id": assignment.pool_id,
            "task_suite_id": assignment.task_suite_id,
            "task_id": task.get("id"),
            "input": task.get("input_values"),
            "output": assignment.solutions[number].get("output_values") if assignment.solutions else None,
            "golden": known[0].get("output_values") if known else None,
            **written,
        }
