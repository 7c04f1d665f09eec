"""Start DAGs when operations finish at Toloka, no matter who started them. Changes nothing at Toloka."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.triggers import BaseEventTrigger
from airflow.triggers.base import TriggerEvent

from airflow_provider_toloka.client.backoff import backing_off
from airflow_provider_toloka.client.models import FAIL, SUCCESS, Operation
from airflow_provider_toloka.client.resources import WITH_A_PAGE
from airflow_provider_toloka.polling.poller import Poller
from airflow_provider_toloka.polling.subscription import Cursor
from airflow_provider_toloka.triggers.sharing import read_settings, shared_poller

LONGEST_PAUSE = 300.0

_TYPE = re.compile(r"[A-Z_]+(\.[A-Z_]+)?", re.ASCII)


class OperationFinishedTrigger(BaseEventTrigger):
    """Fire for each operation that finishes on the account, for an ``AssetWatcher`` (API: ``GET /operations``).

    An event is plain JSON: ``{"operation_id", "type", "status", "finished", "project_id", "pool_id", "training_id"}``;
    of the last three, those that the operation does not contain are null. The trigger runs as long as the watcher
    exists; errors are logged, and polling continues. Each operation is reported once. On Airflow 3.3, the trigger
    resumes where it was after a restart, and may report the operations of the last seconds before a crash twice; on
    older versions, it starts again.

    :param operation_types: the types to report, such as ``["POOL.CLOSE"]``.
    :param statuses: the final statuses to report: ``SUCCESS``, ``FAIL``, or both; default ``("SUCCESS",)``.
    :param toloka_conn_id: the id of the Toloka connection; default ``toloka_default``.
    :param poll_interval: seconds between two polls, which all triggers of a connection share; default 10.
    :param look_back: how many seconds before its start the trigger begins, when no position is stored; default 0.
    :param repeat_last: whether the last of several operations that finish within ``settle_seconds`` is reported once
        more; default False. Airflow starts one run for the first of several simultaneous events, and leaves the others
        to the next run; the repeated event starts that run.
    :param settle_seconds: how long Airflow may take to store events and start runs for them; default 10. The position
        is stored that much later.
    :raises ValueError: an argument is invalid.
    """

    def __init__(
        self,
        *,
        operation_types: Sequence[str],
        statuses: Sequence[str] = (SUCCESS,),
        toloka_conn_id: str = "toloka_default",
        poll_interval: float = 10.0,
        look_back: float = 0.0,
        repeat_last: bool = False,
        settle_seconds: float = 10.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operation_types = _texts("operation_types", operation_types)
        for one in self.operation_types:
            if not _TYPE.fullmatch(one):
                raise ValueError(f"operation_types should be types of operations such as POOL.CLOSE, but has {one!r}.")
        self.statuses = _texts("statuses", statuses)
        if not {*self.statuses} <= {SUCCESS, FAIL}:
            raise ValueError(f"statuses should be of SUCCESS and FAIL, but is {statuses!r}.")
        if type(toloka_conn_id) is not str or not toloka_conn_id:
            raise ValueError(f"toloka_conn_id should be the id of a connection, but is {toloka_conn_id!r}.")
        self.toloka_conn_id = toloka_conn_id
        if type(poll_interval) not in (int, float) or not poll_interval > 0:
            raise ValueError(f"poll_interval should be a number of seconds above 0, but is {poll_interval!r}.")
        self.poll_interval = poll_interval
        if type(look_back) not in (int, float) or not look_back >= 0:
            raise ValueError(f"look_back should be a number of seconds, 0 or more, but is {look_back!r}.")
        self.look_back = look_back
        if type(repeat_last) is not bool:
            raise ValueError(f"repeat_last should be True or False, but is {repeat_last!r}.")
        self.repeat_last = repeat_last
        if type(settle_seconds) not in (int, float) or not settle_seconds >= 0:
            raise ValueError(f"settle_seconds should be a number of seconds, 0 or more, but is {settle_seconds!r}.")
        self.settle_seconds = settle_seconds
        #: Airflow 3.3's state store of the watched asset; None: there is none.
        self._store: Any = None
        self._cursor: Cursor | None = None
        #: The cursor to store, and when to store it.
        self._unsaved: tuple[float, dict[str, Any]] | None = None
        self._saved: dict[str, Any] | None = None
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

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each operation, without end."""
        pauses = backing_off(self.poll_interval, LONGEST_PAUSE)
        since = None
        while True:
            try:
                # No pauses: this loop has its own.
                settings = await read_settings(self.toloka_conn_id, since=since, pauses=())
                async with shared_poller(settings, self.toloka_conn_id, Poller) as poller:
                    if self._cursor is None:
                        self._cursor = await self._begin(poller)
                    with poller.listen(self._cursor.since, self.poll_interval, self._log_outage) as listener:
                        while True:
                            operations = await listener.news()
                            pauses = backing_off(self.poll_interval, LONGEST_PAUSE)
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
                                await self._keep(self._cursor)
            except Exception as error:  # noqa: BLE001 - a watcher that has ended would stay ended until a restart
                pause = next(pauses)
                self.log.warning(
                    "Could not watch operations over connection %r, trying again in %.1f s: %s: %s",
                    self.toloka_conn_id,
                    pause,
                    type(error).__name__,
                    error,
                )
                await asyncio.sleep(pause)
                since = asyncio.get_running_loop().time()

    def _log_outage(self, level: int, line: str) -> None:
        self.log.log(level, "%s", line)

    @property
    def _has_settled(self) -> bool:
        return time.monotonic() >= self._fired + self.settle_seconds

    def _is_wanted(self, operation: Operation) -> bool:
        return operation.type in self.operation_types and operation.status in self.statuses

    async def _begin(self, poller: Poller) -> Cursor:
        """Return the stored cursor, or a new one."""
        self._store = getattr(self, "asset_state_store", None)
        if self._store is not None:
            try:
                self._saved = await self._store.aget(self._key)
            except ValueError:
                # One trigger for several assets has no state store.
                self._store = None
        if self._saved is not None:
            return Cursor.from_json(self._saved)
        cursor = Cursor(await poller.now() - timedelta(seconds=self.look_back))
        if self._store is None:
            self.log.warning(
                "No position is stored: after a restart, the trigger begins %g s (look_back) before its start, and "
                "misses earlier operations. Airflow 3.3 stores it for triggers that watch one asset: give triggers of "
                "several assets different arguments, such as a different poll_interval.",
                self.look_back,
            )
        else:
            await self._save(cursor.to_json())
        return cursor

    async def _keep(self, cursor: Cursor) -> None:
        """Store the cursor in Airflow, once the events up to there are certainly in its database."""
        if self._store is None:
            return
        if self._unsaved is not None and time.monotonic() >= self._unsaved[0]:
            await self._save(self._unsaved[1])
            self._unsaved = None
        state = cursor.to_json()
        if self._unsaved is None and state != self._saved:
            self._unsaved = (time.monotonic() + self.settle_seconds, state)

    async def _save(self, state: dict[str, Any]) -> None:
        await self._store.aset(self._key, state)
        self._saved = state

    @property
    def _key(self) -> str:
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
        **{name: value if isinstance(value, str) else None for name, value in named.items()},
    }
