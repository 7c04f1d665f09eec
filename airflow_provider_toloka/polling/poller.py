"""One poller for all waits of a connection: ten thousand waits cost hardly more requests than one.

While there are few waits, each operation is looked at by its id. Beyond that, one list of what has finished lately
serves them all, at the pace of the wait that is due first. So that no wait depends on the list alone, operations are
looked at by id too, in a slow rotation. Listeners, who want to hear of whatever finishes, share that list.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Self

from airflow_provider_toloka.client.api.waits import log_change
from airflow_provider_toloka.client.async_client import AsyncTolokaClient
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.client.waiting import ends_wait, time_away
from airflow_provider_toloka.exceptions import TolokaApiError, TolokaNotFoundError
from airflow_provider_toloka.polling.schedule import Schedule, Wait
from airflow_provider_toloka.polling.subscription import OVERLAP, Listener

log = logging.getLogger(__name__)

#: Up to so many waits, it is cheaper to look at each operation by its id.
FEW = 3
#: The list does not reach farther back than this for a wait that joins; the rotation is for older operations.
OLDEST = timedelta(minutes=15)
LIST_GAP = 0.5
ROTATION_SECONDS = 60.0
ROTATION_PER_SECOND = 5.0
#: So many operations are looked at side by side when the time of a wait is over.
AT_ONCE = 20
_SPARE = 100


class Poller:
    """Waits for any number of operations of one account. An async context manager.

    :param client: an entered client of the account.
    :param list_gap: tells the least seconds between two lists of finished operations.
    """

    def __init__(self, client: AsyncTolokaClient, *, list_gap: Callable[[], float] = lambda: LIST_GAP) -> None:
        self._client = client
        self._list_gap = list_gap
        self._waits: dict[str, Wait] = {}
        #: Those who hear of the list, and whether one was begun since they have joined.
        self._listeners: dict[Listener, bool] = {}
        self._schedule = Schedule()
        #: Operations by the time of their last look by id, the oldest first.
        self._rotation: deque[tuple[float, Wait]] = deque()
        #: Up to here, in Toloka's time, the list was read.
        self._mark: datetime | None = None
        #: From here, in Toloka's time, the list has to be read for waits that joined since.
        self._since: datetime | None = None
        #: Whether anything was ever received.
        self._has_heard = False
        #: Why the last request brought no news; None: it did.
        self.trouble: TolokaApiError | None = None
        self._joined = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def client(self) -> AsyncTolokaClient:
        """The client of the account."""
        return self._client

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._guard(work)) for work in (self._look, self._rotate)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def wait_for(
        self,
        operation_ids: Mapping[str, datetime | None],
        *,
        intervals: Callable[[], Iterator[float]],
        seconds: float | None,
        fail_fast: bool = True,
        on_change: Callable[[Operation], None] = log_change,
    ) -> dict[str, Operation | None]:
        """Wait until all operations have finished, or one has failed, or the time is over.

        :param operation_ids: by id, when Toloka says each operation was submitted; None: not known.
        :param intervals: makes the seconds between the looks at one operation.
        :param seconds: how long to wait; None: without end.
        :param fail_fast: whether one that has failed ends the wait.
        :param on_change: told of an operation when its status or progress is seen to have changed.
        :returns: by id, what is known of each operation, finished or not; None: it was never seen.
        :raises TolokaApiError: one of its kinds, by meaning, that no waiting mends.
        """
        if not operation_ids:
            return {}
        waits = [self._join(id_, submitted, intervals, on_change) for id_, submitted in operation_ids.items()]
        over = asyncio.Event()
        left = len(waits)

        def count(future: asyncio.Future[Operation]) -> None:
            nonlocal left
            left -= 1
            failed = not future.cancelled() and (
                future.exception() is not None or (fail_fast and future.result().failed)
            )
            if left == 0 or failed:
                over.set()

        for wait in waits:
            wait.finished.add_done_callback(count)
        # Cheaper than asyncio.timeout, and there may be ten thousand.
        timer = None if seconds is None else asyncio.get_running_loop().call_later(max(0.0, seconds), over.set)
        try:
            await over.wait()
            if timer and asyncio.get_running_loop().time() >= timer.when():
                await self._look_at_last(waits)
        finally:
            if timer:
                timer.cancel()
            for wait in waits:
                wait.finished.remove_done_callback(count)
                self._leave(wait, on_change)
        # An error comes from here; a wait that was left is cancelled, unless others are in it.
        return {wait.operation_id: wait.known for wait in waits}

    @contextlib.contextmanager
    def listen(self, since: datetime, interval: float) -> Iterator[Listener]:
        """Hear of every operation that finishes, whoever started it.

        :param since: from when on, in Toloka's time.
        :param interval: seconds between two lists.
        """
        clock = asyncio.get_running_loop().time
        listener = Listener(since)
        self._listeners[listener] = False
        # The first list is due at once.
        self._schedule.add(listener, itertools.chain((0.0,), itertools.repeat(interval)), clock(), clock())
        self._joined.set()
        try:
            yield listener
        finally:
            del self._listeners[listener]
            listener.close()

    def _join(
        self,
        operation_id: str,
        submitted: datetime | None,
        intervals: Callable[[], Iterator[float]],
        on_change: Callable[[Operation], None],
    ) -> Wait:
        loop = asyncio.get_running_loop()
        wait = self._waits.get(operation_id)
        if wait is None:
            wait = self._waits[operation_id] = Wait(operation_id, loop.create_future())
            oldest = datetime.now(UTC) - OLDEST
            start = max(submitted or oldest, oldest)
            self._read_since(start)
            if start == submitted:
                self._rotation.append((loop.time(), wait))
            else:
                # It may have finished before the list begins.
                self._rotation.appendleft((loop.time() - ROTATION_SECONDS, wait))
        wait.users += 1
        wait.on_change.append(on_change)
        self._schedule.add(wait, intervals(), loop.time(), loop.time())
        self._joined.set()
        return wait

    def _read_since(self, start: datetime) -> None:
        """Let the next list begin there at the latest."""
        self._since = min(self._since, start) if self._since else start

    def _leave(self, wait: Wait, on_change: Callable[[Operation], None]) -> None:
        wait.users -= 1
        wait.on_change.remove(on_change)
        if wait.users == 0:
            self._waits.pop(wait.operation_id, None)
            wait.close()
        if len(self._schedule) > 2 * len(self._waits) + _SPARE:
            self._schedule.forget_finished()
            self._rotation = deque(entry for entry in self._rotation if not entry[1].finished.done())

    async def _guard(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - whatever it is, those who wait are to hear of it
                self._fail_all(error)

    def _fail_all(self, error: Exception) -> None:
        for wait in (*self._waits.values(), *self._listeners):
            if not wait.finished.done():
                wait.finished.set_exception(error)

    async def _look(self) -> None:
        clock = asyncio.get_running_loop().time
        listed = -math.inf
        while True:
            self._joined.clear()
            is_listing = len(self._waits) > FEW or bool(self._listeners)
            due = self._schedule.take(clock(), listed if is_listing else -math.inf)
            if not due:
                next_time = self._schedule.next_time
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(next_time):
                        await self._joined.wait()
                continue
            if is_listing:
                listed = clock()
                await self._look_at_list()
                await asyncio.sleep(time_away(self.trouble))
                # Whoever becomes due meanwhile shares the next list.
                await asyncio.sleep(self._list_gap())
            else:
                for one in due:
                    await self._look_by_id(one.wait)
                    await asyncio.sleep(time_away(self.trouble))
                # A later list has to begin where these looks may have missed something, and no earlier.
                self._mark, self._since = None, datetime.now(UTC) - OLDEST
            for one in due:
                self._schedule.add(one.wait, one.intervals, one.time, clock())

    async def _look_at_list(self) -> None:
        """Read what has finished since the last time, and since the waits that joined were submitted."""
        joined = [listener.since for listener, has_begun in self._listeners.items() if not has_begun]
        starts = [time for time in (self._mark and self._mark - OVERLAP, self._since, *joined) if time]
        if not starts:
            return
        start, self._since = min(starts), None
        # Whoever joins while the list is read hears of the next one only, which begins where it has to for that one.
        listeners = list(self._listeners)
        self._listeners = dict.fromkeys(listeners, True)
        has_more = True
        while has_more:
            try:
                operations, has_more = await self._client.run(self._client.api.operations.list_finished(start))
            except TolokaApiError as error:
                if ends_wait(error):
                    self._fail_all(error)
                else:
                    # The operations are read by id too: a list that fails makes nobody fail.
                    self._read_since(start)
                    self._note(error)
                return
            self.trouble = None
            self._has_heard = True
            for operation in operations:
                self._news(operation)
            for listener in listeners:
                listener.hear(operations)
            last = operations[-1].finished if operations else None
            if last is None:
                if self._mark is None:
                    # Toloka has told no later time yet to begin the next list at.
                    self._read_since(start)
                return
            self._mark = max(self._mark, last) if self._mark else last
            # More than a page of one and the same millisecond: the rotation finds the rest of it.
            start = last if last > start else last + timedelta(milliseconds=1)

    async def _rotate(self) -> None:
        """Look at operations by id, each at most once a minute, all together a few a second."""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(1 / ROTATION_PER_SECOND)
            while self._rotation and self._rotation[0][1].finished.done():
                self._rotation.popleft()
            if self._rotation and self._rotation[0][0] <= clock() - ROTATION_SECONDS:
                wait = self._rotation.popleft()[1]
                await self._look_by_id(wait)
                await asyncio.sleep(time_away(self.trouble))
                self._rotation.append((clock(), wait))

    async def _look_at_last(self, waits: Sequence[Wait]) -> None:
        """Look at each wait once more, some at a time, until Toloka is out of reach."""
        for start in range(0, len(waits), AT_ONCE):
            await asyncio.gather(*map(self._look_by_id, waits[start : start + AT_ONCE]))
            if self.trouble:
                return

    async def _look_by_id(self, wait: Wait) -> None:
        if wait.finished.done():
            return
        try:
            operation = await self._client.run(self._client.api.operations.get(wait.operation_id, retry=False))
        except TolokaApiError as error:
            wait.times_unknown += isinstance(error, TolokaNotFoundError)
            if not ends_wait(error, times_unknown=wait.times_unknown, is_first=not self._has_heard):
                self._note(error)
            elif not wait.finished.done():
                wait.finished.set_exception(error)
            return
        self.trouble = None
        self._has_heard = True
        wait.times_unknown = 0
        self._news(operation)

    def _news(self, operation: Operation) -> None:
        wait = self._waits.get(operation.id)
        if wait is None or wait.finished.done():
            return
        before, wait.last = wait.last, operation
        if before is None or (before.status, before.progress) != (operation.status, operation.progress):
            for tell in tuple(wait.on_change):
                try:
                    tell(operation)
                except Exception:  # one caller's callback concerns nobody else
                    log.exception("A callback for operation %s failed", operation.id)
        if operation.is_finished:
            wait.finished.set_result(operation)

    def _note(self, trouble: TolokaApiError) -> None:
        self.trouble = trouble
        log.warning(
            "No news of Toloka's operations, %d waits go on: %s", len(self._waits) + len(self._listeners), trouble
        )
