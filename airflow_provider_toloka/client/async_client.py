"""Toloka's API for asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from airflow_provider_toloka._durations import Duration
from airflow_provider_toloka.client.api import TolokaApi
from airflow_provider_toloka.client.api.waits import log_change
from airflow_provider_toloka.client.async_labelling_methods import AsyncLabellingMethods
from airflow_provider_toloka.client.client import settings_for
from airflow_provider_toloka.client.config import Settings
from airflow_provider_toloka.client.models import Operation, Pool, Project, Requester, Training
from airflow_provider_toloka.client.observer import Observer
from airflow_provider_toloka.client.retry import RetryPolicy
from airflow_provider_toloka.client.sansio import Answer, Flow, Request, drive_async

if TYPE_CHECKING:
    from airflow_provider_toloka.client.transports.aio import AiohttpTransport

T = TypeVar("T")


class AsyncTransport(Protocol):
    """The transport of an :class:`AsyncTolokaClient`."""

    requests: int

    @property
    def rate(self) -> float:
        """How many requests may be sent in a second now."""

    async def send(self, request: Request) -> Answer:
        """Send a request; return the result."""

    async def sleep(self, seconds: float) -> float:
        """Sleep; return the time afterwards, in seconds since the epoch."""


class AsyncTolokaClient(AsyncLabellingMethods):
    """Toloka's API for asyncio. An async context manager; calls work only inside it.

    The methods have the names, parameters and results of :class:`TolokaClient`'s.

    :param settings: the token, the address and the limits.
    :param retry: the retry policy; default: as in the settings.
    :param transport: sends the requests, opened and closed by the caller; default: uses the ``aiohttp`` library.
    :param observer: receives reports on the work, for metrics; default: nobody.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        retry: RetryPolicy | None = None,
        transport: AsyncTransport | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.api = TolokaApi(settings, retry, observer)
        self._transport = transport
        self._own: AiohttpTransport | None = None

    @classmethod
    def from_token(
        cls, token: str, *, url: str | None = None, retry: RetryPolicy | None = None, **options: Any
    ) -> Self:
        """Return a client for a token; see :meth:`TolokaClient.from_token`."""
        return cls(settings_for(token, url, options), retry=retry)

    async def __aenter__(self) -> Self:
        if self._transport is None:
            from airflow_provider_toloka.client.transports.aio import AiohttpTransport

            self._transport = self._own = await AiohttpTransport(
                self.api.settings, observer=self.api.observer
            ).__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._own is not None:
            own, self._transport, self._own = self._own, None, None
            await own.__aexit__()

    @property
    def transport(self) -> AsyncTransport:
        """The transport.

        :raises RuntimeError: the client was not entered.
        """
        if self._transport is None:
            raise RuntimeError("The AsyncTolokaClient is not open: use it inside 'async with client: …'.")
        return self._transport

    async def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end.

        :param flow: a call of :attr:`api`.
        :returns: the flow's result.
        """
        return await drive_async(flow, self.transport.send, self.transport.sleep)

    @property
    def requests_sent(self) -> int:
        """The number of requests sent since the client was entered."""
        return self.transport.requests

    @property
    def requests_per_second(self) -> float:
        """How many requests may be sent in a second now."""
        return self.transport.rate

    async def now(self) -> datetime:
        """Return Toloka's time, in UTC, from its responses; before the first response, send a request.

        Compare this time, rather than this machine's, with the times in Toloka's responses.
        """
        return await self.run(self.api.now())

    async def get_requester(self) -> Requester:
        """Do what :meth:`TolokaClient.get_requester` does, without blocking the event loop."""
        return await self.run(self.api.get_requester())

    async def get_project(self, project_id: str) -> Project:
        """Do what :meth:`TolokaClient.get_project` does, without blocking the event loop."""
        return await self.run(self.api.projects.get(project_id))

    async def get_pool(self, pool_id: str) -> Pool:
        """Do what :meth:`TolokaClient.get_pool` does, without blocking the event loop."""
        return await self.run(self.api.pools.get(pool_id))

    async def get_training(self, training_id: str) -> Training:
        """Do what :meth:`TolokaClient.get_training` does, without blocking the event loop."""
        return await self.run(self.api.trainings.get(training_id))

    async def get_operation(self, operation_id: str) -> Operation:
        """Do what :meth:`TolokaClient.get_operation` does, without blocking the event loop."""
        return await self.run(self.api.operations.get(operation_id))

    async def get_operation_log(self, operation_id: str) -> list[dict[str, Any]]:
        """Do what :meth:`TolokaClient.get_operation_log` does, without blocking the event loop."""
        return await self.run(self.api.operations.get_log(operation_id))

    def list_projects(self, /, **filters: str | datetime) -> AsyncIterator[Project]:
        """Iterate as :meth:`TolokaClient.list_projects` does, without blocking the event loop."""
        return self.walk(self.api.projects.listing(**filters))

    def list_pools(self, /, **filters: str | datetime) -> AsyncIterator[Pool]:
        """Iterate as :meth:`TolokaClient.list_pools` does, without blocking the event loop."""
        return self.walk(self.api.pools.listing(**filters))

    def list_trainings(self, /, **filters: str | datetime) -> AsyncIterator[Training]:
        """Iterate as :meth:`TolokaClient.list_trainings` does, without blocking the event loop."""
        return self.walk(self.api.trainings.listing(**filters))

    def list_operations(self, /, **filters: str | datetime) -> AsyncIterator[Operation]:
        """Iterate as :meth:`TolokaClient.list_operations` does, without blocking the event loop."""
        return self.walk(self.api.operations.listing(**filters))

    async def archive_project(self, project_id: str) -> Operation | None:
        """Do what :meth:`TolokaClient.archive_project` does, without blocking the event loop."""
        return await self.run(self.api.projects.archive(project_id))

    async def close_pool(self, pool_id: str) -> Operation | None:
        """Do what :meth:`TolokaClient.close_pool` does, without blocking the event loop."""
        return await self.run(self.api.pools.close(pool_id))

    async def archive_pool(self, pool_id: str) -> Operation | None:
        """Do what :meth:`TolokaClient.archive_pool` does, without blocking the event loop."""
        return await self.run(self.api.pools.archive(pool_id))

    async def close_training(self, training_id: str) -> Operation | None:
        """Do what :meth:`TolokaClient.close_training` does, without blocking the event loop."""
        return await self.run(self.api.trainings.close(training_id))

    async def archive_training(self, training_id: str) -> Operation | None:
        """Do what :meth:`TolokaClient.archive_training` does, without blocking the event loop."""
        return await self.run(self.api.trainings.archive(training_id))

    async def wait_for_operation(
        self,
        operation_id: str,
        *,
        poll_interval: Duration = 5.0,
        timeout: Duration | None = 3600.0,  # noqa: ASYNC109 - the same signature as the plain client's
        on_change: Callable[[Operation], None] = log_change,
    ) -> Operation:
        """Do what :meth:`TolokaClient.wait_for_operation` does, without blocking the event loop."""
        return await self.run(
            self.api.waits.wait_for(operation_id, poll_interval=poll_interval, timeout=timeout, on_change=on_change)
        )
