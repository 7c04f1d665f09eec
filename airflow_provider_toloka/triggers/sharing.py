"""Objects that the triggers of a triggerer share: connections being read, and clients and pollers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import Context
from typing import Any, Generic, TypeVar, cast
from weakref import WeakKeyDictionary

from airflow_provider_toloka._metrics import observer_for
from airflow_provider_toloka.client.async_client import AsyncTolokaClient
from airflow_provider_toloka.client.config import Settings
from airflow_provider_toloka.hooks.toloka import TolokaHook

log = logging.getLogger(__name__)

T = TypeVar("T")

#: A connection is not read again within this many seconds, because ten thousand triggers start simultaneously.
_FRESH_SECONDS = 1.0
#: A connection that cannot be read is read again after these pauses, in seconds, because Airflow also reports "not
#: found" when a secrets backend fails transiently.
READ_PAUSES = (1.0, 2.0, 4.0)


class _Shared(Generic[T]):
    """An object that is open while it is used, in its own task and context instead of its first user's.

    An async context manager for any number of users; each gets the object.

    :param thing: opens the object.
    :param forget: called when the last user has left: the next one needs another object.
    """

    def __init__(self, thing: AbstractAsyncContextManager[T], forget: Callable[[], object]) -> None:
        self._forget = forget
        self._users = 0
        self._opened: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._is_over = asyncio.Event()
        self._life = asyncio.get_running_loop().create_task(self._live(thing), context=Context())

    async def __aenter__(self) -> T:
        self._users += 1
        try:
            return self._opened.result() if self._opened.done() else await asyncio.shield(self._opened)
        except BaseException:
            await self.__aexit__()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._users -= 1
        if self._users == 0:
            self._forget()
            await self._close()

    async def _live(self, thing: AbstractAsyncContextManager[T]) -> None:
        try:
            async with thing as opened:
                self._opened.set_result(opened)
                await self._is_over.wait()
        except Exception as error:
            if self._opened.done():
                log.exception("Could not close a shared object of triggers")
            else:
                self._opened.set_exception(error)

    async def _close(self) -> None:
        if self._opened.done():
            self._is_over.set()
            self._opened.exception()  # retrieved, so that asyncio does not complain
        else:
            self._life.cancel()
            self._opened.cancel()
        await asyncio.wait([self._life])


#: The shared objects of an event loop: a triggerer has one loop, ``dag.test`` one per trigger.
class _OfLoop:
    def __init__(self) -> None:
        #: By kind and configuration. The key contains the token, in memory only.
        self.shared: dict[tuple[object, Settings], _Shared[Any]] = {}
        #: By connection: when reading it started, and the result.
        self.reads: dict[str, tuple[float, asyncio.Task[Settings]]] = {}


_loops: WeakKeyDictionary[asyncio.AbstractEventLoop, _OfLoop] = WeakKeyDictionary()


def _of_loop() -> _OfLoop:
    loop = asyncio.get_running_loop()
    return _loops.get(loop) or _loops.setdefault(loop, _OfLoop())


async def read_settings(
    toloka_conn_id: str, *, since: float | None = None, pauses: Sequence[float] = READ_PAUSES
) -> Settings:
    """Read a connection without blocking the event loop. Simultaneous callers share one read.

    :param toloka_conn_id: the id of the Toloka connection.
    :param since: a read that started before this, in the event loop's time, is outdated; None: a read within the last
        second is accepted.
    :param pauses: the pauses before further attempts, in seconds, if the connection cannot be read.
    :raises ValueError: the connection is invalid.
    :raises Exception: it could not be read: any error of Airflow or a secrets backend.
    """
    for pause in (*pauses, None):
        try:
            return await _read(toloka_conn_id, since)
        except ValueError:
            raise
        except Exception as error:
            if pause is None:
                raise
            log.warning(
                "Could not read connection %r, trying again in %g s: %s: %s",
                toloka_conn_id,
                pause,
                type(error).__name__,
                error,
            )
            await asyncio.sleep(pause)
    raise AssertionError("unreachable")


async def _read(toloka_conn_id: str, since: float | None) -> Settings:
    reads = _of_loop().reads
    now = asyncio.get_running_loop().time()
    began, task = reads.get(toloka_conn_id, (None, None))
    is_usable = task is not None and not task.cancelled() and began is not None
    if not is_usable or cast("float", began) < (now - _FRESH_SECONDS if since is None else since):
        task = asyncio.create_task(_read_now(toloka_conn_id))
        # Retrieved, so that asyncio does not complain when nobody waits any more.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        reads[toloka_conn_id] = (now, task)
    task = cast("asyncio.Task[Settings]", task)
    return task.result() if task.done() else await asyncio.shield(task)


async def _read_now(toloka_conn_id: str) -> Settings:
    client = await TolokaHook(toloka_conn_id).read_async_client()
    return client.api.settings


def shared_client(settings: Settings, toloka_conn_id: str) -> AbstractAsyncContextManager[AsyncTolokaClient]:
    """Return the client of a configuration, which is open until its last user has left.

    :param settings: the configuration.
    :param toloka_conn_id: the connection that it was read from, for metrics; of several, the first one counts.
    """

    def make() -> AsyncTolokaClient:
        return AsyncTolokaClient(settings, observer=observer_for(settings, toloka_conn_id, is_triggerer=True))

    return _share(AsyncTolokaClient, settings, make)


def shared_poller(
    settings: Settings, toloka_conn_id: str, make: Callable[[AsyncTolokaClient], AbstractAsyncContextManager[T]]
) -> AbstractAsyncContextManager[T]:
    """Return the poller of a configuration, which is open until its last user has left.

    :param settings: the configuration.
    :param toloka_conn_id: see :func:`shared_client`.
    :param make: creates the poller from an entered client, such as the class ``Poller``. One poller is shared for each
        ``make``, and one client by all.
    """
    return _share(make, settings, lambda: _opened(settings, toloka_conn_id, make))


@asynccontextmanager
async def _opened(
    settings: Settings, toloka_conn_id: str, make: Callable[[AsyncTolokaClient], AbstractAsyncContextManager[T]]
) -> AsyncIterator[T]:
    async with shared_client(settings, toloka_conn_id) as client, make(client) as poller:
        yield poller


def _share(kind: object, settings: Settings, make: Callable[[], AbstractAsyncContextManager[T]]) -> _Shared[T]:
    """Return the shared object, to be entered at once."""
    kept = _of_loop().shared
    key = (kind, settings)
    shared: _Shared[T] | None = kept.get(key)
    if shared is None:
        shared = kept[key] = _Shared(make(), lambda: kept.pop(key))
    return shared
