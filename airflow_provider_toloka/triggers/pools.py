"""Wait for pools on the triggerer, and start DAGs when pools close. Changes nothing at Toloka."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.triggers import BaseEventTrigger
from airflow.triggers.base import TriggerEvent

from airflow_provider_toloka.client.async_client import AsyncTolokaClient
from airflow_provider_toloka.client.backoff import backing_off
from airflow_provider_toloka.client.models import CLOSED, SUCCESS, Operation, Pool
from airflow_provider_toloka.client.parsing import check_id
from airflow_provider_toloka.client.waiting import ends_wait, time_left
from airflow_provider_toloka.client.work import SUBMITTED
from airflow_provider_toloka.exceptions import TolokaApiError
from airflow_provider_toloka.labelling.closing import check_reasons, outcome
from airflow_provider_toloka.polling.pools import PoolPoller
from airflow_provider_toloka.polling.subscription import Cursor
from airflow_provider_toloka.triggers.sharing import read_settings, shared_client
from airflow_provider_toloka.triggers.task import TaskTrigger

_LONGEST_PAUSE = 300.0
#: Airflow starts a run for the first of several simultaneous events. After this many seconds, they are in its database,
#: the last one is reported once more, and the cursor is stored.
_SETTLED = 10.0
UNCHECKED = ("ACTIVE", SUBMITTED)


class PoolTrigger(TaskTrigger):
    """Wait until a pool is closed, or the deadline has passed.

    The trigger always ends with one event: ``{"pool": {…}, "deadline": …, "trouble": …}`` with the pool in its last
    known state, or null; or ``{"error": {…}}`` for an error that ends every wait. All triggers of a connection share
    one list.

    :param toloka_conn_id: the id of the Toloka connection.
    :param pool_id: the pool's id.
    :param reasons: the reasons for closing that count as success; another reason ends the wait, too.
    :param last_started: when the pool was opened, in ISO 8601; None: not yet.
    :param answers_checked: whether to wait until no assignment is ``ACTIVE`` or ``SUBMITTED``.
    :param poll_interval: seconds between two polls.
    :param deadline: when to stop waiting, in seconds since the epoch; None: never.
    :param not_before: when a triggerer may get the event at the earliest; see ``OperationTrigger``.
    """

    def __init__(
        self,
        *,
        toloka_conn_id: str,
        pool_id: str,
        reasons: Sequence[str],
        last_started: str | None = None,
        answers_checked: bool = False,
        poll_interval: float = 60.0,
        deadline: float | None = None,
        not_before: float | None = None,
    ) -> None:
        super().__init__(toloka_conn_id=toloka_conn_id, not_before=not_before)
        self.pool_id = pool_id
        self.reasons = list(reasons)
        self.last_started = last_started
        self.answers_checked = answers_checked
        self.poll_interval = poll_interval
        self.deadline = deadline

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the path of the class, and its arguments as plain JSON values."""
        names = (
            "toloka_conn_id", "pool_id", "reasons", "last_started", "answers_checked", "poll_interval", "deadline",
            "not_before",
        )  # fmt: skip
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def wait(self) -> dict[str, Any]:
        """Return the event of a wait that ended without an error."""

        async def poll(pools: PoolPoller) -> dict[str, Any]:
            pool = await pools.wait_for(
                self.pool_id,
                last_started=datetime.fromisoformat(self.last_started) if self.last_started else None,
                interval=self.poll_interval,
                seconds=None if self.deadline is None else self.deadline - time.time(),
                is_over=lambda one: outcome(one, self.reasons).is_over,
            )
            if self.answers_checked and pool is not None and outcome(pool, self.reasons).is_over:
                await self._until_checked(pools.client)
            return {"pool": pool and _pool_json(pool), "trouble": str(pools.trouble) if pools.trouble else None}

        return await self.with_poller(PoolPoller, poll)

    def always(self) -> dict[str, Any]:
        """Return what every event has, also after an error."""
        return {"deadline": self.deadline}

    async def _until_checked(self, client: AsyncTolokaClient) -> None:
        """Wait until all answers are accepted or rejected, or the deadline has passed."""
        while True:
            try:
                are_left = await client.run(client.api.assignments.are_there(pool_id=self.pool_id, statuses=UNCHECKED))
                if not are_left:
                    return
            except TolokaApiError as error:
                if ends_wait(error):
                    raise
                self.log.warning("Could not poll the assignments of pool %s; still waiting: %s", self.pool_id, error)
            left = time_left(self.deadline, time.time())
            if not left:
                return
            await asyncio.sleep(min(self.poll_interval, left))


