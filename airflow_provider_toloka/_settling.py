"""How long Airflow takes to see that a worker is done with a task that has deferred.

Until then, Airflow fails a task whose trigger fires (apache/airflow issue 67287): the scheduler queues the task anew,
then hears that the worker has ended, and takes that for a task that was killed.
"""

from __future__ import annotations

from pathlib import Path

from airflow.providers.common.compat.sdk import conf

#: The scheduler goes round about once a second; the rest is a margin.
_SCHEDULER_SECONDS = 2.0
#: A busy machine takes longer: by as much for each process that waits for a processor.
_BUSY_SECONDS = 0.25
_LONGEST = 30.0
#: Linux: for how many nanoseconds this process ran, and for how many it waited for a processor.
_TIMES = Path("/proc/self/schedstat")


def settling_seconds(times: Path = _TIMES) -> float:
    """Return for how long after its deferral a task's trigger should not fire, in seconds; at most 30.

    Measured with twenty tasks at once on two processors: up to 7 s, and up to 17 s when others use them as well.

    :param times: the file in which Linux says how this process has shared the processors; where there is none, they
        are taken to be free.
    """
    # A supervisor may see that late that its task's process has ended.
    exit_seconds: float = conf.getfloat("workers", "min_heartbeat_interval", fallback=5.0)
    try:
        ran, waited = map(int, times.read_text().split()[:2])
        busy = (ran + waited) / ran
    except (OSError, ValueError, ZeroDivisionError):
        busy = 1.0
    return float(min(exit_seconds + _SCHEDULER_SECONDS + _BUSY_SECONDS * busy, _LONGEST))
