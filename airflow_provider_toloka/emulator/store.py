"""The state of a Toloka account: its tables, its balance, and its running operations and work."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_toloka.emulator.agenda import Agenda
from airflow_provider_toloka.emulator.errors import not_found
from airflow_provider_toloka.emulator.listing import empty_tables
from airflow_provider_toloka.emulator.operations import Duration, Operations
from airflow_provider_toloka.emulator.options import Options
from airflow_provider_toloka.emulator.shifts import Shift
from airflow_provider_toloka.emulator.tables import Table, View

REQUESTER_ID = "566ec2b0ff0deeaae5f9d500629de162"
BALANCE = 121.3
"""The balance of a new account, in dollars."""

POOL_KINDS = ("pools", "trainings")
"""To Toloka, a training is a pool: they share one sequence of ids, and both contain tasks."""

Effect = Callable[["Store", View, float], Mapping[str, Any]]
"""Carries out the effect of a finished operation; returns the fields of the operation to set."""


@dataclass
class Standing:
    """Reasons against archiving a pool, for tests that do not create assignments.

    :param active: the number of active assignments.
    :param last_rejected: when an assignment was last rejected, in seconds since 1970.
    """

    active: int = 0
    last_rejected: float | None = None


@dataclass
class Batch:
    """The tasks that an operation creates: the items and the parameters of the request."""

    items: list[Any]
    parameters: dict[str, Any]


class Store:
    """An account's state. Callers must hold ``lock`` to read or change it.

    :param clock: returns the time, in seconds since 1970.
    :param operation_seconds: how long an operation takes.
    :param random_seed: makes random durations and ids reproducible.
    :param options: the settings.
    :param effect: carries out the effects of operations.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        operation_seconds: Duration,
        random_seed: int,
        options: Options,
        effect: Effect,
    ) -> None:
        self.clock = clock
        self.options = options
        self.lock = threading.RLock()
        self._settings = (operation_seconds, random_seed, effect)
        self.clear()

    def clear(self) -> None:
        """Empty the account."""
        duration, random_seed, effect = self._settings
        self.agenda = Agenda()
        self.tables: Mapping[str, Table] = empty_tables()
        self.balance = BALANCE
        self.standings: dict[str, Standing] = {}
        self.shifts: dict[str, Shift] = {}
        self.batches: dict[str, Batch] = {}
        self.closing_for_update: set[str] = set()
        self.solutions: dict[str, list[View]] = {}
        self.hidden: dict[str, set[str]] = {"projects": set(), "pools": set(), "trainings": set()}
        self.random = random.Random(random_seed)  # noqa: S311  no secrets are drawn
        self.operations = Operations(
            self.tables["operations"],
            self.agenda,
            duration,
            random_seed,
            on_success=lambda view, at: effect(self, view, at),
        )
        # Just under a power of ten: ids soon have different lengths, which reveals clients that sort them as text.
        self._next_ids = {"projects": 98, "pools": 998, "skills": 98}
        self._last_moment, self._count = 0, 0

    def settle(self) -> float:
        """Process all due events.

        :returns: the current time.
        """
        now = self.clock()
        self.agenda.settle(now)
        return now

    def find(self, kind: str, row_id: str) -> View:
        """Return an object.

        :raises ApiError: 404: no such object.
        """
        if (row := self.tables[kind].get(row_id)) is None:
            raise not_found(kind, row_id)
        return row

    def pool_kind(self, pool_id: str) -> str | None:
        """Return ``pools`` or ``trainings``, or ``None`` if neither has this id."""
        return next((kind for kind in POOL_KINDS if self.tables[kind].get(pool_id)), None)

    def new_number(self, kind: str) -> str:
        """Create the id of a project, pool, training or skill."""
        row, sharing = ("pools", POOL_KINDS) if kind in POOL_KINDS else (kind, (kind,))
        while any(self.tables[other].get(str(self._next_ids[row])) for other in sharing):
            self._next_ids[row] += 1
        return str(self._next_ids[row])

    def new_id(self, pool_id: str, now: float) -> str:
        """Create the id of a task, task suite or assignment. As text, later ids are greater than earlier ones."""
        self._last_moment = max(self._last_moment, int(now))
        self._count += 1
        return f"{int(pool_id):010x}--{self._last_moment:08x}{self._count:016x}"

    def hide(self, kind: str, row_id: str) -> None:
        """Hide a new object from lists for the time in the options."""
        if lag := self.options.list_lag:
            self.hidden[kind].add(row_id)
            self.agenda.plan(self.clock() + lag, lambda _at: self.hidden[kind].discard(row_id))


def pool_of(object_id: str) -> str:
    """Return the pool of a task, task suite or assignment, which is the start of its id; empty: there is none."""
    head, dashes, _ = object_id.partition("--")
    try:
        return str(int(head, 16)) if dashes else ""
    except ValueError:
        return ""
