"""What the triggers for an ``AssetWatcher`` have in common: they run without end, and resume where they were."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any, ClassVar

from airflow.providers.common.compat.triggers import BaseEventTrigger
from airflow.triggers.base import TriggerEvent

from airflow_provider_toloka._durations import Duration, seconds
from airflow_provider_toloka.client.backoff import backing_off
from airflow_provider_toloka.polling.subscription import Cursor

LONGEST_PAUSE = 300.0


class WatchingTrigger(BaseEventTrigger):
    """The base of the triggers for an ``AssetWatcher``.

    :param toloka_conn_id: the id of the Toloka connection, and thereby the account to watch.
    :param poll_interval: the time between two polls: seconds, a timedelta, or a text such as ``"PT30S"``.
    :param look_back: how long before its start the trigger begins, when no position is stored: seconds, a timedelta, or
        a text such as ``"PT1H"``.
    :param repeat_last: whether the last of several events that arrive together is sent once more, after
        ``settle_seconds``. Airflow starts one run for the first of them, and leaves the others to the next run; the
        repeated event starts that run.
    :param settle_seconds: how long Airflow may take to store events and start runs for them: seconds, a timedelta, or a
        text such as ``"PT10S"``. The position is stored that much later.
    :raises ValueError: an argument is invalid.
    """

    #: What is watched, for messages.
    subject: ClassVar[str]

    def __init__(
        self,
        *,
        toloka_conn_id: str,
        poll_interval: Duration,
        look_back: Duration,
        repeat_last: bool,
        settle_seconds: Duration,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        if type(toloka_conn_id) is not str or not toloka_conn_id:
            raise ValueError(f"toloka_conn_id should be the id of a connection, but is {toloka_conn_id!r}.")
        self.toloka_conn_id = toloka_conn_id
        self.poll_interval = seconds("poll_interval", poll_interval)
        self.look_back = seconds("look_back", look_back, may_be_zero=True)
        if type(repeat_last) is not bool:
            raise ValueError(f"repeat_last should be True or False, but is {repeat_last!r}.")
        self.repeat_last = repeat_last
        self.settle_seconds = seconds("settle_seconds", settle_seconds, may_be_zero=True)
        #: When watching last failed, in the event loop's time: a connection that was read earlier may be outdated.
        self.failed_at: float | None = None
        #: Airflow 3.3's state store of the watched asset; None: there is none.
        self._store: Any = None
        #: The pauses while watching fails; None: it works. Airflow copies triggers, and cannot copy a generator.
        self._pauses: Iterator[float] | None = None
        #: The cursor to store, and when to store it.
        self._unsaved: tuple[float, dict[str, Any]] | None = None
        self._saved: dict[str, Any] | None = None

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield events, without end."""
        while True:
            try:
                async with aclosing(self.watch()) as events:
                    async for event in events:
                        yield event
            except Exception as error:  # noqa: BLE001 - a watcher that has ended would stay ended until a restart
                self._pauses = self._pauses or backing_off(self.poll_interval, LONGEST_PAUSE)
                pause = next(self._pauses)
                self.log.warning(
                    "Could not watch %s over connection %r, trying again in %.1f s: %s: %s",
                    self.subject,
                    self.toloka_conn_id,
                    pause,
                    type(error).__name__,
                    error,
                )
                await asyncio.sleep(pause)
                self.failed_at = asyncio.get_running_loop().time()

    @abstractmethod
    def watch(self) -> AsyncGenerator[TriggerEvent, None]:
        """Yield events; it is called again when it ends or fails."""

    @property
    @abstractmethod
    def key(self) -> str:
        """The cursor's name: an asset may have several watchers."""

    def works(self) -> None:
        """Note that a poll has succeeded: the pause after the next failure is short again."""
        self._pauses = None

    async def begin(self, now: Callable[[], Awaitable[datetime]]) -> Cursor:
        """Return the stored cursor, or a new one.

        :param now: returns the time at Toloka.
        """
        self._store = getattr(self, "asset_state_store", None)
        if self._store is not None:
            try:
                self._saved = await self._store.aget(self.key)
            except ValueError:
                # One trigger for several assets has no state store.
                self._store = None
        if self._saved is not None:
            return Cursor.from_json(self._saved)
        cursor = Cursor(await now() - timedelta(seconds=self.look_back))
        if self._store is None:
            self.log.warning(
                "No position is stored: after a restart, the trigger begins %g s (look_back) before its start, and "
                "misses earlier %s. Airflow 3.3 stores it for triggers that watch one asset: give triggers of "
                "several assets different arguments, such as a different poll_interval.",
                self.look_back,
                self.subject,
            )
        else:
            await self._save(cursor.to_json())
        return cursor

    async def keep(self, cursor: Cursor) -> None:
        """Store the cursor in Airflow, once the events up to there are certainly in its database.

        :param cursor: the position after the last event.
        """
        if self._store is None:
            return
        if self._unsaved is not None and time.monotonic() >= self._unsaved[0]:
            await self._save(self._unsaved[1])
            self._unsaved = None
        state = cursor.to_json()
        if self._unsaved is None and state != self._saved:
            self._unsaved = (time.monotonic() + self.settle_seconds, state)

    async def _save(self, state: dict[str, Any]) -> None:
        await self._store.aset(self.key, state)
        self._saved = state
