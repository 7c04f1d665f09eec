"""Measure a real triggerer with thousands of waits, beside one with as many of Airflow's own: memory, lag, requests.

``make test-load`` runs it: ``OperationTrigger`` and Airflow's ``DateTimeTrigger`` at the same time, because a machine
is not equally fast at all times, then ``takeover.py``. Each triggerer has its own metadata database (SQLite, because no
other program uses it). The waits are rows of deferred, mapped tasks and their triggers, inserted into the database as a
scheduler and its workers would leave them: ten thousand task processes would take hours, and would be measured too.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, cast

#: The name of this package's trigger, or of Airflow's; without a value, both are measured, each in its own process.
OURS, THEIRS = "OperationTrigger", "DateTimeTrigger"
TRIGGER = os.environ.get("TRIGGER")

HOME = os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="airflow-home-"))
MINUTES = float(os.environ.get("MINUTES", "10"))
WAITS = int(os.environ.get("WAITS", "10000"))
LOG = Path(HOME) / "triggerer.log"
PROBE = Path(HOME) / "probe.jsonl"
ROOT = Path(__file__).parent.parent
DAG_ID = "load"

#: More triggers per loop than by default; otherwise, it takes minutes until all have started.
AT_ONCE = 200
LOOK_SECONDS = 0.05
WRITE_SECONDS = 5.0
#: The maximum lag of the event loop, and the maximum growth of memory after the first minute.
LONGEST_LAG = 0.5
MOST_GROWTH = 0.10
#: The maximum of each figure, relative to Airflow's own.
MOST_OF_THEIRS = 1.2
TROUBLE = re.compile(rb"(?i)unclosed|never retrieved|never awaited|traceback|too many open|\[(warning|error|critical)")
BLOCKED = re.compile(rb"async thread was blocked for ([0-9.]+) seconds")
#: Airflow's own messages, independent of its triggers.
USUAL = re.compile(rb"empty cryptography key|ASGI app factory detected")

os.environ.update(
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__DAGS_FOLDER=str(Path(HOME) / "dags"),
    AIRFLOW__TRIGGERER__MAX_TRIGGER_TO_SELECT_PER_LOOP=str(AT_ONCE),
    AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT="0",
    PYTHONPATH=str(ROOT),
)

from airflow.triggers.base import BaseTrigger, TriggerEvent  # noqa: E402 - after the environment is set

from benchmarks import servers  # noqa: E402


def resident(pid: int | str = "self") -> float:
    """Return a process's memory in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Pauses:
    """Notes when garbage collections stop the interpreter, in seconds of the monotonic clock.

    A collection scans all objects of ten thousand triggers, Airflow's and ours.
    """

    def __init__(self) -> None:
        self._started = 0.0
        self._pauses: deque[tuple[float, float]] = deque(maxlen=100)
        gc.callbacks.append(self._note)

    def since(self, time_: float) -> float:
        """Return how long collections have lasted since a time."""
        return sum(ended - max(began, time_) for began, ended in self._pauses if ended > time_)

    def _note(self, phase: str, _: object) -> None:
        if phase == "start":
            self._started = time.monotonic()
        else:
            self._pauses.append((self._started, time.monotonic()))


class ProbeTrigger(BaseTrigger):
    """Measures its event loop and process until they end.

    The lag is the time from the moment at which a thread was to hand a callback to the loop until the loop runs it.
    Timers would add up to a millisecond, to which asyncio rounds them.
    """

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the path of the class; it has no arguments."""
        return "benchmarks.load.ProbeTrigger", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Measure, without end."""
        loop, pauses = asyncio.get_running_loop(), Pauses()
        lags: list[tuple[float, float]] = []

        def note(due: float) -> None:
            lag = time.monotonic() - due
            lags.append((round(lag, 6), round(lag - pauses.since(due), 6)))

        def hand_over() -> None:
            due = time.monotonic()
            while not loop.is_closed():
                due += LOOK_SECONDS
                time.sleep(max(0.0, due - time.monotonic()))
                with contextlib.suppress(RuntimeError):  # the loop was closed
                    loop.call_soon_threadsafe(note, due)

        threading.Thread(target=hand_over, daemon=True).start()
        goes_on = True
        while goes_on:
            await asyncio.sleep(WRITE_SECONDS)
            goes_on = self._write(lags)
            lags.clear()
        yield TriggerEvent(None)

    @staticmethod
    def _write(lags: list[tuple[float, float]]) -> bool:
        # It blocks, as a triggerer's own log does: a line every few seconds.
        line = {
            "at": time.time(),
            "lags": [lag for lag, _ in lags],
            "lag but for pauses": max(but_for_pauses for _, but_for_pauses in lags),
            "memory": resident(),
            "cpu": time.process_time(),
            "tasks": len(asyncio.all_tasks()),
        }
        with PROBE.open("a") as file:
            return file.write(json.dumps(line) + "\n") > 0


