"""Submit changes once: read the state, submit what is missing, read it again when a response is lost. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from airflow_provider_toloka.client.api.calls import Calls
from airflow_provider_toloka.client.api.operations import latest
from airflow_provider_toloka.client.clock import CLOCKS_APART
from airflow_provider_toloka.client.models import PENDING, RUNNING, Operation
from airflow_provider_toloka.client.parsing import check_id
from airflow_provider_toloka.client.resources import OPERATION, Change
from airflow_provider_toloka.client.retry import Patience
from airflow_provider_toloka.client.sansio import Flow, Request, Response, Sleep, may_be_done
from airflow_provider_toloka.exceptions import TolokaConflictError, TolokaInvalidAnswerError, TolokaUnavailableError


class Changes:
    """Brings objects into wanted states.

    :param calls: the basic calls of the API.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def make(
        self,
        change: Change,
        object_id: str,
        *,
        look_first: bool = True,
        done_when: Callable[[Any], bool] | None = None,
    ) -> Flow[Operation | None]:
        """Bring an object into a wanted state; submit an operation only if none does so already.

        :param change: the change.
        :param object_id: the object's id.
        :param look_first: whether to read the state first; False if the caller has just read it.
        :param done_when: decides whether an object is in the wanted state; default: by the change's wanted states.
        :returns: the operation, which may have been running before, or be finished; None: nothing is left to do.
        """
        resource = change.resource
        object_id = check_id(resource.id_param, object_id)
        request = Request("POST", f"/{resource.path}/{object_id}/{change.action}")
        reader = self._calls.reader(f"{change.action} {resource.kind} {object_id}")
        patience = Patience(self._calls.retry)
        sent: float | None = None
        while True:
            if look_first:
                is_done, operation = yield from self._look(change, object_id, done_when, sent)
                if is_done or operation:
                    return operation
            if sent is None:
                sent = yield Sleep(0)
            answer = yield request
            try:
                if isinstance(answer, Response) and answer.status in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
                    return reader.model(answer, Operation.from_json)
                if isinstance(answer, Response) and answer.status == HTTPStatus.NO_CONTENT:
                    return None
                yield from self._calls.pause(reader, answer, patience)
            except (TolokaConflictError, TolokaInvalidAnswerError, TolokaUnavailableError):
                if not may_be_done(answer):
                    raise
                # Somebody else may have made the change; or it was made, and only the response was damaged, or lost
                # with no retry left: in each case, it is done.
                is_done, operation = yield from self._look(change, object_id, done_when, sent)
                if is_done or operation:
                    return operation
                raise
            # Without a response, the change may have been made; a 429 means that it was not.
            look_first = not (isinstance(answer, Response) and answer.status == HTTPStatus.TOO_MANY_REQUESTS)

    def _look(
        self, change: Change, object_id: str, done_when: Callable[[Any], bool] | None, sent: float | None
    ) -> Flow[tuple[bool, Operation | None]]:
        """Check whether a change is done, or in progress.

        Operations are read first, pending before running, and the object last. In this order, no operation is missed
        by moving on between two requests, and an object that is not done has no operation that could still change it.
        """
        for status in (PENDING, RUNNING):
            operation = yield from self.find(change, object_id, {"status": status})
            if operation:
                return False, operation
        found = yield from self._calls.get_one(change.resource, object_id)
        is_done = done_when(found) if done_when else found.status in change.wanted
        operation = None
        if is_done and sent is not None:
            # The operation has finished since the request was sent.
            since = datetime.fromtimestamp(self._calls.clock.at(sent), UTC) - CLOCKS_APART
            operation = yield from self.find(change, object_id, {"type": change.operation_type, "submitted_gte": since})
        return is_done, operation

    def find(self, change: Change, object_id: str, filters: Mapping[str, str | datetime]) -> Flow[Operation | None]:
        """Return the latest operation that makes, or has made, a change."""
        operations: list[Operation] = yield from self._calls.list_all(OPERATION, filters).all()
        return latest(
            operation
            for operation in operations
            if operation.type == change.operation_type
            and change.resource.works_on(operation, object_id)
            and not operation.failed
        )
