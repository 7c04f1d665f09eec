"""The state of one Toloka account: its projects, pools, trainings and operations."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from airflow_provider_toloka.emulator.listing import empty_tables
from airflow_provider_toloka.emulator.operations import Course, Duration, Operations
from airflow_provider_toloka.emulator.tables import Table, View
from airflow_provider_toloka.emulator.timestamps import Moment, seconds, stamp

REQUESTER: View = {
    "id": "566ec2b0ff0deeaae5f9d500629de162",
    "balance": 121.3,
    "public_name": {"EN": "Emulated requester"},
    "company": {
        "id": "eaf25678e128e14dea651d8c32471f21",
        "superintendent_id": "566ec2b0ff0deeaae5f9d500629de162",
    },
}
"""The answer to ``GET /requester``."""

KINDS = ("projects", "pools", "trainings", "operations")
_TIMES = ("created", "last_started", "last_stopped", "submitted", "started", "finished")


@dataclass
class Assignments:
    """What stands against archiving a pool: active assignments, and the last rejection (seconds since 1970)."""

    active: int = 0
    last_rejected: float | None = None


class Account:
    """An account and what is in it. Whoever reads or changes it holds ``lock``.

    :param clock: gives the time, in seconds since 1970.
    :param operation_seconds: how long an operation takes.
    :param random_seed: makes drawn durations and ids repeatable.
    """

    def __init__(self, *, clock: Callable[[], float], operation_seconds: Duration, random_seed: int = 0) -> None:
        self.clock = clock
        self.lock = threading.RLock()
        self._settings = (operation_seconds, random_seed)
        self.clear()

    def clear(self) -> None:
        """Empty the account."""
        duration, random_seed = self._settings
        self.tables: Mapping[str, Table] = empty_tables()
        self.assignments: dict[str, Assignments] = {}
        self.operations = Operations(
            self.tables["operations"], duration, random_seed, on_success=partial(_carry_out, self.tables)
        )
        # Low and just under a power of ten: ids soon differ in length, and a client that sorts them as text shows.
        self._next_ids = {"projects": 98, "pools": 998}

    def settle(self) -> float:
        """Bring the operations up to the present.

        :returns: the time.
        """
        now = self.clock()
        self.operations.settle(now)
        return now

    def add_project(self, public_name: str = "A project", status: str = "ACTIVE", **fields: Any) -> View:
        """Add a project (the fields of ``ProjectViewV1``)."""
        view = self._begin("projects", fields) | {
            "public_name": public_name,
            "public_description": "",
            "public_instructions": "",
            "task_spec": {"input_spec": {}, "output_spec": {}, "view_spec": {}},
            "assignments_issuing_type": "AUTOMATED",
            "assignments_automerge_enabled": False,
            "status": status,
        }
        return self._add("projects", view, fields)

    def add_pool(
        self,
        project_id: str,
        status: str = "CLOSED",
        active_assignments: int = 0,
        last_rejected: Moment | None = None,
        training_id: str | None = None,
        **fields: Any,
    ) -> View:
        """Add a pool (the fields of ``PoolViewV1``)."""
        view = self._begin("pools", fields) | {
            "project_id": self._known("projects", project_id),
            "private_name": "A pool",
            "may_contain_adult_content": False,
            "will_expire": "2100-01-01T00:00:00.000",
            "reward_per_assignment": 0.05,
            "assignment_max_duration_seconds": 600,
            "auto_accept_solutions": True,
            "defaults": {"default_overlap_for_new_task_suites": 1},
            "priority": 0,
            "type": "REGULAR",
            "status": status,
        }
        if training_id is not None:
            requirement = {"training_pool_id": training_id, "training_passing_skill_value": 80}
            view["quality_control"] = {"training_requirement": requirement, "configs": []}
        rejected = None if last_rejected is None else seconds(last_rejected)
        added = self._add("pools", view, fields)
        self.assignments[added["id"]] = Assignments(active_assignments, rejected)
        return added

    def add_training(self, project_id: str, status: str = "CLOSED", **fields: Any) -> View:
        """Add a training (the fields of ``TrainingViewV1``)."""
        view = self._begin("trainings", fields) | {
            "project_id": self._known("projects", project_id),
            "private_name": "A training",
            "inherited_instructions": True,
            "may_contain_adult_content": False,
            "assignment_max_duration_seconds": 600,
            "mix_tasks_in_creation_order": True,
            "shuffle_tasks_in_task_suite": True,
            "training_tasks_in_task_suite_count": 10,
            "status": status,
        }
        return self._add("trainings", view, fields)

    def add_operation(
        self,
        type: str,  # noqa: A002  the API's own name
        status: str = "SUCCESS",
        finishes_in: float | None = None,
        outcome: str = "SUCCESS",
        log: list[dict[str, Any]] | None = None,
        **fields: Any,
    ) -> View:
        """Add an operation (the fields of ``OperationViewV1``).

        :param status: how it stands.
        :param finishes_in: seconds until it ends, for one that is not finished; without it, it never ends.
        :param outcome: how it ends then: ``SUCCESS``, with the effect that its type has, or ``FAIL``.
        :param log: the answer to ``GET /operations/{id}/log``.
        :param fields: any other field, as it is to be shown; ``None`` is shown as null.
        """
        now = self.clock()
        done = status in ("SUCCESS", "FAIL")
        view: View = {"id": self.operations.new_id(now), "type": type, "status": status, "submitted": stamp(now)}
        if status != "PENDING":
            view["started"] = stamp(now)
        if done:
            view["finished"] = stamp(now)
        view |= {"progress": 100 if done else 0, "parameters": {}} | _stamped(fields)
        course = None
        if finishes_in is not None and not done:
            starts = now + finishes_in / 5 if status == "PENDING" else seconds(view["started"])
            details = view.pop("details", None)  # known at the end
            course = Course(min(starts, now + finishes_in), now + finishes_in, outcome, details)
        self.operations.add(view, course)
        if log is not None:
            self.operations.logs[view["id"]] = log
        return view

    def load(self, state: Mapping[str, Any]) -> None:
        """Replace everything by a state of the form that ``dump`` gives.

        :raises ValueError: when it has another form; the account is left as it was.
        """
        fresh = Account(clock=self.clock, operation_seconds=self._settings[0], random_seed=self._settings[1])
        if unknown := set(state) - set(KINDS):
            raise ValueError(f"a state has {', '.join(KINDS)}, and not {', '.join(sorted(unknown))}")
        try:
            for kind in KINDS:
                add = getattr(fresh, f"add_{kind.removesuffix('s')}")
                for fields in state.get(kind, ()):
                    add(**fields)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a state of an account: {error}") from error
        self.tables, self.assignments, self.operations = fresh.tables, fresh.assignments, fresh.operations

    def dump(self) -> dict[str, list[View]]:
        """Return the whole state, as JSON can hold it."""
        now = self.settle()
        state = {kind: [dict(row) for row in self.tables[kind]] for kind in KINDS}
        for pool in state["pools"]:
            held = self.assignments[pool["id"]]
            if held.active:
                pool["active_assignments"] = held.active
            if held.last_rejected is not None:
                pool["last_rejected"] = stamp(held.last_rejected)
        for operation in state["operations"]:
            if course := self.operations.courses.get(operation["id"]):
                operation |= {"finishes_in": course.finishes - now, "outcome": course.outcome}
                if course.details is not None:
                    operation["details"] = course.details
            if log := self.operations.logs.get(operation["id"]):
                operation["log"] = log
        return state

    def _begin(self, kind: str, fields: dict[str, Any]) -> View:
        if "id" not in fields:
            # A training is a pool to Toloka: both draw their ids from one row of numbers.
            row = "projects" if kind == "projects" else "pools"
            while any(self.tables[other].get(str(self._next_ids[row])) for other in _sharing(kind)):
                self._next_ids[row] += 1
            fields = {"id": str(self._next_ids[row])}
        owner = {"id": REQUESTER["id"], "myself": True}
        return {"id": fields["id"], "owner": owner, "created": stamp(self.clock())}

    def _add(self, kind: str, view: View, fields: dict[str, Any]) -> View:
        view |= _stamped(fields)
        if view["status"] == "OPEN":
            view.setdefault("last_started", view["created"])
        self.tables[kind].add(view)
        return view

    def _known(self, kind: str, row_id: str) -> str:
        if self.tables[kind].get(row_id) is None:
            raise ValueError(f"there is no {kind.removesuffix('s')} {row_id}")
        return row_id


def _sharing(kind: str) -> tuple[str, ...]:
    return ("projects",) if kind == "projects" else ("pools", "trainings")


def _stamped(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: stamp(value) if key in _TIMES and value is not None else value for key, value in fields.items()}


def _carry_out(tables: Mapping[str, Table], operation: View, at: float) -> None:
    # What an operation is for happens when it finishes.
    kind, _, action = operation["type"].partition(".")
    table = tables.get(f"{kind.lower()}s")
    row_id = str(operation["parameters"].get(f"{kind.lower()}_id"))
    if table is None or table.get(row_id) is None:
        return
    if action == "ARCHIVE":
        table.update(row_id, status="ARCHIVED")
    elif action == "CLOSE":
        table.update(row_id, status="CLOSED", last_stopped=stamp(at), last_close_reason="MANUAL")
    elif action == "OPEN":
        table.update(row_id, status="OPEN", last_started=stamp(at))
