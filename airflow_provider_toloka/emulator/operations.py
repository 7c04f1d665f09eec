"""Operations: work that Toloka does after it has answered (the section "operation" of the API's description).

An operation knows when it starts and finishes; the account's agenda lets it do so.
"""

from __future__ import annotations

import random
import uuid
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_toloka.emulator.agenda import Agenda
from airflow_provider_toloka.emulator.tables import Table, View
from airflow_provider_toloka.emulator.timestamps import stamp

Duration = float | tuple[float, float]
"""Seconds, or the lowest and highest number of seconds to draw from."""

PENDING_PART = 0.2
"""The part of an operation's time that it waits for its start."""

_SUBJECTS = {"PROJECT": "project_id", "POOL": "pool_id", "TRAINING": "training_id"}


@dataclass
class Course:
    """How an unfinished operation goes on: when it starts and finishes (seconds since 1970), and how it ends."""

    starts: float
    finishes: float
    outcome: str
    details: dict[str, Any] | None


def subject(view: View) -> tuple[str, str] | None:
    """Return what an operation works on, such as ``("POOL", "1001")``, or ``None`` for one that holds nothing."""
    kind, _, action = view["type"].partition(".")
    parameters = view.get("parameters")
    if action == "CLONE" or kind not in _SUBJECTS or not isinstance(parameters, dict):
        return None
    subject_id = parameters.get(_SUBJECTS[kind])
    return None if subject_id is None else (kind, str(subject_id))


def draw(duration: Duration, source: random.Random) -> float:
    """Draw a number of seconds."""
    return source.uniform(*duration) if isinstance(duration, tuple) else duration


class Operations:
    """The operations of an account.

    :param table: where they are kept.
    :param agenda: what lets them start and finish.
    :param duration: how long an operation takes.
    :param random_seed: makes drawn durations and ids repeatable.
    :param on_success: called with an operation and its time of finish, to carry out what it is for. What it returns
        replaces fields of the operation, such as ``details``.
    """

    def __init__(
        self,
        table: Table,
        agenda: Agenda,
        duration: Duration,
        random_seed: int,
        on_success: Callable[[View, float], Mapping[str, Any]],
    ) -> None:
        self.table = table
        self.duration = duration
        self.logs: dict[str, list[dict[str, Any]]] = {}
        self.courses: dict[str, Course] = {}
        self._agenda = agenda
        self._busy: dict[tuple[str, str], str] = {}
        self._failures: dict[str, deque[dict[str, Any] | None]] = defaultdict(deque)
        self._on_success = on_success
        self._random = random.Random(random_seed)  # noqa: S311  no secrets are drawn
        self._count = 0

    def running_on(self, kind: str, subject_id: str) -> bool:
        """Tell whether an unfinished operation works on a project, pool or training."""
        return (kind, subject_id) in self._busy

    def fail_next(self, operation_type: str, times: int, details: dict[str, Any] | None) -> None:
        """Let the next operations of a type end as ``FAIL``."""
        self._failures[operation_type].extend([details] * times)

    def submit(
        self,
        operation_type: str,
        parameters: dict[str, Any],
        now: float,
        *,
        operation_id: str | None = None,
        at_once: bool = False,
    ) -> View:
        """Begin an operation.

        :param operation_id: its id; by default a new one.
        :param at_once: it is finished already, however long others take.
        :returns: how it stands now.
        """
        lasts = 0.0 if at_once else draw(self.duration, self._random)
        failures = self._failures[operation_type]
        outcome, details = ("FAIL", failures.popleft()) if failures else ("SUCCESS", _details(operation_type))
        view: View = {"id": operation_id or self.new_id(now), "type": operation_type, "status": "PENDING"}
        view |= {"submitted": stamp(now), "progress": 0, "parameters": parameters}
        self.add(view, Course(now + lasts * PENDING_PART, now + lasts, outcome, details))
        self._agenda.settle(now)
        return self.present(self.table.get(view["id"]) or view, now)

    def add(self, view: View, course: Course | None) -> None:
        """Add an operation as it stands.

        :param course: how it goes on; without one it stays as it is.
        """
        self.table.add(view)
        if view["status"] in ("PENDING", "RUNNING") and (held := subject(view)):
            self._busy[held] = view["id"]
        if course:
            self.courses[view["id"]] = course
            self._plan(course.starts if view["status"] == "PENDING" else course.finishes, view["id"])

    def finish(self, operation_id: str, now: float) -> None:
        """Let an operation finish now, if it is under way and was to finish later."""
        course = self.courses.get(operation_id)
        if course:
            course.starts, course.finishes = min(course.starts, now), now
            self._plan(now, operation_id)
            self._agenda.settle(now)

    def present(self, view: View, now: float) -> View:
        """Return an operation as the API shows it now: a running one with its progress."""
        course = self.courses.get(view["id"])
        if course is None or view["status"] != "RUNNING":
            return view
        part = (now - course.starts) / (course.finishes - course.starts)
        return view | {"progress": min(99, max(0, int(100 * part)))}

    def new_id(self, now: float) -> str:
        """Make an id: by turns 24 hex digits and a UUID, as both are seen."""
        self._count += 1
        if self._count % 2:
            return f"{int(now):08x}{self._random.getrandbits(64):016x}"
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def _plan(self, at: float, operation_id: str) -> None:
        self._agenda.plan(at, lambda _at: self._go_on(operation_id))

    def _go_on(self, operation_id: str) -> None:
        course = self.courses.get(operation_id)
        if course is None:  # it was finished before its time
            return
        view = self.table.get(operation_id) or {}
        if view["status"] == "PENDING":
            self.table.update(operation_id, status="RUNNING", started=stamp(course.starts))
            self._plan(course.finishes, operation_id)
        else:
            self._finish(operation_id, course)

    def _finish(self, operation_id: str, course: Course) -> None:
        del self.courses[operation_id]
        changes: dict[str, Any] = {"status": course.outcome, "finished": stamp(course.finishes), "progress": 100}
        if course.details is not None:
            changes["details"] = course.details
        view = self.table.get(operation_id) or {}
        if held := subject(view):
            self._busy.pop(held, None)
        if course.outcome == "SUCCESS":
            changes.update(self._on_success(view, course.finishes))
        self.table.update(operation_id, **changes)


def _details(operation_type: str) -> dict[str, Any] | None:
    # The description's samples have an empty object for these, and leave it out for pools.
    return {} if operation_type.startswith(("PROJECT.", "TRAINING.", "SOLUTION.")) else None
