"""Future events in the emulated account, in the order of time.

Nothing runs in the background: ``settle`` processes all due events, and is called before each request is answered. A
late event still happens at its own time, so that a pool that was opened and closed between two requests was worked on
in between.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

Event = Callable[[float], None]
"""Called with its planned time, in seconds since 1970."""


class Agenda:
    """Planned events."""

    def __init__(self) -> None:
        self._events: list[tuple[float, int, Event]] = []
        self._count = 0

    def plan(self, at: float, event: Event) -> None:
        """Plan an event; events of one moment happen in the order in which they were planned."""
        self._count += 1
        heappush(self._events, (at, self._count, event))

    def settle(self, now: float) -> None:
        """Process all due events, including those that are planned in the meantime."""
        while self._events and self._events[0][0] <= now:
            at, _, event = heappop(self._events)
            event(at)
