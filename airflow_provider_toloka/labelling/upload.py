"""Upload tasks in chunks, each once. Flows: no I/O.

API: ``POST /tasks``. The ``operation_id`` of a chunk is derived from the upload's key and the chunk's content, so every
try finds what earlier ones have sent. The id of a failed upload cannot be used again, so a retry uses the next id.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_toloka._text import shown
from airflow_provider_toloka.client.api import TolokaApi
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.client.sansio import Flow
from airflow_provider_toloka.exceptions import TolokaApiError, TolokaOperationFailedError, TolokaTasksRefusedError
from airflow_provider_toloka.labelling.chunks import Chunk
from airflow_provider_toloka.labelling.keys import upload_id

log = logging.getLogger(__name__)

_CREATE, _VALIDATE = "TASK_CREATE", "TASK_VALIDATE"
_SHOWN = 10


@dataclass(kw_only=True)
class Upload:
    """An upload of tasks. Send its chunks in order.

    :param key: identifies the upload.
    :param pool_id: the tasks' pool or training.
    :param allow_defaults: whether tasks without an overlap get the pool's default.
    :param skip_invalid: whether to add the valid tasks when others are invalid.
    """

    key: str
    pool_id: str
    allow_defaults: bool = True
    skip_invalid: bool = False
    #: Whether a chunk was not found at Toloka. Chunks are sent in order, so later ones are not there either, and need
    #: no search. If one is there after all, such as with corrected input, Toloka refuses its operation id, and it is
    #: read; the chunks after it are searched for again.
    _is_ahead: bool = field(default=False, init=False)

    def send(self, api: TolokaApi, chunk: Chunk, *, may_repeat: bool) -> Flow[Operation]:
        """Upload a chunk, unless it was uploaded before.

        :param may_repeat: whether to repeat an earlier upload that failed; only in a new try. A resumed task still
            finds the upload that repeated it before the task was deferred.
        :returns: the operation; if it has finished, it has succeeded.
        :raises TolokaTasksRefusedError: Toloka refuses tasks, or has added some of them, or an unknown number.
        :raises TolokaOperationFailedError: the upload failed, and is not repeated.
        """
        generation = 0
        error: TolokaOperationFailedError | None = None
        while True:
            id_ = upload_id(
                self.key, pool_id=self.pool_id, chunk=chunk.number, digest=chunk.digest, generation=generation
            )
            operation = None if self._is_ahead else (yield from api.tasks.find_upload(id_))
            is_new = False
            if operation is None and error is not None:
                if not may_repeat:
                    raise error
                log.warning("The upload of chunk %d failed in an earlier try; repeating it: %s", chunk.number, error)
            if operation is None:
                operation, is_new = yield from api.tasks.submit(
                    chunk.body,
                    operation_id=id_,
                    allow_defaults=self.allow_defaults,
                    skip_invalid=self.skip_invalid,
                )
                # An upload that is repeated says nothing about the later chunks.
                self._is_ahead = is_new and (self._is_ahead or generation == 0)
            if not operation.failed:
                return operation
            error = yield from failure(api, operation, chunk)
            if is_new or isinstance(error, TolokaTasksRefusedError):
                raise error
            generation += 1


def count_in(operation: Operation, name: str) -> int:
    """Return a number from an upload's details, such as ``success_count``; 0: unknown."""
    value = operation.details.get(name)
    return int(value) if isinstance(value, (int, float)) else 0


def failure(api: TolokaApi, operation: Operation, chunk: Chunk) -> Flow[TolokaOperationFailedError]:
    """Return the error for a failed upload.

    :param operation: the chunk's upload, which has ended as ``FAIL``.
    :returns: a ``TolokaTasksRefusedError`` if a retry cannot help, or could add tasks twice.
    :raises TolokaApiError: the number of added tasks is unknown, and the log cannot be read now.
    """
    # Toloka may omit the details; then the log lists what was added.
    is_counted = isinstance(operation.details.get("success_count"), (int, float))
    added: int | None = count_in(operation, "success_count") if is_counted else None
    try:
        entries = yield from api.operations.get_log(operation.id)
    except TolokaApiError as error:
        if added is None and error.is_transient:
            raise
        log.info("No log of operation %s: %s", operation.id, error)
        entries = []
    else:
        if added is None:
            added = sum(entry.get("type") == _CREATE and bool(entry.get("success")) for entry in entries)
    refused = [entry for entry in entries if not entry.get("success") and entry.get("type") == _VALIDATE]
    if refused:
        numbers = _numbers(chunk)
        reasons = [_reason(entry, numbers) for entry in refused[:_SHOWN]]
        more = f" and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
        summary = f"Toloka refuses {len(refused)} tasks: {'; '.join(reasons)}{more}"
        remedy = "Correct them and clear the task, or set skip_invalid=True"
        return TolokaTasksRefusedError(operation, refused, summary=f"{summary}. {remedy}.")
    name = f"chunk {chunk.number} (tasks[{chunk.first}] and the {chunk.count - 1} after it)"
    if added is None:
        summary = (
            f"The upload of {name} failed, and it is unknown how many tasks were added. Tasks cannot be deleted: "
            "check the pool's tasks and add the missing ones manually, or use another pool."
        )
        return TolokaTasksRefusedError(operation, summary=summary)
    if added:
        total = count_in(operation, "total_count") or chunk.count
        summary = (
            f"Toloka has added only {added} of {total} tasks of {name}. Tasks cannot be deleted: add the missing ones "
            "manually, or use another pool."
        )
        return TolokaTasksRefusedError(operation, summary=summary)
    return TolokaOperationFailedError(operation, [entry for entry in entries if not entry.get("success")])


def _numbers(chunk: Chunk) -> dict[str, int]:
    """Return the numbers of a chunk's tasks by their input, which is all that the log contains of them."""
    numbers: dict[str, int] = {}
    for number, task in enumerate(json.loads(chunk.body), chunk.first):
        numbers.setdefault(_canonical(task.get("input_values")), number)
    return numbers


def _reason(entry: Mapping[str, Any], numbers: Mapping[str, int]) -> str:
    given, told = entry.get("input"), entry.get("output")
    values = given.get("input_values") if isinstance(given, Mapping) else None
    number = numbers.get(_canonical(values))
    name = f"the task {shown(given)}" if number is None else f"tasks[{number}]"
    if not isinstance(told, Mapping):
        return f"{name} ({shown(told)})"
    # API: ``code``, ``message``, ``payload``; its examples have only the payload, with a reason for each field.
    fields = told.get("payload") if isinstance(told.get("code"), str) else told
    if isinstance(fields, Mapping) and fields:
        whys = [f"{field}: {_told(why)}" for field, why in list(fields.items())[:_SHOWN]]
        return f"{name} ({', '.join(whys)})"
    return f"{name} ({_told(told)})"


def _told(why: Any) -> str:
    if not isinstance(why, Mapping):
        return shown(why)
    return " ".join(str(why[name]) for name in ("code", "message") if why.get(name))


def _canonical(values: Any) -> str:
    return json.dumps(values, sort_keys=True)
