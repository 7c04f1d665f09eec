"""The rules for changing projects, pools and trainings (``POST /pools/{id}/open`` and similar).

Each function changes the state, or raises the ``ApiError`` that Toloka responds with.
"""

from __future__ import annotations

from typing import Literal

from airflow_provider_toloka.emulator import work
from airflow_provider_toloka.emulator.errors import ApiError, wrong_status
from airflow_provider_toloka.emulator.options import ArchivedAnswer
from airflow_provider_toloka.emulator.store import Store
from airflow_provider_toloka.emulator.tables import View
from airflow_provider_toloka.emulator.timestamps import seconds, stamp

REJECTION_REST = 9 * 24 * 60 * 60
"""Seconds after the last rejection before a pool can be archived: Tolokers may appeal until then."""

UPDATE_SECONDS = 15 * 60
"""Seconds until a pool that was closed for an update opens by itself."""

PoolKind = Literal["pools", "trainings"]

_ACTIONS = {  # action → the resulting status, and the required one
    "open": ("OPEN", "CLOSED"),
    "close": ("CLOSED", "OPEN"),
    "close-for-update": ("CLOSED", "OPEN"),
    "archive": ("ARCHIVED", "CLOSED"),
}


def archive_project(store: Store, project_id: str, archived_answer: ArchivedAnswer) -> View | None:
    """Archive a project (``POST /projects/{id}/archive``).

    :param archived_answer: the answer for a project that is already archived.
    :returns: the operation, or ``None`` if there is nothing to do.
    :raises ApiError: 409: a pool or training is not archived, or the project is being archived.
    """
    project, now = store.find("projects", project_id), store.clock()
    archived = project["status"] == "ARCHIVED"
    if archived and archived_answer == "204":
        return None
    if archived and archived_answer == "409":
        raise wrong_status("PROJECT_INAPPROPRIATE_STATUS", "ACTIVE")
    if store.operations.running_on("PROJECT", project["id"]):
        raise ApiError(409, "OPERATION_ALREADY_EXISTS", "The project is being archived already")
    for kind in ("pools", "trainings"):
        group = ("project_id", project["id"])
        if any(row["status"] != "ARCHIVED" for row in store.tables[kind].walk(group)):
            raise ApiError(409, "UNARCHIVED_POOLS_CONFLICT", "The project has pools that are not archived")
    return store.operations.submit("PROJECT.ARCHIVE", {"project_id": project["id"]}, now, at_once=archived)


def act(store: Store, kind: PoolKind, row_id: str, action: str) -> View | None:
    """Open, close or archive a pool or training.

    :returns: the operation, or ``None`` if it is already in the wanted status.
    :raises ApiError: 409: its state or another operation does not allow it.
    """
    row, subject = store.find(kind, row_id), kind.removesuffix("s").upper()
    check_free(store, kind, row)
    wanted, needed = _ACTIONS[action]
    if row["status"] == wanted:
        return None
    if row["status"] != needed:
        raise wrong_status("POOL_INAPPROPRIATE_STATUS" if kind == "pools" else "INAPPROPRIATE_STATUS", needed)
    if action == "open":
        _check_open(store, kind, row)
    if action == "archive":
        (_check_pool if kind == "pools" else _check_training)(store, row)
    now = store.clock()
    operation_id = store.operations.new_id(now)
    if action == "close-for-update":
        store.closing_for_update.add(operation_id)
        store.agenda.plan(now + UPDATE_SECONDS, lambda later: _reopen(store, kind, row["id"], later))
    operation_type = f"{subject}.{'CLOSE' if action == 'close-for-update' else action.upper()}"
    parameters = {f"{subject.lower()}_id": row["id"]}
    return store.operations.submit(operation_type, parameters, now, operation_id=operation_id)


def clone(store: Store, kind: PoolKind, row_id: str) -> View:
    """Create an empty copy of a pool or training.

    :returns: the operation; its ``details`` contain the copy's id when it has finished.
    """
    row, subject = store.find(kind, row_id), kind.removesuffix("s")
    return store.operations.submit(f"{subject.upper()}.CLONE", {f"{subject}_id": row["id"]}, store.clock())


def check_free(store: Store, kind: str, row: View) -> None:
    """Check that no operation locks a pool or training.

    :raises ApiError: 409: an operation does.
    """
    if store.operations.running_on(kind.removesuffix("s").upper(), row["id"]):
        raise ApiError(409, "POOL_LOCKED_BY_ANOTHER_OPERATION", "Another operation works on it")


def _check_open(store: Store, kind: PoolKind, row: View) -> None:
    if store.find("projects", row["project_id"])["status"] == "ARCHIVED":
        raise wrong_status("PROJECT_INAPPROPRIATE_STATUS", "ACTIVE")
    if kind == "pools" and not row.get("mixer_config"):
        raise ApiError(409, "MIXER_CONFIG_REQUIRED", "The pool has no mixer_config: its tasks make no task suites")
    shift = work.shift_of(store, row["id"])
    if shift.is_empty:
        raise ApiError(409, "EMPTY_POOL", "The pool has no tasks")
    if kind == "trainings":
        return
    if shift.is_exhausted:
        raise ApiError(409, "POOL_ASSIGNMENTS_EXHAUSTED", "All assignments of the pool have been completed")
    if row["reward_per_assignment"] > store.balance:
        raise ApiError(409, "NOT_ENOUGH_BALANCE", "The account has not enough money for a task suite")


def _check_pool(store: Store, pool: View) -> None:
    standing, assignments = store.standings[pool["id"]], list(store.tables["assignments"].walk(("pool_id", pool["id"])))
    if standing.active or any(row["status"] == "ACTIVE" for row in assignments):
        raise ApiError(409, "THERE_IS_ACTIVE_ASSIGNMENT", "The pool has active assignments")
    rejections = [seconds(row["rejected"]) for row in assignments if row["status"] == "REJECTED"]
    free = max([standing.last_rejected or 0, *rejections]) + REJECTION_REST
    if store.clock() < free:
        message = f"The pool has rejected assignments, wait until {stamp(free)}"
        raise ApiError(409, "THERE_IS_REJECTED_ASSIGNMENT", message)


def _check_training(store: Store, training: View) -> None:
    pools = store.tables["pools"].walk(("training_id", training["id"]))
    if any(pool["status"] != "ARCHIVED" for pool in pools):
        raise ApiError(409, "TRAINING_ARCHIVE_CONFLICT", "A pool that requires the training is not archived")


def _reopen(store: Store, kind: PoolKind, row_id: str, at: float) -> None:
    row = store.tables[kind].get(row_id)
    if row and row["status"] == "CLOSED" and row.get("last_close_reason") == "FOR_UPDATE":
        work.start(store, kind, row_id, at)
