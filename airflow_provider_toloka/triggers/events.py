"""Start DAGs when operations finish at Toloka, no matter who started them. Changes nothing at Toloka."""

from __future__ import annotations

import math
import re
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from airflow.triggers.base import TriggerEvent

from airflow_provider_toloka._durations import Duration
from airflow_provider_toloka.client.models import FAIL, SUCCESS, Operation
from airflow_provider_toloka.client.resources import WITH_A_PAGE
from airflow_provider_toloka.polling.poller import Poller
from airflow_provider_toloka.polling.subscription import Cursor
from airflow_provider_toloka.triggers.sharing import read_settings, shared_poller
from airflow_provider_toloka.triggers.watching import WatchingTrigger

_TYPE = re.compile(r"[A-Z_]+(\.[A-Z_]+)?", re.ASCII)


class OperationFinishedTrigger(WatchingTrigger):
    """Fire for each operation that finishes on the account, for an ``AssetWatcher`` (API: ``GET /operations``).

    An event is plain JSON: ``{"operation_id", "type", "status", "finished", "project_id", "pool_id", "training_id"}``;
    of the last three, those that the operation does not contain are null. The trigger runs as long as the watcher
    exists; errors are logged, and polling continues. Each operation is reported once. On Airflow 3.3, the trigger
    resumes where it was after a restart, and may report the operations of the last seconds before a crash twice; on
    older versions, it starts again. All triggers of a connection share their polls.

    :param operation_types: a list of the types to report: ``PROJECT.ARCHIVE``, ``POOL.OPEN``, ``POOL.CLOSE``,
        ``POOL.ARCHIVE``, ``POOL.CLONE``, the same four of ``TRAINING``, ``TASK.BATCH_CREATE``,
        ``TASK_SUITE.BATCH_CREATE``, ``USER_BONUS.BATCH_CREATE``, ``SOLUTION.AGGREGATE``, ``ANALYTICS``.
    :param statuses: the final statuses to report: ``SUCCESS``, ``FAIL``, or both.
    :raises ValueError: an argument is invalid.
    """

    subject = "operations"

    def __init__(
        self,
        *,
        operation_types: Sequence[str],
        statuses: Sequence[str] = ("SUCCESS",),
        toloka_conn_id: str = "toloka_default",
        poll_interval: Duration = 10.0,
        look_back: Duration = 0.0,
        repeat_last: bool = False,
        settle_seconds: Duration = 10.0,
    ) -> None:
        super().__init__(
            toloka_conn_id=toloka_conn_id,
            poll_interval=poll_interval,
            look_back=look_back,
            repeat_last=repeat_last,
            settle_seconds=settle_seconds,
        )
        self.operation_types = _texts("operation_types", operation_types)
        for one in self.operation_types:
            if not _TYPE.fullmatch(one):
                raise ValueError(f"operation_types should be types of operations such as POOL.CLOSE, but has {one!r}.")
        self.statuses = _texts("statuses", statuses)
        if not {*self.statuses} <= {SUCCESS, FAIL}:
            raise ValueError(f"statuses should be of SUCCESS and FAIL, but is {statuses!r}.")
        self._cursor: Cursor | None = None
        self._fired = -math.inf
        #: The last of several simultaneous events, if it has to be reported once more.
        self._again: TriggerEvent | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the path of the class, and its arguments as plain JSON values."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "operation_types": self.operation_types,
                "statuses": self.statuses,
                "toloka_conn_id": self.toloka_conn_id,
                "poll_interval": self.poll_interval,
                "look_back": self.look_back,
                "repeat_last": self.repeat_last,
                "settle_seconds": self.settle_seconds,
            },
        )

    async def watch(self) -> AsyncGenerator[TriggerEvent, None]:
        """Yield an event for each operation."""
        # No pauses: the base class has its own.
        settings = await read_settings(self.toloka_conn_id, since=self.failed_at, pauses=())
        async with shared_poller(settings, self.toloka_conn_id, Poller) as poller:
            if self._cursor is None:
                self._cursor = await self.begin(poller.now)
            with poller.listen(self._cursor.since, self.poll_interval, self._log_outage) as listener:
                while True:
                    operations = await listener.news()
                    self.works()
                    for operation in operations:
                        if self._cursor.is_new(operation) and self._is_wanted(operation):
                            self.log.info("Toloka's %s", operation.summary)
                            event = TriggerEvent(_payload(operation))
                            self._again = event if self.repeat_last and not self._has_settled else None
                            self._fired = time.monotonic()
                            yield event
                    if self._again and self._has_settled:
                        self._fired = time.monotonic()
                        yield self._again
                        self._again = None
                    if not self._again:
                        await self.keep(self._cursor)

    def _log_outage(self, level: int, line: str) -> None:
        self.log.log(level, "%s", line)

    @property
    def _has_settled(self) -> bool:
        return time.monotonic() >= self._fired + self.settle_seconds

    def _is_wanted(self, operation: Operation) -> bool:
        return operation.type in self.operation_types and operation.status in self.statuses

    @property
    def key(self) -> str:
        """The cursor's name: an asset may have several watchers."""
        given = (self.toloka_conn_id, *sorted(self.operation_types), *sorted(self.statuses))
        return f"OperationFinishedTrigger {' '.join(given)}"


def _texts(name: str, given: Any) -> list[str]:
    if isinstance(given, str) or not isinstance(given, Sequence) or not given:
        raise ValueError(f"{name} should be a list of at least one text, but is {given!r}.")
    for one in given:
        if not isinstance(one, str):
            raise ValueError(f"{name} should be a list of texts, but has {one!r}.")
    return list(given)


def _payload(operation: Operation) -> dict[str, Any]:
    named = {name: operation.parameters.get(name) for name in (resource.id_param for resource in WITH_A_PAGE.values())}
    return {
        "operation_id": operation.id,
        "type": operation.type,
        "status": operation.status,
        "finished": operation.finished.isoformat() if operation.finished else None,
        **{name: str(value) if type(value) in (str, int) else None for name, value in named.items()},
    }
