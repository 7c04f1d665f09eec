"""The benchmark's cases. Each runs in its own process, next to its server's, and prints its figures as JSON."""

from __future__ import annotations

import asyncio
import functools
import importlib
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any, cast

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="airflow-home-"))
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

from airflow_provider_toloka.archiving.batch import Batch, Results
from airflow_provider_toloka.archiving.scan import search
from airflow_provider_toloka.archiving.selection import Selection
from airflow_provider_toloka.client import AsyncTolokaClient
from airflow_provider_toloka.hooks.toloka import TolokaHook
from airflow_provider_toloka.triggers.toloka import OperationTrigger
from benchmarks import servers

BEFORE = datetime.now(UTC) - timedelta(days=180)
INTERVAL = 5.0
START_SECONDS = 5.0


def connect(connection: dict[str, Any]) -> None:
    os.environ["AIRFLOW_CONN_TOLOKA_DEFAULT"] = json.dumps(connection)


def resident() -> float:
    """Return this process's memory in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def retire(projects: int, limit: int) -> dict[str, Any]:
    """Find and archive projects with four closed pools each, with an adaptive rate."""

    async def work() -> Results:
        results = Results()
        async with TolokaHook().async_client() as client:
            found = await search(client, Selection(before=BEFORE), with_operations=True)
            batch = Batch(
                client,
                pools="archive_closed",
                poll_interval=INTERVAL,
                deadline=time.time() + 1800,
                patience=None,
                results=results,
            )
            await batch.run(found)
        return results

    with servers.serving(servers.projects_to_retire, projects=projects, pools=4, limit=limit) as (connection, pipe):
        connect(connection)
        importlib.import_module("airflow_provider_toloka.client.transports.aio")  # the import is a separate case
        started = time.monotonic()
        asyncio.run(work())
        wall = time.monotonic() - started
        pipe.send("done")
        told: dict[str, Any] = pipe.recv()
    needed = told["lists"] + projects * 5
    bound = needed / limit + 2 * 0.5
    return {**told, "needed": needed, "wall": wall, "bound": bound, "ratio": wall / bound}


def together(processes: int, requests: int) -> dict[str, Any]:
    """Send the same number of requests from several processes at once, with one account."""
    with servers.serving(servers.projects_to_retire, projects=0, pools=0, limit=300) as (connection, pipe):
        connect(connection)
        command = [sys.executable, "-m", "benchmarks.one_process", str(requests)]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        running = [subprocess.Popen(command, **pipes) for _ in range(processes)]  # noqa: S603
        streams = [(cast("IO[str]", process.stdin), cast("IO[str]", process.stdout)) for process in running]
        for _, output in streams:
            output.readline()  # it has imported everything
        started = time.monotonic()
        for start, _ in streams:
            start.write("go\n")
            start.close()
        seconds = [float(output.read()) for _, output in streams]
        wall = time.monotonic() - started
        for process in running:
            process.wait()
        pipe.send("done")
        told: dict[str, Any] = pipe.recv()
    bound = processes * requests / 300
    return {
        "wall": wall,
        "bound": bound,
        "ratio": wall / bound,
        "refused": told["refused"] / told["requests"],
        "slowest_to_fastest": max(seconds) / min(seconds),
    }


async def one_by_one(operation_id: str, client: AsyncTolokaClient) -> float:
    """Wait as most triggers do: each polls its own operation over a shared session."""
    while True:
        operation = await client.get_operation(operation_id)
        if operation.is_finished:
            return _delay(str(operation.finished))
        await asyncio.sleep(INTERVAL)


async def by_trigger(operation_id: str, submitted: str) -> float:
    """Wait as this provider does."""
    trigger = OperationTrigger(
        toloka_conn_id="toloka_default",
        operation_ids=[operation_id],
        submitted=submitted,
        poll_interval=INTERVAL,
    )
    async for event in trigger.run():
        return _delay(event.payload["operations"][operation_id]["finished"])
    raise AssertionError("the trigger ended without an event")


def _delay(finished: str) -> float:
    return time.time() - datetime.fromisoformat(finished).timestamp()


def wait(operations: int, *, shared: bool) -> dict[str, Any]:
    """Wait for operations of 30 to 60 seconds."""
    started = used = 0.0
    begun = (started, used)

    async def note_when_begun() -> None:
        nonlocal begun
        # Until then, the triggers start; that is partly Airflow's cost, and reported separately.
        await asyncio.sleep(START_SECONDS)
        begun = time.monotonic(), time.process_time()

    async def work(waits: list[tuple[str, str]]) -> list[float]:
        noting = asyncio.create_task(note_when_begun())
        delays = await all_of(waits)
        await noting
        return delays

    async def all_of(waits: list[tuple[str, str]]) -> list[float]:
        if shared:
            return await asyncio.gather(*(by_trigger(id_, f"{submitted}+00:00") for id_, submitted in waits))
        async with TolokaHook(max_requests_per_second=10_000).async_client() as client:
            return await asyncio.gather(*(one_by_one(id_, client) for id_, _ in waits))

    with servers.serving(servers.operations_to_wait_for, operations=operations) as (connection, pipe):
        connect(connection)
        TolokaHook().get_requester()
        memory = resident()
        pipe.send("go")
        waits = pipe.recv()
        started, used = time.monotonic(), time.process_time()
        delays = sorted(asyncio.run(work(waits)))
        wall = time.monotonic() - started
        cpu = (time.process_time() - begun[1]) / (time.monotonic() - begun[0])
        pipe.send("done")
        requests = pipe.recv() - 1
    return {
        "wall": wall,
        "requests_per_second": requests / wall,
        "cpu": cpu,
        "start": (begun[1] - used) / operations * 1e3,
        "memory": resident() - memory,
        "p50": statistics.median(delays),
        "p99": delays[min(len(delays) - 1, int(len(delays) * 0.99))],
    }


def find() -> dict[str, Any]:
    """Find the stale projects among 20,000 with 80,000 pools."""

    async def work() -> int:
        async with TolokaHook().async_client() as client:
            return len((await search(client, Selection(before=BEFORE))).found())

    with servers.serving(servers.big_account, projects=20_000, pools=80_000) as (connection, pipe):
        connect(connection)
        TolokaHook().api  # noqa: B018 - Airflow's own start is not measured
        importlib.import_module("airflow_provider_toloka.client.transports.aio")
        memory = resident()
        started = time.monotonic()
        found = asyncio.run(work())
        wall = time.monotonic() - started
        peak = _peak() - memory
        pipe.send("done")
        pages = pipe.recv()
    return {
        "found": found,
        "pages": pages,
        "wall": wall,
        "bound": pages / 240,
        "ratio": wall * 240 / pages,
        "memory": peak,
    }


def _peak() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1e3


def imports() -> dict[str, Any]:
    """Import the operators and sensors; measure the time beyond the bare SDK's."""
    code = """
import time
started = time.perf_counter()
from airflow.providers.common.compat.sdk import BaseHook, BaseOperator, BaseSensorOperator, conf
bare = time.perf_counter()
import airflow_provider_toloka.operators.stale, airflow_provider_toloka.operators.toloka
import airflow_provider_toloka.sensors.toloka
print(bare - started, time.perf_counter() - bare)
"""
    taken = []
    for _ in range(8):
        output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
        taken.append([float(seconds) for seconds in output.stdout.split()[-2:]])
    bare, over = (statistics.median(times) for times in zip(*taken[1:], strict=True))
    return {"sdk": bare * 1e3, "over_sdk": over * 1e3}


CASES: dict[str, Callable[[], dict[str, Any]]] = {
    **{
        f"retire {projects} limit {limit}": functools.partial(retire, projects, limit)
        for limit in (300, 60)
        for projects in (50, 1_000)
    },
    **{f"together {processes}": functools.partial(together, processes, 360) for processes in (1, 4, 14)},
    **{f"wait {n}": functools.partial(wait, n, shared=True) for n in (1, 100, 1_000, 5_000, 10_000)},
    **{f"one by one {n}": functools.partial(wait, n, shared=False) for n in (100, 1_000)},
    "find": find,
    "imports": imports,
}

if __name__ == "__main__":
    logging.disable(logging.WARNING)
    print(json.dumps(CASES[sys.argv[1]]()))
