"""Plays the cases on one Airflow and one Toloka: many at once, and those that disturb all of them one after the other."""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests

from tests.durability.airflow_processes import Airflow, Task
from tests.durability.cases import DEFERRABLE, SENSORS, SHARED, WAITING, Case, account, holds
from tests.durability.postgres import Postgres
from tests.durability.processes import PATIENCE, has_ended, kill
from tests.durability.toloka_process import TolokaProcess, submitted

#: So many cases at once keep two cores busy without being late with their heartbeats.
AT_ONCE = 8
LATELY = 0.3

_UNDER_WAY = ("PENDING", "RUNNING")
_ENDED = ("success", "failed")


@dataclass
class Seen:
    """How all stands, at Airflow and at Toloka."""

    tasks: dict[tuple[str, str, int], Task] = field(default_factory=dict)
    arrived: dict[str, int] = field(default_factory=dict)
    toloka: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def task(self, case: Case) -> Task:
        return self.tasks.get((case.dag_id, case.name, -1)) or Task(None, 0, None, None)

    def operations(self, case: Case) -> list[dict[str, Any]]:
        """Give the operations on a case's objects."""
        return [
            operation
            for operation in self.toloka.get("operations", ())
            if any(value in case.objects for value in operation["parameters"].values())
        ]

    def under_way(self, case: Case) -> list[str]:
        """Give the ids of those that have not finished."""
        return [operation["id"] for operation in self.operations(case) if operation["status"] in _UNDER_WAY]

    def statuses(self, case: Case) -> dict[str, str]:
        """Give how a case's objects stand."""
        rows = [*self.toloka.get("projects", ()), *self.toloka.get("pools", ())]
        return {row["id"]: row["status"] for row in rows if row["id"] in case.objects}


