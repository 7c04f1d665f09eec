"""The benchmark's cases. Each runs in its own process, next to its server's, and prints its figures as JSON."""

from __future__ import annotations

import asyncio
import functools
import importlib
import json
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, cast

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="airflow-home-"))
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

import requests

from airflow_provider_toloka.archiving.batch import Batch, Results
from airflow_provider_toloka.archiving.scan import search
from airflow_provider_toloka.archiving.selection import Selection
from airflow_provider_toloka.client import AsyncTolokaClient
from airflow_provider_toloka.hooks.toloka import TolokaHook
from airflow_provider_toloka.labelling.chunks import chunks_of
from airflow_provider_toloka.labelling.reading import read_tasks
from airflow_provider_toloka.operators.answers import TolokaExportAssignmentsOperator
from airflow_provider_toloka.operators.tasks import TolokaAddTasksOperator
from airflow_provider_toloka.triggers.pools import PoolTrigger
from airflow_provider_toloka.triggers.toloka import OperationTrigger
from benchmarks import servers

BEFORE = datetime.now(UTC) - timedelta(days=180)
INTERVAL = 5.0
START_SECONDS = 5.0
#: How long the server of a labelled pool takes to respond, and to an upload of tasks, in seconds.
LATENCY = 0.05
SECONDS_PER_UPLOAD = 0.25
#: What toloka-kit can do in about a minute.
FEW_TASKS, FEW_ANSWERS = 30_000, 30_000
POOL_INTERVAL = 60.0


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
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


class _TaskInstance(SimpleNamespace):
    """As much of Airflow's task instance as an operator needs."""

    def xcom_push(self, *_: Any) -> None:
        """Store nothing."""


def run_operator(operator: Any) -> tuple[Any, float, float]:
    """Run an operator in this process; return its result, the seconds, and the MB that its memory's peak grew by."""
    TolokaHook().api  # noqa: B018 - Airflow's own start is not measured
    ti = _TaskInstance(dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1, start_date=datetime.now(UTC))
    memory = resident()
    started = time.monotonic()
    result = operator.execute({"ti": ti, "task": operator})
    return result, time.monotonic() - started, _peak() - memory


def task_file(folder: Path, tasks: int) -> Path:
    file = folder / "tasks.jsonl"
    with file.open("w") as lines:
        for number in range(tasks):
            lines.write(json.dumps({"input_values": {"image": f"https://example.com/images/{number}.jpg"}}) + "\n")
    return file


def upload(tasks: int) -> dict[str, Any]:
    """Upload tasks from a JSON Lines file; compare with the time of the bare requests."""
    folder = Path(tempfile.mkdtemp(prefix="upload-"))
    file = task_file(folder, tasks)
    options = {"answers": 0, "latency": LATENCY, "seconds_per_upload": SECONDS_PER_UPLOAD}
    with servers.serving(servers.labelled_pool, **options) as (connection, pipe):
        connect(connection)
        operator = TolokaAddTasksOperator(task_id="t", pool_id="1", tasks=str(file), key="bench", deferrable=False)
        result, wall, memory = run_operator(operator)
        pipe.send("done")
        told = pipe.recv()
        bare = 0.0
        with requests.Session() as session:
            url = f"{connection['host']}:{connection['port']}/api/v1/tasks?operation_id=bare"
            for chunk in chunks_of(read_tasks(file), "1"):
                started = time.monotonic()
                session.post(url, data=chunk.body, timeout=60).raise_for_status()
                bare += time.monotonic() - started
    shutil.rmtree(folder)
    if not result["created"] == told["tasks"] == tasks:
        raise ValueError(f"{told['tasks']} tasks were added")
    return {"wall": wall, "bare": bare, "ratio": wall / bare, "memory": memory, "requests": told["requests"]}


