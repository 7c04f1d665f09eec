"""The schedule of polls. Pure: no I/O, no clock."""

from __future__ import annotations

import heapq
import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from airflow_provider_toloka.client.waiting import LONGEST_PAUSE
from airflow_provider_toloka.polling.wait import Wait

log = logging.getLogger(__name__)

#: Waits with an interval of at least this many seconds use the lists that are read for other waits.
SHARED_INTERVAL = 1.0


@dataclass(frozen=True, slots=True)
class Due:
    """Waits that are due at the same time, after the same interval, each with its own further intervals.

    Ten thousand waits with one interval are a handful of these, because a list serves all of them.
    """

    time: float
    interval: float
    members: list[tuple[Wait, Iterator[float]]]


class Schedule:
    """The waits by the time of their next poll. Finished waits are dropped."""

    def __init__(self) -> None:
        self._by_time: dict[tuple[float, float], Due] = {}
        self._heap: list[tuple[float, float]] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def next_time(self) -> float | None:
        """When the next wait is due; None: there is none."""
        return self._heap[0][0] if self._heap else None

    def add(self, wait: Wait, intervals: Iterator[float], start: float, now: float) -> None:
        """Schedule a wait's next poll after its next interval.

        :param intervals: yields the seconds between polls.
        :param start: when the interval begins.
        :param now: the current time: a late wait is polled once, not as often as it was due.
        """
        self.repeat(Due(start, 0.0, [(wait, intervals)]), now)

    def take(self, now: float, listed: float) -> list[Due]:
        """Remove and return the waits that are due, except for those that a recent list has already served.

        :param now: the current time.
        :param listed: when the last list was read.
        """
        due = []
        while self._heap and self._heap[0][0] <= now:
            one = self._by_time.pop(heapq.heappop(self._heap))
            self._count -= len(one.members)
            members = _unfinished(one)
            if members and one.interval >= SHARED_INTERVAL and listed > one.time - one.interval / 2:
                self._put(max(now, listed + one.interval), one.interval, members)
            elif members:
                due.append(Due(one.time, one.interval, members))
        return due

    def repeat(self, due: Due, now: float) -> None:
        """Schedule the next poll of waits that were due, each after its next interval.

        :param now: the current time.
        """
        by_interval: dict[float, list[tuple[Wait, Iterator[float]]]] = {}
        for member in _unfinished(due):
            try:
                interval = next(member[1])
            except Exception:  # failing intervals must not affect other callers
                log.exception("The intervals of a wait for operation %s failed", member[0].operation_id)
                interval, member = LONGEST_PAUSE, (member[0], itertools.repeat(LONGEST_PAUSE))
            by_interval.setdefault(interval, []).append(member)
        for interval, members in by_interval.items():
            self._put(max(due.time + interval, now), interval, members)

    def forget_finished(self) -> None:
        """Drop finished waits."""
        kept, self._by_time, self._heap, self._count = self._by_time.values(), {}, [], 0
        for one in kept:
            if members := _unfinished(one):
                self._put(one.time, one.interval, members)

    def _put(self, time: float, interval: float, members: list[tuple[Wait, Iterator[float]]]) -> None:
        self._count += len(members)
        if known := self._by_time.get((time, interval)):
            known.members.extend(members)
        else:
            self._by_time[time, interval] = Due(time, interval, members)
            heapq.heappush(self._heap, (time, interval))


def _unfinished(due: Due) -> list[tuple[Wait, Iterator[float]]]:
    return [one for one in due.members if not one[0].finished.done()]
