"""Estimate how long Airflow takes to see that a worker has finished with a deferred task.

Until then, Airflow fails a task whose trigger fires (apache/airflow issue 67287): the scheduler queues the task again,
then sees that the worker's process has exited, and assumes that the task was killed.
"""

from __future__ import annotations

from pathlib import Path

from airflow.providers.common.compat.sdk import conf

#: The scheduler loops about once a second; the rest is a margin.
_SCHEDULER_SECONDS = 2.0
#: A busy machine takes longer, by this much for each process that waits for a processor.
_BUSY_SECONDS = 0.25
_LONGEST = 30.0
#: Linux: how many nanoseconds this process has run, and has waited for a processor.
_TIMES = Path("/proc/self/schedstat")


def settling_seconds(times: Path = _TIMES) -> float:
    """Return how many seconds after its deferral a task's trigger may fire; at most 30.

    Measured with twenty tasks at once on two processors: up to 7 s, and up to 17 s when other processes use them too.

    :param times: the file with this process's scheduling statistics on Linux; without it, the processors are assumed
        to be idle.
    """
    # A supervisor may take this long to see that its task's process has exited.
    exit_seconds: float = conf.getfloat("workers", "min_heartbeat_interval", fallback=5.0)
    try:
        ran, waited = map(int, times.read_text().split()[:2])
        busy = (ran + waited) / ran
    except (OSError, ValueError, ZeroDivisionError):
        busy = 1.0
    return float(min(exit_seconds + _SCHEDULER_SECONDS + _BUSY_SECONDS * busy, _LONGEST))