class Campaign:
    """Plays cases on an Airflow of one version, in a thread of its own.

    :param programs: the folder of that Airflow's programs.
    :param cases: the cases.
    :param postgres: where its metadata database is made.
    """

    def __init__(self, programs: Path, cases: Sequence[Case], postgres: Postgres) -> None:
        self._cases = cases
        self._folder = Path(tempfile.mkdtemp(prefix="durability-"))
        self._toloka = TolokaProcess(self._folder, account(cases))
        connections = {f"AIRFLOW_CONN_{case.name.upper()}": self._toloka.connection(case.name) for case in cases}
        database = postgres.create(f"airflow_{programs.parent.name.strip('.').replace('-', '_').replace('.', '_')}")
        self._airflow = Airflow(programs, self._folder, database, connections)
        self.version = self._airflow.version
        self._outcomes: dict[str, Future[str]] = {case.id: Future() for case in cases}
        self._counters: dict[str, str] = {}
        self._seen = Seen()
        self._news = threading.Condition()
        self._over = threading.Event()
        self._toloka_is_gone = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._player = threading.Thread(target=self._play_all, daemon=True)
        self._player.start()

    def outcome(self, case: Case) -> str:
        """Give how a case has ended; raises what it has failed with."""
        return self._outcomes[case.id].result()

    def stop(self) -> None:
        """End all processes, and remove all that they have written."""
        self._over.set()
        self._airflow.stop()
        self._toloka.stop()
        self._player.join(10)
        shutil.rmtree(self._folder, ignore_errors=True)

    # Many at once

    def _play_all(self) -> None:
        try:
            self._airflow.start()
            self._watcher.start()
            alone = [case for case in self._cases if case.event.act not in SHARED]
            with ThreadPoolExecutor(AT_ONCE) as pool:
                wait([pool.submit(self._settle, case, self._play, case) for case in alone])
            for act in SHARED:
                self._play_together(act, [case for case in self._cases if case.event.act == act])
        except BaseException as error:  # noqa: BLE001 - it is raised again in each test that has not ended
            for outcome in self._outcomes.values():
                if not outcome.done():
                    outcome.set_exception(error)

    def _settle(self, case: Case, work: Callable[..., str | None], *arguments: Any) -> None:
        """Do a part of a case; note its outcome when it is the last part, or has failed."""
        outcome = self._outcomes[case.id]
        if outcome.done() or self._over.is_set():
            return
        try:
            result = work(*arguments)
        except BaseException as error:  # noqa: BLE001 - it is raised again in the test
            error.add_note(f"Airflow {self.version}, {case.id} ({case.name}):\n{self._log(case)[-6000:]}")
            outcome.set_exception(error)
        else:
            if result is not None:
                outcome.set_result(result)

    def _play(self, case: Case) -> str:
        held = self._begin(case)
        self._act(case)
        return self._end(case, held)

    def _play_together(self, act: str, cases: Sequence[Case]) -> None:
        if not cases:
            return
        held: dict[str, list[str]] = {}

        def begin(case: Case) -> None:
            held[case.id] = self._begin(case)

        with ThreadPoolExecutor(len(cases)) as pool:
            wait([pool.submit(self._settle, case, begin, case) for case in cases])
            self._disturb(act)
            if act == "restart toloka":
                for case in cases:
                    self._count_looks(case)
            wait([pool.submit(self._settle, case, self._end, case, held.get(case.id, [])) for case in cases])

    # One case

    def _begin(self, case: Case) -> list[str]:
        """Start a run, and bring it to its instant; give the faults that hold it there."""
        held = []
        for rule, passes, side in holds(case):
            path = rule.format(first=case.first_post, last=case.last_post)
            if passes:
                self._toloka.fault(path, case.name, times=passes)
            held.append(self._toloka.fault(path, case.name, hold=side))
        self._count_looks(case)
        self._airflow.trigger(case.dag_id, case.name, case.conf)
        instant = case.event.instant
        go_on = self._drive if instant in ("stage", "ended") else self._until
        if held:
            go_on(case, lambda seen: seen.arrived.get(held[-1], 0) > 0, f"held at {instant!r}")
        elif instant == "ended":
            go_on(case, lambda seen: seen.task(case).state in _ENDED, "its end")
        else:
            go_on(case, lambda seen: seen.task(case).state == "deferred" and self._looks(seen, case), "the trigger looks")
        return held

    def _count_looks(self, case: Case) -> None:
        """Let the emulator count how often a case's operations are looked at."""
        self._counters[case.id] = self._toloka.fault("GET /operations/*", case.name, times=None)

    def _looks(self, seen: Seen, case: Case) -> int:
        return seen.arrived.get(self._counters[case.id], 0)

    def _act(self, case: Case) -> None:
        match case.event.act:
            case "kill task" | "kill worker":
                self._kill(case)
            case "clear":
                tries = self._seen.task(case).try_number
                self._airflow.clear(case.dag_id, case.name)
                self._until(case, lambda seen: seen.task(case).try_number > tries, "another try")
            case "mark failed":
                pid = self._seen.task(case).pid
                self._airflow.mark_failed(case.dag_id, case.name)
                self._until(
                    case,
                    lambda seen: (
                        seen.task(case).state == "failed"
                        and seen.task(case).trigger_id is None
                        and (case.variant in DEFERRABLE or has_ended(pid))
                    ),
                    "the task is failed, and nothing of it runs",
                )
            case "pause":
                self._airflow.pause(case.dag_id, is_paused=True)

    def _kill(self, case: Case) -> None:
        pid = self._until(case, lambda seen: seen.task(case).pid, "the task's process is known")
        task = psutil.Process(pid)
        kill(task.ppid() if case.event.act == "kill worker" else pid)
        if case.event.act == "kill task":
            self._until(case, lambda _: has_ended(pid), "the task's process has ended")

    def _end(self, case: Case, held: Sequence[str]) -> str:
        """Let a case go on, see it to its end, and check that all is as it should be."""
        event = case.event
        late = event.instant in ("sent", "stage")
        if event.act in ("kill worker", "restart scheduler") and case.variant in WAITING:
            # What is left of it goes on only when Airflow has given it up: then there are two at once.
            self._until(case, lambda seen: seen.task(case).state != "running" or seen.task(case).try_number > 1, "given up")
        if not late and event.act != "restart toloka":
            self._toloka.release(held)
        if event.state == "failed":
            # Nothing of it is cancelled at Toloka.
            assert self._latest().under_way(case), "no operation runs any more"
            self._toloka.finish(self._latest().under_way(case))
        elif event.act == "pause":
            rests = "success" if case.variant in WAITING else "up_for_reschedule"
            rests = "scheduled" if case.variant in DEFERRABLE else rests
            self._drive(case, lambda seen: seen.task(case).state == rests, f"{rests}, though it is paused")
            self._airflow.pause(case.dag_id, is_paused=False)
        self._drive(case, lambda seen: seen.task(case).state in _ENDED, "its end")
        if late:
            self._toloka.release(held)
            self._until(case, lambda _: None not in self._toloka.answers(case.name), "what was held has been carried out")
        return self._check(case)

    def _check(self, case: Case) -> str:
        event, seen = case.event, self._latest()
        task = seen.task(case)
        operations = submitted(seen.operations(case), case.objects)
        assert task.state == event.state
        if event.tries is not None:
            assert task.try_number == event.tries
        assert {operation["status"] for operation in seen.operations(case)} == {"SUCCESS"}
        assert max(operations.values()) == 1
        if event.state == "success":
            assert operations == case.wanted_operations
            assert set(seen.statuses(case).values()) == {"ARCHIVED"} and len(seen.statuses(case)) == len(case.objects)
            log = self._log(case)
            assert re.search(_told(case), log)
        else:
            assert not operations - case.wanted_operations
        count = operations.total() if case.variant not in SENSORS else 0
        tries = f", try {task.try_number}" if event.tries else ""
        return f"{task.state}{tries}; {count} operation{'s' if count != 1 else ''}"

    def _log(self, case: Case) -> str:
        return self._airflow.log(case.dag_id, case.name)

    # What happens to all

    def _disturb(self, act: str) -> None:
        match act:
            case "take over":
                self._airflow.start_part("triggerer", "second triggerer")
                self._airflow.await_triggerers(2)
                self._airflow.kill_all("triggerer")
            case "restart triggerer":
                for name in ("second triggerer", "triggerer"):
                    self._airflow.kill_all(name)
                self._airflow.start_part("triggerer")
            case "restart scheduler":
                self._airflow.kill("scheduler")
                self._airflow.start_part("scheduler", "second scheduler")
            case "restart toloka":
                self._toloka_is_gone.set()
                self._toloka.kill()
                self._toloka.start()
                self._toloka_is_gone.clear()

    # Looking

    def _watch(self) -> None:
        while not self._over.is_set():
            try:
                seen = Seen(self._airflow.tasks(), self._toloka.arrived(), self._toloka.state())
            except requests.ConnectionError:
                seen = self._seen
            except Exception:
                if self._over.is_set():
                    return
                raise
            with self._news:
                self._seen = seen
                self._news.notify_all()
            self._over.wait(LATELY)

    def _latest(self) -> Seen:
        """Look anew."""
        with self._news:
            before = self._seen
            # What is under way when this is called may be older: so the one after the next.
            for _ in range(2):
                self._news.wait_for(lambda: self._seen is not before or self._over.is_set(), PATIENCE)
                before = self._seen
            return self._seen

    def _until(self, case: Case, look: Callable[[Seen], Any], what: str, meanwhile: Callable[[Seen], None] | None = None) -> Any:
        deadline = time.monotonic() + PATIENCE
        while True:
            with self._news:
                seen = self._seen
            if found := look(seen):
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: not in {PATIENCE:.0f} seconds; {seen.task(case)}, {seen.statuses(case)}")
            if self._over.is_set():
                raise RuntimeError("the tests are over")
            if meanwhile:
                meanwhile(seen)
            with self._news:
                self._news.wait_for(lambda: self._seen is not seen, 1)

    def _drive(self, case: Case, look: Callable[[Seen], Any], what: str) -> None:
        """Go on until something is seen, and let each operation finish when it has been looked at meanwhile."""
        counted = self._looks(self._latest(), case)

        def finish(seen: Seen) -> None:
            nonlocal counted
            if self._looks(seen, case) > counted and (under_way := seen.under_way(case)):
                counted = self._looks(seen, case)
                self._toloka.finish(under_way)

        self._until(case, look, what, finish)


def _told(case: Case) -> str:
    """What the log has to tell in the end."""
    if case.variant.startswith("cleanup"):
        return "archived: 1 projects"
    found_done = "" if case.variant in SENSORS else "|it was done before"
    return rf"Toloka's operation \S+ \(PROJECT.ARCHIVE\) is SUCCESS{found_done}"
