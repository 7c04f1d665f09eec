"""A Toloka account: its state, the effects of operations, and methods for tests to fill it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from airflow_provider_toloka.emulator import creation, effects, tasks, work
from airflow_provider_toloka.emulator.errors import ApiError
from airflow_provider_toloka.emulator.operations import Course, Duration
from airflow_provider_toloka.emulator.options import Options
from airflow_provider_toloka.emulator.store import BALANCE, REQUESTER_ID, Batch, Store
from airflow_provider_toloka.emulator.tables import View
from airflow_provider_toloka.emulator.timestamps import Moment, seconds, stamp

KINDS = ("projects", "pools", "trainings", "skills", "tasks", "assignments", "operations")
_TIMES = ("created", "submitted", "started", "finished", "accepted", "rejected", "skipped", "expired")


class Account(Store):
    """An account and its content. Callers must hold ``lock`` to read or change it.

    :param clock: returns the time, in seconds since 1970.
    :param operation_seconds: how long an operation takes.
    :param random_seed: makes random durations and ids reproducible.
    :param options: the settings.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        operation_seconds: Duration,
        random_seed: int = 0,
        options: Options | None = None,
    ) -> None:
        super().__init__(
            clock=clock,
            operation_seconds=operation_seconds,
            random_seed=random_seed,
            options=options or Options(),
            effect=effects.carry_out,
        )

    def requester(self) -> View:
        """Return the answer to ``GET /requester``."""
        return {
            "id": REQUESTER_ID,
            "balance": self.balance,
            "public_name": {"EN": "Emulated requester"},
            "company": {"id": "eaf25678e128e14dea651d8c32471f21", "superintendent_id": REQUESTER_ID},
        }

    def add_project(self, public_name: str = "A project", status: str = "ACTIVE", **fields: Any) -> View:
        """Add a project (the fields of ``ProjectViewV1``)."""
        return creation.add(self, "projects", {"public_name": public_name, "status": status} | fields)

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
        if training_id is not None:
            requirement = {"training_pool_id": training_id, "training_passing_skill_value": 80}
            fields = {"quality_control": {"training_requirement": requirement, "configs": []}} | fields
        added = creation.add(self, "pools", {"project_id": project_id, "status": status} | fields)
        standing = self.standings[added["id"]]
        standing.active = active_assignments
        standing.last_rejected = None if last_rejected is None else seconds(last_rejected)
        if status == "OPEN":
            work.plan_expiry(self, added, self.clock())
        return added

    def add_training(self, project_id: str, status: str = "CLOSED", **fields: Any) -> View:
        """Add a training (the fields of ``TrainingViewV1``)."""
        return creation.add(self, "trainings", {"project_id": project_id, "status": status} | fields)

    def add_skill(self, name: str, **fields: Any) -> View:
        """Add a skill (the fields of ``SkillViewV1``)."""
        return creation.create_skill(self, {"name": name} | _stamped(fields))

    def add_tasks(self, pool_id: str, inputs: Iterable[View], **fields: Any) -> list[View]:
        """Add tasks to a pool or training (the fields of ``TaskViewV1``).

        :param inputs: their ``input_values``.
        :param fields: fields that all of them have.
        """
        return [self.add_task(pool_id, input_values=input_values, **fields) for input_values in inputs]

    def add_task(self, pool_id: str, input_values: View, **fields: Any) -> View:
        """Add a task to a pool or training (the fields of ``TaskViewV1``)."""
        if (kind := self.pool_kind(pool_id)) is None:
            raise ValueError(f"there is no pool {pool_id}")
        now = self.clock()
        task: View = {"id": self.new_id(pool_id, now), "created": stamp(now), "pool_id": pool_id}
        task |= {"input_values": input_values, "reserved_for": [], "unavailable_for": []} | _stamped(fields)
        if kind == "trainings" or task.get("infinite_overlap") or task.get("known_solutions"):
            task["infinite_overlap"] = True
        else:
            defaults = self.find(kind, pool_id)["defaults"]
            overlap = defaults.get("default_overlap_for_new_tasks", defaults["default_overlap_for_new_task_suites"])
            task = {"overlap": overlap, "infinite_overlap": False} | task
            task.setdefault("remaining_overlap", task["overlap"])
        tasks.put(self, pool_id, [task])
        work.go_on(self, pool_id, now)
        return task

    def add_assignment(
        self,
        pool_id: str,
        tasks: Sequence[str],
        status: str = "SUBMITTED",
        outputs: Sequence[View] | None = None,
        finishes_in: float | None = None,
        in_time: bool = True,
        **fields: Any,
    ) -> View:
        """Add an assignment in a given state (the fields of ``AssignmentViewV1``).

        :param tasks: the ids of its tasks.
        :param outputs: the ``output_values`` of its answers; by default there are none while it is active.
        :param finishes_in: seconds until an active one ends; without it, it never ends.
        :param in_time: whether it ends with answers.
        """
        pool, now = self.find("pools", pool_id), stamp(self.clock())
        view: View = {"id": self.new_id(pool_id, self.clock()), "task_suite_id": self.new_id(pool_id, self.clock())}
        view |= {"pool_id": pool_id, "user_id": work.user_id(0), "status": status}
        view |= {"reward": pool["reward_per_assignment"], "tasks": [self.find("tasks", task) for task in tasks]}
        view |= {"mixed": True, "automerged": False, "created": now, "owner": {"id": REQUESTER_ID, "myself": True}}
        if outputs is not None:
            view["solutions"] = [{"output_values": values} for values in outputs]
        if status in ("SUBMITTED", "ACCEPTED", "REJECTED"):
            view["submitted"] = now
            view.setdefault("solutions", [{"output_values": {}} for _ in tasks])
        if status not in ("SUBMITTED", "ACTIVE"):
            view[status.lower()] = now
        view |= _stamped(fields)
        self.tables["assignments"].add(view)
        toloker = work.toloker_of(view["user_id"])
        if toloker is not None:
            work.shift_of(self, pool_id).met(toloker, view["tasks"])
            if status == "ACTIVE" and finishes_in is not None:
                work.take_up(self, view, toloker, self.clock() + finishes_in, in_time=in_time)
        return view

    def add_operation(
        self,
        type: str,  # noqa: A002  the API's own name
        status: str = "SUCCESS",
        finishes_in: float | None = None,
        outcome: str = "SUCCESS",
        log: list[dict[str, Any]] | None = None,
        items: list[Any] | None = None,
        solutions: list[View] | None = None,
        **fields: Any,
    ) -> View:
        """Add an operation (the fields of ``OperationViewV1``).

        :param status: its status.
        :param finishes_in: seconds until it ends, for one that is not finished; without it, it never ends.
        :param outcome: how it ends then: ``SUCCESS``, with the effect that its type has, or ``FAIL``.
        :param log: the answer to ``GET /operations/{id}/log``.
        :param items: the tasks that an unfinished one is to create.
        :param solutions: the answers that a finished one has aggregated.
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
        if log is not None:
            self.operations.logs[view["id"]] = log
        if items is not None:
            self.batches[view["id"]] = Batch(items, view["parameters"])
        if solutions is not None:
            self.solutions[view["id"]] = solutions
        self.operations.add(view, course)
        return view

    def load(self, state: Mapping[str, Any]) -> None:
        """Replace the whole state, in the form that ``dump`` returns.

        :raises ValueError: it has another form; the account is not changed.
        """
        if unknown := set(state) - {*KINDS, "balance"}:
            raise ValueError(f"a state has {', '.join(KINDS)} and balance, and not {', '.join(sorted(unknown))}")
        before = dict(self.__dict__)
        self.clear()
        try:
            self.balance = float(state.get("balance", BALANCE))
            for kind in KINDS:
                add = getattr(self, f"add_{kind.removesuffix('s')}")
                for fields in state.get(kind, ()):
                    add(**fields)
        except (ApiError, AttributeError, KeyError, TypeError, ValueError) as error:
            self.__dict__.update(before)
            raise ValueError(f"not a state of an account: {error}") from error

    def dump(self) -> dict[str, Any]:
        """Return the whole state as JSON values."""
        now = self.settle()
        state: dict[str, Any] = {kind: [dict(row) for row in self.tables[kind]] for kind in KINDS}
        for pool in state["pools"]:
            standing = self.standings[pool["id"]]
            if standing.active:
                pool["active_assignments"] = standing.active
            if standing.last_rejected is not None:
                pool["last_rejected"] = stamp(standing.last_rejected)
        for assignment in state["assignments"]:
            assignment["tasks"] = [task["id"] for task in assignment["tasks"]]
            if end := work.shift_of(self, assignment["pool_id"]).ends.get(assignment["id"]):
                assignment |= {"finishes_in": end[0] - now, "in_time": end[1]}
        for operation in state["operations"]:
            self._dump_operation(operation, now)
        return state | {"balance": self.balance}

    def _dump_operation(self, operation: View, now: float) -> None:
        operation_id = operation["id"]
        if course := self.operations.courses.get(operation_id):
            operation |= {"finishes_in": course.finishes - now, "outcome": course.outcome}
            if course.details is not None:
                operation["details"] = course.details
        if log := self.operations.logs.get(operation_id):
            operation["log"] = log
        if batch := self.batches.get(operation_id):
            operation["items"] = batch.items
        if solutions := self.solutions.get(operation_id):
            operation["solutions"] = solutions


def _stamped(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: stamp(value) if key in _TIMES and value is not None else value for key, value in fields.items()}
