"""The schedule of polls. Pure: no I/O, no clock."""

from __future__ import annotations

import heapq
import itertools
import logging
from collections.abc import Iterator
from typing import NamedTuple

from airflow_provider_toloka.client.waiting import LONGEST_PAUSE
from airflow_provider_toloka.polling.wait import Wait

log = logging.getLogger(__name__)

#: Waits with an interval of at least this many seconds use the lists that are read for other waits.
SHARED_INTERVAL = 1.0


class Due(NamedTuple):
    """When a wait is due, and after which interval; ``number`` breaks ties."""

    time: float
    number: int
    wait: Wait
    interval: float
    intervals: Iterator[float]


class Schedule:
    """The waits by the time of their next poll. Finished waits are dropped."""

    def __init__(self) -> None:
        self._heap: list[Due] = []
        self._number = 0

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def next_time(self) -> float | None:
        """When the next wait is due; None: there is none."""
        return self._heap[0].time if self._heap else None

    def add(self, wait: Wait, intervals: Iterator[float], start: float, now: float) -> None:
        """Schedule a wait's next poll after its next interval.

        :param intervals: yields the seconds between polls.
        :param start: when the interval begins.
        :param now: the current time: a late wait is polled once, not as often as it was due.
        """
        if wait.finished.done():
            return
        try:
            interval = next(intervals)
        except Exception:  # failing intervals must not affect other callers
            log.exception("The intervals of a wait for operation %s failed", wait.operation_id)
            interval, intervals = LONGEST_PAUSE, itertools.repeat(LONGEST_PAUSE)
        self._push(max(start + interval, now), wait, interval, intervals)

    def take(self, now: float, listed: float) -> list[Due]:
        """Remove and return the waits that are due, except for those that a recent list has already served.

        :param now: the current time.
        :param listed: when the last list was read.
        """
        due = []
        while self._heap and (self._heap[0].time <= now or self._heap[0].wait.finished.done()):
            one = heapq.heappop(self._heap)
            if one.wait.finished.done():
                continue
            if one.interval >= SHARED_INTERVAL and listed > one.time - one.interval / 2:
                self._push(max(now, listed + one.interval), one.wait, one.interval, one.intervals)
            else:
                due.append(one)
        return due

    def forget_finished(self) -> None:
        """Drop finished waits."""
        self._heap = [one for one in self._heap if not one.wait.finished.done()]
        heapq.heapify(self._heap)

    def _push(self, time: float, wait: Wait, interval: float, intervals: Iterator[float]) -> None:
        self._number += 1
        heapq.heappush(self._heap, Due(time, self._number, wait, interval, intervals))
