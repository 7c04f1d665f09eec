"""What may be done to projects, pools and trainings, and when (``POST /pools/{id}/open`` and its kin).

Each function here changes the state, or raises the ``ApiError`` that Toloka answers with.
"""

from __future__ import annotations

from typing import Any, Literal

from airflow_provider_toloka.emulator.account import Account
from airflow_provider_toloka.emulator.errors import ApiError
from airflow_provider_toloka.emulator.tables import View
from airflow_provider_toloka.emulator.timestamps import stamp

ArchivedAnswer = Literal["204", "409", "operation"]
"""How the archiving of an archived project is answered. The API's description does not say; each of these may be."""

REJECTION_REST = 9 * 24 * 60 * 60
"""Seconds after the last rejection before a pool can be archived: the time that a performer has for an appeal."""

_ACTIONS = {  # action → the status it leads to, and the one that it needs
    "open": ("OPEN", "CLOSED"),
    "close": ("CLOSED", "OPEN"),
    "archive": ("ARCHIVED", "CLOSED"),
}


def find(account: Account, kind: str, row_id: str) -> View:
    """Return an object.

    :raises ApiError: 404 when there is none with this id.
    """
    if (row := account.tables[kind].get(row_id)) is None:
        raise ApiError(404, "DOES_NOT_EXIST", f"There is no {kind.removesuffix('s')} with id {row_id}")
    return row


def archive_project(account: Account, project_id: str, archived_answer: ArchivedAnswer) -> View | None:
    """Archive a project (``POST /projects/{id}/archive``).

    :param archived_answer: what is done for a project that is archived already.
    :returns: the operation, or ``None`` when there is nothing to do.
    :raises ApiError: 409 while a pool or training of it is not archived, or while it is being archived.
    """
    project, now = find(account, "projects", project_id), account.clock()
    archived = project["status"] == "ARCHIVED"
    if archived and archived_answer == "204":
        return None
    if archived and archived_answer == "409":
        raise _wrong_status("PROJECT_INAPPROPRIATE_STATUS", "ACTIVE")
    if account.operations.running_on("PROJECT", project["id"]):
        raise ApiError(409, "OPERATION_ALREADY_EXISTS", "The project is being archived already")
    for kind in ("pools", "trainings"):
        table, group = account.tables[kind], ("project_id", project["id"])
        if any(row["status"] != "ARCHIVED" for row in table.walk(group, "id")):
            raise ApiError(409, "UNARCHIVED_POOLS_CONFLICT", "The project has pools that are not archived")
    return account.operations.submit("PROJECT.ARCHIVE", {"project_id": project["id"]}, now, at_once=archived)


def act(account: Account, kind: Literal["pools", "trainings"], row_id: str, action: str) -> View | None:
    """Open, close or archive a pool or training.

    :returns: the operation, or ``None`` when it is in the wanted status already.
    :raises ApiError: 409 when its state, or an operation that works on it, forbids it.
    """
    row, subject = find(account, kind, row_id), kind.removesuffix("s").upper()
    if account.operations.running_on(subject, row["id"]):
        raise ApiError(409, "POOL_LOCKED_BY_ANOTHER_OPERATION", "Another operation works on it")
    wanted, needed = _ACTIONS[action]
    if row["status"] == wanted:
        return None
    if row["status"] != needed:
        raise _wrong_status("POOL_INAPPROPRIATE_STATUS" if kind == "pools" else "INAPPROPRIATE_STATUS", needed)
    if action == "archive":
        (_check_pool if kind == "pools" else _check_training)(account, row)
    parameters = {f"{subject.lower()}_id": row["id"]}
    return account.operations.submit(f"{subject}.{action.upper()}", parameters, account.clock())


def _check_pool(account: Account, pool: View) -> None:
    held = account.assignments[pool["id"]]
    if held.active:
        raise ApiError(409, "THERE_IS_ACTIVE_ASSIGNMENT", "The pool has active assignments")
    if held.last_rejected is not None and account.clock() < held.last_rejected + REJECTION_REST:
        free = stamp(held.last_rejected + REJECTION_REST)
        raise ApiError(409, "THERE_IS_REJECTED_ASSIGNMENT", f"The pool has rejected assignments, wait until {free}")


def _check_training(account: Account, training: View) -> None:
    pools = account.tables["pools"].walk(("training_id", training["id"]), "id")
    if any(pool["status"] != "ARCHIVED" for pool in pools):
        raise ApiError(409, "TRAINING_ARCHIVE_CONFLICT", "A pool that requires the training is not archived")


def _wrong_status(code: str, needed: str) -> ApiError:
    message = "This or related resource is in inappropriate status, operation is not allowed"
    payload: dict[str, Any] = {"appropriate_statuses": [needed]}
    return ApiError(409, code, message, payload=payload)