def fill(operation_ids: list[tuple[str, str]]) -> None:
    """Create a database with one DAG run, whose mapped tasks wait for the operations."""
    from airflow.models.trigger import Trigger
    from airflow.providers.common.compat.sdk import DAG
    from airflow.providers.standard.triggers.temporal import DateTimeTrigger
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session

    from airflow_provider_toloka.sensors.toloka import OperationSensor
    from airflow_provider_toloka.triggers.toloka import OperationTrigger

    Path(HOME, "dags").mkdir(exist_ok=True)
    initdb()
    with DAG(DAG_ID, schedule=None) as dag:
        OperationSensor.partial(task_id="wait", deferrable=True).expand(operation_id=["a"])
    task_instances = add_run(dag, len(operation_ids) + 1)
    deadline = time.time() + 86_400
    probe: Any = ProbeTrigger
    triggers: list[BaseTrigger] = [
        OperationTrigger(
            toloka_conn_id="toloka_default",
            operation_ids=[id_],
            submitted=f"{submitted}+00:00",
            poll_interval=5.0,
            deadline=deadline,
        )
        if TRIGGER == OURS
        else DateTimeTrigger(datetime.fromtimestamp(deadline, UTC))
        for id_, submitted in operation_ids
    ]
    with create_session() as session:
        rows = [Trigger.from_object(trigger) for trigger in (probe(), *triggers)]
        session.add_all(rows)
        session.flush()
        for instance, row in zip(task_instances, rows, strict=True):
            instance.trigger_id = row.id
            instance.state = "deferred"
        session.add_all(task_instances)


def add_run(dag: Any, count: int) -> list[Any]:
    """Store a DAG and a run in the database; return the task instances."""
    from airflow.models.dag_version import DagVersion
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.dagrun import DagRun
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.models.taskinstance import TaskInstance
    from airflow.serialization.definitions.dag import SerializedDAG
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState

    with create_session() as session:
        session.add(DagBundleModel(name=DAG_ID))
        session.flush()
        SerializedDAG.bulk_write_to_db(DAG_ID, None, [dag], session=session)
        SerializedDagModel.write_dag(LazyDeserializedDAG.from_dag(dag), bundle_name=DAG_ID, session=session)
        session.flush()
        version: Any = DagVersion.get_latest_version(DAG_ID, session=session)
        run = DagRun(
            dag_id=DAG_ID, run_id="load", run_type="manual", state=DagRunState.RUNNING, run_after=datetime.now(UTC)
        )
        run.created_dag_version_id = version.id
        # As from a versioned bundle; otherwise, the triggerer looks up the latest version for each wait.
        run.bundle_version = "1"
        session.add(run)
        session.flush()
        task = dag.get_task("wait")
        return [TaskInstance(task, run_id="load", map_index=index, dag_version_id=version.id) for index in range(count)]


@contextlib.contextmanager
def triggerer(*, capacity: int = WAITS + 100, name: str = "triggerer") -> Iterator[subprocess.Popen[bytes]]:
    """Run Airflow's triggerer; end it with all its child processes.

    :param capacity: the maximum number of its triggers.
    :param name: the name of its log.
    """
    command = [str(Path(sys.executable).parent / "airflow"), "triggerer", "--capacity", str(capacity)]
    with LOG.with_name(f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)  # noqa: S603
    try:
        yield process
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(60)


