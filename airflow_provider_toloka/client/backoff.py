"""How long to pause between two polls. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterator

#: Most operations on a project or a pool take less than a second.
FIRST_LOOK = 0.25
#: So a deferrable task looks for a moment, in seconds, before it defers, which costs more than that. It also keeps the
#: triggerer from being quicker than the scheduler: Airflow 3.3.2 fails a task whose trigger fires before the scheduler
#: has seen that the worker is done with it.
BEFORE_DEFERRING = 2.0


def quick_first(poll_interval: float) -> Iterator[float]:
    """Give the seconds between looks at a fresh operation.

    It is looked at when a quarter of a second has passed, and again each time that twice as much has passed, until the
    looks are as far apart as the interval.

    :param poll_interval: seconds.
    """
    first = min(FIRST_LOOK, poll_interval)
    yield first
    yield from backing_off(first, poll_interval)


def backing_off(first: float, longest: float) -> Iterator[float]:
    """Give the seconds between looks, doubling from the first to the longest."""
    interval = min(first, longest)
    while True:
        yield interval
        interval = min(interval * 2, longest)
