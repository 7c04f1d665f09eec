"""The rules of archiving: which calls come next in a project's current state. Pure: no I/O, no Airflow, no clock.

API: "Archive project", "Archive pool", "Archive training pool". The order is: close pools, archive pools, close
trainings, archive trainings, archive the project.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias, TypeVar

from airflow_provider_toloka._text import shown
from airflow_provider_toloka.client.models import ARCHIVED, CLOSED, LOCKED, OPEN, Operation, Pool, Project, Training
from airflow_provider_toloka.client.resources import (
    ARCHIVE_POOL,
    ARCHIVE_PROJECT,
    ARCHIVE_TRAINING,
    CHANGES,
    CLOSE_POOL,
    CLOSE_TRAINING,
    POOL,
    TRAINING,
    Change,
)

Item = TypeVar("Item", Pool, Training)

#: What may be done to the pools and trainings of a project.
PoolsRule: TypeAlias = Literal["require_archived", "archive_closed", "close_and_archive"]

#: API: "Archive pool": a pool can be archived this long after the last rejection.
APPEAL = timedelta(days=9)
#: Toloka's codes for objects that cannot be archived yet, with reasons for the object, and remedies.
REASONS = {
    "THERE_IS_ACTIVE_ASSIGNMENT": (
        "active assignments in {item}",
        "Wait until the Tolokers have finished, then clear the task.",
    ),
    "THERE_IS_REJECTED_ASSIGNMENT": (
        "rejected answers in {item}",
        "It can be archived 9 days after the last rejection: clear the task then.",
    ),
    "TRAINING_ARCHIVE_CONFLICT": (
        "a pool that requires {item} is not archived",
        "Archive that pool first; it may belong to another project.",
    ),
}
#: What to do about pools and trainings that prevent archiving, by the rule for them.
REMEDIES = {
    "require_archived": (
        "Archive them first, or let this task do it:\n"
        "  pools='archive_closed' archives those that are closed,\n"
        "  pools='close_and_archive' also closes the open ones, which stops paid work."
    ),
    "archive_closed": "Close them, or let this task do it:\n  pools='close_and_archive' stops paid work.",
    "close_and_archive": "Nothing more was submitted for this project. Clear the task when the cause is fixed.",
}

_SHOWN = 20


@dataclass(frozen=True)
class Step:
    """One call to make: a change of one object."""

    change: Change
    object_id: str

    def __str__(self) -> str:
        return f"{self.change.action} {self.change.resource.kind} {self.object_id}"


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The current state of a project.

    :param pools: its pools; archived ones may be left out.
    :param trainings: its trainings; archived ones may be left out.
    :param operations: the pending and running operations; operations on other objects are ignored.
    """

    project: Project
    pools: Sequence[Pool] = ()
    trainings: Sequence[Training] = ()
    operations: Sequence[Operation] = ()

    def after(self, done: Collection[Step], finished: Collection[str]) -> Snapshot:
        """Return the state after the effect of some steps.

        :param done: the steps whose operations have succeeded.
        :param finished: the ids of the operations that are no longer running.
        """

        def moved(items: Sequence[Item], close: Change, archive: Change) -> tuple[Item, ...]:
            return tuple(
                replace(item, status=ARCHIVED)
                if Step(archive, item.id) in done
                else replace(item, status=CLOSED)
                if Step(close, item.id) in done and item.status == OPEN
                else item
                for item in items
            )

        return replace(
            self,
            pools=moved(self.pools, CLOSE_POOL, ARCHIVE_POOL),
            trainings=moved(self.trainings, CLOSE_TRAINING, ARCHIVE_TRAINING),
            operations=tuple(operation for operation in self.operations if operation.id not in finished),
        )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What comes next.

    :param steps: calls to make now, in any order.
    :param operations: operations to wait for.
    :param locked: descriptions of locked objects, to be tried again later.
    :param blocked: descriptions of objects that need a person; if there are any, the rest is empty.
    """

    steps: tuple[Step, ...] = ()
    operations: tuple[Operation, ...] = ()
    locked: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether the project is archived, and nothing is left to do."""
        return not (self.steps or self.operations or self.locked or self.blocked)


def is_in_use(item: Pool | Training, before: datetime) -> bool:
    """Return whether a pool or training counts as in use.

    :param before: a project without any activity since then is not in use.
    """
    latest = item.last_activity
    return item.status == OPEN or (latest is not None and latest >= before)


def in_use(item: Pool | Training, before: datetime) -> str:
    """Return why a pool or training counts as in use, see :func:`is_in_use`; empty: it does not."""
    if not is_in_use(item, before):
        return ""
    if item.status == OPEN:
        return f"{describe(item)} is open"
    return f"{describe(item)} was in use at {told_time(item.last_activity)}, not before {told_time(before)}"


