"""Convert aggregated answers to rows, each with its task's input. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from airflow_provider_toloka.client.work import AggregatedSolution, Task


def joined(results: Iterable[AggregatedSolution], tasks: Iterable[Task]) -> Iterator[dict[str, Any]]:
    """Return a row for each aggregated answer: ``task_id``, ``pool_id``, ``input``, ``output`` and ``confidence``.

    Both are expected in the order of task ids, which needs little memory. Other orders need more, with the same result.

    :param results: the answers.
    :param tasks: the tasks of the pool; an answer without a task has no input.
    """
    left = iter(tasks)
    passed: dict[str, Mapping[str, Any]] = {}
    for result in results:
        while result.task_id not in passed and (task := next(left, None)) is not None:
            passed[task.id] = task.input_values
        yield {
            "task_id": result.task_id,
            "pool_id": result.pool_id,
            "input": passed.pop(result.task_id, None),
            "output": result.output_values,
            "confidence": result.confidence,
        }
