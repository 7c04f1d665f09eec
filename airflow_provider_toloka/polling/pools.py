"""Poll pools for all waits of a connection with one list of closed pools. Changes nothing at Toloka.

API: ``GET /pools`` with ``status`` and ``last_started_gte``. The list contains the pools that were opened since the
earliest awaited pool and are closed now. A pool in the list is read again by its id. No wait depends on the list alone:
pools are also read by id in a slow rotation, which is faster while the list fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from airflow_provider_toloka.client.api.calls import Calls
from airflow_provider_toloka.client.api.waits import is_outage
from airflow_provider_toloka.client.async_client import AsyncTolokaClient
from airflow_provider_toloka.client.clock import CLOCKS_APART
from airflow_provider_toloka.client.models import ARCHIVED, CLOSED, Pool
from airflow_provider_toloka.client.resources import POOL
from airflow_provider_toloka.client.retry import RetryPolicy
from airflow_provider_toloka.client.waiting import Outage, ends_wait, time_away
from airflow_provider_toloka.exceptions import TolokaApiError, TolokaAuthenticationError, TolokaNotFoundError
from airflow_provider_toloka.polling.callers import Caller, Callers, Report
from airflow_provider_toloka.polling.looks import UNKNOWN_PAUSE

ROTATION_SECONDS = 300.0
#: How many pools are read in rotation after a list.
ROTATION_SIZE = 20
#: The same after a list that failed.
QUICK_ROTATION_SIZE = 60


@dataclass(eq=False)
class _Wait:
    """A wait for one pool.

    :param since: the pool was opened at this time or later, in Toloka's time.
    :param is_over: decides from a pool whether the wait is over.
    :param due: when it is to be polled, by the event loop's clock.
    :param read_at: when it was last read by id, or joined, by the event loop's clock.
    :param is_listed: whether the list is certain to contain its pool once it is closed.
    """

    pool_id: str
    since: datetime
    interval: float
    is_over: Callable[[Pool], bool]
    due: float
    over: asyncio.Future[Pool]
    read_at: float
    is_listed: bool
    last: Pool | None = None
    times_unknown: int = 0
    #: When an unknown id was last counted.
    unknown_at: float = -math.inf

    def count_unknown(self, now: float) -> None:
        """Count that the id was unknown, at most once in ``UNKNOWN_PAUSE``; read it again after an interval."""
        self.is_listed = False
        if now >= self.unknown_at + UNKNOWN_PAUSE:
            self.times_unknown += 1
            self.unknown_at = now


class PoolPoller:
    """Waits for any number of pools of one account. An async context manager.

    :param client: an entered client of the account.
    :param seconds_per_request: the minimum time per request, in seconds.
    :param few: up to this many waits, each pool is read by its id.
    :param archived_every: after this many lists of closed pools, one of archived pools is read.
    """

    def __init__(
        self,
        client: AsyncTolokaClient,
        *,
        seconds_per_request: float = 1.0,
        few: int = 3,
        archived_every: int = 10,
    ) -> None:
        self.client = client
        self._seconds_per_request = seconds_per_request
        self._few = few
        self._archived_every = archived_every
        self._waits: dict[str, set[_Wait]] = {}
        self._callers = Callers()
        self._joined = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._lists = 0
        #: Whether the last list failed.
        self._is_list_out = False
        #: Whether any response was received.
        self._has_heard = False
        #: Polling retries anyway.
        self._calls = Calls(client.api.settings, RetryPolicy(retries=0, total_wait=0.0))
        self._observer = client.api.observer
        self._outage = Outage("Polling pools", observer=self._observer)
        #: When Toloka last refused the token, in the event loop's time; None: never.
        self.refused_at: float | None = None

    @property
    def trouble(self) -> TolokaApiError | None:
        """Why the last request failed; None: it did not."""
        return self._outage.error

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(work()) for work in (self._work, self._callers.work)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        self._fail_all(RuntimeError("the poller was closed"))

    async def wait_for(
        self,
        pool_id: str,
        *,
        last_started: datetime | None,
        interval: float,
        seconds: float | None,
        is_over: Callable[[Pool], bool],
        on_outage: Report | None = None,
    ) -> Pool | None:
        """Wait until a pool is closed as wanted, or the time is over.

        :param pool_id: the pool's id.
        :param last_started: when it was opened, in Toloka's time; None: not yet.
        :param interval: seconds between two polls, and before the first one.
        :param seconds: how long to wait; None: no limit.
        :param is_over: decides from a pool whether the wait is over.
        :param on_outage: as for ``Poller.wait_for_any``.
        :returns: the pool in its last known state; None: it was never seen.
        :raises TolokaApiError: an error that ends every wait: see ``client/waiting.py``.
        """
        loop, now = asyncio.get_running_loop(), asyncio.get_running_loop().time()
        wait = _Wait(
            pool_id,
            last_started or self.client.api.calls.clock.now() - CLOCKS_APART,
            interval,
            is_over,
            due=now + interval,
            over=loop.create_future(),
            read_at=now,
            is_listed=last_started is not None,
        )
        caller = Caller(on_outage=on_outage)
        self._callers.add(caller, self._outage.line(loop.time()))
        self._waits.setdefault(pool_id, set()).add(wait)
        self._joined.set()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    return await asyncio.shield(wait.over)
            await self._read(wait)
            return wait.over.result() if wait.over.done() else wait.last
        finally:
            self._leave(wait)
            self._callers.remove(caller)

    def _leave(self, wait: _Wait) -> None:
        self._waits[wait.pool_id].discard(wait)
        if not self._waits[wait.pool_id]:
            del self._waits[wait.pool_id]
        wait.over.cancel()
        if not self._waits:
            self._observer.waiting("pools", 0)

    def _all(self) -> list[_Wait]:
        return [wait for waits in self._waits.values() for wait in waits if not wait.over.done()]

    def _fail_all(self, error: Exception) -> None:
        for wait in self._all():
            wait.over.set_exception(error)

    async def _work(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            self._joined.clear()
            waits = self._all()
            first = min((wait.due for wait in waits), default=None)
            if first is None or first > clock():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(first):
                        await self._joined.wait()
                continue
            started = clock()
            self._observer.waiting("pools", len(waits))
            try:
                requests = await self._poll(waits, started)
            except Exception as error:  # noqa: BLE001 - every error has to reach the waits
                self._note_refusal(error)
                self._fail_all(error)
                continue
            # Waits that become due in the meantime share the next list.
            pause = max(requests * self._seconds_per_request - (clock() - started), time_away(self.trouble))
            await asyncio.sleep(max(0.0, pause))

    async def _poll(self, waits: list[_Wait], now: float) -> int:
        """Poll for the waits that are due; return the number of requests."""
        if len(self._waits) <= self._few:
            self._is_list_out = False
            due = [wait for wait in waits if wait.due <= now]
            for wait in due:
                await self._read(wait)
                wait.read_at, wait.due = now, now + wait.interval
            return len(due)
        requests, shown = await self._list(CLOSED, min(wait.since for wait in waits))
        self._lists += not self._is_list_out
        if not self._is_list_out and self._lists % self._archived_every == 0:
            more, archived = await self._list(ARCHIVED, min(wait.since for wait in waits))
            requests, shown = requests + more, shown | archived
        for wait in waits:
            wait.due = now + wait.interval
            if wait.pool_id in shown and not wait.over.done():
                await self._read(wait)
                wait.read_at = now
                requests += 1
        return requests + await self._rotate(waits, now)

    async def _rotate(self, waits: list[_Wait], now: float) -> int:
        """Read the pools that were not read for long, a few per round; return the number of requests."""
        late = sorted((wait for wait in waits if self._is_late(wait, now)), key=lambda wait: wait.read_at)
        requests = 0
        for wait in late[: QUICK_ROTATION_SIZE if self._is_list_out else ROTATION_SIZE]:
            if not wait.over.done():
                requests += 1
                wait.read_at = now
                if not await self._read(wait):
                    break
        return requests

    def _is_late(self, wait: _Wait, now: float) -> bool:
        is_urgent = self._is_list_out or not wait.is_listed
        return wait.read_at + (wait.interval if is_urgent else max(wait.interval, ROTATION_SECONDS)) <= now

    async def _list(self, status: str, since: datetime) -> tuple[int, set[str]]:
        """Read the list of pools with a status; return the number of requests, and the waits for its pools."""
        listing = self._calls.list_all(POOL, {"status": status, "last_started_gte": since})
        listing = replace(listing, keep=lambda json: str(json.get("id")) in self._waits)
        requests, shown, last_id = 0, set[str](), None
        while True:
            requests += 1
            try:
                page = await self.client.run(listing.page(last_id))
            except TolokaApiError as error:
                if ends_wait(error, is_first=not self._has_heard):
                    raise
                self._is_list_out = True
                self._note(error)
                return requests, shown
            self._has_heard = True
            shown |= {pool.id for pool in page.items if pool.id in self._waits}
            last_id = page.last_id
            if last_id is None:
                self._is_list_out = False
                self._heard()
                return requests, shown

    async def _read(self, wait: _Wait) -> bool:
        """Read a pool by id; return whether other reads are likely to succeed."""
        try:
            pool: Pool = await self.client.run(self._calls.get_one(POOL, wait.pool_id, retry=False))
        except TolokaApiError as error:
            if isinstance(error, TolokaNotFoundError):
                wait.count_unknown(asyncio.get_running_loop().time())
            if ends_wait(error, times_unknown=wait.times_unknown, is_first=not self._has_heard):
                self._note_refusal(error)
                if not wait.over.done():
                    wait.over.set_exception(error)
            else:
                self._note(error)
            return not is_outage(error)
        self._has_heard = True
        if not self._is_list_out:
            self._heard()
        wait.times_unknown, wait.last, wait.is_listed = 0, pool, True
        wait.since = min(wait.since, pool.last_started or wait.since)
        try:
            is_over = wait.is_over(pool)
        except Exception as error:  # noqa: BLE001 - a caller's error ends only its own wait
            if not wait.over.done():
                wait.over.set_exception(error)
            return True
        if is_over and not wait.over.done():
            wait.over.set_result(pool)
        return True

    def _note_refusal(self, error: Exception) -> None:
        if isinstance(error, TolokaAuthenticationError):
            self.refused_at = asyncio.get_running_loop().time()

    def _heard(self) -> None:
        self._callers.put(logging.INFO, self._outage.worked(asyncio.get_running_loop().time()))

    def _note(self, trouble: TolokaApiError) -> None:
        self._callers.put(logging.WARNING, self._outage.failed(trouble, asyncio.get_running_loop().time()))
