"""A wait for one operation, shared by its callers. No I/O, no clock."""

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
    """An operation, its last known state, and the callers that wait for it."""

    operation_id: str
    finished: asyncio.Future[Operation]
    observer: Observer = field(default_factory=Observer)
    callers: list[Caller] = field(default_factory=list)
    #: The operation in its last known state; None: it was never seen.
    last: Operation | None = None
    times_unknown: int = 0
    #: When an unknown id was last counted.
    unknown_at: float = -math.inf
    #: Why the last read by id failed; None: it did not.
    trouble: TolokaApiError | None = None
    #: The outage as reported to the callers.
    outage: Outage | None = None
    #: Its position in the rotation.
    turn: int = 0

    @property
    def error(self) -> BaseException | None:
        """The error that ended the wait; None: it continues, or the operation has finished."""
        return self.finished.exception() if self.finished.done() and not self.finished.cancelled() else None

    def take_news(self, operation: Operation, now: float) -> None:
        """Update the operation, and report a change to the callers."""
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
        """Record a failed read.

        :param is_known: whether the callers are informed anyway.
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
        """Stop waiting."""
        if not self.finished.cancel() and not self.finished.cancelled():
            # Retrieved, so that asyncio does not complain about an unretrieved error.
            self.finished.exception()

    def _tell(self, level: int, line: str) -> None:
        for caller in unique(self.callers):
            caller.outage(level, line)
