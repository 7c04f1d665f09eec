"""Read the list of recently finished operations without gaps (API: ``GET /operations``)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta

from airflow_provider_toloka.client.async_client import AsyncTolokaClient
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.exceptions import TolokaApiError
from airflow_provider_toloka.polling.subscription import OVERLAP


class FinishedOperations:
    """Reads the list from the end of the last reading, or from an earlier time that a new wait needs.

    All times are Toloka's.

    :param client: an entered client of the account.
    """

    def __init__(self, client: AsyncTolokaClient) -> None:
        self._client = client
        #: The list was read up to this time.
        self._mark: datetime | None = None
        #: The next reading has to begin at this time, regardless of what was read before.
        self._since: datetime | None = None

    def include(self, start: datetime) -> None:
        """Let the next reading begin at this time at the latest."""
        self._since = min(self._since, start) if self._since else start

    def restart(self, start: datetime) -> None:
        """Discard the position, and let the next reading begin at this time."""
        self._mark, self._since = None, start

    async def read(self, more: Iterable[datetime] = ()) -> AsyncIterator[list[Operation]]:
        """Read the operations that have finished since the last reading, page by page.

        :param more: further times at which the reading has to begin at the latest.
        :raises TolokaApiError: a request failed; the next reading begins at the same time.
        """
        starts = [time for time in (self._mark and self._mark - OVERLAP, self._since, *more) if time]
        if not starts:
            return
        start, self._since = min(starts), None
        has_more = True
        while has_more:
            try:
                operations, has_more = await self._client.run(self._client.api.operations.list_finished(start))
            except TolokaApiError:
                self.include(start)
                raise
            yield operations
            last = operations[-1].finished if operations else None
            if last is None:
                if self._mark is None:
                    # No later time from Toloka is known yet at which the next reading could begin.
                    self.include(start)
                return
            self._mark = max(self._mark, last) if self._mark else last
            # A page may be full of operations from one millisecond; the rotation finds the rest.
            start = last if last > start else last + timedelta(milliseconds=1)
