"""Aggregated answers as rows, each with the input of its task. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from airflow_provider_toloka.client.work import AggregatedSolution, Task


def joined(results: Iterable[AggregatedSolution], tasks: Iterable[Task]) -> Iterator[dict[str, Any]]:
    """Return a row for each aggregated answer: ``task_id``, ``pool_id``, ``input``, ``output`` and ``confidence``.

    Both come in the order of task ids, so little is held in memory; if the orders differ, more is, and nothing is lost.

    :param results: the answers.
    :param tasks: the tasks of the pool; an answer without its task has no input.
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