def export(answers: int) -> dict[str, Any]:
    """Export assignments to a JSON Lines file; compare with the time of the bare pages."""
    folder = Path(tempfile.mkdtemp(prefix="export-"))
    options = {"answers": answers, "latency": LATENCY, "seconds_per_upload": 0.0}
    with servers.serving(servers.labelled_pool, **options) as (connection, pipe):
        connect(connection)
        operator = TolokaExportAssignmentsOperator(task_id="t", pool_id="1", path=str(folder / "answers.jsonl"))
        result, wall, memory = run_operator(operator)
        pipe.send("done")
        told = pipe.recv()
        last, has_more = "", True
        started = time.monotonic()
        with requests.Session() as session:
            url = f"{connection['host']}:{connection['port']}/api/v1/assignments"
            while has_more:
                page = session.get(url, params={"limit": "300", "id_gt": last}, timeout=60).json()
                last, has_more = page["items"][-1]["id"], page["has_more"]
        bare = time.monotonic() - started
    shutil.rmtree(folder)
    if result["rows"] != answers:
        raise ValueError(f"{result['rows']} rows were written")
    return {"wall": wall, "bare": bare, "ratio": wall / bare, "memory": memory, "requests": told["requests"]}


def toloka_kit(what: str, count: int) -> dict[str, Any]:
    """Upload tasks or export answers with Toloka's own client, in its own environment."""
    folder = Path(tempfile.mkdtemp(prefix="kit-"))
    file = task_file(folder, count) if what == "upload" else folder / "answers.jsonl"
    options = {"answers": count, "latency": LATENCY, "seconds_per_upload": SECONDS_PER_UPLOAD}
    with servers.serving(servers.labelled_pool, **options) as (connection, pipe):
        command = [
            str(Path(os.environ["FIDELITY_VENV"]) / "bin" / "python"),
            str(Path(__file__).with_name("kit.py")),
            what,
            f"{connection['host']}:{connection['port']}",
            str(file),
        ]
        output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
        pipe.send("done")
        told = pipe.recv()
    shutil.rmtree(folder)
    figures: dict[str, Any] = json.loads(output.stdout)
    if figures["count"] != count:
        raise ValueError(f"toloka-kit handled {figures['count']} of {count}")
    return {**figures, "requests": told["requests"]}


def pool_waits(pools: int, seconds: float) -> dict[str, Any]:
    """Wait for open pools, all in one process; measure after the first interval, when all waits poll."""

    async def one(pool_id: str) -> None:
        trigger = PoolTrigger(
            toloka_conn_id="toloka_default", pool_id=pool_id, reasons=["COMPLETED"], poll_interval=POOL_INTERVAL
        )
        async for _ in trigger.run():
            raise AssertionError("no pool closes")

    async def work(ids: list[str], pipe: Any) -> tuple[int, float]:
        waits = [asyncio.create_task(one(pool_id)) for pool_id in ids]
        await asyncio.sleep(POOL_INTERVAL)
        pipe.send("count")
        before, used = pipe.recv(), time.process_time()
        await asyncio.sleep(seconds)
        pipe.send("count")
        told = pipe.recv() - before, time.process_time() - used
        if any(wait.done() for wait in waits):
            raise ValueError("a wait has ended")
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
        return told

    with servers.serving(servers.open_pools, pools=pools) as (connection, pipe):
        connect(connection)
        pipe.send("go")
        count, used = asyncio.run(work(pipe.recv(), pipe))
    return {"requests_per_second": count / seconds, "cpu": used / seconds}


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
    **{f"together {processes}": functools.partial(together, processes, 360) for processes in (4, 14)},
    **{f"wait {n}": functools.partial(wait, n, shared=True) for n in (1, 100, 1_000, 5_000, 10_000)},
    **{f"one by one {n}": functools.partial(wait, n, shared=False) for n in (100, 1_000)},
    "upload": functools.partial(upload, 1_000_000),
    "export": functools.partial(export, 1_000_000),
    "few upload": functools.partial(upload, FEW_TASKS),
    "few upload, toloka-kit": functools.partial(toloka_kit, "upload", FEW_TASKS),
    "few export": functools.partial(export, FEW_ANSWERS),
    "few export, toloka-kit": functools.partial(toloka_kit, "export", FEW_ANSWERS),
    "pools 10000": functools.partial(pool_waits, 10_000, 120.0),
    "find": find,
    "imports": imports,
}

if __name__ == "__main__":
    logging.disable(logging.WARNING)
    print(json.dumps(CASES[sys.argv[1]]()))
