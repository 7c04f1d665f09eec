"""Read operations by id (API: ``GET /operations/{id}``): when there are few, when they are late, and in rotation."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from airflow_provider_toloka.client.api.waits import is_outage
from airflow_provider_toloka.client.async_client import AsyncTolokaClient
from airflow_provider_toloka.client.waiting import ends_wait, time_away
from airflow_provider_toloka.exceptions import TolokaApiError, TolokaAuthenticationError, TolokaNotFoundError
from airflow_provider_toloka.polling.contact import Contact
from airflow_provider_toloka.polling.rotation import Rotation
from airflow_provider_toloka.polling.wait import Wait

ROTATION_SECONDS = 60.0
ROTATION_PER_SECOND = 5.0
#: The same while the list fails and reading by id works.
QUICK_ROTATION_SECONDS = 5.0
QUICK_ROTATION_PER_SECOND = 20.0
#: An unknown id is read again after this many seconds, and counts as unknown once in this time.
UNKNOWN_PAUSE = 2.0
#: How many operations are read concurrently at the deadline of a wait.
AT_ONCE = 20


class Looks:
    """Reads operations by their ids.

    :param client: an entered client of the account.
    :param contact: the reachability of Toloka.
    """

    def __init__(self, client: AsyncTolokaClient, contact: Contact) -> None:
        self._client = client
        self._contact = contact
        self._rotation = Rotation()
        #: Whether the last read failed for a reason that affects other reads, too.
        self._is_out = False

    def join(self, wait: Wait, *, is_urgent: bool) -> None:
        """Add a wait to the rotation.

        :param is_urgent: whether to read its operation immediately; else when it was not read for a minute.
        """
        self._rotation.put(wait, self._clock() - (ROTATION_SECONDS if is_urgent else 0))

    def forget_finished(self) -> None:
        """Drop the waits that have finished."""
        self._rotation.forget_finished()

    async def rotate(self) -> None:
        """Read operations, each at most once a minute, a few per second in total; faster if only the list fails."""
        while True:
            is_quick = self._contact.of_list.error is not None and not self._is_out
            await asyncio.sleep(1 / (QUICK_ROTATION_PER_SECOND if is_quick else ROTATION_PER_SECOND))
            now = self._clock()
            if wait := self._rotation.take(now - (QUICK_ROTATION_SECONDS if is_quick else ROTATION_SECONDS)):
                self._rotation.put(wait, now)
                await self.look(wait)
                await asyncio.sleep(max(time_away(self._contact.trouble), QUICK_ROTATION_SECONDS * self._is_out))

    async def look_at_last(self, waits: Sequence[Wait]) -> None:
        """Read each operation once more, some concurrently, unless Toloka becomes unreachable."""
        for start in range(0, len(waits), AT_ONCE):
            await asyncio.gather(*map(self.look, waits[start : start + AT_ONCE]))
            if self._is_out:
                return

    async def look(self, wait: Wait) -> None:
        """Read an operation."""
        if wait.finished.done():
            return
        try:
            operation = await self._client.run(self._client.api.operations.get(wait.operation_id, retry=False))
        except TolokaApiError as error:
            self._contact.trouble = error
            self._is_out = is_outage(error)
            self._take_trouble(wait, error)
        else:
            self._is_out = False
            self._contact.heard()
            wait.take_news(operation, self._clock())

    @staticmethod
    def _clock() -> float:
        return asyncio.get_running_loop().time()

    def _take_trouble(self, wait: Wait, error: TolokaApiError) -> None:
        now = self._clock()
        if isinstance(error, TolokaNotFoundError):
            if now >= wait.unknown_at + UNKNOWN_PAUSE:
                wait.times_unknown += 1
                wait.unknown_at = now
            self._rotation.put(wait, now + UNKNOWN_PAUSE - ROTATION_SECONDS)
        if isinstance(error, TolokaAuthenticationError):
            self._contact.end_all(error)
        elif ends_wait(error, times_unknown=wait.times_unknown, is_first=not self._contact.has_heard):
            wait.fail(error)
        else:
            wait.take_trouble(error, now, is_known=self._contact.of_list.error is not None)
