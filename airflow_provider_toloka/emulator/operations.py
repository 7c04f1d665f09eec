"""Operations: work that Toloka does after its response (section "operation" of the API's description).

The account's agenda starts and finishes operations.
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
"""Seconds, or a range of seconds to draw from."""

PENDING_PART = 0.2
"""The part of an operation's time before its start."""

_SUBJECTS = {"PROJECT": "project_id", "POOL": "pool_id", "TRAINING": "training_id"}


@dataclass
class Course:
    """The course of an unfinished operation: when it starts and finishes (seconds since 1970), and how it ends."""

    starts: float
    finishes: float
    outcome: str
    details: dict[str, Any] | None


def subject(view: View) -> tuple[str, str] | None:
    """Return the object that an operation locks, such as ``("POOL", "1001")``; ``None``: it locks none."""
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

    :param table: stores them.
    :param agenda: starts and finishes them.
    :param duration: how long an operation takes.
    :param random_seed: makes random durations and ids reproducible.
    :param on_success: called with an operation and its finish time, to carry out its effect. Its result replaces
        fields of the operation, such as ``details``.
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
        """Return whether an unfinished operation locks a project, pool or training."""
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
        """Start an operation.

        :param operation_id: its id; by default a new one.
        :param at_once: finish it immediately, however long others take.
        :returns: its current state.
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
        """Add an operation in a given state.

        :param course: its further course; without one, it does not change.
        """
        self.table.add(view)
        if view["status"] in ("PENDING", "RUNNING") and (held := subject(view)):
            self._busy[held] = view["id"]
        if course:
            self.courses[view["id"]] = course
            self._plan(course.starts if view["status"] == "PENDING" else course.finishes, view["id"])

    def finish(self, operation_id: str, now: float) -> None:
        """Finish an unfinished operation now."""
        view = self.table.get(operation_id) or {}
        if view.get("status") in ("PENDING", "RUNNING"):
            course = self.courses.setdefault(operation_id, Course(now, now, "SUCCESS", None))
            course.starts, course.finishes = min(course.starts, now), now
            self._plan(now, operation_id)
            self._agenda.settle(now)

    def present(self, view: View, now: float) -> View:
        """Return an operation as the API shows it: a running one with its progress."""
        course = self.courses.get(view["id"])
        if course is None or view["status"] != "RUNNING":
            return view
        part = (now - course.starts) / (course.finishes - course.starts)
        return view | {"progress": min(99, max(0, int(100 * part)))}

    def new_id(self, now: float) -> str:
        """Create an id: alternately 24 hex digits and a UUID, because both occur."""
        self._count += 1
        if self._count % 2:
            return f"{int(now):08x}{self._random.getrandbits(64):016x}"
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def _plan(self, at: float, operation_id: str) -> None:
        self._agenda.plan(at, lambda _at: self._go_on(operation_id))

    def _go_on(self, operation_id: str) -> None:
        course = self.courses.get(operation_id)
        if course is None:  # it was finished early
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
    # The description's samples have an empty object for these, and omit it for pools.
    return {} if operation_type.startswith(("PROJECT.", "TRAINING.", "SOLUTION.")) else None
