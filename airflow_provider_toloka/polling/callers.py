"""Notify waits of changes and outages, each in its own log. No network."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextvars import copy_context
from typing import TypeAlias

from airflow_provider_toloka.client.api.waits import log_change
from airflow_provider_toloka.client.models import Operation

log = logging.getLogger(__name__)

#: A line for a log, with its level; the method ``log`` of a logger is one.
Report: TypeAlias = Callable[[int, str], object]

#: The number of callers to notify before yielding to the event loop.
_AT_ONCE = 20


class Caller:
    """The callbacks of a wait, called in its own context, by which Airflow's triggerer finds the log of a line.

    :param on_change: called with an operation when its status or progress has changed.
    :param on_outage: called with the level and the line; None: the line is logged once in this module's log,
        for all such callers.
    """

    __slots__ = ("_on_change", "_on_outage", "context")

    def __init__(self, on_change: Callable[[Operation], object] = log_change, on_outage: Report | None = None) -> None:
        self._on_change = on_change
        self._on_outage = on_outage
        self.context = copy_context()

    @property
    def has_own_log(self) -> bool:
        """Whether this caller has its own callback for outages."""
        return self._on_outage is not None

    def change(self, operation: Operation) -> None:
        """Report a change."""
        self._call(self._on_change, operation)

    def outage(self, level: int, line: str) -> None:
        """Report an outage."""
        self._call(self._on_outage or log.log, level, line)

    def _call(self, callback: Callable[..., object], *arguments: object) -> None:
        try:
            self.context.run(callback, *arguments)
        except (Exception, asyncio.CancelledError):  # a failing callback must not affect other callers
            log.exception("A callback of a wait failed; still waiting")


class Callers:
    """The callers that wait for the results of a list."""

    def __init__(self) -> None:
        self._callers: dict[Caller, None] = {}
        self._lines: asyncio.Queue[tuple[int, str]] = asyncio.Queue()

    def add(self, caller: Caller, line: str | None) -> None:
        """Add a caller.

        :param line: the current outage; None: there is none.
        """
        if line and caller.has_own_log:
            caller.outage(logging.WARNING, line)
        self._callers[caller] = None

    def remove(self, caller: Caller) -> None:
        """Remove a caller."""
        self._callers.pop(caller, None)

    def put(self, level: int, line: str | None) -> None:
        """Let :meth:`work` notify all callers; None: there is nothing to report."""
        if line:
            self._lines.put_nowait((level, line))

    async def work(self) -> None:
        """Report each line to all callers, without blocking the event loop."""
        while True:
            level, line = await self._lines.get()
            for number, caller in enumerate(unique(self._callers)):
                if number % _AT_ONCE == _AT_ONCE - 1:
                    await asyncio.sleep(0)
                if caller in self._callers:
                    caller.outage(level, line)


def unique(callers: Iterable[Caller]) -> list[Caller]:
    """Return the callers, but only one of those that share this module's log."""
    shared = [caller for caller in callers if not caller.has_own_log][:1]
    return [*shared, *(caller for caller in callers if caller.has_own_log)]
