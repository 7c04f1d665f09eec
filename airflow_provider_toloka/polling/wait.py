"""One operation that is waited for, however many wait for it. No I/O, no clock."""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass, field

from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.client.observer import Observer
from airflow_provider_toloka.client.waiting import Outage
from airflow_provider_toloka.exceptions import TolokaApiError
from airflow_provider_toloka.polling.callers import Caller, unique


@dataclass(eq=False, slots=True)
class Wait:
    """What is waited for, what is known of it, and who waits."""

    operation_id: str
    finished: asyncio.Future[Operation]
    observer: Observer = field(default_factory=Observer)
    callers: list[Caller] = field(default_factory=list)
    #: What is known of the operation; None: it was never seen.
    last: Operation | None = None
    times_unknown: int = 0
    #: When the id was unknown for the last time that counts.
    unknown_at: float = -math.inf
    #: Why the operation could not be read by its id the last time; None: it could.
    trouble: TolokaApiError | None = None
    #: What those who wait were told of that.
    outage: Outage | None = None
    #: Its place in the rotation.
    turn: int = 0

    @property
    def error(self) -> BaseException | None:
        """What ended the wait; None: it goes on, or the operation has finished."""
        return self.finished.exception() if self.finished.done() and not self.finished.cancelled() else None

    def take_news(self, operation: Operation, now: float) -> None:
        """Take what was read of the operation, and tell those who wait of a change."""
        if self.finished.done():
            return
        self.times_unknown = 0
        self.trouble = None
        if self.outage and (line := self.outage.worked(now)):
            self._tell(logging.INFO, line)
        before, self.last = self.last, operation
        if before is None or (before.status, before.progress) != (operation.status, operation.progress):
            for caller in tuple(self.callers):
                caller.change(operation)
        if operation.is_finished:
            self.finished.set_result(operation)
            self.observer.finished(operation)

    def take_trouble(self, error: TolokaApiError, now: float, *, is_known: bool) -> None:
        """Take note of a read that failed.

        :param is_known: whether those who wait hear of it anyway.
        """
        self.trouble = error
        if is_known:
            return
        self.outage = self.outage or Outage(f"Polling operation {self.operation_id}", observer=self.observer)
        if line := self.outage.failed(error, now):
            self._tell(logging.WARNING, line)

    def fail(self, error: Exception) -> None:
        """End the wait with an error."""
        if not self.finished.done():
            self.finished.set_exception(error)

    def close(self) -> None:
        """Wait no longer."""
        if not self.finished.cancel() and not self.finished.cancelled():
            # Retrieved, so that asyncio does not complain of an error that nobody asked for.
            self.finished.exception()

    def _tell(self, level: int, line: str) -> None:
        for caller in unique(self.callers):
            caller.outage(level, line)
