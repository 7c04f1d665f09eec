"""The list of the operations that have finished lately (API: ``GET /operations``), read so that none is missed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta

from airflow_provider_toloka.client.async_client import AsyncTolokaClient
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.exceptions import TolokaApiError
from airflow_provider_toloka.polling.subscription import OVERLAP


class FinishedOperations:
    """Reads the list from where the last reading ended, and from where those need it who joined since.

    All times are Toloka's.

    :param client: an entered client of the account.
    """

    def __init__(self, client: AsyncTolokaClient) -> None:
        self._client = client
        #: Up to here, the list was read.
        self._mark: datetime | None = None
        #: From here, the next reading has to begin, whatever was read before.
        self._since: datetime | None = None

    def include(self, start: datetime) -> None:
        """Let the next reading begin there at the latest."""
        self._since = min(self._since, start) if self._since else start

    def restart(self, start: datetime) -> None:
        """Forget what was read, and let the next reading begin there."""
        self._mark, self._since = None, start

    async def read(self, more: Iterable[datetime] = ()) -> AsyncIterator[list[Operation]]:
        """Read what has finished since the last reading, page by page.

        :param more: further times at which it has to begin at the latest.
        :raises TolokaApiError: a request failed; the next reading begins at the same place.
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
                    # Toloka has not told a later time yet at which the next reading could begin.
                    self.include(start)
                return
            self._mark = max(self._mark, last) if self._mark else last
            # A page may be full of one and the same millisecond: the rotation finds what lies beyond it.
            start = last if last > start else last + timedelta(milliseconds=1)
