"""The emulator's account on a clock that runs ahead, and a poller of it."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any, TypeVar

from airflow_provider_toloka.client.async_client import AsyncTolokaClient
from airflow_provider_toloka.client.backoff import backing_off
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.client.retry import RetryPolicy
from airflow_provider_toloka.client.sansio import Request
from airflow_provider_toloka.emulator.account import Account
from airflow_provider_toloka.emulator.errors import ApiError
from airflow_provider_toloka.emulator.listing import LISTINGS, read_query, select
from airflow_provider_toloka.polling.poller import FEW, Poller
from tests.driving import SETTINGS, Answer, answer, error, longest, ok, page

T = TypeVar("T")

MANY = 3 * FEW
START = float(int(time.time()))


class _Selector(selectors.DefaultSelector):
    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "everything waits, and nothing is to come"
        self.now += max(timeout, 1e-6)  # no clock stands still
        return super().select(0)


class QuickLoop(asyncio.SelectorEventLoop):
    """An event loop on which to wait takes no time."""

    def __init__(self) -> None:
        self._own = _Selector()
        super().__init__(self._own)

    def time(self) -> float:
        return self._own.now


class Toloka:
    """The emulator's account on the loop's clock, a poller of it, and what it asked.

    :param spoil: gives an answer instead of the account's own, or None.
    """

    def __init__(self) -> None:
        self.clock = asyncio.get_running_loop().time
        self.account = Account(clock=lambda: START + self.clock(), operation_seconds=0)
        self.asked: list[tuple[float, str]] = []
        self.spoil: Callable[[str], Answer | None] = lambda _path: None
        self.requests = 0
        self.rate = 300.0
        self.client = AsyncTolokaClient(SETTINGS, retry=RetryPolicy(jitter=longest), transport=self)
        # Toloka's clock is right, and known to be: no request asks for it.
        self.client.api.calls.clock.learn({"date": formatdate(usegmt=True)}, sent=time.time(), received=time.time())
        self.poller = Poller(self.client, now=lambda: datetime.fromtimestamp(START + self.clock(), UTC))

    async def sleep(self, seconds: float) -> float:
        await asyncio.sleep(seconds)
        return START + self.clock()

    async def send(self, request: Request) -> Answer:
        await asyncio.sleep(0.05)
        return self._serve(request)

    def _serve(self, request: Request) -> Answer:
        path = request.path
        self.asked.append((self.clock(), path))
        self.account.settle()
        table = self.account.tables["operations"]
        try:
            if spoilt := self.spoil(path):
                return spoilt
            if path == "/operations":
                rows, more = select(table, read_query(LISTINGS["operations"], table, list(request.query.items())))
                return page(*rows, has_more=more)
            row = table.get(path.rpartition("/")[2])
            return (
                ok(self.account.operations.present(row, START + self.clock())) if row else error(404, "DOES_NOT_EXIST")
            )
        except ApiError as refusal:
            return answer(refusal.status, refusal.body())

    def add(self, finishes_in: float | None = None, **fields: Any) -> str:
        given: dict[str, Any] = {"status": "RUNNING", "finishes_in": finishes_in} | fields
        id_: str = self.account.add_operation("POOL.ARCHIVE", **given)["id"]
        return id_

    def submitted(self, id_: str) -> datetime:
        row = self.account.tables["operations"].get(id_) or {}
        found = Operation.from_json(row).submitted
        assert found
        return found

    async def wait(
        self, *ids: str, interval: float = 5.0, seconds: float | None = None, knows: bool = True, **more: Any
    ) -> dict[str, str | None]:
        """Wait; give the operations' statuses."""
        seen = await self.poller.wait_for(
            {id_: self.submitted(id_) if knows else None for id_ in ids},
            **{"intervals": lambda: backing_off(interval, interval), "seconds": seconds, "fail_fast": False} | more,
        )
        return {id_: operation.status if operation else None for id_, operation in seen.items()}

    @property
    def lists(self) -> list[float]:
        return [at for at, path in self.asked if path == "/operations"]

    @property
    def looks(self) -> list[tuple[float, str]]:
        return [(at, path.rpartition("/")[2]) for at, path in self.asked if path != "/operations"]


def quickly(test: Callable[[Toloka], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test on a loop that waits for nothing; and see that its poller leaves nothing behind."""

    async def run() -> None:
        toloka = Toloka()
        async with toloka.poller:
            await test(toloka)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    def run_quickly() -> None:
        with asyncio.Runner(loop_factory=QuickLoop) as runner:
            runner.run(run())

    run_quickly.__name__ = test.__name__
    return run_quickly


async def apart(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    await asyncio.sleep(seconds)
    return await work
