"""Notice pools and trainings that are opened while a batch runs, even if they have closed again since.

API: ``GET /operations`` with ``type`` and ``submitted_gte``.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from datetime import datetime
from typing import Self

from airflow_provider_toloka.archiving.plan import Snapshot
from airflow_provider_toloka.client.async_client import AsyncTolokaClient
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.client.resources import POOL, TRAINING
from airflow_provider_toloka.exceptions import TolokaApiError

#: The lists are read again after this many seconds.
_INTERVAL = 1.0


class Openings:
    """The operations that have opened pools and trainings of the account since a time. An async context manager.

    Toloka refuses to archive an open pool, but not one that was opened, completed and closed since the search.

    :param client: an entered client.
    :param since: the time, by Toloka's clock.
    """

    def __init__(self, client: AsyncTolokaClient, since: datetime) -> None:
        self._client = client
        self._since = since
        self._operations: list[Operation] = []
        self._error: TolokaApiError | None = None

    async def __aenter__(self) -> Self:
        await self._read()
        self._reader = asyncio.create_task(self._keep_reading())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader

    def added_to(self, snapshot: Snapshot) -> Snapshot:
        """Return a project's state with the operations that have opened one of its pools or trainings.

        :param snapshot: the state, as it was read before.
        :raises TolokaApiError: the operations could not be read.
        """
        if self._error:
            raise self._error
        ids = {(POOL, one.id) for one in snapshot.pools} | {(TRAINING, one.id) for one in snapshot.trainings}
        known = {operation.id for operation in snapshot.operations}
        opened = [
            operation
            for operation in self._operations
            if operation.id not in known
            and any((resource, resource.id_in(operation)) in ids for resource in (POOL, TRAINING))
        ]
        return replace(snapshot, operations=(*snapshot.operations, *opened)) if opened else snapshot

    async def _keep_reading(self) -> None:
        while True:
            await asyncio.sleep(_INTERVAL)
            try:
                await self._read()
            except TolokaApiError as error:
                self._error = error
            else:
                self._error = None

    async def _read(self) -> None:
        listings = [
            self._client.api.operations.listing(type=one.operation_type("open"), submitted_gte=self._since)
            for one in (POOL, TRAINING)
        ]
        lists = await asyncio.gather(*(self._client.run(listing.all()) for listing in listings))
        self._operations = [operation for operations in lists for operation in operations]
