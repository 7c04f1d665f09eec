"""Archiving as flows: look, do what is missing, say what to wait for. No I/O.

The rules stand in ``plan.py``; nothing is remembered between two calls, Toloka is asked each time.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime

from airflow_provider_toloka.archiving.plan import (
    REASONS,
    Plan,
    PoolsRule,
    Snapshot,
    Step,
    explain,
    next_steps,
    project_in_use,
    step_of,
)
from airflow_provider_toloka.client.api import TolokaApi
from airflow_provider_toloka.client.models import PENDING, RUNNING, Operation
from airflow_provider_toloka.client.resources import ARCHIVE_PROJECT, Change
from airflow_provider_toloka.client.sansio import Flow
from airflow_provider_toloka.exceptions import (
    TolokaConflictError,
    TolokaInUseError,
    TolokaNotArchivableError,
    TolokaPostponedError,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a call came.

    :param is_last: whether nothing comes after the operations.
    :param operations: operations to wait for; when they are the last, they may be finished, or be none at all
        because all was done before.
    :param locked: what to look at again a little later, in words.
    :param snapshot: how the project stands, for a caller that stays; None: it has to be looked at again.
    """

    is_last: bool = False
    operations: tuple[Operation, ...] = ()
    locked: tuple[str, ...] = ()
    snapshot: Snapshot | None = None


def change_one(api: TolokaApi, change: Change, object_id: str) -> Flow[Progress]:
    """Bring one object into a wanted state.

    :param api: the API's calls.
    :param change: what to do.
    :param object_id: to which object.
    :returns: how far it came.
    :raises TolokaConflictError: its state does not allow it.
    """
    try:
        operation = yield from api.changes.make(change, object_id)
    except TolokaConflictError as error:
        if error.is_lock:
            return Progress(locked=(str(error),))
        raise _explained(error) from None
    return Progress(is_last=True, operations=(operation,) if operation else ())


def retire_project(
    api: TolokaApi,
    project_id: str,
    pools: PoolsRule,
    done: Collection[Operation] = (),
    snapshot: Snapshot | None = None,
    *,
    stale_before: datetime | None = None,
) -> Flow[Progress]:
    """Do all that can be done now to bring a project into the archive.

    :param api: the API's calls.
    :param project_id: the project's id.
    :param pools: what may be done to its pools and trainings.
    :param done: operations that were waited for, and have succeeded.
    :param snapshot: how the project stands; None: look.
    :param stale_before: the project was selected because it had no activity since then: as soon as it has, it is left
        alone, and nothing of it is closed, whatever ``pools`` says; None: its activity does not matter.
    :returns: how far it came.
    :raises TolokaInUseError: it is in use again.
    :raises TolokaPostponedError: a pool of it can be archived some days later.
    :raises TolokaNotArchivableError: a person has to do something first.
    :raises TolokaOperationFailedError: an operation ended as ``FAIL``.
    """
    steps_done = {step for operation in done if (step := step_of(operation))}
    if snapshot is not None:
        snapshot = snapshot.after(steps_done, {operation.id for operation in done})
    has_looked_again = False
    while True:
        is_fresh = snapshot is None
        if snapshot is None:
            snapshot = yield from look_at_project(api, project_id)
        plan = _plan(snapshot, pools, steps_done, stale_before)
        if plan.is_empty:
            return Progress(is_last=True)
        round_ = yield from _carry_out(api, plan.steps)
        yield from api.operations.require_success(round_.operations)
        if round_.refused and not (is_fresh and has_looked_again):
            # What was known may be out of date, since others work on the account too: look again before giving up.
            snapshot, has_looked_again = None, True
            continue
        if round_.refused:
            raise round_.refusal(project_id)
        operations = (*plan.operations, *round_.operations)
        if any(operation.type == ARCHIVE_PROJECT.operation_type for operation in operations):
            return Progress(is_last=True, operations=operations)
        finished = [operation for operation in operations if operation.is_finished]
        unfinished = tuple(operation for operation in operations if not operation.is_finished)
        steps_done |= round_.done | {step for operation in finished if (step := step_of(operation))}
        if Step(ARCHIVE_PROJECT, project_id) in round_.done:
            # It is archived, says the answer: the project itself may show it without a wait.
            snapshot = replace(snapshot, project=(yield from api.projects.get(project_id)))
            continue
        if locked := (*plan.locked, *round_.locked):
            return Progress(operations=unfinished, locked=locked)
        snapshot = snapshot.after(steps_done, {operation.id for operation in finished})
        if unfinished:
            return Progress(operations=unfinished, snapshot=snapshot)


def _plan(snapshot: Snapshot, pools: PoolsRule, done: Collection[Step], stale_before: datetime | None) -> Plan:
    """Return what comes next; raise when a person has to do something first, or the project is in use again."""
    project_id = snapshot.project.id
    if stale_before is not None and (reason := project_in_use(snapshot, stale_before)):
        raise TolokaInUseError(f"Left project {project_id} alone: {reason}.")
    plan = next_steps(snapshot, pools, done)
    if plan.blocked:
        raise TolokaNotArchivableError(f"Could not archive project {project_id}:\n{explain(plan.blocked, pools)}")
    return plan


def look_at_project(api: TolokaApi, project_id: str) -> Flow[Snapshot]:
    """Read how a project stands.

    Operations come first, and what they change after them, so that none slips through by finishing in between.

    :param api: the API's calls.
    :param project_id: the project's id.
    """
    pending = yield from api.operations.listing(status=PENDING).all()
    running = yield from api.operations.listing(status=RUNNING).all()
    pools = yield from api.pools.listing(project_id=project_id).all()
    trainings = yield from api.trainings.listing(project_id=project_id).all()
    project = yield from api.projects.get(project_id)
    return Snapshot(project=project, pools=pools, trainings=trainings, operations=(*pending, *running))


@dataclass
class _Round:
    operations: list[Operation] = field(default_factory=list)
    locked: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    is_postponed: bool = True
    done: set[Step] = field(default_factory=set)

    def refusal(self, project_id: str) -> TolokaNotArchivableError:
        """Return the error for what was refused."""
        error_class = TolokaPostponedError if self.is_postponed else TolokaNotArchivableError
        return error_class(f"Could not archive project {project_id}:\n{explain(self.refused, 'close_and_archive')}")


def _carry_out(api: TolokaApi, steps: Collection[Step]) -> Flow[_Round]:
    """Make the calls; one that is refused does not keep the others from being made."""
    round_ = _Round()
    for step in steps:
        try:
            operation = yield from api.changes.make(step.change, step.object_id, look_first=False)
        except TolokaConflictError as error:
            if error.is_lock:
                round_.locked.append(f"{step.change.resource.kind} {step.object_id} is locked by another operation")
            else:
                round_.refused.append(str(_explained(error)))
                round_.is_postponed = round_.is_postponed and isinstance(error, TolokaPostponedError)
            continue
        if operation is None or (operation.is_finished and not operation.failed):
            # Whatever type the operation has: Toloka may have types that are not known here.
            round_.done.add(step)
        if operation is not None:
            log.debug("Operation %s: %s", operation.id, step)
            round_.operations.append(operation)
    return round_


def _explained(error: TolokaConflictError) -> TolokaConflictError:
    reason = REASONS.get(error.code or "")
    if reason:
        error.summary = f"{error.summary.rstrip('.')}: {reason}."
    return error
