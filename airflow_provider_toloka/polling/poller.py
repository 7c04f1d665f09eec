"""Poll for all waits of a configuration, so that ten thousand waits send hardly more requests than one.

With few waits, each operation is read by its id. Beyond that, one list of recently finished operations serves all
waits, as often as the wait with the shortest interval requires. No wait depends on the list alone: operations are also
read by id in a slow rotation, which is faster while the list fails. Listeners for all finished operations share the
list.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import math
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Self

from airflow_provider_toloka.client.api.waits import log_change
from airflow_provider_toloka.client.async_client import AsyncTolokaClient
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.client.waiting import ends_wait, time_away
from airflow_provider_toloka.exceptions import TolokaApiError, TolokaNotFoundError
from airflow_provider_toloka.polling.callers import Caller, Callers, Report
from airflow_provider_toloka.polling.contact import Contact
from airflow_provider_toloka.polling.endings import Ending, Outcome
from airflow_provider_toloka.polling.finished import FinishedOperations
from airflow_provider_toloka.polling.looks import Looks
from airflow_provider_toloka.polling.schedule import Schedule
from airflow_provider_toloka.polling.subscription import Listener
from airflow_provider_toloka.polling.wait import Wait

#: Up to this many waits, it is cheaper to read each operation by its id.
FEW = 3
#: How far back the list is read for a new wait; the rotation covers older operations.
OLDEST = timedelta(minutes=15)
LIST_GAP = 0.5
_SPARE = 100


class Poller:
    """Waits for any number of operations of one account. An async context manager.

    :param client: an entered client of the account.
    :param list_gap: returns the minimum seconds between two lists of finished operations.
    :param now: returns Toloka's time; default: from its responses.
    """

    def __init__(
        self,
        client: AsyncTolokaClient,
        *,
        list_gap: Callable[[], float] = lambda: LIST_GAP,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._client = client
        self._list_gap = list_gap
        self._now = now or client.api.calls.clock.now
        self._knows_time = now is not None or client.api.calls.clock.is_known
        self._asking_time = asyncio.Lock()
        self._observer = client.api.observer
        self._contact = Contact(self._fail_all, self._observer)
        self._list = FinishedOperations(client)
        self._looks = Looks(client, self._contact)
        self._waits: dict[str, Wait] = {}
        #: The listeners, and whether a list has been started since they joined.
        self._listeners: dict[Listener, bool] = {}
        self._callers = Callers()
        self._schedule = Schedule()
        self._joined = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def trouble(self) -> TolokaApiError | None:
        """Why the last request failed; None: it did not."""
        return self._contact.trouble

    @property
    def refused_at(self) -> float | None:
        """When Toloka last refused the token, in the event loop's time; None: never."""
        return self._contact.refused_at

    async def __aenter__(self) -> Self:
        work = (self._look, self._looks.rotate, self._callers.work)
        self._tasks = [asyncio.create_task(self._guard(one)) for one in work]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        self._fail_all(RuntimeError("the poller was closed"))

    async def wait_for(
        self,
        operation_ids: Mapping[str, datetime | None],
        *,
        intervals: Callable[[], Iterator[float]],
        seconds: float | None,
        fail_fast: bool = True,
        on_change: Callable[[Operation], object] = log_change,
        on_outage: Report | None = None,
    ) -> dict[str, Operation | None]:
        """Wait until all operations have finished, or one has failed, or the time is over.

        :returns: by id, each operation in its last known state; None: it was never seen.
        :raises TolokaApiError: an error that ends every wait: see ``client/waiting.py``; or one of the ids does not
            exist.
        """
        outcome = await self.wait_for_any(
            [operation_ids.keys()],
            submitted=operation_ids,
            intervals=intervals,
            seconds=seconds,
            fail_fast=fail_fast,
            on_change=on_change,
            on_outage=on_outage,
        )
        for error in outcome.errors.values():
            raise error
        return dict(outcome.operations)

    async def wait_for_any(
        self,
        groups: Sequence[Collection[str]],
        *,
        submitted: Mapping[str, datetime | None],
        intervals: Callable[[], Iterator[float]],
        seconds: float | None,
        fail_fast: bool = True,
        gather: float = 0.0,
        empty_after: float = 0.0,
        on_change: Callable[[Operation], object] = log_change,
        on_outage: Report | None = None,
    ) -> Outcome:
        """Wait until a group of operations has ended, or the time is over.

        :param groups: the ids of the operations of each group; see :class:`Ending`.
        :param submitted: by id, when each operation was submitted, in Toloka's time; None: unknown.
        :param intervals: returns the seconds between polls of an operation.
        :param seconds: how long to wait; None: no limit.
        :param fail_fast: whether a failed operation ends its group.
        :param gather: seconds to continue after the first group has ended, so that other groups can end as well.
        :param empty_after: after how many seconds a group without operations ends.
        :param on_change: called with an operation when its status or progress has changed.
        :param on_outage: called with the level and the line when polling fails, once a minute while it does, and when
            it works again; None: logged once in the poller's own log.
        :returns: all operations in their last known states; an id that does not exist is among the errors.
        :raises TolokaApiError: an error that ends every wait: see ``client/waiting.py``.
        """
        caller = Caller(on_change, on_outage)
        waits: dict[str, Wait] = {}
        ending: Ending | None = None
        loop = asyncio.get_running_loop()
        over_at = math.inf if seconds is None else loop.time() + seconds
        self._callers.add(caller, self._contact.of_list.line(loop.time()))
        try:
            for id_ in itertools.chain.from_iterable(groups):
                if id_ not in waits:
                    waits[id_] = self._join(id_, submitted.get(id_), caller)
                    self._schedule.add(waits[id_], intervals(), loop.time(), loop.time())
            ending = Ending(
                waits, groups, context=caller.context, fail_fast=fail_fast, gather=gather, empty_after=empty_after
            )
            if seconds is not None:
                ending.after(seconds)
            if groups:
                await ending.is_over
            if loop.time() >= over_at:
                await self._looks.look_at_last(list(waits.values()))
            return self._outcome(waits)
        finally:
            if ending:
                ending.close()
            for wait in waits.values():
                self._leave(wait, caller)
            self._callers.remove(caller)

    @contextlib.contextmanager
    def listen(self, since: datetime, interval: float, on_outage: Report | None = None) -> Iterator[Listener]:
        """Listen to every operation that finishes, no matter who started it.

        :param since: the start time, in Toloka's time.
        :param interval: seconds between two lists.
        :param on_outage: as for :meth:`wait_for_any`.
        """
        clock = asyncio.get_running_loop().time
        listener = Listener(since)
        caller = Caller(on_outage=on_outage)
        self._callers.add(caller, self._contact.of_list.line(clock()))
        self._listeners[listener] = False
        # The first list is due immediately.
        self._schedule.add(listener, itertools.chain((0.0,), itertools.repeat(interval)), clock(), clock())
        self._joined.set()
        try:
            yield listener
        finally:
            del self._listeners[listener]
            listener.close()
            self._callers.remove(caller)

    def _join(self, operation_id: str, submitted: datetime | None, caller: Caller) -> Wait:
        wait = self._waits.get(operation_id)
        if wait is None:
            wait = self._waits[operation_id] = Wait(
                operation_id, asyncio.get_running_loop().create_future(), self._observer
            )
            oldest = self._now() - OLDEST
            start = max(submitted or oldest, oldest)
            self._list.include(start)
            # It may have finished before the start of the list.
            self._looks.join(wait, is_urgent=start != submitted)
        wait.callers.append(caller)
        self._joined.set()
        return wait

    def _leave(self, wait: Wait, caller: Caller) -> None:
        wait.callers.remove(caller)
        if not wait.callers:
            self._waits.pop(wait.operation_id, None)
            wait.close()
            if not self._waits:
                self._observer.waiting("operations", 0)
        if len(self._schedule) > 2 * len(self._waits) + _SPARE:
            self._schedule.forget_finished()
            self._looks.forget_finished()

    def _outcome(self, waits: Mapping[str, Wait]) -> Outcome:
        errors: dict[str, TolokaApiError] = {}
        for id_, wait in waits.items():
            error = wait.error
            if isinstance(error, TolokaNotFoundError):
                errors[id_] = error
            elif error:
                raise error
        own = (wait.trouble for wait in waits.values() if not wait.finished.done())
        trouble = next(filter(None, own), self._contact.of_list.error)
        return Outcome({id_: wait.last for id_, wait in waits.items()}, errors, trouble)

    async def _guard(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - every error has to reach the waits
                self._fail_all(error)

    def _fail_all(self, error: Exception) -> None:
        for wait in (*self._waits.values(), *self._listeners):
            wait.fail(error)

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
            self._observer.waiting("operations", len(self._waits))
            if is_listing:
                listed = clock()
                await self._look_at_list()
                await asyncio.sleep(time_away(self.trouble))
                # Waits that become due in the meantime share the next list.
                await asyncio.sleep(self._list_gap())
            else:
                if self._contact.of_list.worked(clock()):  # nobody depends on the list any more
                    self._callers.put(logging.INFO, "Polling the few remaining operations by their ids.")
                for wait, _ in itertools.chain.from_iterable(one.members for one in due):
                    await self._looks.look(wait)
                    await asyncio.sleep(time_away(self.trouble))
                # A later list has to begin at the time from which these reads may have missed something.
                self._list.restart(self._now() - OLDEST)
            for one in due:
                self._schedule.repeat(one, clock())

    async def now(self) -> datetime:
        """Return Toloka's time; request it if no response has contained it yet."""
        async with self._asking_time:  # those that ask meanwhile wait for the same response
            if not self._knows_time:
                await self._client.now()
                self._knows_time = True
        return self._now()

    async def _look_at_list(self) -> None:
        """Read the operations that have finished since the last list, or since the submission of new waits."""
        if not self._knows_time:
            # New listeners may have used this machine's time instead of Toloka's.
            self._list.include(await self.now() - OLDEST)
        clock = asyncio.get_running_loop().time
        joined = [listener.since for listener, has_begun in self._listeners.items() if not has_begun]
        # A listener that joins while the list is read is served from the next list, which begins early enough for it.
        listeners = list(self._listeners)
        self._listeners = dict.fromkeys(listeners, True)
        try:
            async for operations in self._list.read(joined):
                self._contact.heard()
                self._callers.put(logging.INFO, self._contact.of_list.worked(clock()))
                for operation in operations:
                    if wait := self._waits.get(operation.id):
                        wait.take_news(operation, clock())
                for listener in listeners:
                    listener.hear(operations)
        except TolokaApiError as error:
            self._contact.trouble = error
            if ends_wait(error, is_first=not self._contact.has_heard):
                self._contact.end_all(error)
            else:
                self._callers.put(logging.WARNING, self._contact.of_list.failed(error, clock()))
