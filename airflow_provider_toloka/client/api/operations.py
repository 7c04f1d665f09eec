"""Calls for operations (API: "Operations"). No I/O."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from airflow_provider_toloka.client.api.calls import PAGE_LIMIT, Calls, Listing, write_filter
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.client.parsing import check_id, storable
from airflow_provider_toloka.client.resources import OPERATION
from airflow_provider_toloka.client.sansio import Flow
from airflow_provider_toloka.exceptions import TolokaApiError, TolokaOperationFailedError

log = logging.getLogger(__name__)

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


class Operations:
    """Calls for operations.

    :param calls: the basic calls of the API.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def get(self, operation_id: str, *, retry: bool = True) -> Flow[Operation]:
        """Read an operation (API: ``GET /operations/{id}``).

        :param retry: whether to retry a failed request; False for callers that poll anyway.
        """
        operation: Operation = yield from self._calls.get_one(OPERATION, operation_id, retry=retry)
        return operation

    def listing(self, /, **filters: str | datetime) -> Listing[Operation]:
        """Return the list of operations (API: ``GET /operations``)."""
        return self._calls.list_all(OPERATION, filters)

    def get_log(self, operation_id: str) -> Flow[list[dict[str, Any]]]:
        """Read an operation's log (API: ``GET /operations/{id}/log``).

        Toloka keeps the logs of batch operations for a month, and has none for other operations.

        :returns: entries of ``type``, ``success``, ``input``, ``output``.
        """
        path = f"/operations/{check_id('operation_id', operation_id)}/log"
        reader, answer = yield from self._calls.get(path, f"read the log of operation {operation_id}")
        return reader.models(answer, storable)

    def list_finished(self, finished_gte: datetime) -> Flow[tuple[list[Operation], bool]]:
        """Read a page of the operations that finished at or after a time, in the order in which they finished.

        The request is not retried, because the callers poll anyway (API: ``GET /operations``).

        :param finished_gte: the time, in Toloka's clock.
        :returns: the operations, and whether there are more.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        query = {"finished_gte": write_filter(finished_gte), "sort": "finished", "limit": str(PAGE_LIMIT)}
        reader, answer = yield from self._calls.get(
            f"/{OPERATION.path}", "list finished operations", query=query, retry=False
        )
        return reader.page(answer, Operation.from_json)

    def require_success(self, operations: Sequence[Operation]) -> Flow[None]:
        """Raise for the first failed operation, with its log if Toloka keeps one.

        :param operations: finished operations.
        :raises TolokaOperationFailedError: one of them ended as ``FAIL``.
        """
        for operation in operations:
            if operation.failed:
                entries: list[dict[str, Any]] = []
                try:
                    entries = yield from self.get_log(operation.id)
                except TolokaApiError as error:
                    log.info("No log of operation %s: %s", operation.id, error)
                raise TolokaOperationFailedError(operation, [entry for entry in entries if not entry.get("success")])


def latest(operations: Iterable[Operation]) -> Operation | None:
    """Return the operation that was submitted last; None: there are no operations. Ids are not in order of time."""
    return max(operations, key=lambda operation: operation.submitted or _LONG_AGO, default=None)