class PoolClosedTrigger(BaseEventTrigger):
    """Fire for each pool that closes for any reason, for an ``AssetWatcher`` (API: ``GET /pools``).

    An event is plain JSON: ``{"pool_id", "project_id", "last_close_reason", "closed"}``. The trigger runs as long as
    the watcher exists; errors are logged, and polling continues. Each pool that closes is reported once. Of several
    within a poll, the last one is reported once more ten seconds later: Airflow starts a run for the first event, and
    leaves the others to the next run. On Airflow 3.3, the trigger resumes where it was after a restart; on older
    versions, it starts again.

    Each poll lists the closed pools, 300 per request. If the account has thousands, set ``project_id``.

    :param project_id: the project whose pools are watched; None (default): all pools of the account.
    :param reasons: which reasons for closing fire; None (default): all but ``FOR_UPDATE``, after which Toloka opens the
        pool again.
    :param toloka_conn_id: the id of the Toloka connection; default ``toloka_default``.
    :param poll_interval: seconds between two polls, default 60.
    :param look_back: how many seconds before its start the trigger begins, when no position is stored; default 0.
    :raises ValueError: an argument is invalid.
    """

    def __init__(
        self,
        *,
        project_id: str | None = None,
        reasons: Sequence[str] | None = None,
        toloka_conn_id: str = "toloka_default",
        poll_interval: float = 60.0,
        look_back: float = 0.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.project_id = None if project_id is None else check_id("project_id", project_id)
        self.reasons = None if reasons is None else list(check_reasons(reasons))
        if type(toloka_conn_id) is not str or not toloka_conn_id:
            raise ValueError(f"toloka_conn_id should be the id of a connection, but is {toloka_conn_id!r}.")
        self.toloka_conn_id = toloka_conn_id
        if type(poll_interval) not in (int, float) or not poll_interval > 0:
            raise ValueError(f"poll_interval should be a number of seconds above 0, but is {poll_interval!r}.")
        self.poll_interval = poll_interval
        if type(look_back) not in (int, float) or not look_back >= 0:
            raise ValueError(f"look_back should be a number of seconds, 0 or more, but is {look_back!r}.")
        self.look_back = look_back
        #: Airflow 3.3's state store of the watched asset; None: there is none.
        self._store: Any = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the path of the class, and its arguments as plain JSON values."""
        names = ("project_id", "reasons", "toloka_conn_id", "poll_interval", "look_back")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each pool that closes, without end."""
        pauses = backing_off(self.poll_interval, _LONGEST_PAUSE)
        cursor: Cursor | None = None
        while True:
            try:
                settings = await read_settings(self.toloka_conn_id)
                async with shared_client(settings, self.toloka_conn_id) as client:
                    cursor = cursor or await self._begin(client)
                    closed = await self._closed(client, cursor.since)
                pauses = backing_off(self.poll_interval, _LONGEST_PAUSE)
                new = [pool for pool in closed if cursor.is_new(_as_operation(pool)) and self._is_wanted(pool)]
                for pool in new:
                    self.log.info("Pool %s was closed: %s", pool.id, pool.last_close_reason)
                    yield TriggerEvent(_payload(pool))
                if new:
                    await asyncio.sleep(_SETTLED)
                if len(new) > 1:
                    yield TriggerEvent(_payload(new[-1]))
                await self._keep(cursor)
                await asyncio.sleep(self.poll_interval)
            except Exception as error:  # noqa: BLE001 - a watcher that has ended would stay ended until a restart
                pause = next(pauses)
                self.log.warning(
                    "Could not poll pools over connection %r, trying again in %.1f s: %s: %s",
                    self.toloka_conn_id,
                    pause,
                    type(error).__name__,
                    error,
                )
                await asyncio.sleep(pause)

    async def _closed(self, client: AsyncTolokaClient, since: datetime) -> list[Pool]:
        """Return the pools that have closed since a time, in the order in which they closed."""
        filters = {"status": CLOSED} if self.project_id is None else {"status": CLOSED, "project_id": self.project_id}
        # Pools that closed earlier are not parsed; comparing the day as text is cheap and sufficient.
        day = since.date().isoformat()
        listing = replace(
            client.api.pools.listing(**filters), keep=lambda json: str(json.get("last_stopped") or "") >= day
        )
        found: list[Pool] = await client.run(listing.all())
        closed = [pool for pool in found if pool.last_stopped is not None and pool.last_stopped >= since]
        return sorted(closed, key=lambda pool: str(pool.last_stopped))

    def _is_wanted(self, pool: Pool) -> bool:
        if self.reasons is None:
            return pool.last_close_reason != "FOR_UPDATE"
        return pool.last_close_reason in self.reasons

    async def _begin(self, client: AsyncTolokaClient) -> Cursor:
        """Return the stored cursor, or a new one."""
        self._store = getattr(self, "asset_state_store", None)
        saved: Mapping[str, Any] | None = None
        if self._store is not None:
            try:
                saved = await self._store.aget(self._key)
            except ValueError:
                # One trigger for several assets has no state store.
                self._store = None
        if saved is not None:
            return Cursor.from_json(saved)
        cursor = Cursor(await client.now() - timedelta(seconds=self.look_back))
        if self._store is None:
            self.log.warning(
                "No position is stored: after a restart, the trigger begins %g s (look_back) before its start, and "
                "misses earlier ones. Airflow 3.3 stores it for triggers that watch one asset.",
                self.look_back,
            )
        await self._keep(cursor)
        return cursor

    async def _keep(self, cursor: Cursor) -> None:
        if self._store is not None:
            await self._store.aset(self._key, cursor.to_json())

    @property
    def _key(self) -> str:
        """The cursor's name: an asset may have several watchers."""
        given = (self.toloka_conn_id, self.project_id or "", *sorted(self.reasons or ()))
        return f"PoolClosedTrigger {' '.join(given)}"


def _pool_json(pool: Pool) -> dict[str, Any]:
    times = {name: getattr(pool, name) for name in ("last_started", "last_stopped")}
    return {
        "id": pool.id,
        "project_id": pool.project_id,
        "status": pool.status,
        "last_close_reason": pool.last_close_reason,
        **{name: time and time.isoformat() for name, time in times.items()},
    }


def _as_operation(pool: Pool) -> Operation:
    """Return a pool's closing as an operation for the cursor; a pool may close several times."""
    return Operation(id=f"{pool.id} {pool.last_stopped}", type="POOL.CLOSE", status=SUCCESS, finished=pool.last_stopped)


def _payload(pool: Pool) -> dict[str, Any]:
    return {
        "pool_id": pool.id,
        "project_id": pool.project_id,
        "last_close_reason": pool.last_close_reason,
        "closed": pool.last_stopped and pool.last_stopped.isoformat(),
    }
