"""Intervals between polls. Pure: no I/O, no clock."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import lru_cache

#: Most operations on a project or a pool take less than a second.
FIRST_LOOK = 0.25
#: How many seconds a deferrable task polls before it defers, because a deferral costs more than that. It also makes it
#: rare that the trigger fires before the scheduler has seen that the worker has finished with the task; Airflow 3.3.2
#: then fails the task.
BEFORE_DEFERRING = 2.0


def quick_first(poll_interval: float) -> Iterator[float]:
    """Return the seconds between polls of a new operation.

    The first poll is after a quarter of a second. The total time then doubles with each poll, until the intervals
    reach the poll interval.

    :param poll_interval: the longest interval, in seconds.
    """
    first = min(FIRST_LOOK, poll_interval)
    yield first
    yield from backing_off(first, poll_interval)


def backing_off(first: float, longest: float) -> Iterator[float]:
    """Return intervals that double from the first to the longest, in seconds."""
    interval = first
    while interval < longest:
        yield interval
        interval *= 2
    yield from itertools.repeat(longest)


@lru_cache
def every(seconds: float) -> Callable[[], Iterator[float]]:
    """Return a function that returns constant intervals.

    Ten thousand waits share one iterator, because an iterator of a constant has no position.

    :param seconds: the interval, in seconds.
    """
    intervals = itertools.repeat(seconds)
    return lambda: intervals
