"""The states in Airflow and at Toloka, polled for all cases at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import requests

from tests.durability import labelling
from tests.durability.airflow_processes import Airflow, Task
from tests.durability.cases import Case
from tests.durability.toloka_process import TolokaProcess, objects_of
from tests.processes import PATIENCE

LATELY = 0.3
_UNDER_WAY = ("PENDING", "RUNNING")


@dataclass
class Seen:
    """The states of everything.

    :param tasks: Airflow's, by DAG, run, task id and map index.
    :param arrived: how many requests have met each fault of the emulator.
    :param toloka: what is in the account.
    """

    tasks: dict[tuple[str, str, str, int], Task] = field(default_factory=dict)
    arrived: dict[str, int] = field(default_factory=dict)
    toloka: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def task(self, case: Case) -> Task:
        """Return a case's task."""
        return self.tasks.get((case.dag_id, case.name, case.task_id, -1)) or Task(None, None, 0, None, None)

    def objects(self, case: Case) -> tuple[str, ...]:
        """Return the ids of a case's project and pools."""
        return labelling.objects(self.toloka, case.project_name) if case.is_labelling else case.objects

    def operations(self, case: Case) -> list[dict[str, Any]]:
        """Return the operations on a case's objects."""
        objects = self.objects(case)
        return [one for one in self.toloka.get("operations", ()) if objects_of(one).intersection(objects)]

    def under_way(self, case: Case) -> list[str]:
        """Return the ids of the unfinished operations."""
        return [operation["id"] for operation in self.operations(case) if operation["status"] in _UNDER_WAY]

    def statuses(self, case: Case) -> dict[str, str]:
        """Return the statuses of a case's objects."""
        objects = self.objects(case)
        rows = [*self.toloka.get("projects", ()), *self.toloka.get("pools", ())]
        return {row["id"]: row["status"] for row in rows if row["id"] in objects}


class Watch:
    """Looks at an Airflow and a Toloka until it is stopped."""

    def __init__(self, airflow: Airflow, toloka: TolokaProcess) -> None:
        self._airflow = airflow
        self._toloka = toloka
        self._seen = Seen()
        self._looks = 0
        self._news = threading.Condition()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Stop polling; waiting callers get an error."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def is_over(self) -> bool:
        """Whether it was stopped."""
        return self._over.is_set()

    def seen(self) -> Seen:
        """Return the most recent states."""
        with self._news:
            return self._seen

    def now(self) -> Seen:
        """Return the states after this call."""
        with self._news:
            # The poll in progress may be older.
            wanted = self._looks + 2
            self._news.wait_for(lambda: self._looks >= wanted or self.is_over, PATIENCE)
            return self._seen

    def until(
        self, case: Case, look: Callable[[Seen], Any], what: str, meanwhile: Callable[[Seen], None] | None = None
    ) -> Any:
        """Wait until something is seen.

        :param look: gives something that is true when it has come.
        :param what: what is waited for, for the error.
        :param meanwhile: called with each poll before.
        :raises TimeoutError: it does not come.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            with self._news:
                seen, looks = self._seen, self._looks
            if found := look(seen):
                return found
            if time.monotonic() > deadline or self.is_over:
                raise TimeoutError(f"{what}: not in {PATIENCE:.0f} seconds; {seen.task(case)}, {seen.statuses(case)}")
            if meanwhile:
                meanwhile(seen)
            with self._news:
                self._news.wait_for(lambda before=looks: self._looks > before, 1)  # type: ignore[misc]

    def _look(self) -> None:
        while not self.is_over:
            try:
                seen = Seen(self._airflow.tasks(), self._toloka.arrived(), self._toloka.state())
            except requests.ConnectionError:
                pass  # it was killed, and starts again
            else:
                with self._news:
                    self._seen = seen
                    self._looks += 1
                    self._news.notify_all()
            self._over.wait(LATELY)
