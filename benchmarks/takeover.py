"""Kill one of two triggerers that share thousands of waits; measure how the other takes them over.

Part of ``make test-load``. Runs with PostgreSQL, because two triggerers share the metadata database.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from sqlalchemy import func, select

from benchmarks import servers
from benchmarks.load import WAITS, fill, probed, triggerer
from tests.processes import until

LIMIT = 300
PATIENCE = 900.0
_ID = re.compile(r'"id": "([^"]+)"')


def seconds_until(what: str, is_so: Callable[[], bool]) -> float:
    """Wait until something is so; return the seconds that this took."""
    started = time.monotonic()
    until(what, is_so, PATIENCE, pause=1.0)
    return time.monotonic() - started


def shares() -> Counter[int | None]:
    """Return the number of triggers per triggerer, by the id of its job; None: not assigned."""
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session

    with create_session() as session:
        counted = session.execute(select(Trigger.triggerer_id, func.count()).group_by(Trigger.triggerer_id))
        return Counter(dict(counted.tuples().all()))


def resumed() -> set[str]:
    """Return the ids of the operations whose finish a task has been told of."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session() as session:
        rows = session.scalars(select(TaskInstance.next_kwargs).where(TaskInstance.state == "scheduled"))
        return {id_ for row in rows for id_ in _ID.findall(json.dumps(row))}


def still_waiting() -> int:
    """Return the number of deferred tasks; one of them is the probe's."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session() as session:
        return session.scalar(select(func.count()).where(TaskInstance.state == "deferred")) or 0


def measure() -> dict[str, Any]:
    """Share the waits between two triggerers, kill one, and let all operations finish."""
    half = WAITS // 2
    with ExitStack() as stack:
        connection, pipe = stack.enter_context(
            servers.serving(servers.operations_to_finish, operations=WAITS, limit=LIMIT)
        )
        os.environ["AIRFLOW_CONN_TOLOKA_DEFAULT"] = json.dumps(connection)
        operations = pipe.recv()
        fill(operations)
        first = stack.enter_context(triggerer(capacity=half, name="first"))
        seconds_until("the first triggerer has its share", lambda: bool(probed()) and probed()[-1]["tasks"] > half)
        (killed,) = (id_ for id_ in shares() if id_ is not None)
        stack.enter_context(triggerer(capacity=WAITS + 100, name="second"))
        seconds_until("the second triggerer has the rest", lambda: shares()[None] == 0)
        pipe.send("count")
        before = pipe.recv()["requests"]
        os.killpg(first.pid, signal.SIGKILL)
        at = time.time()
        taken = seconds_until(
            "all waits are assigned to the second triggerer", lambda: shares()[killed] == shares()[None] == 0
        )
        running = seconds_until("all waits run", lambda: probed()[-1]["at"] > at and probed()[-1]["tasks"] > WAITS)
        pipe.send("count")
        requests = pipe.recv()["requests"] - before
        pipe.send("finish")
        pipe.recv()
        told = seconds_until("all tasks are told", lambda: still_waiting() <= 1)
        pipe.send("count")
        counted = pipe.recv()
    return {
        "seconds until the other triggerer has all waits": taken,
        "seconds until all of them run": taken + running,
        "requests in this time": requests,
        "seconds from the finish of all operations to the last event": told,
        "waits that were told": len(resumed() & {id_ for id_, _ in operations}),
        "most requests in a second": counted["most in a second"],
        "requests refused": counted["refused"],
    }


if __name__ == "__main__":
    print(json.dumps(measure()))
