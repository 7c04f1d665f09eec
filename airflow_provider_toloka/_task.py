"""What a task of this provider needs of Airflow: a deadline that holds over tries, and errors that end it at once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowNotFoundException
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_toloka._settling import settling_seconds
from airflow_provider_toloka._text import shown
from airflow_provider_toloka.client.backoff import BEFORE_DEFERRING
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.exceptions import TolokaAuthenticationError, TolokaNotFoundError, TolokaRequestError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_toloka.triggers.toloka import OperationTrigger

_STARTED = "toloka_wait_started"


@contextmanager
def failing_at_once() -> Iterator[None]:
    """Fail the task without using up its retries, when no retry can mend the error."""
    try:
        yield
    except (
        TolokaAuthenticationError,
        TolokaNotFoundError,
        TolokaRequestError,
        AirflowNotFoundException,
        ValueError,
    ) as error:
        raise AirflowFailException(str(error)) from error


def seconds(duration: float | timedelta) -> float:
    """Give a duration in seconds."""
    return duration.total_seconds() if isinstance(duration, timedelta) else duration


def require_positive(name: str, duration: float | timedelta) -> None:
    """Raise a :class:`ValueError` for a duration that is none, or not above 0.

    :param name: the parameter that holds it, for the error.
    :param duration: seconds, or a timedelta.
    """
    if type(duration) not in (int, float, timedelta) or not seconds(duration) > 0:
        raise ValueError(f"{name} should be a number of seconds above 0, or a timedelta, but is {shown(duration)}.")


def first_started(context: Context) -> float:
    """Tell when the task's first try since it was last cleared began, in seconds since the epoch.

    Airflow 3.3 keeps it in the task's own state store, 2.11 in the history of its tries. Airflow 3.0 to 3.2 tell a
    task nothing of its former tries: there, each try counts from its own start.

    :param context: the task's.
    """
    ti: Any = context["ti"]
    now = time.time()
    # Clearing a task raises max_tries, so this number tells one series of tries from the next.
    first_try = ti.max_tries - (context["task"].retries or 0) + 1
    store: Any = context.get("task_state_store")
    if store is not None:
        kept = store.get(_STARTED)
        if kept and kept["first_try"] == first_try:
            return float(kept["started"])
        store.set(_STARTED, {"first_try": first_try, "started": now})
        return now
    if not AIRFLOW_V_3_0_PLUS and ti.try_number > first_try:
        return _start_of_try(ti, first_try) or now
    return now


def _start_of_try(ti: Any, try_number: int) -> float | None:
    from airflow.models.taskinstancehistory import TaskInstanceHistory
    from airflow.utils.session import create_session

    with create_session() as session:
        started = (
            session.query(TaskInstanceHistory.start_date)
            .filter_by(
                dag_id=ti.dag_id,
                task_id=ti.task_id,
                run_id=ti.run_id,
                map_index=ti.map_index,
                try_number=try_number,
            )
            .scalar()
        )
    return started.timestamp() if started else None


def operations_of(event: Mapping[str, Any]) -> dict[str, Operation | None]:
    """Read the event of an ``OperationTrigger``.

    :param event: the event.
    :returns: by id, what is known of each operation, finished or not; None: it was never seen.
    :raises AirflowFailException: the wait met what no waiting mends.
    """
    if "error" in event:
        raise AirflowFailException(event["error"])
    return {id_: Operation.from_json(json) if json else None for id_, json in event["operations"].items()}


def operation_trigger(
    toloka_conn_id: str, operations: Sequence[Operation], *, poll_interval: float, deadline: float, **more: Any
) -> OperationTrigger:
    """Make the trigger for what a worker has looked at in vain, for as long as ``BEFORE_DEFERRING``.

    :param toloka_conn_id: the id of the Toloka connection.
    :param operations: those to wait for; none: it pauses for one interval.
    :param poll_interval: the seconds between two looks that it comes to.
    :param deadline: when to give up, in seconds since the epoch.
    :param more: further arguments of the trigger.
    """
    # Imported here, because it costs every parse of a DAG file as much as all the rest.
    from airflow_provider_toloka.triggers.toloka import OperationTrigger

    return OperationTrigger(
        toloka_conn_id=toloka_conn_id,
        operation_ids=[operation.id for operation in operations],
        submitted=first_submitted(operations),
        poll_interval=min(BEFORE_DEFERRING, poll_interval) if operations else poll_interval,
        longest_interval=poll_interval,
        deadline=deadline,
        not_before=time.time() + settling_seconds(),
        **more,
    )


def first_submitted(operations: Sequence[Operation]) -> str | None:
    """Give the argument ``submitted`` of an ``OperationTrigger``.

    :param operations: the operations to wait for.
    """
    times = [operation.submitted for operation in operations if operation.submitted]
    return min(times).isoformat() if times and len(times) == len(operations) else None
