"""Waiting for operations (API: "Tracking operations"). No I/O."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from airflow_provider_toloka.client.api.calls import PAGE_LIMIT, Calls, write_filter
from airflow_provider_toloka.client.backoff import quick_first, time_away
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.client.parsing import check_id, storable
from airflow_provider_toloka.client.sansio import Flow, Sleep
from airflow_provider_toloka.exceptions import (
    TolokaApiError,
    TolokaInvalidAnswerError,
    TolokaOperationFailedError,
    TolokaRateLimitError,
    TolokaTimeoutError,
    TolokaUnavailableError,
)

log = logging.getLogger(__name__)

SHOWN = 20
#: What passes by itself: while a wait goes on, the next look will tell.
OUTAGE = (TolokaUnavailableError, TolokaRateLimitError, TolokaInvalidAnswerError)


def log_change(operation: Operation) -> None:
    """Log how an operation stands."""
    log.info("Toloka's %s", operation.summary)


class Waits(Calls):
    """The calls about operations."""

    def get_operation(self, operation_id: str) -> Flow[Operation]:
        """Get an operation (API: ``GET /operations/{id}``).

        :param operation_id: the operation's id.
        :returns: the operation as it stands now.
        :raises ValueError: it is no id.
        :raises TolokaApiError: one of its kinds, by meaning.
        """
        return (yield from self.get_one("operations", "operation_id", operation_id, Operation.from_json))

    def get_operation_log(self, operation_id: str) -> Flow[list[dict[str, Any]]]:
        """Get an operation's log (API: ``GET /operations/{id}/log``).

        Toloka keeps one for a month, and for batch operations only.

        :param operation_id: the operation's id.
        :returns: entries of ``type``, ``success``, ``input``, ``output``.
        :raises ValueError: it is no id.
        :raises TolokaApiError: one of its kinds, by meaning.
        """
        path = f"/operations/{check_id('operation_id', operation_id)}/log"
        reader, answer = yield from self.get(path, f"read the log of operation {operation_id}")
        return reader.models(answer, storable)

    def wait_for_operation(
        self,
        operation_id: str,
        *,
        poll_interval: float = 5.0,
        timeout: float = 3600.0,
        on_change: Callable[[Operation], None] = log_change,
    ) -> Flow[Operation]:
        """Wait until an operation has succeeded (API: "Tracking operations").

        An outage of the API is no failure: the wait goes on until its timeout.

        :param operation_id: the operation's id.
        :param poll_interval: seconds between two looks; the first ones come more quickly.
        :param timeout: seconds that the wait may take as a whole.
        :param on_change: told of the operation when its status or progress has changed; default: logs it.
        :returns: the operation, finished as ``SUCCESS``.
        :raises ValueError: it is no id.
        :raises TolokaOperationFailedError: it ended as ``FAIL``.
        :raises TolokaTimeoutError: it did not finish in time; at Toloka it goes on.
        :raises TolokaApiError: another kind, by meaning, that no waiting mends.
        """
        now = yield Sleep(0)
        operations = yield from self.poll_operations(
            [operation_id], intervals=quick_first(poll_interval), deadline=now + timeout, on_change=on_change
        )
        operation = operations[operation_id]
        yield from self.require_success([operation])
        return operation

    def poll_operations(
        self,
        operation_ids: Sequence[str],
        *,
        intervals: Iterator[float],
        deadline: float | None,
        on_change: Callable[[Operation], None] = log_change,
    ) -> Flow[dict[str, Operation]]:
        """Look at operations again and again until all have finished, or one has failed.

        :param operation_ids: the operations' ids.
        :param intervals: seconds between two looks, one after the other.
        :param deadline: when to give up, in seconds since the epoch; None: never.
        :param on_change: told of an operation when its status or progress has changed.
        :returns: by id, what is known of each operation; if one has failed, some may not be in it.
        :raises ValueError: one is no id.
        :raises TolokaTimeoutError: the deadline has passed.
        :raises TolokaApiError: another kind, by meaning, that no waiting mends.
        """
        seen: dict[str, Operation | None] = dict.fromkeys(operation_ids)
        while True:
            trouble = yield from self.look_at_operations(seen, on_change)
            known = {id_: operation for id_, operation in seen.items() if operation}
            if len(known) == len(seen) and all(operation.is_finished for operation in known.values()):
                return known
            if any(operation.failed for operation in known.values()):
                return known
            now = yield Sleep(0)
            if deadline is not None and now >= deadline:
                raise TolokaTimeoutError(timeout_message(seen, trouble))
            pause = max(next(intervals), time_away(trouble))
            yield Sleep(pause if deadline is None else min(pause, deadline - now))

    def look_at_operations(
        self, seen: dict[str, Operation | None], on_change: Callable[[Operation], None] = log_change
    ) -> Flow[TolokaApiError | None]:
        """Look once at each operation that has not finished, until one has failed, or the API is out.

        :param seen: by id, what was known of each operation; brought up to date.
        :param on_change: told of an operation when its status or progress has changed.
        :returns: why it brought no news; None: it did.
        :raises ValueError: one is no id.
        :raises TolokaApiError: one of its kinds, by meaning, that no waiting mends.
        """
        for operation_id, before in seen.items():
            if before and before.is_finished:
                continue
            try:
                operation = yield from self.look_at_operation(operation_id)
            except OUTAGE as error:
                log.warning("No news of operation %s, the wait goes on: %s", operation_id, error)
                return error
            seen[operation_id] = operation
            if before is None or (before.status, before.progress) != (operation.status, operation.progress):
                on_change(operation)
            if operation.failed:
                break
        return None

    def look_at_operation(self, operation_id: str) -> Flow[Operation]:
        """Get an operation without retries: for those who look again anyway.

        :param operation_id: the operation's id.
        :returns: the operation as it stands now.
        :raises TolokaApiError: one of its kinds, by meaning.
        """
        return (yield from self.get_one("operations", "operation_id", operation_id, Operation.from_json, retry=False))

    def list_finished(self, finished_gte: datetime) -> Flow[tuple[list[Operation], bool]]:
        """Read one page of the operations that finished at a time or after it, in the order of their finish.

        Without retries: it is for those who look again anyway (API: ``GET /operations``).

        :param finished_gte: the time, in Toloka's clock.
        :returns: the operations, and whether there are more.
        :raises TolokaApiError: one of its kinds, by meaning.
        """
        query = urlencode({"finished_gte": write_filter(finished_gte), "sort": "finished", "limit": str(PAGE_LIMIT)})
        reader, answer = yield from self.get(f"/operations?{query}", "list finished operations", retry=False)
        return reader.page(answer, Operation.from_json)

    def require_success(self, operations: Sequence[Operation]) -> Flow[None]:
        """Raise for the first of the operations that failed, with its log if Toloka keeps one.

        :param operations: finished operations.
        :raises TolokaOperationFailedError: one of them ended as ``FAIL``.
        """
        for operation in operations:
            if operation.failed:
                entries: list[dict[str, Any]] = []
                try:
                    entries = yield from self.get_operation_log(operation.id)
                except TolokaApiError as error:
                    log.info("No log of operation %s: %s", operation.id, error)
                raise TolokaOperationFailedError(operation, [entry for entry in entries if not entry.get("success")])


def timeout_message(operations: Mapping[str, Operation | None], trouble: object = None) -> str:
    """Say which operations did not finish in time, how they stand, and what to do.

    :param operations: by id, what is known of the operations waited for; None: it was never seen.
    :param trouble: why the last look brought no news, for a person; None: it did.
    """
    late = [
        operation.summary if operation else f"operation {operation_id} was never seen"
        for operation_id, operation in operations.items()
        if not (operation and operation.is_finished)
    ]
    more = f" and {len(late) - SHOWN} more" if len(late) > SHOWN else ""
    return (
        f"The wait's timeout has passed, and {len(late)} of {len(operations)} operations have not finished: "
        f"{'; '.join(late[:SHOWN])}{more}. They go on at Toloka. Run the task again to look again, or raise timeout."
        + (f" The last look brought no news: {trouble}" if trouble else "")
    )
