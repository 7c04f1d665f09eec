"""The poller: most of it against the emulator's account on a clock that runs ahead, the rest over a real network."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pendulum
import pytest

from airflow_provider_toloka.client.backoff import backing_off, quick_first
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.client.retry import RetryPolicy
from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.exceptions import TolokaAuthenticationError, TolokaNotFoundError
from airflow_provider_toloka.hooks.toloka import TolokaHook
from airflow_provider_toloka.polling.looks import AT_ONCE, ROTATION_PER_SECOND, ROTATION_SECONDS
from airflow_provider_toloka.polling.poller import FEW, Poller
from tests.driving import Answer, answer, page
from tests.polling.quick import MANY, START, Toloka, apart, quickly


@quickly
async def test_many_waits_cost_one_list_in_an_interval(toloka: Toloka) -> None:
    operations = [toloka.add(30 + 30 * i / 2000) for i in range(2000)]
    found = await toloka.wait(*operations)
    assert set(found.values()) == {"SUCCESS"}
    assert toloka.clock() <= 60 + 1.1 * 5
    pages = 2000 / 300
    assert len(toloka.lists) <= 60 / 5 + pages + 2
    assert len(toloka.looks) <= ROTATION_PER_SECOND * max(0, toloka.clock() - ROTATION_SECONDS) + 1


@quickly
async def test_waits_that_join_at_any_time_share_a_list_each_second(toloka: Toloka) -> None:
    async def join() -> float:
        found = await toloka.wait(toloka.add(40), interval=5)
        assert list(found.values()) == ["SUCCESS"]
        return toloka.clock()

    told = await asyncio.gather(*(apart(10 * i / 500, join()) for i in range(500)))
    assert all(40 <= at - 10 * i / 500 <= 40 + 1.1 * 5 + 0.1 for i, at in enumerate(told))
    assert len(toloka.lists) <= toloka.clock()


@pytest.mark.parametrize("count", [1, FEW])
def test_a_few_waits_are_polled_by_id(count: int) -> None:
    async def polls(toloka: Toloka) -> None:
        await toloka.wait(*(toloka.add(20) for _ in range(count)))
        assert toloka.lists == []
        assert set(Counter(id_ for _, id_ in toloka.looks).values()) == {4}

    quickly(polls)()


@quickly
async def test_beyond_a_few_the_list_serves_all(toloka: Toloka) -> None:
    await toloka.wait(*(toloka.add(20) for _ in range(FEW + 1)))
    assert toloka.looks == []


@quickly
async def test_a_fresh_operation_is_looked_at_quickly_at_first(toloka: Toloka) -> None:
    await toloka.wait(toloka.add(16), intervals=lambda: quick_first(4))
    looks = [at for at, _ in toloka.looks]
    pauses = [after - before for before, after in itertools.pairwise([0.0, *looks])]
    assert pauses == pytest.approx([0.25, 0.25, 0.5, 1, 2, 4, 4, 4, 4][: len(pauses)], abs=0.11)
    assert toloka.clock() >= 16


@pytest.mark.parametrize("minutes", [1, 10, 60, 10_000])
@pytest.mark.parametrize("knows", [True, False], ids=["known", "unknown"])
def test_one_that_finished_before_its_wait_joined_is_found(minutes: int, knows: bool) -> None:
    async def finds(toloka: Toloka) -> None:
        others = [toloka.add() for _ in range(MANY)]
        endless = asyncio.create_task(toloka.wait(*others))
        toloka.add(1)
        await asyncio.sleep(100)
        ago = START + toloka.clock() - 60 * minutes
        old = toloka.add(status="SUCCESS", submitted=ago - 1, finished=ago)
        before = toloka.clock()
        assert await toloka.wait(old, knows=knows) == {old: "SUCCESS"}
        assert toloka.clock() - before <= 5.5
        endless.cancel()
        await asyncio.wait([endless])

    quickly(finds)()


@quickly
async def test_one_that_the_list_shows_late_is_found(toloka: Toloka) -> None:
    late, *others = [toloka.add() for _ in range(MANY)]
    waits = asyncio.create_task(toloka.wait(late, *others, seconds=30))
    toloka.add(10)
    await asyncio.sleep(17)
    shown = toloka.account.tables["operations"].get
    last = Operation.from_json(shown(toloka.add(status="SUCCESS")) or {}).finished
    await asyncio.sleep(5)
    assert last
    finished = (last - timedelta(seconds=0.5)).replace(tzinfo=None).isoformat(timespec="milliseconds")
    toloka.account.tables["operations"].update(late, status="SUCCESS", finished=finished)
    assert (await waits)[late] == "SUCCESS"
    assert toloka.looks[0][0] >= 30  # the list has found it


@pytest.mark.parametrize("within", [1.0, 0.01], ids=["a second", "a few milliseconds"])
def test_nothing_is_lost_when_many_finish_at_once(within: float) -> None:
    async def finds(toloka: Toloka) -> None:
        operations = [toloka.add(7 + within * i / 400) for i in range(400)]
        assert set((await toloka.wait(*operations)).values()) == {"SUCCESS"}
        assert toloka.clock() <= 7 + within + 5.5
        assert len(toloka.looks) == 0

    quickly(finds)()


@quickly
async def test_what_a_page_of_one_millisecond_does_not_show_is_found_by_id(toloka: Toloka) -> None:
    operations = [toloka.add(7) for _ in range(400)]
    assert set((await toloka.wait(*operations)).values()) == {"SUCCESS"}
    assert 0 < len(toloka.looks) <= 100


@pytest.mark.parametrize("count", [1, 50])
def test_when_the_time_is_over_each_is_looked_at_once_more(count: int) -> None:
    async def looks(toloka: Toloka) -> None:
        operations = [toloka.add(9) for _ in range(count)]
        found = await toloka.wait(*operations, toloka.add(), interval=3600, seconds=10)
        assert sorted(map(str, found.values())) == ["RUNNING", *["SUCCESS"] * count]
        assert toloka.clock() < 15

    quickly(looks)()


@quickly
async def test_when_the_time_is_over_and_toloka_is_out_of_reach_that_is_not_tried_for_each(toloka: Toloka) -> None:
    operations = [toloka.add() for _ in range(200)]
    toloka.spoil = lambda _path: answer(503)
    found = await toloka.wait(*operations, interval=3600, seconds=10)
    assert set(found.values()) == {None}
    assert len(toloka.looks) <= AT_ONCE


@pytest.mark.parametrize("count", [MANY, 700])
def test_what_the_list_never_shows_is_found_by_id_a_few_a_second(count: int) -> None:
    async def finds(toloka: Toloka) -> None:
        toloka.spoil = lambda path: page() if path == "/operations" else None
        operations = [toloka.add(30) for _ in range(count)]
        never = toloka.add()
        found = await toloka.wait(*operations, never, seconds=300)
        assert found.pop(never) == "RUNNING"
        assert set(found.values()) == {"SUCCESS"}
        at = [at for at, _ in toloka.looks if at < 300]
        busiest = max(sum(first <= other < first + 10 for other in at) for first in at)
        assert busiest <= 10 * ROTATION_PER_SECOND + 1
        mine = [at for at, id_ in toloka.looks if id_ == never and at < 300]
        assert all(after - before >= ROTATION_SECONDS for before, after in itertools.pairwise(mine))
        assert toloka.looks[0][0] >= ROTATION_SECONDS

    quickly(finds)()


@pytest.mark.parametrize("count", [1, MANY])
@pytest.mark.parametrize(
    "outage", [answer(503), answer(429), answer(429, retry_after="7"), answer(200, b"<html>"), answer(502, b"")]
)
def test_an_outage_is_outlived(outage: Answer, count: int) -> None:
    async def outlives(toloka: Toloka) -> None:
        toloka.spoil = lambda _path: outage if 3 < toloka.clock() < 100 else None
        operations = [toloka.add(20) for _ in range(count)]
        assert set((await toloka.wait(*operations)).values()) == {"SUCCESS"}
        assert 100 < toloka.clock() < 115

    quickly(outlives)()


@pytest.mark.parametrize("count", [1, 7])
def test_the_deadline_holds_however_long_toloka_asks_to_stay_away(count: int) -> None:
    async def ends(toloka: Toloka) -> None:
        toloka.spoil = lambda _path: answer(429, retry_after="86400")
        operations = [toloka.add() for _ in range(count)]
        assert set((await toloka.wait(*operations, seconds=30)).values()) == {None}
        assert toloka.clock() < 32
        assert "too many requests" in str(toloka.poller.trouble)

    quickly(ends)()


@pytest.mark.parametrize("count", [1, MANY])
def test_a_refused_token_fails_every_wait(count: int) -> None:
    async def fails(toloka: Toloka) -> None:
        toloka.spoil = lambda _path: answer(401) if toloka.clock() > 12 else None
        waits = [toloka.wait(toloka.add()) for _ in range(count)]
        errors = await asyncio.gather(*waits, return_exceptions=True)
        assert {type(error) for error in errors} == {TolokaAuthenticationError}
        assert toloka.clock() < 17

    quickly(fails)()


@pytest.mark.parametrize("count", [1, MANY])
@pytest.mark.parametrize("lasts", [20, 200])
def test_an_operation_that_is_not_there_fails_only_its_own_wait(count: int, lasts: float) -> None:
    async def fails(toloka: Toloka) -> None:
        waits = asyncio.gather(*(toloka.wait(toloka.add(lasts)) for _ in range(count)))
        with pytest.raises(TolokaNotFoundError, match="operation nowhere"):
            await toloka.wait("nowhere", knows=False)
        assert toloka.clock() < 10
        assert [list(found.values()) for found in await waits] == [["SUCCESS"]] * count

    quickly(fails)()


@quickly
async def test_two_may_wait_for_one_operation(toloka: Toloka) -> None:
    one = toloka.add(20)
    first = asyncio.create_task(toloka.wait(one))
    leaves = asyncio.create_task(toloka.wait(one, seconds=7))
    assert await apart(3, toloka.wait(one)) == {one: "SUCCESS"}
    assert await first == {one: "SUCCESS"}
    assert await leaves == {one: "RUNNING"}


@quickly
async def test_one_that_is_cancelled_leaves_the_others_their_wait(toloka: Toloka) -> None:
    one = toloka.add(20)
    cancelled = asyncio.create_task(toloka.wait(one))
    other = asyncio.create_task(toloka.wait(one))
    await asyncio.sleep(7)
    cancelled.cancel()
    assert await other == {one: "SUCCESS"}
    assert cancelled.cancelled()


@pytest.mark.parametrize("count", [1, MANY])
@pytest.mark.parametrize("fail_fast", [True, False])
def test_one_that_fails_ends_the_wait_if_it_is_asked_to(count: int, fail_fast: bool) -> None:
    async def fails(toloka: Toloka) -> None:
        failing, others = toloka.add(8, outcome="FAIL"), [toloka.add(30) for _ in range(count)]
        found = await toloka.wait(failing, *others, fail_fast=fail_fast)
        assert found.pop(failing) == "FAIL"
        assert (set(found.values()) == {"SUCCESS"}) is not fail_fast
        assert (toloka.clock() < 15) is fail_fast

    quickly(fails)()


@quickly
async def test_changes_are_told_once(toloka: Toloka) -> None:
    told: list[str] = []
    operation = toloka.add(30, status="PENDING", progress=None)
    await toloka.wait(operation, on_change=lambda one: told.append(one.status), interval=2)
    assert (told[0], told[-1], told.count("SUCCESS")) == ("PENDING", "SUCCESS", 1)


@pytest.mark.parametrize("count", [1, MANY])
def test_a_defect_in_the_poller_is_told_to_those_who_wait_and_it_goes_on(count: int) -> None:
    async def fails(toloka: Toloka) -> None:
        def spoil(_path: str) -> None:
            if toloka.clock() < 12:
                raise ZeroDivisionError

        toloka.spoil = spoil
        errors = await asyncio.gather(*(toloka.wait(toloka.add()) for _ in range(count)), return_exceptions=True)
        assert {type(error) for error in errors} == {ZeroDivisionError}
        await asyncio.sleep(20)
        found = await toloka.wait(*(toloka.add(20) for _ in range(count)))
        assert set(found.values()) == {"SUCCESS"}

    quickly(fails)()


@quickly
async def test_a_listener_that_joins_later_hears_of_what_finished_before(toloka: Toloka) -> None:
    early = toloka.add(10)
    with toloka.poller.listen(datetime.fromtimestamp(START + 60, UTC), 5.0):
        await asyncio.sleep(300)
        with toloka.poller.listen(datetime.fromtimestamp(START + 5, UTC), 5.0) as listener:
            heard = await asyncio.wait_for(listener.news(), 20)
    assert [operation.id for operation in heard] == [early]


@quickly
async def test_a_listener_hears_of_the_past_until_there_is_news(toloka: Toloka) -> None:
    early, middle, late = toloka.add(10), toloka.add(63), toloka.add(150)
    await asyncio.sleep(60)
    heard: list[str] = []
    with toloka.poller.listen(datetime.fromtimestamp(START, UTC), 5.0) as listener:
        while late not in heard:
            heard += [operation.id for operation in await listener.news()]
    # Each list begins where the last one ended, or a second before.
    assert heard[0] == early
    assert early not in heard[heard.index(middle) + 1 :]


@quickly
async def test_defaults_of_a_wait_for_groups(toloka: Toloka) -> None:
    soon, failing, later = toloka.add(20), toloka.add(10, outcome="FAIL"), toloka.add(60)
    outcome = await toloka.poller.wait_for_any(
        [[failing, later], [soon]], submitted={}, intervals=lambda: itertools.repeat(1.0), seconds=None
    )
    # A failed operation ends its group, and nothing is waited for after the first group.
    assert toloka.clock() < 13
    assert outcome.unfinished == [later, soon]
    began = toloka.clock()
    await toloka.poller.wait_for_any([[], [later]], submitted={}, intervals=lambda: itertools.repeat(1.0), seconds=None)
    assert toloka.clock() - began < 1


# Over a real network


@contextlib.asynccontextmanager
async def polling() -> AsyncIterator[Poller]:
    async with (
        TolokaHook(retry_policy=RetryPolicy(retries=1)).async_client() as client,
        Poller(client) as poller,
    ):
        yield poller


def often() -> Iterator[float]:
    return backing_off(0.2, 0.2)


@pytest.mark.parametrize("count", [1, 100])
async def test_over_the_network_all_are_found_with_few_requests(toloka_emulator: TolokaEmulator, count: int) -> None:
    ids = [toloka_emulator.add_operation("X", status="RUNNING", finishes_in=1.5)["id"] for _ in range(count)]
    now = pendulum.now("UTC")
    async with polling() as poller:
        found = await poller.wait_for(dict.fromkeys(ids, now.subtract(seconds=1)), intervals=often, seconds=20)
    assert [operation and operation.status for operation in found.values()] == ["SUCCESS"] * count
    assert len(toloka_emulator.requests) <= 20


async def test_the_time_is_asked_for_once(toloka_emulator: TolokaEmulator) -> None:
    async with polling() as poller:
        first, second = await poller.now(), await poller.now()
    assert first <= second
    assert len(toloka_emulator.requests) == 1
