"""Split tasks into chunks for one request each, in order. Streaming: keeps one chunk in memory. Pure.

API: ``POST /tasks``. A request takes 1,048,576 bytes of ``input_values`` and 4,194,304 of ``output_values``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from airflow_provider_toloka._text import shown
from airflow_provider_toloka.labelling.forms import check_task

_SOLUTIONS = ("known_solutions", "baseline_solutions")
_dumps = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True).encode


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of one request.

    :param items: the maximum number of tasks. Toloka's own client advises 10,000; fewer keep requests short.
    :param input_bytes: the maximum bytes of ``input_values`` in a chunk.
    :param output_bytes: the maximum bytes of ``output_values`` in a chunk.
    :param one_input: the maximum bytes of ``input_values`` of a single task.
    :param one_output: the maximum bytes of ``output_values`` of a single task.
    """

    items: int = 5_000
    input_bytes: int = 1_000_000
    output_bytes: int = 4_000_000
    one_input: int = 1_048_576
    one_output: int = 4_194_304


@dataclass(frozen=True)
class Chunk:
    """The tasks of one request.

    :param number: the chunk's number, from 0.
    :param first: the number of its first task, from 0.
    :param count: the number of its tasks.
    :param body: the request's body: a JSON array, compact, with sorted keys.
    :param digest: SHA-256 of the body.
    """

    number: int
    first: int
    count: int
    body: bytes
    digest: str


def chunks_of(tasks: Iterable[Any], pool_id: str, limits: Limits | None = None) -> Iterator[Chunk]:
    """Split tasks into chunks.

    The same tasks in the same order result in the same chunks, so that a retry recognizes what is uploaded.

    :param tasks: forms of tasks.
    :param pool_id: the tasks' pool or training; a task with another ``pool_id`` is an error.
    :param limits: the limits of one request; default: Toloka's limits.
    :raises ValueError: a task cannot be sent; the message has its number, from 0.
    """
    limits = limits or Limits()
    parts: list[str] = []
    number = first = inputs = outputs = 0
    for index, task in enumerate(tasks):
        part, task_inputs, task_outputs = _written(task, pool_id, f"tasks[{index}]", limits)
        if parts and (
            len(parts) >= limits.items
            or inputs + task_inputs > limits.input_bytes
            or outputs + task_outputs > limits.output_bytes
        ):
            yield _chunk(number, first, parts)
            parts, number, first, inputs, outputs = [], number + 1, index, 0, 0
        parts.append(part)
        inputs += task_inputs
        outputs += task_outputs
    if parts:
        yield _chunk(number, first, parts)


def _chunk(number: int, first: int, parts: list[str]) -> Chunk:
    body = f"[{','.join(parts)}]".encode()
    return Chunk(number, first, len(parts), body, sha256(body).hexdigest())


def _written(task: object, pool_id: str, path: str, limits: Limits) -> tuple[str, int, int]:
    """Return a task's JSON, and the sizes in bytes of its ``input_values`` and ``output_values``."""
    form = check_task(task, path)
    if form.get("pool_id") not in (None, pool_id):
        raise ValueError(f"{path}.pool_id is {shown(form['pool_id'])}, but the tasks are for {pool_id}.")
    try:
        values = _dumps(form["input_values"])
        inputs = len(values.encode())
        if len(form) == 1 and inputs <= limits.one_input:
            # Most tasks are this simple, and there may be millions.
            return f'{{"input_values":{values},"pool_id":"{pool_id}"}}', inputs, 0
        rest = _dumps({**{name: one for name, one in form.items() if name != "input_values"}, "pool_id": pool_id})
        outputs = sum(
            len(_dumps(solution.get("output_values")).encode())
            for name in _SOLUTIONS
            for solution in form.get(name) or ()
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be encoded as JSON: {error}.") from error
    _check_size(f"{path}.input_values", inputs, limits.one_input)
    _check_size(f"{path}'s output_values", outputs, limits.one_output)
    return f'{{"input_values":{values},{rest[1:]}', inputs, outputs


def _check_size(what: str, size: int, most: int) -> None:
    if size > most:
        raise ValueError(
            f"{what} is {size:,} bytes, but Toloka allows at most {most:,}. Send a URL instead of the data."
        )
