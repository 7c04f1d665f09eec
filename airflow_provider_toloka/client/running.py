"""Base classes that run flows, for the clients and the hook."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from typing import TypeVar

from airflow_provider_toloka.client.api import TolokaApi
from airflow_provider_toloka.client.api.calls import Listing
from airflow_provider_toloka.client.sansio import Flow

T = TypeVar("T")


class Runner(ABC):
    """Runs flows of the API."""

    @property
    @abstractmethod
    def api(self) -> TolokaApi:
        """The calls as flows."""

    @abstractmethod
    def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end.

        :param flow: a call of :attr:`api`.
        :returns: the flow's result.
        """

    def walk(self, listing: Listing[T]) -> Iterator[T]:
        """Iterate over a list of the API; each page is read when it is reached.

        :param listing: a list of :attr:`api`.
        """
        for page in self.pages(listing):
            yield from page

    def pages(self, listing: Listing[T]) -> Iterator[list[T]]:
        """Iterate over a list of the API page by page.

        :param listing: a list of :attr:`api`.
        """
        last_id = None
        while True:
            page = self.run(listing.page(last_id))
            yield page.items
            last_id = page.last_id
            if last_id is None:
                return


class AsyncRunner(ABC):
    """Runs flows of the API in an event loop."""

    api: TolokaApi

    @abstractmethod
    async def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end.

        :param flow: a call of :attr:`api`.
        :returns: the flow's result.
        """

    async def walk(self, listing: Listing[T]) -> AsyncIterator[T]:
        """Iterate over a list of the API; each page is read when it is reached.

        :param listing: a list of :attr:`api`.
        """
        async for page in self.pages(listing):
            for item in page:
                yield item

    async def pages(self, listing: Listing[T]) -> AsyncIterator[list[T]]:
        """Iterate over a list of the API page by page.

        :param listing: a list of :attr:`api`.
        """
        last_id = None
        while True:
            page = await self.run(listing.page(last_id))
            yield page.items
            last_id = page.last_id
            if last_id is None:
                return
