"""Open a pool or a training once. No I/O.

API: ``POST /pools/{id}/open``, ``/trainings/{id}/open``. A small pool may complete and close before a retry reads it;
opening it again because it "is not open" would pay twice. A pool therefore counts as done if it was opened.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_toloka.client.api.calls import Calls
from airflow_provider_toloka.client.api.changes import Changes
from airflow_provider_toloka.client.clock import CLOCKS_APART, http_date
from airflow_provider_toloka.client.models import ARCHIVED, OPEN, Operation, Pool, Training
from airflow_provider_toloka.client.parsing import check_id
from airflow_provider_toloka.client.resources import Change
from airflow_provider_toloka.client.sansio import Flow, Response
from airflow_provider_toloka.exceptions import TolokaConflictError

#: The ``Date`` header has whole seconds, and the time may be from another machine: the scheduler sets a run's start.
_INEXACT = timedelta(minutes=1)

_REMEDIES = {
    "EMPTY_POOL": "it has no tasks. Add tasks first, with TolokaAddTasksOperator",
    "NOT_ENOUGH_BALANCE": "the account's balance is too low. Top it up, then clear the task",
    "MIXER_CONFIG_REQUIRED": "it has no mixer_config, so its tasks are in no suites. Create a pool with mixer_config",
}


def open_it(
    calls: Calls, changes: Changes, change: Change, object_id: str, opened_since: datetime | None
) -> Flow[Operation | None]:
    """Open a pool or a training.

    :param opened_since: an object that was opened after this time, by this machine's clock, is not opened again, even
        if it has closed since; without a zone, it is in UTC; None: only an open one is not.
    :returns: the operation, which may have been submitted before, or be finished; None: it was already open.
    :raises TolokaConflictError: it cannot be opened; the message has the remedy.
    """
    resource = change.resource
    object_id = check_id(resource.id_param, object_id)
    found, answer = yield from calls.get_one_dated(resource, object_id)
    since = None if opened_since is None else by_their_clock(opened_since, answer)

    def is_done(one: Pool | Training) -> bool:
        if one.status == ARCHIVED:
            raise TolokaConflictError(
                f"Could not open {resource.kind} {object_id}: it is ARCHIVED, and cannot be restored. "
                f"Create another {resource.kind}."
            )
        was_opened = since is not None and one.last_started is not None and one.last_started >= since
        # Opened since this call began: by a request whose response was lost, or by somebody else.
        return one.status == OPEN or was_opened or one.last_started != found.last_started

    if is_done(found) and since is not None:
        return (yield from changes.find(change, object_id, {"type": change.operation_type, "submitted_gte": since}))
    try:
        return (yield from changes.make(change, object_id, done_when=is_done))
    except TolokaConflictError as error:
        raise _explained(error) from None


def by_their_clock(time: datetime, answer: Response) -> datetime:
    """Convert a time of this machine's clock to Toloka's clock, rounded down.

    :param time: the time; without a zone, it is in UTC.
    :param answer: a response with Toloka's time in its ``Date`` header.
    """
    time = time.replace(tzinfo=time.tzinfo or UTC)
    theirs = http_date(answer.headers.get("date", ""))
    if theirs is None:
        return time - CLOCKS_APART
    return time + timedelta(seconds=theirs - answer.received) - _INEXACT


def _explained(error: TolokaConflictError) -> TolokaConflictError:
    """Return the error with its remedy, if one is known."""
    remedy = _REMEDIES.get(error.code or "")
    if remedy is None:
        return error
    facts: dict[str, Any] = {
        name: getattr(error, name) for name in ("status", "code", "message", "request_id", "payload", "retry_after")
    }
    summary = error.summary.rpartition(": ")[0] or error.summary
    return type(error)(f"{summary}: {remedy}.", **facts)
