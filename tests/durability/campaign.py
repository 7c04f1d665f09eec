"""Plays the cases on one Airflow and one Toloka: many at once, then those that disturb all of them."""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import psutil

from tests.durability import labelling
from tests.durability.airflow_processes import Airflow, Task
from tests.durability.cases import DEFERRABLE, SENSORS, SHARED, WAITING, Case, account, holds
from tests.durability.postgres import Postgres
from tests.durability.toloka_process import TolokaProcess, submitted
from tests.durability.watching import Seen, Watch
from tests.processes import has_ended, kill

#: So many cases at once keep two cores busy without being late with their heartbeats.
AT_ONCE = 6

_ENDED = ("success", "failed")
_LOG_SHOWN = 6000


class Campaign:
    """Runs cases on an Airflow of one version, in a separate thread.

    :param programs: the folder of that Airflow's programs.
    :param cases: the cases.
    :param postgres: where its metadata database is made.
    """

    def __init__(self, programs: Path, cases: Sequence[Case], postgres: Postgres) -> None:
        self._cases = cases
        self._folder = Path(tempfile.mkdtemp(prefix="durability-"))
        self._toloka = TolokaProcess(self._folder, account(cases), tolokers=3)
        connections = {f"AIRFLOW_CONN_{case.name.upper()}": self._toloka.connection(case.name) for case in cases}
        self._airflow = Airflow(programs, self._folder, postgres.create(), connections)
        self._watch = Watch(self._airflow, self._toloka)
        self._outcomes: dict[str, Future[str]] = {case.id: Future() for case in cases}
        #: By case: the fault that counts the polls of its operations.
        self._counters: dict[str, str] = {}
        self._player = threading.Thread(target=self._play_all, daemon=True)
        self._player.start()

    def outcome(self, case: Case) -> str:
        """Return a case's result; raise its error."""
        return self._outcomes[case.id].result()

    def stop(self) -> None:
        """End all processes, and remove all that they have written."""
        self._watch.stop()
        self._airflow.stop()
        self._toloka.stop()
        self._player.join(10)
        shutil.rmtree(self._folder, ignore_errors=True)

    # Many at once

    def _play_all(self) -> None:
        try:
            self._airflow.start()
            self._watch.start()
            # Those first that Airflow takes longest to notice.
            alone = [case for case in self._cases if case.event.act not in SHARED]
            alone.sort(key=lambda case: case.event.act != "kill worker")
            with ThreadPoolExecutor(AT_ONCE) as pool:
                wait([pool.submit(self._settle, case, self._play, case) for case in alone])
            for act in SHARED:
                self._play_together(act, [case for case in self._cases if case.event.act == act])
        except BaseException as error:  # noqa: BLE001 - it is raised again in each test that has not ended
            for outcome in self._outcomes.values():
                if not outcome.done():
                    outcome.set_exception(error)

    def _settle(self, case: Case, work: Callable[..., str | None], *arguments: Any) -> None:
        """Do a part of a case; note its outcome when that was the last part, or has failed."""
        outcome = self._outcomes[case.id]
        if outcome.done() or self._watch.is_over:
            return
        try:
            result = work(*arguments)
        except BaseException as error:  # noqa: BLE001 - it is raised again in the test
            log, errors = self._log(case)[-_LOG_SHOWN:], self._airflow.errors_about(case.name)[-_LOG_SHOWN:]
            error.add_note(f"Airflow {self._airflow.version}, {case.name}:\n{errors}\n{log}")
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
            if act == "restart toloka":  # it has forgotten its faults
                for case in cases:
                    self._count_looks(case)
            wait([pool.submit(self._settle, case, self._end, case, held.get(case.id, [])) for case in cases])

    def _disturb(self, act: str) -> None:
        match act:
            case "take over":
                self._airflow.start_part("triggerer", "second triggerer")
                self._airflow.await_triggerers(2)
                self._airflow.kill_all("triggerer")
            case "restart triggerer":
                self._airflow.kill_all("second triggerer" if self._airflow.has("second triggerer") else "triggerer")
                self._airflow.start_part("triggerer")
            case "restart scheduler":
                self._airflow.kill("scheduler")
                self._airflow.start_part("scheduler", "second scheduler")
            case "restart toloka":
                self._toloka.kill()
                self._toloka.start()

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
        # What adding tasks waits for is held; before any other task of that DAG, operations have to finish.
        comes_late = case.is_labelling and case.task_id != "add_tasks"
        go_on = self._drive if instant in ("stage", "ended") or comes_late else self._watch.until
        if held:
            go_on(case, lambda seen: seen.arrived.get(held[-1], 0) > 0, f"held at {instant!r}")
        elif instant == "ended":
            go_on(case, lambda seen: seen.task(case).run_state in _ENDED, "its end")
        else:
            go_on(
                case, lambda seen: seen.task(case).state == "deferred" and self._looks(seen, case), "a trigger's look"
            )
        return held

    def _act(self, case: Case) -> None:
        before = self._watch.seen().task(case)
        match case.event.act:
            case "kill task" | "kill worker":
                self._kill(case)
            case "clear":
                self._airflow.clear(case.dag_id, case.name, case.task_id)
                self._watch.until(case, lambda seen: seen.task(case).try_number > before.try_number, "another try")
            case "mark failed":
                self._airflow.mark_failed(case.dag_id, case.name)
                self._watch.until(case, lambda seen: self._rests(case, seen, before.pid), "failed, and at rest")
            case "pause":
                self._airflow.pause(case.dag_id, is_paused=True)

    def _rests(self, case: Case, seen: Seen, pid: int | None) -> bool:
        """Return whether a task has failed without leaving a trigger or a process."""
        task = seen.task(case)
        has_no_process = case.variant in DEFERRABLE or (pid is not None and has_ended(pid))
        return task.state == "failed" and task.trigger_id is None and has_no_process

    def _kill(self, case: Case) -> None:
        pid = self._watch.until(case, lambda seen: seen.task(case).pid, "the task's process")
        if case.event.act == "kill worker":
            pid = psutil.Process(pid).ppid()
        kill(pid)
        self._watch.until(case, lambda _: has_ended(pid), "the process has ended")

    def _end(self, case: Case, held: Sequence[str]) -> str:
        """Run a case to its end, and check the result."""
        event = case.event
        # What is held on its way arrives at Toloka when all is over.
        is_late = any(side == "before" for _, _, side in holds(case))
        if event.act in ("kill worker", "restart scheduler") and case.variant in WAITING:
            # The orphan continues only when Airflow has given it up: then there are two at once.
            self._watch.until(case, lambda seen: seen.task(case).try_number > 1, "Airflow has given it up")
        if not is_late and event.act != "restart toloka":
            self._toloka.release(held)
        if event.state == "failed":
            under_way = self._watch.now().under_way(case)
            assert under_way, "marking a task as failed should cancel nothing at Toloka"
            self._toloka.finish(under_way)
        elif event.act == "pause":
            rests = "success" if case.variant in WAITING else "up_for_reschedule"
            rests = "scheduled" if case.variant in DEFERRABLE else rests
            self._drive(case, lambda seen: seen.task(case).state == rests, f"{rests}, though it is paused")
            self._airflow.pause(case.dag_id, is_paused=False)
        # Airflow 2.11 may fail a task once more when its run has ended, so the run's state counts there: see
        # ZOMBIE_DETECTION_INTERVAL.
        task = self._drive(case, lambda seen: seen.task(case).run_state in _ENDED and seen.task(case), "its end")
        if is_late:
            self._toloka.release(held)
            self._watch.until(case, lambda _: None not in self._toloka.answers(case.name), "what was held has arrived")
        return self._check(case, task)

    def _check(self, case: Case, task: Task) -> str:
        event, seen = case.event, self._watch.now()
        operations, statuses = seen.operations(case), seen.statuses(case)
        counts = submitted(operations, seen.objects(case))
        assert task.run_state == event.state, task
        if self._airflow.is_new:
            assert task.state == event.state, task
            assert seen.task(case).state == event.state, seen.task(case)
        # A busy Airflow adds tries: it takes a task for failed that comes back from the triggerer within a moment.
        assert task.try_number >= event.tries
        assert max(counts.values()) == 1
        assert {operation["status"] for operation in operations} == {"SUCCESS"}
        # Airflow looks for the addresses of all links, also of those that the task does not have, and when another try
        # clears its XComs.
        assert "XCom not found" not in self._airflow.errors_about(case.name)
        if case.is_labelling:
            assert task.run_state == "success"
            made = labelling.check(seen.toloka, case.project_name, self._folder, case.name)
            return f"{task.run_state}; {made}"
        if event.state == "success":
            assert counts == case.wanted_operations
            assert statuses == dict.fromkeys(case.objects, "ARCHIVED")
            assert re.search(_told(case), self._log(case))
        else:
            assert not counts - case.wanted_operations
        count = 0 if case.variant in SENSORS else counts.total()
        return f"{task.run_state}; {count} operation{'s' * (count != 1)}"

    def _log(self, case: Case) -> str:
        return self._airflow.log(case.dag_id, case.name, case.task_id)

    def _count_looks(self, case: Case) -> None:
        """Let the emulator count the polls of a case's operations."""
        self._counters[case.id] = self._toloka.fault("GET /operations/*", case.name, times=None)

    def _looks(self, seen: Seen, case: Case) -> int:
        return seen.arrived.get(self._counters[case.id], 0)

    def _drive(self, case: Case, look: Callable[[Seen], Any], what: str) -> Any:
        """Continue until a condition holds, and finish each operation once it has been polled; return what it gives."""
        counted = self._looks(self._watch.now(), case)

        def finish(seen: Seen) -> None:
            nonlocal counted
            if self._looks(seen, case) > counted and (under_way := seen.under_way(case)):
                counted = self._looks(seen, case)
                self._toloka.finish(under_way)

        return self._watch.until(case, look, what, finish)


def _told(case: Case) -> str:
    """Return the expected end of the log, as a pattern."""
    if case.variant.startswith("cleanup"):
        # An orphan, or an earlier try, may have left nothing to do.
        return "Archived project|Archived 0 projects|is archived already"
    if case.variant in SENSORS:
        return r"Toloka's operation \S+ \(PROJECT.ARCHIVE\) is SUCCESS"
    return "Archived project|is archived already"