def probed() -> list[dict[str, Any]]:
    """Read the probe's output."""
    return [json.loads(line) for line in PROBE.read_text().splitlines()] if PROBE.exists() else []


def until_begun(process: subprocess.Popen[bytes]) -> float:
    """Wait until all waits are running; return the seconds that this took."""
    started = time.monotonic()
    while True:
        seen = probed()
        if seen and seen[-1]["tasks"] > WAITS:
            return time.monotonic() - started
        if process.poll() is not None or time.monotonic() > started + 900:
            raise RuntimeError(f"the triggerer has not started all waits: {seen[-1:]}; its log is {LOG}")
        time.sleep(1)


def measure() -> dict[str, Any]:
    """Run a triggerer with waits; return its figures."""
    with servers.serving(servers.operations_that_run_on, operations=WAITS) as (connection, pipe):
        os.environ["AIRFLOW_CONN_TOLOKA_DEFAULT"] = json.dumps(connection)
        pipe.send("go")
        fill(pipe.recv())
        with triggerer() as process:
            begun = until_begun(process)
            begun_at = len(LOG.read_bytes().splitlines())
            sys.stderr.write(f"{TRIGGER}: {WAITS} waits have started, {begun:.0f} s after the start\n")
            print("ready", flush=True)
            sys.stdin.readline()
            time.sleep(60)
            pipe.send("count")
            requests, began, supervisor = pipe.recv(), time.time(), resident(process.pid)
            first = probed()[-1]
            time.sleep(max(0.0, (MINUTES - 1) * 60))
            pipe.send("count")
            requests, seconds = pipe.recv() - requests, time.time() - began
            supervisor_at_end = resident(process.pid)
            runs = process.poll() is None
    measured = [line for line in probed() if line["at"] >= first["at"]]
    last = measured[-1]
    lags = sorted(lag for line in measured for lag in line["lags"])
    said = LOG.read_bytes().splitlines()
    trouble = [line for line in said[begun_at:] if TROUBLE.search(line) and not USUAL.search(line)]
    for line in trouble[:20]:
        sys.stderr.write(line.decode(errors="replace")[:300] + "\n")
    return {
        "seconds until all have started": begun,
        "memory, MB": last["memory"],
        "growth of memory after a minute": max(last["memory"] / first["memory"], supervisor_at_end / supervisor) - 1,
        "event loop's lag, median, ms": lags[len(lags) // 2] * 1e3,
        "event loop's lag, 99th percentile, ms": lags[len(lags) * 99 // 100] * 1e3,
        "event loop's lag, worst, ms": lags[-1] * 1e3,
        "the same without garbage collections, ms": max(line["lag but for pauses"] for line in measured) * 1e3,
        "CPU, % of a core": 100 * (last["cpu"] - first["cpu"]) / (last["at"] - first["at"]),
        "blocked-loop warnings": sum(bool(BLOCKED.search(line)) for line in said[begun_at:]),
        "requests per second": requests / seconds,
        "other problems in the log": len(trouble),
        "waits at the end": last["tasks"] - 1 if runs else 0,
    }


def told(value: float) -> str:
    """Return a figure for a table."""
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.4g}"


#: The figures that are compared with Airflow's own.
COMPARED = ("memory, MB", "event loop's lag, median, ms", "event loop's lag, worst, ms", "CPU, % of a core")


@contextlib.contextmanager
def running(module: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run a module of the benchmarks in a separate process, with its own Airflow."""
    home = tempfile.mkdtemp(prefix="airflow-home-")
    environment = {**os.environ, "AIRFLOW_HOME": home, "AIRFLOW__CORE__DAGS_FOLDER": f"{home}/dags", **environment}
    command = [sys.executable, "-m", module]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:  # noqa: S603
        try:
            yield process
        finally:
            process.terminate()
            process.wait()
    shutil.rmtree(home, ignore_errors=True)


def figures(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return the figures of a module of the benchmarks, once it has ended."""
    printed, _ = process.communicate("\n")
    if process.returncode:
        raise RuntimeError(f"{process.args!r} failed, see above")
    result: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return result


def measure_both() -> list[dict[str, Any]]:
    """Run a triggerer of each kind at the same time; return their figures."""
    with running("benchmarks.load", TRIGGER=OURS) as ours, running("benchmarks.load", TRIGGER=THEIRS) as theirs:
        for process in (ours, theirs):
            cast("IO[str]", process.stdout).readline()  # all waits have started
        with ThreadPoolExecutor() as pool:
            return list(pool.map(figures, (ours, theirs)))


def take_over() -> dict[str, Any]:
    """Kill one of two triggerers; return the figures of the other."""
    from tests.durability.postgres import Postgres

    postgres = Postgres()
    try:
        address = postgres.create()
        with running("benchmarks.takeover", TRIGGER=OURS, AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=address) as process:
            return figures(process)
    finally:
        postgres.stop()


def compare() -> int:
    """Measure both kinds of triggers, and two triggerers; print the tables, and return the exit status."""
    ours, theirs = measure_both()
    taken, waits_at_the_end = take_over(), ours.pop("waits at the end")
    rows = [f"| | {OURS} | {THEIRS} | ratio |", "|---|---|---|---|"]
    for name, value in ours.items():
        ratio = f"{value / theirs[name]:.2f}" if name in COMPARED and theirs[name] else ""
        rows.append(f"| {name} | {told(value)} | {told(theirs[name])} | {ratio} |")
    text = "\n".join(rows)
    shared = "\n".join(["| | |", "|---|---|", *(f"| {name} | {told(value)} |" for name, value in taken.items())])
    print(f"{text}\n\n{shared}")
    checks = {
        "all waits are there": waits_at_the_end >= WAITS,
        "memory stays": ours["growth of memory after a minute"] <= MOST_GROWTH,
        "only garbage collection blocks the event loop": ours["the same without garbage collections, ms"]
        <= LONGEST_LAG * 1e3,
        "the log has no other problems": not ours["other problems in the log"],
        "all waits of a killed triggerer are told": taken["waits that were told"] == WAITS,
        "its successor keeps to the limit": not taken["requests refused"],
        **{f"{name}: at most {MOST_OF_THEIRS} x": ours[name] <= MOST_OF_THEIRS * theirs[name] for name in COMPARED},
    }
    for name, is_so in checks.items():
        print(f"{'yes' if is_so else 'NO '}  {name}")
    if os.environ.get("WRITE_TABLES") == "1":
        write(text, shared)
    return 0 if all(checks.values()) else 1


def main() -> int:
    """Measure one kind of trigger and print its figures as JSON, or compare both; return the exit status."""
    # Terminated from outside, it still ends its child processes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if TRIGGER is None:
        return compare()
    print(json.dumps(measure()))
    return 0


def write(text: str, shared: str) -> None:
    """Write the tables."""
    from airflow import __version__

    made = f"`make test-load WRITE_TABLES=1` wrote this on {datetime.now(UTC):%Y-%m-%d}"
    how = f"Airflow {__version__}, {MINUTES:g} minutes, {os.cpu_count()} cores"
    about = (
        f"{made}: {how}. A triggerer with {WAITS:,} waits of this package, and at the same time one with as many of "
        "Airflow's own waits for a time. The figures are from the second minute on, after both have started all waits."
    )
    about_two = (
        "Two triggerers share as many waits, and one is killed with SIGKILL. When the other has taken over its waits, "
        "all operations finish at once. Toloka's limit is 300 requests per second. Airflow takes a triggerer for dead "
        "after 30 s without a heartbeat."
    )
    parts = [
        f"# A triggerer with {WAITS:,} waits",
        textwrap.fill(about, 120),
        text,
        "## One of two triggerers is killed",
        textwrap.fill(about_two, 120),
        shared,
    ]
    (ROOT / "benchmarks" / "LOAD.md").write_text("\n\n".join(parts) + "\n")


if __name__ == "__main__":
    from benchmarks.load import main as run

    sys.exit(run())
