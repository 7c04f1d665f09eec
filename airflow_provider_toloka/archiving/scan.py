"""Read an account's lists to select projects, without a request for every project."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from typing import Any

from airflow_provider_toloka.archiving.selection import Search, Selection
from airflow_provider_toloka.client.api.calls import Listing
from airflow_provider_toloka.client.async_client import AsyncTolokaClient
from airflow_provider_toloka.client.models import ACTIVE, PENDING, RUNNING
from airflow_provider_toloka.exceptions import TolokaApiError, TolokaAuthenticationError, TolokaNotFoundError

#: Up to this many projects are read one by one; beyond that, reading the account's lists takes fewer requests.
FEW_PROJECTS = 50
#: This many pages of pools and trainings are read before all projects are known.
PAGES_AHEAD = 20


async def search(
    client: AsyncTolokaClient,
    selection: Selection,
    *,
    with_operations: bool = False,
    keep_others: bool = False,
    on_page: Callable[[Search], None] | None = None,
) -> Search:
    """Read an account and select projects.

    :param client: an entered client.
    :param selection: which projects to select.
    :param with_operations: whether to read the account's running operations too, in order to archive projects.
    :param keep_others: whether to keep the account's other active projects for a report; default False.
    :param on_page: called with the search after each page; default None.
    :returns: the search, with what it found.
    :raises TolokaApiError: the request failed; see the subclasses.
    """
    found = Search(selection, keep_others=keep_others)
    if with_operations:
        found.began = await client.now()
    await _Reader(client, selection, found, on_page or (lambda _: None)).read(with_operations=with_operations)
    return found


class _Reader:
    def __init__(
        self, client: AsyncTolokaClient, selection: Selection, found: Search, on_page: Callable[[Search], None]
    ) -> None:
        self._client = client
        self._api = client.api
        self._wanted = None if selection.project_ids is None else set(selection.project_ids)
        self._found = found
        self._on_page = on_page
        self._projects_are_known = asyncio.Event()

    async def read(self, *, with_operations: bool) -> None:
        if self._wanted is not None and len(self._wanted) <= FEW_PROJECTS:
            if with_operations:
                await self._read_operations()
            await together(self._read_one(project_id) for project_id in self._wanted)
            self._found.see_no_more_projects()
        else:
            await together(
                [
                    self._read_projects(with_operations=with_operations),
                    self._read(self._api.pools.listing(), ahead=PAGES_AHEAD),
                    self._read(self._api.trainings.listing(), ahead=PAGES_AHEAD),
                ]
            )

    async def _read_operations(self) -> None:
        """Read pending, then running operations, before the projects.

        In another order, a project that is just being archived might look active and idle.
        """
        for status in (PENDING, RUNNING):
            async for operation in self._client.walk(self._api.operations.listing(status=status)):
                self._found.see_operation(operation)

    async def _read_projects(self, *, with_operations: bool) -> None:
        if with_operations:
            await self._read_operations()
        listing = self._api.projects.listing() if self._wanted else self._api.projects.listing(status=ACTIVE)
        async for projects in self._client.pages(listing):
            for project in projects:
                self._found.see_project(project)
            self._on_page(self._found)
        for project_id in (self._wanted or set()) - self._found.candidates.keys() - self._found.refused.keys():
            remedy = "Check the id, and that it belongs to this account and environment."
            self._found.unreadable[project_id] = TolokaNotFoundError(
                f"Could not find project {project_id}: it is not on this account. {remedy}",
                reason="not found",
                remedy=remedy,
            )
        self._found.see_no_more_projects()
        self._projects_are_known.set()

    async def _read(self, listing: Listing[Any], *, ahead: int | None = None) -> None:
        pages = 0
        async for items in self._client.pages(replace(listing, keep=self._found.may_want)):
            for item in items:
                self._found.see(item)
            self._on_page(self._found)
            pages += 1
            if pages == ahead:
                # Once the projects are known, most of the remaining items can be skipped.
                await self._projects_are_known.wait()

    async def _read_one(self, project_id: str) -> None:
        try:
            self._found.see_project(await self._client.get_project(project_id))
            await self._read(self._api.pools.listing(project_id=project_id))
            await self._read(self._api.trainings.listing(project_id=project_id))
        except TolokaApiError as error:
            if isinstance(error, TolokaAuthenticationError) or error.is_transient:
                raise
            # The others can be archived.
            self._found.candidates.pop(project_id, None)
            self._found.unreadable[project_id] = error


async def together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all concurrently; the first error stops the others."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
