"""Wait for one or a few operations (API: "Tracking operations"). No I/O.

Large numbers of waits share the poller in ``polling/``, which follows the same rules (``client/waiting.py``).
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from airflow_provider_toloka._durations import Duration, optional_seconds, seconds
from airflow_provider_toloka.client.api.operations import Operations
from airflow_provider_toloka.client.backoff import quick_first
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.client.observer import Observer
from airflow_provider_toloka.client.parsing import check_id
from airflow_provider_toloka.client.sansio import Flow, Sleep
from airflow_provider_toloka.client.waiting import Outage, ends_wait, time_away, time_left
from airflow_provider_toloka.exceptions import (
    TolokaApiError,
    TolokaInvalidAnswerError,
    TolokaNotFoundError,
    TolokaTimeoutError,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

_SHOWN = 20
#: An unknown id counts as unknown once in this time, in seconds: the first polls come in quick succession.
_UNKNOWN_PAUSE = 2.0


def log_change(operation: Operation) -> None:
    """Log the state of an operation."""
    log.info("Toloka's %s", operation.summary)


def is_outage(error: TolokaApiError) -> bool:
    """Return whether the error of one read means that other reads are likely to fail, too."""
    return error.is_transient or isinstance(error, TolokaInvalidAnswerError)


def look_up(read: Callable[[], Flow[T]]) -> Flow[T]:
    """Read an object; an unknown id is tried a few more times before it counts as not found.

    :param read: returns the flow that reads it.
    :raises TolokaApiError: it does not exist, or the request failed.
    """
    times_unknown = 0
    while True:
        try:
            return (yield from read())
        except TolokaNotFoundError as error:
            times_unknown += 1
            if ends_wait(error, times_unknown=times_unknown):
                raise
        yield Sleep(_UNKNOWN_PAUSE)


class Watch:
    """The operations of a wait, in their last known state.

    :param operations: the calls for operations.
    :param operation_ids: the operations' ids.
    :param on_change: called with an operation when its status or progress has changed.
    :param observer: receives operations that have finished, and outages; default: nobody.
    :raises ValueError: an id cannot be one.
    """

    def __init__(
        self,
        operations: Operations,
        operation_ids: Sequence[str],
        on_change: Callable[[Operation], None] = log_change,
        observer: Observer | None = None,
    ) -> None:
        self._operations = operations
        self._observer = observer or Observer()
        self._on_change = on_change
        self._times_unknown: Counter[str] = Counter()
        self._unknown_at: dict[str, float] = {}
        self.seen: dict[str, Operation | None] = dict.fromkeys(check_id("operation_id", id_) for id_ in operation_ids)
        self._outage = Outage("Polling Toloka's operations", observer=self._observer)
        #: Why the last poll failed; None: it did not.
        self.trouble: TolokaApiError | None = None
        #: Whether an id was unknown in the last poll.
        self.has_unknown = False

    @property
    def is_over(self) -> bool:
        """Whether all have finished, or one has failed."""
        known = [operation for operation in self.seen.values() if operation]
        if any(operation.failed for operation in known):
            return True
        return len(known) == len(self.seen) and all(operation.is_finished for operation in known)

    def poll(self) -> Flow[None]:
        """Poll each unfinished operation, until one has failed or the API is unreachable.

        :raises TolokaApiError: an error that ends every wait: see ``client/waiting.py``.
        """
        yield from self._poll()
        now = yield Sleep(0)
        if self.trouble:
            if line := self._outage.failed(self.trouble, now):
                log.warning("%s", line)
        elif line := self._outage.worked(now):
            log.info("%s", line)

    def _poll(self) -> Flow[None]:
        self.trouble, self.has_unknown = None, False
        for operation_id, before in self.seen.items():
            if before and before.is_finished:
                continue
            try:
                operation = yield from self._operations.get(operation_id, retry=False)
            except TolokaApiError as error:
                if isinstance(error, TolokaNotFoundError):
                    self.has_unknown = True
                    self._count_unknown(operation_id, (yield Sleep(0)))
                is_first = not any(self.seen.values())
                if ends_wait(error, times_unknown=self._times_unknown[operation_id], is_first=is_first):
                    raise
                self.trouble = error
                if is_outage(error):
                    return
                continue
            self._times_unknown[operation_id] = 0
            self.seen[operation_id] = operation
            if before is None or (before.status, before.progress) != (operation.status, operation.progress):
                self._on_change(operation)
            if operation.is_finished:
                self._observer.finished(operation)
            if operation.failed:
                return

    def _count_unknown(self, operation_id: str, now: float) -> None:
        if now >= self._unknown_at.get(operation_id, -math.inf) + _UNKNOWN_PAUSE:
            self._times_unknown[operation_id] += 1
            self._unknown_at[operation_id] = now


class Waits:
    """Waits for operations.

    :param operations: the calls for operations.
    :param observer: receives operations that have finished, and outages; default: nobody.
    """

    def __init__(self, operations: Operations, observer: Observer | None = None) -> None:
        self._operations = operations
        self._observer = observer

    def watch(self, operation_ids: Sequence[str], on_change: Callable[[Operation], None] = log_change) -> Watch:
        """Return a watch of operations, to be polled by the caller."""
        return Watch(self._operations, operation_ids, on_change, self._observer)

    def look(self, watch: Watch) -> Flow[None]:
        """Poll once; an unknown id is tried a few more times before it counts as not found.

        :raises TolokaApiError: an error that ends every wait: see ``client/waiting.py``.
        """
        yield from watch.poll()
        while watch.has_unknown:
            yield Sleep(_UNKNOWN_PAUSE)
            yield from watch.poll()

    def wait_for(
        self,
        operation_id: str,
        *,
        poll_interval: Duration = 5.0,
        timeout: Duration | None = 3600.0,
        on_change: Callable[[Operation], None] = log_change,
    ) -> Flow[Operation]:
        """Wait until an operation has succeeded; see ``TolokaClient.wait_for_operation``."""
        interval, longest = seconds("poll_interval", poll_interval), optional_seconds("timeout", timeout)
        now = yield Sleep(0)
        seen = yield from self.poll(
            [operation_id],
            intervals=quick_first(interval),
            deadline=None if longest is None else now + longest,
            on_change=on_change,
        )
        operation = seen[operation_id]
        yield from self._operations.require_success([operation])
        return operation

    def poll(
        self,
        operation_ids: Sequence[str],
        *,
        intervals: Iterator[float],
        deadline: float | None,
        limit: str = "timeout",
        on_change: Callable[[Operation], None] = log_change,
    ) -> Flow[dict[str, Operation]]:
        """Poll operations until all have finished, or one has failed.

        :param operation_ids: the operations' ids.
        :param intervals: the seconds between successive polls.
        :param deadline: when to stop, in seconds since the epoch; None: never.
        :param limit: the argument that set the deadline, for the message.
        :param on_change: called with an operation when its status or progress has changed.
        :returns: by id, each operation in its last known state; if one has failed, others may be missing.
        :raises ValueError: an id cannot be one.
        :raises TolokaTimeoutError: the deadline has passed.
        :raises TolokaApiError: an error that ends every wait: see ``client/waiting.py``.
        """
        watch = self.watch(operation_ids, on_change)
        while True:
            yield from watch.poll()
            if watch.is_over:
                return {id_: operation for id_, operation in watch.seen.items() if operation}
            left = time_left(deadline, (yield Sleep(0)))
            if not left:
                raise TolokaTimeoutError(timeout_message(watch.seen, watch.trouble, limit))
            yield Sleep(min(max(next(intervals), time_away(watch.trouble)), left))


def timeout_message(operations: Mapping[str, Operation | None], trouble: object = None, limit: str = "timeout") -> str:
    """Return the message of a wait that has timed out.

    :param operations: by id, each operation in its last known state; None: it was never seen.
    :param trouble: why the last poll failed; None: it did not.
    :param limit: the argument that set the deadline.
    """
    late = [
        operation.summary if operation else f"operation {operation_id} was never seen"
        for operation_id, operation in operations.items()
        if not (operation and operation.is_finished)
    ]
    if not late:
        return (
            f"Timed out ({limit}): the deadline passed before the next change. "
            f"Clear the task to resume, or increase {limit}."
        )
    more = f" and {len(late) - _SHOWN} more" if len(late) > _SHOWN else ""
    noun, keep = "operation" if len(operations) == 1 else "operations", "It keeps" if len(late) == 1 else "They keep"
    return (
        f"Timed out ({limit}): {len(late)} of {len(operations)} {noun} unfinished: "
        f"{'; '.join(late[:_SHOWN])}{more}. {keep} running at Toloka. "
        f"Clear the task to resume waiting, or increase {limit}."
        + (f" The last poll failed: {trouble}" if trouble else "")
    )
