"""Archive a project as a flow: read its state, submit what is missing, return what to wait for. No I/O.

``plan.py`` has the rules. The flows are stateless: every call reads the current state from Toloka.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime

from airflow_provider_toloka.archiving.plan import (
    REASONS,
    REMEDIES,
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
    """The progress after a call.

    :param is_last: whether these operations are the last ones.
    :param operations: operations to wait for. The last ones may be finished, or there may be none because all was
        done before.
    :param locked: descriptions of locked objects, to be tried again later.
    :param snapshot: the state of the project, to continue without reading it again; None: it has to be read again.
    """

    is_last: bool = False
    operations: tuple[Operation, ...] = ()
    locked: tuple[str, ...] = ()
    snapshot: Snapshot | None = None


def change_one(api: TolokaApi, change: Change, object_id: str) -> Flow[Progress]:
    """Bring one object into a wanted state.

    :param api: the API's calls.
    :param change: the change.
    :param object_id: the object's id.
    :returns: the progress.
    :raises TolokaConflictError: its state does not allow it.
    """
    try:
        operation = yield from api.changes.make(change, object_id)
    except TolokaConflictError as error:
        if error.is_lock:
            return Progress(locked=(str(error),))
        raise _explained(error, Step(change, object_id)) from None
    return Progress(is_last=True, operations=(operation,) if operation else ())


def retire_project(
    api: TolokaApi,
    project_id: str,
    pools: PoolsRule,
    done: Collection[Operation] = (),
    snapshot: Snapshot | None = None,
    *,
    stale_before: datetime | None = None,
    with_news: Callable[[Snapshot], Snapshot] | None = None,
) -> Flow[Progress]:
    """Submit everything that can be done now to archive a project.

    :param api: the API's calls.
    :param project_id: the project's id.
    :param pools: the rule for its pools and trainings.
    :param done: operations that were waited for and have succeeded.
    :param snapshot: the state of the project; None: read it.
    :param stale_before: the project was selected because it had no activity since this time. If it has been used
        since, it is left alone, and nothing in it is closed, whatever ``pools`` says; None: activity does not matter.
    :param with_news: returns a state with what has been opened since it was read; None: nothing.
    :returns: the progress.
    :raises TolokaInUseError: the project is in use again.
    :raises TolokaPostponedError: a pool can be archived only in a few days.
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
        if with_news:
            snapshot = with_news(snapshot)
        plan = _plan(snapshot, pools, steps_done, stale_before)
        if plan.is_empty:
            return Progress(is_last=True)
        round_ = yield from _carry_out(api, plan.steps)
        yield from api.operations.require_success(round_.operations)
        if round_.refused and not (is_fresh and has_looked_again):
            # The state may be outdated, because others use the account too: read it again before failing.
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
            # The response means that it is archived: the project may show it without a wait.
            snapshot = replace(snapshot, project=(yield from api.projects.get(project_id)))
            continue
        if locked := (*plan.locked, *round_.locked):
            return Progress(operations=unfinished, locked=locked)
        snapshot = snapshot.after(steps_done, {operation.id for operation in finished})
        if unfinished:
            return Progress(operations=unfinished, snapshot=snapshot)


def _plan(snapshot: Snapshot, pools: PoolsRule, done: Collection[Step], stale_before: datetime | None) -> Plan:
    """Return the next steps; raise if a person has to do something first, or the project is in use again."""
    project_id = snapshot.project.id
    if stale_before is not None and (reason := project_in_use(snapshot, stale_before)):
        raise TolokaInUseError(f"Left project {project_id} alone: {reason}.", reason=reason)
    plan = next_steps(snapshot, pools, done)
    if plan.blocked:
        raise TolokaNotArchivableError(
            f"Could not archive project {project_id}:\n{explain(plan.blocked, pools)}",
            reason="; ".join(plan.blocked),
            remedy=REMEDIES[pools],
        )
    return plan


def look_at_project(api: TolokaApi, project_id: str) -> Flow[Snapshot]:
    """Read the current state of a project.

    Operations are read before the objects that they change, so that none is missed by finishing in between.

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
    refused: list[TolokaConflictError] = field(default_factory=list)
    done: set[Step] = field(default_factory=set)

    def refusal(self, project_id: str) -> TolokaNotArchivableError:
        """Return the error for what was refused."""
        is_postponed = all(isinstance(error, TolokaPostponedError) for error in self.refused)
        error_class = TolokaPostponedError if is_postponed else TolokaNotArchivableError
        told = explain([str(error) for error in self.refused], "close_and_archive")
        return error_class(
            f"Could not archive project {project_id}:\n{told}",
            reason="; ".join(dict.fromkeys(error.reason for error in self.refused)),
            remedy=" ".join(dict.fromkeys(error.remedy for error in self.refused if error.remedy)),
        )


def _carry_out(api: TolokaApi, steps: Collection[Step]) -> Flow[_Round]:
    """Submit all steps; a refused step does not stop the others."""
    round_ = _Round()
    for step in steps:
        try:
            operation = yield from api.changes.make(step.change, step.object_id, look_first=False)
        except TolokaConflictError as error:
            if error.is_lock:
                round_.locked.append(f"{step.change.resource.kind} {step.object_id} is locked by another operation")
            else:
                round_.refused.append(_explained(error, step))
            continue
        if operation is None or (operation.is_finished and not operation.failed):
            # Independent of the operation's type, because Toloka may add types.
            round_.done.add(step)
        if operation is not None:
            log.debug("Operation %s: %s", operation.id, step)
            round_.operations.append(operation)
    return round_


def _explained(error: TolokaConflictError, step: Step) -> TolokaConflictError:
    """Return an error with the reason and the remedy, if its code is a known one."""
    if known := REASONS.get(error.code or ""):
        reason, error.remedy = known
        error.reason = reason.format(item=f"{step.change.resource.kind} {step.object_id}")
        if not isinstance(error, TolokaPostponedError):  # its own summary says it all
            error.summary = f"{error.summary.rstrip('.')}: {error.reason}. {error.remedy}"
    return error
