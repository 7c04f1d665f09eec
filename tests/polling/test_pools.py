"""Waiting for many pools with few requests, against the emulator over its real HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_toloka.client.async_client import AsyncTolokaClient
from airflow_provider_toloka.client.models import Pool
from airflow_provider_toloka.client.observer import Observer
from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.exceptions import TolokaAuthenticationError, TolokaNotFoundError, TolokaTlsError
from airflow_provider_toloka.polling import pools as module
from airflow_provider_toloka.polling.looks import UNKNOWN_PAUSE
from airflow_provider_toloka.polling.pools import PoolPoller
from tests.driving import lost

STARTED = datetime.fromisoformat("2026-11-01T10:00:00+00:00")
MANY = 400


@pytest.fixture
def toloka() -> Iterator[TolokaEmulator]:
    with TolokaEmulator(requests_per_second=0) as emulator:
        load(emulator, {})
        yield emulator


def load(toloka: TolokaEmulator, closed: dict[str, str]) -> None:
    pools = [
        {
            "id": str(number),
            "project_id": "1",
            "status": closed.get(str(number), "OPEN"),
            "last_started": "2026-11-01T10:00:00",
            "last_close_reason": "COMPLETED" if str(number) in closed else None,
        }
        for number in range(1000, 1000 + MANY)
    ]
    toloka.load({"projects": [{"id": "1"}], "pools": pools})


@asynccontextmanager
async def polling(
    toloka: TolokaEmulator, observer: Observer | None = None, **settings: Any
) -> AsyncIterator[PoolPoller]:
    client = AsyncTolokaClient.from_token(toloka.token, url=toloka.url, allow_http=True, retries=1)
    client.api.observer = observer or client.api.observer
    async with client, PoolPoller(client, **{"seconds_per_request": 0.01} | settings) as poller:
        yield poller


async def wait(poller: PoolPoller, pool_id: str, **more: Any) -> Pool | None:
    given: dict[str, Any] = {"last_started": STARTED, "interval": 0.05, "seconds": None}
    return await poller.wait_for(pool_id, **given | {"is_over": lambda pool: pool.status != "OPEN"} | more)


@pytest.mark.parametrize("count", [1, 3, 4, MANY])
@pytest.mark.parametrize("status", ["CLOSED", "ARCHIVED"])
async def test_each_hears_of_its_own_pool(toloka: TolokaEmulator, count: int, status: str) -> None:
    ids = [str(number) for number in range(1000, 1000 + count)]
    async with polling(toloka) as poller:
        waits = [asyncio.create_task(wait(poller, id_)) for id_ in ids]
        await asyncio.sleep(0.3)
        assert not any(task.done() for task in waits)
        load(toloka, dict.fromkeys(ids, status))
        pools = await asyncio.gather(*waits)
    assert [pool and (pool.id, pool.status) for pool in pools] == [(id_, status) for id_ in ids]


async def test_many_waits_share_one_list(toloka: TolokaEmulator) -> None:
    async with polling(toloka) as poller:
        waits = [asyncio.create_task(wait(poller, str(number), seconds=60)) for number in range(1000, 1000 + MANY)]
        while len(toloka.requests) < 10:  # noqa: ASYNC110 - the emulator is in another thread
            await asyncio.sleep(0.05)
        assert {request.path for request in toloka.requests} == {"/pools"}
        for task in waits:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


async def test_it_never_asks_more_often_than_it_may(toloka: TolokaEmulator) -> None:
    async with polling(toloka, seconds_per_request=0.2) as poller:
        waits = [asyncio.create_task(wait(poller, str(number), interval=0.001)) for number in range(1000, 1010)]
        await asyncio.sleep(1.1)
        assert 3 <= len(toloka.requests) <= 7
        for task in waits:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


@pytest.mark.parametrize("count", [1, 10])
async def test_when_the_time_is_over_the_last_state_is_known(toloka: TolokaEmulator, count: int) -> None:
    async with polling(toloka) as poller:
        waits = [wait(poller, str(number), seconds=0.2, interval=60) for number in range(1000, 1000 + count)]
        pools = await asyncio.gather(*waits)
    assert [pool and pool.status for pool in pools] == ["OPEN"] * count


async def test_an_outage_ends_no_wait(toloka: TolokaEmulator) -> None:
    toloka.fault("GET /pools", times=6, status=503)
    toloka.fault("GET /pools/**", times=6, status=503)
    load(toloka, {"1000": "CLOSED"})
    async with polling(toloka) as poller:
        waits = [asyncio.create_task(wait(poller, str(number))) for number in range(1000, 1005)]
        pool = await waits[0]
        assert pool is not None
        assert not any(task.done() for task in waits[1:])
        for task in waits[1:]:
            task.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


@pytest.mark.parametrize("count", [1, 10])
async def test_a_refused_token_ends_all_waits(toloka: TolokaEmulator, count: int) -> None:
    toloka.fault("GET /**", times=None, status=401)
    async with polling(toloka) as poller:
        waits = [wait(poller, str(number)) for number in range(1000, 1000 + count)]
        errors = await asyncio.gather(*waits, return_exceptions=True)
    assert {type(error) for error in errors} == {TolokaAuthenticationError}


async def test_an_id_that_stays_unknown_ends_its_own_wait(toloka: TolokaEmulator) -> None:
    async with polling(toloka) as poller:
        other = asyncio.create_task(wait(poller, "1000"))
        with pytest.raises(TolokaNotFoundError):
            await wait(poller, "5")
        assert not other.done()
        other.cancel()
        await asyncio.gather(other, return_exceptions=True)


async def test_two_waits_for_one_pool(toloka: TolokaEmulator) -> None:
    async with polling(toloka) as poller:
        one, other = (asyncio.create_task(wait(poller, "1000")) for _ in range(2))
        await asyncio.sleep(0.2)
        one.cancel()
        load(toloka, {"1000": "CLOSED"})
        pool = await other
    assert pool is not None
    assert pool.status == "CLOSED"


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 429}, {"body": "<html>Log in</html>"}])
async def test_while_the_list_fails_pools_are_read_by_id(toloka: TolokaEmulator, fault: dict[str, Any]) -> None:
    toloka.fault("GET /pools", times=None, **fault)
    lines: list[str] = []
    async with polling(toloka) as poller:
        waits = [
            asyncio.create_task(wait(poller, str(number), on_outage=lambda _, line: lines.append(line)))
            for number in range(1000, 1010)
        ]
        await until_asked(toloka, 40)
        assert not any(task.done() for task in waits)
        load(toloka, {"1009": "CLOSED"})
        async with asyncio.timeout(10):
            pool = await waits[9]
        assert pool is not None
        assert len(lines) == 10  # reads that work do not end the outage of the list
        await stop(waits)
    reads = Counter(request.path for request in toloka.requests)
    assert len(reads) == 11
    assert reads["/pools"] >= reads["/pools/1000"] - 1


async def test_in_an_outage_a_round_is_one_list_and_one_read(toloka: TolokaEmulator) -> None:
    toloka.fault("GET /**", times=None, status=503)
    async with polling(toloka) as poller:
        waits = [asyncio.create_task(wait(poller, str(number))) for number in range(1000, 1010)]
        await until_asked(toloka, 8)
        await stop(waits)
    paths = [request.path for request in toloka.requests][:8]
    assert paths[::2] == ["/pools"] * 4
    assert len(set(paths[1::2])) == 4


async def test_a_round_of_reads_is_bounded(toloka: TolokaEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUICK_ROTATION_SIZE", 4)
    toloka.fault("GET /pools", times=None, status=503)
    async with polling(toloka) as poller:
        waits = [asyncio.create_task(wait(poller, str(number))) for number in range(1000, 1010)]
        await until_asked(toloka, 15)
        await stop(waits)
    paths = [request.path for request in toloka.requests][:15]
    assert paths[::5] == ["/pools"] * 3
    assert len(set(paths)) == 11  # all pools have had their turn


async def test_a_pool_that_was_opened_at_an_unknown_time_is_read_until_it_is_seen(toloka: TolokaEmulator) -> None:
    toloka.fault("GET /pools/1000", times=2, status=503)
    async with polling(toloka) as poller:
        waits = [
            asyncio.create_task(wait(poller, str(number), last_started=STARTED if number > 1000 else None))
            for number in range(1000, 1005)
        ]
        await until_asked(toloka, 10)
        assert [request.path for request in toloka.requests].count("/pools/1000") == 3
        assert {request.path for request in toloka.requests} == {"/pools", "/pools/1000"}
        load(toloka, {"1000": "CLOSED"})
        async with asyncio.timeout(10):
            assert await waits[0]
        await stop(waits)
    lists = [request.query["last_started_gte"] for request in toloka.requests if request.path == "/pools"]
    assert datetime.fromisoformat(lists[-1]).replace(tzinfo=UTC) == STARTED


async def test_a_pool_that_the_list_lacks_is_read_in_rotation(
    toloka: TolokaEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROTATION_SECONDS", 0.4)
    monkeypatch.setattr(module, "ROTATION_SIZE", 2)
    load(toloka, {"1000": "CLOSED"})
    toloka.fault("GET /pools", times=None, body={"items": [], "has_more": False})
    clock = asyncio.get_running_loop().time
    began = clock()
    async with polling(toloka) as poller:
        waits = [asyncio.create_task(wait(poller, str(number))) for number in range(1000, 1005)]
        async with asyncio.timeout(10):
            assert await waits[0]
        assert clock() - began >= 0.4
        await until_asked(toloka, 30)
        assert not any(task.done() for task in waits[1:])
        assert clock() - began >= 0.8
        await stop(waits)
    reads = Counter(request.path for request in toloka.requests)
    assert len(reads) == 6
    assert max(reads[f"/pools/{number}"] for number in range(1000, 1005)) <= (clock() - began) / 0.4


async def test_the_read_after_the_deadline_is_not_retried(toloka: TolokaEmulator) -> None:
    toloka.fault("GET /pools/1000", times=None, status=429, headers={"Retry-After": "20"})
    async with polling(toloka) as poller, asyncio.timeout(5):
        assert await wait(poller, "1000", interval=60, seconds=0.1) is None
    assert len(toloka.requests) == 1


async def stop(waits: list[asyncio.Task[Any]]) -> None:
    for task in waits:
        task.cancel()
    await asyncio.gather(*waits, return_exceptions=True)


async def until_asked(toloka: TolokaEmulator, count: int) -> None:
    while len(toloka.requests) < count:  # noqa: ASYNC110 - the emulator is in another thread
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(("count", "paths"), [(3, {"/pools/1000", "/pools/1001", "/pools/1002"}), (4, {"/pools"})])
async def test_few_pools_are_read_by_their_ids_and_many_from_a_list(
    toloka: TolokaEmulator, count: int, paths: set[str]
) -> None:
    async with polling(toloka) as poller:
        waits = [asyncio.create_task(wait(poller, str(number))) for number in range(1000, 1000 + count)]
        await until_asked(toloka, 9)
        assert {request.path for request in toloka.requests} == paths
        await stop(waits)


async def test_the_list_begins_with_the_earliest_wait_and_shows_which_pools_to_read(toloka: TolokaEmulator) -> None:
    load(toloka, {"1003": "CLOSED"})
    later = STARTED + timedelta(hours=1)
    async with polling(toloka) as poller:
        waits = [asyncio.create_task(wait(poller, str(number), last_started=later)) for number in range(1004, 1009)]
        pool = await wait(poller, "1003")
        assert pool is not None
        assert [task.done() for task in waits] == [False] * 5
        await stop(waits)
    lists = [request.query for request in toloka.requests if request.path == "/pools"]
    assert {query["status"] for query in lists} == {"CLOSED"}
    assert datetime.fromisoformat(lists[0]["last_started_gte"]).replace(tzinfo=UTC) == STARTED
    assert [request.path for request in toloka.requests if request.path != "/pools"] == ["/pools/1003"]


async def test_ids_that_are_numbers_are_recognized(toloka: TolokaEmulator) -> None:
    load(toloka, {"1000": "CLOSED", "1001": "CLOSED"})
    row = {"project_id": 1, "status": "CLOSED", "last_started": "2026-11-01T10:00:00"}
    items = [{"id": id_, **row} for id_ in (1000, 1001)]
    toloka.fault("GET /pools", times=None, body={"items": items, "has_more": False})
    async with polling(toloka) as poller, asyncio.timeout(10):
        waits = [asyncio.create_task(wait(poller, str(number))) for number in range(1000, 1005)]
        assert all(await asyncio.gather(*waits[:2]))
        await stop(waits[2:])


async def test_all_pages_of_the_list_are_read(toloka: TolokaEmulator) -> None:
    load(toloka, {str(number): "CLOSED" for number in range(1000, 1000 + MANY)})
    last = [str(number) for number in range(1000 + MANY - 5, 1000 + MANY)]
    async with polling(toloka) as poller:
        pools = await asyncio.gather(*(wait(poller, id_) for id_ in ["1000", *last]))
    assert [pool and pool.id for pool in pools] == ["1000", *last]
    assert [request.path for request in toloka.requests].count("/pools") == 2


@pytest.mark.parametrize("every", [2, 3])
async def test_archived_pools_are_listed_less_often(toloka: TolokaEmulator, every: int) -> None:
    async with polling(toloka, archived_every=every) as poller:
        waits = [asyncio.create_task(wait(poller, str(number))) for number in range(1000, 1005)]
        await until_asked(toloka, 2 * (every + 1))
        await stop(waits)
    queries = [request.query for request in toloka.requests[: 2 * (every + 1)]]
    assert [query["status"] for query in queries] == [*["CLOSED"] * every, "ARCHIVED"] * 2
    assert len({query["last_started_gte"] for query in queries}) == 1


@pytest.mark.parametrize("count", [1, 5])
async def test_the_interval_is_kept(toloka: TolokaEmulator, count: int) -> None:
    clock = asyncio.get_running_loop().time
    began = clock()
    async with polling(toloka) as poller:
        waits = [asyncio.create_task(wait(poller, str(number), interval=0.4)) for number in range(1000, 1000 + count)]
        await asyncio.sleep(1)
        assert len(toloka.requests) <= (clock() - began) / 0.4
        await stop(waits)


async def test_each_request_takes_its_time_also_those_for_pools_that_are_not_closed_as_wanted(
    toloka: TolokaEmulator,
) -> None:
    load(toloka, {str(number): "CLOSED" for number in range(1000, 1005)})
    async with polling(toloka, seconds_per_request=0.1, archived_every=1) as poller:
        waits = [
            asyncio.create_task(wait(poller, str(number), is_over=lambda _: False)) for number in range(1000, 1005)
        ]
        await until_asked(toloka, 8)  # both lists, and the pools, one request more than in the first walk
        clock = asyncio.get_running_loop().time
        began, asked = clock(), len(toloka.requests)
        await until_asked(toloka, asked + 14)
        assert clock() - began >= 14 * 0.1 * 0.75
        await stop(waits)


async def test_without_a_start_the_list_begins_just_before_the_wait(toloka: TolokaEmulator) -> None:
    began = datetime.now(UTC)
    async with polling(toloka) as poller:
        waits = [asyncio.create_task(wait(poller, str(number), last_started=None)) for number in range(1000, 1005)]
        await until_asked(toloka, 1)
        await stop(waits)
    start = datetime.fromisoformat(toloka.requests[0].query["last_started_gte"]).replace(tzinfo=UTC)
    assert began - timedelta(minutes=10) < start < began


async def test_an_error_of_the_last_read_ends_the_wait(toloka: TolokaEmulator) -> None:
    toloka.fault("GET /pools/1000", times=None, status=401)
    async with polling(toloka) as poller:
        with pytest.raises(TolokaAuthenticationError):
            await wait(poller, "1000", interval=60, seconds=0.1)


@pytest.mark.parametrize("count", [1, 5])
async def test_an_error_of_a_caller_ends_its_own_wait(toloka: TolokaEmulator, count: int) -> None:
    load(toloka, {"1000": "CLOSED"})
    async with polling(toloka) as poller:
        others = [asyncio.create_task(wait(poller, str(1000 + number))) for number in range(1, 1 + count)]
        with pytest.raises(ZeroDivisionError):
            await wait(poller, "1000", is_over=lambda _: 1 / 0)
        assert not any(task.done() for task in others)
        load(toloka, {str(1000 + number): "CLOSED" for number in range(1, 1 + count)})
        assert all(await asyncio.gather(*others))


async def test_after_a_refusal_the_next_wait_works(toloka: TolokaEmulator) -> None:
    load(toloka, {str(number): "CLOSED" for number in range(1000, 1005)})
    async with polling(toloka) as poller:
        toloka.fault("GET /pools", times=1, status=401)
        waits = [wait(poller, str(number)) for number in range(1000, 1005)]
        errors = await asyncio.gather(*waits, return_exceptions=True)
        assert {type(error) for error in errors} == {TolokaAuthenticationError}
        pool = await wait(poller, "1000")
    assert pool is not None


async def test_those_who_still_wait_hear_that_the_poller_is_closed(toloka: TolokaEmulator) -> None:
    async with polling(toloka) as poller:
        waits = [asyncio.create_task(wait(poller, str(number))) for number in range(1000, 1005)]
        await until_asked(toloka, 1)
    errors = await asyncio.gather(*waits, return_exceptions=True)
    assert {str(error) for error in errors} == {"the poller was closed"}


async def test_a_pool_that_is_unknown_now_and_then_is_waited_for(toloka: TolokaEmulator) -> None:
    async with polling(toloka) as poller:
        waiting = asyncio.create_task(wait(poller, "1000"))
        for _ in range(3):
            toloka.fault("GET /pools/1000", times=2, status=404)
            await until_asked(toloka, len(toloka.requests) + 4)
        assert not waiting.done()
        load(toloka, {"1000": "CLOSED"})
        pool = await waiting
    assert pool is not None


class Outages(Observer):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def outage_began(self) -> None:
        self.told.append("began")

    def outage_ended(self, seconds: float) -> None:  # noqa: ARG002 - the base class's signature
        self.told.append("ended")

    def waiting(self, awaited: str, count: int) -> None:
        self.told.append(f"{count} {awaited}")


@pytest.mark.parametrize(("count", "path"), [(1, "GET /pools/1000"), (5, "GET /pools")])
async def test_each_wait_hears_once_that_an_outage_begins_and_once_that_it_ends(
    toloka: TolokaEmulator, count: int, path: str
) -> None:
    toloka.fault(path, times=4, status=503)
    observer = Outages()
    lines: list[list[tuple[int, str]]] = [[] for _ in range(count)]

    async def until_told(news: str) -> None:
        while news not in observer.told:  # noqa: ASYNC110 - the poller reports in this loop
            await asyncio.sleep(0.02)

    async with polling(toloka, observer=observer) as poller:
        waits = [
            asyncio.create_task(wait(poller, str(1000 + number), on_outage=lambda *line, log=log: log.append(line)))
            for number, log in enumerate(lines)
        ]
        await until_told("began")
        assert str(poller.trouble).startswith("Could not ")
        await until_told("ended")
        assert [poller.trouble] == [None]
        await stop(waits)
    for (begins, begun), (ends, ended) in lines:
        assert (begins, ends) == (logging.WARNING, logging.INFO)
        assert begun.startswith("Polling pools failed; still waiting: ")
        assert "503" in begun
        assert ended.startswith("Polling pools works again after ")
    assert [told for told in observer.told if told in ("began", "ended")] == ["began", "ended"]
    assert (observer.told[0], observer.told[-1]) == (f"{count} pools", "0 pools")


async def test_a_wait_that_has_ended_hears_of_no_outage(toloka: TolokaEmulator) -> None:
    lines: list[str] = []
    others: list[str] = []
    async with polling(toloka) as poller:
        load(toloka, {"1000": "CLOSED"})
        await wait(poller, "1000", on_outage=lambda _, line: lines.append(line))
        toloka.fault("GET /pools/**", times=None, status=503)
        waits = [asyncio.create_task(wait(poller, "1001", on_outage=lambda _, line: others.append(line)))]
        while not others:  # noqa: ASYNC110 - the poller reports in this loop
            await asyncio.sleep(0.02)
        await stop(waits)
    assert lines == []


async def test_a_wait_that_joins_in_an_outage_hears_of_it(toloka: TolokaEmulator) -> None:
    toloka.fault("GET /pools/**", times=None, status=503)
    lines: list[str] = []
    async with polling(toloka) as poller:
        waits = [asyncio.create_task(wait(poller, "1000"))]
        await until_asked(toloka, 3)
        joined = wait(poller, "1001", interval=60, on_outage=lambda _, line: lines.append(line))
        waits.append(asyncio.create_task(joined))
        await asyncio.sleep(0)
        assert len(lines) == 1
        await stop(waits)


@pytest.mark.parametrize("count", [1, 10])
async def test_a_tls_failure_ends_the_wait_only_before_anything_was_received(
    toloka: TolokaEmulator, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    ids = [str(number) for number in range(1000, 1000 + count)]
    async with polling(toloka) as poller:
        transport: Any = poller.client.transport
        send = transport.send

        async def fail(_: Any) -> Any:
            return lost("tls")

        monkeypatch.setattr(transport, "send", fail)
        errors = await asyncio.gather(*(wait(poller, id_) for id_ in ids), return_exceptions=True)
        assert {type(error) for error in errors} == {TolokaTlsError}

        monkeypatch.setattr(transport, "send", send)
        waits = [asyncio.create_task(wait(poller, id_)) for id_ in ids]
        await until_asked(toloka, 1)
        await asyncio.sleep(0.1)
        monkeypatch.setattr(transport, "send", fail)
        await asyncio.sleep(0.3)
        assert isinstance(poller.trouble, TolokaTlsError)
        monkeypatch.setattr(transport, "send", send)
        load(toloka, dict.fromkeys(ids, "CLOSED"))
        assert all(await asyncio.gather(*waits))


async def test_quick_polls_do_not_make_an_id_unknown(toloka: TolokaEmulator) -> None:
    clock = asyncio.get_running_loop().time
    async with polling(toloka) as poller:
        began = clock()
        with pytest.raises(TolokaNotFoundError):
            await wait(poller, "5", interval=0.1)
        assert clock() - began >= 2 * UNKNOWN_PAUSE


@pytest.mark.parametrize("count", [1, 10])
async def test_the_time_of_a_refusal_is_known(toloka: TolokaEmulator, count: int) -> None:
    toloka.fault("GET /**", times=None, status=401)
    clock = asyncio.get_running_loop().time
    async with polling(toloka) as poller:
        assert [poller.refused_at] == [None]
        began = clock()
        waits = [wait(poller, str(number)) for number in range(1000, 1000 + count)]
        await asyncio.gather(*waits, return_exceptions=True)
        assert poller.refused_at is not None
        assert began <= poller.refused_at <= clock()
