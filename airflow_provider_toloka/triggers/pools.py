"""Wait for pools on the triggerer, and start DAGs when pools close. Changes nothing at Toloka."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from airflow.triggers.base import TriggerEvent

from airflow_provider_toloka._durations import Duration
from airflow_provider_toloka.client.async_client import AsyncTolokaClient
from airflow_provider_toloka.client.models import CLOSED, SUCCESS, Operation, Pool
from airflow_provider_toloka.client.parsing import check_id
from airflow_provider_toloka.client.waiting import Outage, ends_wait, time_left
from airflow_provider_toloka.client.work import SUBMITTED
from airflow_provider_toloka.exceptions import TolokaApiError
from airflow_provider_toloka.labelling.closing import check_reasons, outcome
from airflow_provider_toloka.polling.pools import PoolPoller
from airflow_provider_toloka.polling.subscription import Cursor
from airflow_provider_toloka.triggers.sharing import read_settings, shared_client
from airflow_provider_toloka.triggers.task import TaskTrigger
from airflow_provider_toloka.triggers.watching import WatchingTrigger

UNCHECKED = ("ACTIVE", SUBMITTED)
#: A pool may appear in the list of closed pools this long after it closed.
LIST_LAG = timedelta(seconds=60)


class PoolTrigger(TaskTrigger[PoolPoller]):
    """Wait until a pool is closed, or the deadline has passed.

    The trigger always ends with one event: ``{"pool": {…}, "checked": …, "deadline": …, "limit": …, "trouble": …}``
    with the pool in its last known state, or null, and whether all of its answers were seen to be checked; or
    ``{"error": {…}}`` for an error that ends every wait. All triggers of a connection share one list.

    :param pool_id: the pool's id.
    :param reasons: the reasons for closing that count as success; another reason ends the wait, too.
    :param last_started: when the pool was opened, in ISO 8601; None: not yet.
    :param answers_checked: whether to wait until no assignment is ``ACTIVE`` or ``SUBMITTED``.
    :param poll_interval: seconds between two polls.
    :param deadline: when to stop waiting, in seconds since the epoch; None: never.
    :param limit: the name of the argument that set the deadline, for error messages; returned in the event.
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
        limit: str = "timeout",
        not_before: float | None = None,
    ) -> None:
        super().__init__(toloka_conn_id=toloka_conn_id, not_before=not_before)
        self.pool_id = pool_id
        self.reasons = list(reasons)
        self.last_started = last_started
        self.answers_checked = answers_checked
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.limit = limit

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the path of the class, and its arguments as plain JSON values."""
        names = (
            "toloka_conn_id", "pool_id", "reasons", "last_started", "answers_checked", "poll_interval", "deadline",
            "limit", "not_before",
        )  # fmt: skip
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    def wait(self) -> Awaitable[dict[str, Any]]:
        """Return the event of a wait that ended without an error."""
        return self.with_poller(PoolPoller)

    async def poll(self, poller: PoolPoller) -> dict[str, Any]:
        """Wait with a poller, and return the event.

        :param poller: the poller of the connection.
        """
        pool = await poller.wait_for(
            self.pool_id,
            last_started=datetime.fromisoformat(self.last_started) if self.last_started else None,
            interval=self.poll_interval,
            seconds=None if self.deadline is None else self.deadline - time.time(),
            is_over=lambda one: outcome(one, self.reasons).is_over,
            on_outage=self.log_outage,
        )
        trouble, is_checked = poller.trouble, False
        if self.answers_checked and pool is not None and outcome(pool, self.reasons).is_over:
            trouble, is_checked = await self._until_checked(poller.client)
        return {
            "pool": pool and _pool_json(pool),
            "checked": is_checked,
            "trouble": str(trouble) if trouble else None,
        }

    def always(self) -> dict[str, Any]:
        """Return what every event has, also after an error."""
        return {"deadline": self.deadline, "limit": self.limit}

    async def _until_checked(self, client: AsyncTolokaClient) -> tuple[TolokaApiError | None, bool]:
        """Wait until all answers are accepted or rejected, or the deadline has passed.

        :returns: why the last poll failed, if it did, and whether all answers are checked.
        """
        outage = Outage(f"Polling the assignments of pool {self.pool_id}", observer=client.api.observer)
        while True:
            try:
                are_left = await client.run(client.api.assignments.are_there(pool_id=self.pool_id, statuses=UNCHECKED))
            except TolokaApiError as error:
                if ends_wait(error):
                    raise
                if line := outage.failed(error, time.monotonic()):
                    self.log_outage(logging.WARNING, line)
            else:
                if line := outage.worked(time.monotonic()):
                    self.log_outage(logging.INFO, line)
                if not are_left:
                    return None, True
            left = time_left(self.deadline, time.time())
            if not left:
                return outage.error, False
            await asyncio.sleep(min(self.poll_interval, left))


class PoolClosedTrigger(WatchingTrigger):
    """Fire for each pool that closes for any reason, for an ``AssetWatcher`` (API: ``GET /pools``).

    An event is plain JSON: ``{"pool_id", "project_id", "last_close_reason", "closed"}``. The trigger runs as long as
    the watcher exists; errors are logged, and polling continues. Each pool that closes is reported once. On Airflow
    3.3, the trigger resumes where it was after a restart, and may report the pools of the last seconds before a crash
    twice; on older versions, it starts again.

    Each poll lists the closed pools, 300 per request. If the account has thousands, set ``project_id``.

    :param project_id: the project whose pools are watched; None: all pools of the account.
    :param reasons: which reasons for closing fire; None: all but ``FOR_UPDATE``, after which Toloka opens the pool
        again.
    :raises ValueError: an argument is invalid.
    """

    subject = "pools"

    def __init__(
        self,
        *,
        project_id: str | None = None,
        reasons: Sequence[str] | None = None,
        toloka_conn_id: str = "toloka_default",
        poll_interval: Duration = 60.0,
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
        self.project_id = None if project_id is None else check_id("project_id", project_id)
        self.reasons = None if reasons is None else list(check_reasons(reasons))
        self._cursor: Cursor | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the path of the class, and its arguments as plain JSON values."""
        names = (
            "project_id", "reasons", "toloka_conn_id", "poll_interval", "look_back", "repeat_last", "settle_seconds",
        )  # fmt: skip
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def watch(self) -> AsyncGenerator[TriggerEvent, None]:
        """Yield an event for each pool that has closed since the last poll."""
        # No pauses: the base class has its own.
        settings = await read_settings(self.toloka_conn_id, since=self.failed_at, pauses=())
        async with shared_client(settings, self.toloka_conn_id) as client:
            if self._cursor is None:
                self._cursor = await self.begin(client.now)
            # The list is read page by page: a pool on an earlier page may close while a later page is read.
            complete = await client.now() - LIST_LAG
            closed = await self._closed(client, self._cursor.since)
        self.works()
        cursor = self._cursor
        new = [pool for pool in closed if cursor.is_new(_as_operation(pool), until=complete) and self._is_wanted(pool)]
        for pool in new:
            self.log.info("Pool %s was closed: %s", pool.id, pool.last_close_reason)
            yield TriggerEvent(_payload(pool))
        if len(new) > 1 and self.repeat_last:
            await asyncio.sleep(self.settle_seconds)
            yield TriggerEvent(_payload(new[-1]))
        await self.keep(cursor)
        await asyncio.sleep(self.poll_interval)

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

    @property
    def key(self) -> str:
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
