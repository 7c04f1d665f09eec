"""Makes the hook's methods, plain and async, from the calls of the API: each is written once, as a flow."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from airflow_provider_toloka.client.api.calls import Listing
from airflow_provider_toloka.client.api.toloka_api import TolokaApi
from airflow_provider_toloka.client.sansio import Flow

P = ParamSpec("P")
T = TypeVar("T")


class Drives(Protocol):
    """What the methods need of the hook that they are methods of."""

    @property
    def api(self) -> TolokaApi: ...  # noqa: D102

    async def api_async(self) -> TolokaApi: ...  # noqa: D102

    def run(self, flow: Flow[T]) -> T: ...  # noqa: D102

    async def run_async(self, flow: Flow[T]) -> T: ...  # noqa: D102

    def items(self, listing: Listing[T]) -> Iterator[T]: ...  # noqa: D102

    def items_async(self, listing: Listing[T]) -> AsyncIterator[T]: ...  # noqa: D102


def sync_call(call: Callable[Concatenate[TolokaApi, P], Flow[T]]) -> Callable[Concatenate[Drives, P], T]:
    """Make a method of the hook from a call of the API."""

    @functools.wraps(call)
    def method(hook: Drives, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return hook.run(call(hook.api, *args, **kwargs))

    return method


def async_call(
    call: Callable[Concatenate[TolokaApi, P], Flow[T]],
) -> Callable[Concatenate[Drives, P], Awaitable[T]]:
    """Make the async twin of that method."""

    @functools.wraps(call)
    async def method(hook: Drives, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await hook.run_async(call(await hook.api_async(), *args, **kwargs))

    return method


def sync_list(
    call: Callable[Concatenate[TolokaApi, P], Listing[T]],
) -> Callable[Concatenate[Drives, P], Iterator[T]]:
    """Make a method that goes over a list of the API, reading each page when it is come to."""

    @functools.wraps(call)
    def method(hook: Drives, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        # Not a generator itself: wrong filters are told of at the call, not at the first item.
        return hook.items(call(hook.api, *args, **kwargs))

    return method


def async_list(
    call: Callable[Concatenate[TolokaApi, P], Listing[T]],
) -> Callable[Concatenate[Drives, P], AsyncIterator[T]]:
    """Make the async twin of that method."""

    @functools.wraps(call)
    async def method(hook: Drives, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        async for item in hook.items_async(call(await hook.api_async(), *args, **kwargs)):
            yield item

    return method
