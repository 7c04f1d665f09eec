"""The state of one Toloka account: its tables, its money, and what is going on in it."""

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
"""Dollars in a new account."""

POOL_KINDS = ("pools", "trainings")
"""A training is a pool to Toloka: they draw their ids from one row of numbers, and tasks go into both."""

Effect = Callable[["Store", View, float], Mapping[str, Any]]
"""Does what an operation is for, when it finishes; returns the fields of the operation that it sets."""


@dataclass
class Standing:
    """What is said to stand against archiving a pool, for tests that want no assignments for it.

    :param active: how many assignments are active.
    :param last_rejected: when an assignment was last rejected, in seconds since 1970.
    """

    active: int = 0
    last_rejected: float | None = None


@dataclass
class Batch:
    """Tasks that an operation is to create: the items as they came, and the parameters of the request."""

    items: list[Any]
    parameters: dict[str, Any]


class Store:
    """An account's state. Whoever reads or changes it holds ``lock``.

    :param clock: gives the time, in seconds since 1970.
    :param operation_seconds: how long an operation takes.
    :param random_seed: makes drawn durations and ids repeatable.
    :param options: the settings.
    :param effect: carries operations out.
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
        # Low and just under a power of ten: ids soon differ in length, and a client that sorts them as text shows.
        self._next_ids = {"projects": 98, "pools": 998, "skills": 98}
        self._last_moment, self._count = 0, 0

    def settle(self) -> float:
        """Bring everything up to the present.

        :returns: the time.
        """
        now = self.clock()
        self.agenda.settle(now)
        return now

    def find(self, kind: str, row_id: str) -> View:
        """Return an object.

        :raises ApiError: 404 when there is none with this id.
        """
        if (row := self.tables[kind].get(row_id)) is None:
            raise not_found(kind, row_id)
        return row

    def pool_kind(self, pool_id: str) -> str | None:
        """Return ``pools`` or ``trainings``, or ``None`` when there is neither with this id."""
        return next((kind for kind in POOL_KINDS if self.tables[kind].get(pool_id)), None)

    def new_number(self, kind: str) -> str:
        """Draw the id of a project, pool, training or skill."""
        row, sharing = ("pools", POOL_KINDS) if kind in POOL_KINDS else (kind, (kind,))
        while any(self.tables[other].get(str(self._next_ids[row])) for other in sharing):
            self._next_ids[row] += 1
        return str(self._next_ids[row])

    def new_id(self, pool_id: str, now: float) -> str:
        """Draw the id of a task, task suite or assignment. As text, later ones are greater than earlier ones."""
        self._last_moment = max(self._last_moment, int(now))
        self._count += 1
        return f"{int(pool_id):010x}--{self._last_moment:08x}{self._count:016x}"

    def hide(self, kind: str, row_id: str) -> None:
        """Let lists not show a new object for the time that the options say."""
        if lag := self.options.list_lag:
            self.hidden[kind].add(row_id)
            self.agenda.plan(self.clock() + lag, lambda _at: self.hidden[kind].discard(row_id))


def pool_of(object_id: str) -> str:
    """Return the pool that a task, task suite or assignment is in, which its id begins with; empty when none is."""
    head, dashes, _ = object_id.partition("--")
    try:
        return str(int(head, 16)) if dashes else ""
    except ValueError:
        return ""