def project_in_use(snapshot: Snapshot, before: datetime) -> str:
    """Return why a project is in use: something in it is open, being opened, or new; empty: it is not.

    :param snapshot: the current state of the project.
    :param before: a project without any activity since then is not in use.
    """
    items = (*snapshot.pools, *snapshot.trainings)
    if reason := next(filter(None, (in_use(item, before) for item in items)), ""):
        return reason
    for item in items:
        resource = POOL if isinstance(item, Pool) else TRAINING
        opens = resource.operation_type("open")
        for one in snapshot.operations:
            if one.type == opens and resource.id_in(one) == item.id and not one.failed:
                return f"{describe(item)} {'was' if one.is_finished else 'is being'} opened"
    return ""


def told_time(time: datetime | None) -> str:
    """Return a time as text, in UTC."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if time else "an unknown time"


def step_of(operation: Operation) -> Step | None:
    """Return the step that an operation carries out; None: it does not belong to archiving."""
    change = CHANGES.get(operation.type)
    return Step(change, str(change.resource.id_in(operation))) if change else None


def next_steps(snapshot: Snapshot, pools: PoolsRule, done: Collection[Step] = ()) -> Plan:
    """Return the next steps to archive a project.

    :param snapshot: the current state of the project.
    :param pools: the rule for its pools and trainings.
    :param done: steps whose operations have succeeded; Toloka may show their effect with a delay.
    """
    if snapshot.project.status == ARCHIVED:
        return Plan()
    left_pools = [pool for pool in snapshot.pools if pool.status != ARCHIVED]
    left_trainings = [training for training in snapshot.trainings if training.status != ARCHIVED]
    if blocked := _blocked(left_pools, left_trainings, snapshot, pools, done):
        return Plan(blocked=blocked)
    if left_pools:
        return _stage(left_pools, CLOSE_POOL, ARCHIVE_POOL, snapshot, done)
    if left_trainings:
        return _stage(left_trainings, CLOSE_TRAINING, ARCHIVE_TRAINING, snapshot, done)
    if operation := _operation_on(ARCHIVE_PROJECT, snapshot.project.id, snapshot):
        return Plan(operations=(operation,))
    step = Step(ARCHIVE_PROJECT, snapshot.project.id)
    return (
        Plan(locked=(f"project {step.object_id} is not shown as archived yet",))
        if step in done
        else Plan(steps=(step,))
    )


def explain(blocked: Sequence[str], pools: PoolsRule) -> str:
    """Explain why a project cannot be archived, and which parameter would handle it.

    The lines are short, because Airflow does not wrap a task's log.

    :param blocked: descriptions of the objects that prevent archiving.
    :param pools: the rule for its pools and trainings.
    """
    lines = [f"  {reason}" for reason in blocked[:_SHOWN]]
    more = [f"  and {len(blocked) - _SHOWN} more"] if len(blocked) > _SHOWN else []
    return "\n".join([*lines, *more, REMEDIES[pools]])


def describe(item: Pool | Training) -> str:
    """Return a description of a pool or training."""
    kind = "pool" if isinstance(item, Pool) else "training"
    return f"{kind} {item.id} {shown(item.private_name or '')}"


def _blocked(
    pools: Sequence[Pool],
    trainings: Sequence[Training],
    snapshot: Snapshot,
    rule: PoolsRule,
    done: Collection[Step],
) -> tuple[str, ...]:
    forbidden = {"require_archived": (OPEN, CLOSED, LOCKED), "archive_closed": (OPEN,), "close_and_archive": ()}[rule]
    return tuple(
        f"{describe(item)} is {item.status}"
        for item in (*pools, *trainings)
        if item.status not in (OPEN, CLOSED, LOCKED)
        or (item.status in forbidden and not (rule != "require_archived" and _is_closing(item, snapshot, done)))
    )


def _is_closing(item: Pool | Training, snapshot: Snapshot, done: Collection[Step]) -> bool:
    change = CLOSE_POOL if isinstance(item, Pool) else CLOSE_TRAINING
    if Step(change, item.id) in done:
        return True
    operation = _operation_on(change, item.id, snapshot)
    return operation is not None and operation.type == change.operation_type


def _stage(
    items: Sequence[Pool] | Sequence[Training],
    close: Change,
    archive: Change,
    snapshot: Snapshot,
    done: Collection[Step],
) -> Plan:
    steps, operations, locked = [], [], []
    for item in items:
        step = Step(close if item.status == OPEN else archive, item.id)
        if operation := _operation_on(archive, item.id, snapshot):
            operations.append(operation)
        elif item.status == LOCKED or step in done:
            locked.append(f"{describe(item)} is {item.status}")
        else:
            steps.append(step)
    return Plan(steps=tuple(steps), operations=tuple(operations), locked=tuple(locked))


def _operation_on(change: Change, object_id: str, snapshot: Snapshot) -> Operation | None:
    """Return the operation that is running on an object, which locks the object."""
    running = (operation for operation in snapshot.operations if change.resource.works_on(operation, object_id))
    return next(running, None)
