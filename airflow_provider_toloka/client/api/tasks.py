"""Calls for tasks (API: "Tasks"). No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any

from airflow_provider_toloka.client.api.calls import Calls, Listing
from airflow_provider_toloka.client.api.creation import pauses
from airflow_provider_toloka.client.api.operations import Operations
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.client.parsing import check_id, check_truth
from airflow_provider_toloka.client.resources import TASK
from airflow_provider_toloka.client.retry import Patience
from airflow_provider_toloka.client.sansio import Flow, Request, Response, Sleep, may_be_done
from airflow_provider_toloka.client.work import Task
from airflow_provider_toloka.exceptions import (
    TolokaConflictError,
    TolokaInvalidAnswerError,
    TolokaNotFoundError,
    TolokaUnavailableError,
)

_ALREADY_EXISTS = "OPERATION_ALREADY_EXISTS"


class Tasks:
    """Calls for tasks.

    :param calls: the basic calls of the API.
    :param operations: the calls for operations.
    """

    def __init__(self, calls: Calls, operations: Operations) -> None:
        self._calls = calls
        self._operations = operations

    def listing(self, /, **filters: str | datetime) -> Listing[Task]:
        """Return the list of tasks (API: ``GET /tasks``)."""
        return self._calls.list_all(TASK, filters)

    def add(
        self,
        tasks: Sequence[Mapping[str, Any]] | bytes,
        *,
        operation_id: str,
        allow_defaults: bool = True,
        skip_invalid: bool = False,
    ) -> Flow[Operation]:
        """Add tasks in one request, once for each operation id (API: ``POST /tasks``).

        :param tasks: forms of tasks, each with its ``pool_id``; or their JSON.
        :param operation_id: a UUID. Toloka executes each id once.
        :returns: the operation, which may have been submitted before, or be finished.
        """
        operation, _ = yield from self.submit(
            tasks, operation_id=operation_id, allow_defaults=allow_defaults, skip_invalid=skip_invalid
        )
        return operation

    def submit(
        self,
        tasks: Sequence[Mapping[str, Any]] | bytes,
        *,
        operation_id: str,
        allow_defaults: bool,
        skip_invalid: bool,
    ) -> Flow[tuple[Operation, bool]]:
        """Add tasks as :meth:`add` does, and return whether the operation is new.

        :returns: the operation, and whether this call may have submitted it; False: an earlier call has.
        """
        operation_id = check_id("operation_id", operation_id)
        query = {
            "async_mode": "true",
            "operation_id": operation_id,
            "allow_defaults": json.dumps(check_truth("allow_defaults", allow_defaults)),
            "skip_invalid_items": json.dumps(check_truth("skip_invalid", skip_invalid)),
        }
        request = (
            Request("POST", f"/{TASK.path}", query, content=tasks)
            if isinstance(tasks, bytes)
            else Request("POST", f"/{TASK.path}", query, json=list(tasks))
        )
        reader = self._calls.reader("add tasks")
        patience = Patience(self._calls.retry)
        was_sent = False
        while True:
            answer = yield request
            try:
                if isinstance(answer, Response) and answer.status in (200, HTTPStatus.CREATED, HTTPStatus.ACCEPTED):
                    return reader.model(answer, Operation.from_json), True
                # The operation id makes the request idempotent.
                yield from self._calls.pause(reader, answer, patience)
                was_sent = was_sent or may_be_done(answer)
            except (TolokaInvalidAnswerError, TolokaUnavailableError) as error:
                if not may_be_done(answer):
                    raise
                try:
                    return (yield from self._known(operation_id)), True
                except TolokaNotFoundError:
                    raise error from None
            except TolokaConflictError as error:
                if error.code != _ALREADY_EXISTS:
                    raise
                return (yield from self._known(operation_id)), was_sent

    def find_upload(self, operation_id: str) -> Flow[Operation | None]:
        """Return the operation of an earlier request; None: there is none."""
        try:
            return (yield from self._operations.get(operation_id))
        except TolokaNotFoundError:
            return None

    def _known(self, operation_id: str) -> Flow[Operation]:
        """Read an operation that exists, but may become visible with a delay."""
        for pause in pauses(self._calls.retry.list_lag):
            operation = yield from self.find_upload(operation_id)
            if operation is not None:
                return operation
            yield Sleep(pause)
        return (yield from self._operations.get(operation_id))
