"""Deadlines, errors and deferrals of this provider's tasks."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import AirflowFailException
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_toloka._durations import optional_seconds
from airflow_provider_toloka._settling import settling_seconds
from airflow_provider_toloka.client.backoff import BEFORE_DEFERRING
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.client.waiting import in_time, time_left
from airflow_provider_toloka.exceptions import TolokaError, TolokaTimeoutError, error_from_json

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from airflow_provider_toloka.client.sansio import Flow
    from airflow_provider_toloka.triggers.toloka import OperationTrigger

T = TypeVar("T")
log = logging.getLogger(__name__)

#: What an operator returns when the object was already in the wanted state, so that there is no operation to wait for.
#: It cannot be an id; ``OperationSensor`` accepts it.
ALREADY_DONE = "already done"
#: What an operator returns with ``on_conflict="skip"`` when the project can be archived only in a few days.
POSTPONED = "postponed"
#: Airflow ends a deferral this many seconds after its trigger should have ended it, so that no task stays deferred
#: forever without a triggerer.
GRACE = 120.0
#: Airflow 2 fails a task at its ``execution_timeout`` without resuming it: the wait ends this part earlier, at most
#: this many seconds.
_MARGIN_PART = 0.1
_LONGEST_MARGIN = 30.0


class failing_at_once:  # noqa: N801 - used like a function
    """Fail the task immediately, without retries, for invalid arguments and permanent errors.

    The message says what to do. The traceback, and the errors that led to this one, would push the message off the
    screen, so they are logged at DEBUG only. A generator with ``contextlib.contextmanager`` must not enclose this:
    it restores the traceback.

    :param permanent: classes of errors that are permanent for this task, besides those with ``is_permanent``.
    """

    def __init__(self, *permanent: type[TolokaError]) -> None:
        self._permanent = permanent

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        # A ValueError is about an argument or a setting; its subclasses, such as a JSONDecodeError, may be transient.
        if not isinstance(error, TolokaError) and type(error) is not ValueError:
            return
        log.debug("The traceback of the error", exc_info=error)
        if isinstance(error, TolokaError) and not (error.is_permanent or isinstance(error, self._permanent)):
            error.__traceback__ = None
            raise error from None
        raise AirflowFailException(_told(error)) from None


def _told(error: TolokaError | ValueError) -> str:
    """Return the error's text, with the remedy on a line of its own."""
    text, remedy = str(error), getattr(error, "remedy", "")
    before, found, after = text.partition(f" {remedy}")
    return f"{before}{after}\n{remedy}" if remedy and found else text


@dataclass(frozen=True, slots=True)
class Deadline:
    """The time at which a task stops waiting.

    :param at: in seconds since the epoch; None: never.
    :param limit: the argument that set the deadline.
    :param paused_for: why the task paused before it was resumed; None: it did not pause.
    """

    at: float | None
    limit: str = "timeout"
    paused_for: str | None = None

    @classmethod
    def of_try(
        cls, task: BaseOperator, context: Context, timeout: Any, clock: Callable[[], float] = time.time
    ) -> Deadline:
        """Return the deadline of the try that begins now.

        ``execution_timeout`` counts from the start of the try and bounds a deferral too, which Airflow 3 does not do
        by itself.

        :param task: the task, for its ``execution_timeout``.
        :param context: the task's context.
        :param timeout: the task's own limit: a duration, or None.
        :raises ValueError: it is not a duration.
        """
        now = clock()
        own = optional_seconds("timeout", timeout)
        limits = [] if own is None else [cls(now + own)]
        if task.execution_timeout is not None:
            started: Any = getattr(context.get("ti"), "start_date", None)
            begin = min(now, started.timestamp()) if started else now
            allowed = task.execution_timeout.total_seconds()
            if not AIRFLOW_V_3_0_PLUS:
                allowed -= min(_MARGIN_PART * allowed, _LONGEST_MARGIN)
            limits.append(cls(begin + allowed, "execution_timeout"))
        return min(limits, key=lambda one: one.at or 0.0, default=cls(None))

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> Deadline:
        """Return the deadline that a trigger's event carries."""
        paused_for = (event.get("carry") or {}).get("paused_for")
        return cls(event.get("deadline"), event.get("limit") or "timeout", paused_for)

    def left(self) -> float:
        """Return the seconds that are left; 0: the deadline has passed."""
        return time_left(self.at, time.time())

    def error(self, reason: str) -> TolokaTimeoutError:
        """Return the error for a task that has waited too long.

        :param reason: what the task waited for.
        """
        return TolokaTimeoutError(
            f"Timed out ({self.limit}): {reason.rstrip('.')}. Clear the task to resume waiting, or increase "
            f"{self.limit}."
        )

    def bounds(self, flow: Flow[T], reason: str | None) -> Flow[T]:
        """Run a flow, but change nothing after the deadline.

        :param flow: the flow.
        :param reason: why the task has paused, for the message; None: it did not pause.
        :returns: the flow's result.
        :raises TolokaTimeoutError: a change is missing, and the deadline has passed.
        """
        return in_time(flow, self.at, lambda: self.error(reason or "the deadline passed before the next change"))

    @property
    def for_deferral(self) -> timedelta | None:
        """The time after which Airflow itself ends the deferral, a little later than the deadline."""
        return None if self.at is None else timedelta(seconds=self.left() + GRACE)


def operations_of(event: Mapping[str, Any]) -> dict[str, Operation | None]:
    """Return the operations in an ``OperationTrigger``'s event.

    :param event: its event.
    :returns: by id, each operation in its last known state; None: it was never seen.
    :raises TolokaError: the error that ended the wait, in its own class.
    """
    error = event.get("error")
    if isinstance(error, Mapping):
        raise error_from_json(error)
    if error:
        raise TolokaError(str(error))
    return {id_: Operation.from_json(json) if json else None for id_, json in event["operations"].items()}


def operation_trigger(
    toloka_conn_id: str,
    operations: Sequence[Operation],
    *,
    poll_interval: float,
    deadline: Deadline,
    groups: Mapping[str, Sequence[str]] | None = None,
    **more: Any,
) -> OperationTrigger:
    """Return a trigger for operations that were unfinished after polling them for ``BEFORE_DEFERRING`` seconds.

    :param toloka_conn_id: the id of the Toloka connection.
    :param operations: the operations to wait for; none: the trigger pauses for one interval.
    :param poll_interval: the longest interval between two polls, in seconds.
    :param deadline: when to stop waiting.
    :param groups: by any name, ids of operations that belong together; the wait ends when the first group has ended.
    :param more: further arguments of the trigger.
    """
    # Imported here because this import doubles the time that parsing a DAG file takes.
    from airflow_provider_toloka.triggers.toloka import OperationTrigger

    return OperationTrigger(
        toloka_conn_id=toloka_conn_id,
        operation_ids=[] if groups else [operation.id for operation in operations],
        groups=groups,
        submitted=first_submitted(operations),
        poll_interval=min(BEFORE_DEFERRING, poll_interval) if operations else poll_interval,
        longest_interval=poll_interval,
        deadline=deadline.at,
        limit=deadline.limit,
        not_before=time.time() + settling_seconds(),
        **more,
    )


def first_submitted(operations: Sequence[Operation]) -> str | None:
    """Return the argument ``submitted`` of an ``OperationTrigger``.

    :param operations: the operations to wait for.
    """
    times = [operation.submitted for operation in operations if operation.submitted]
    return min(times).isoformat() if times and len(times) == len(operations) else None
