"""Errors while many wait: they end only the waits that they have to, and are reported to the waits that they affect."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest

from airflow_provider_toloka.client.observer import Observer
from airflow_provider_toloka.exceptions import TolokaNotFoundError, TolokaTlsError
from airflow_provider_toloka.polling.looks import QUICK_ROTATION_PER_SECOND
from airflow_provider_toloka.polling.poller import FEW, Poller
from tests.driving import Answer, answer, error, lost
from tests.polling.quick import MANY, Toloka, apart, quickly

_who: ContextVar[str] = ContextVar("who", default="nobody")

PAGE = answer(200, b"<html>Sign in to the network</html>")


def spoil_list(with_: Answer) -> Callable[[str], Answer | None]:
    return lambda path: with_ if path == "/operations" else None


class Lines:
    """A log of one who waits."""

    def __init__(self, toloka: Toloka) -> None:
        self._clock = toloka.clock
        self.all: list[tuple[float, int, str]] = []

    def __call__(self, level: int, line: str) -> None:
        self.all.append((self._clock(), level, line))

    def at(self, word: str) -> list[float]:
        return [at for at, _, line in self.all if word in line]


# The list fails


@pytest.mark.parametrize(
    "failure",
    [error(400), error(403), error(404), error(409), error(500), error(429), PAGE, answer(204), lost("timeout")],
    ids=["400", "403", "404", "409", "500", "429", "a page", "nothing", "no answer"],
)
def test_a_list_that_always_fails_makes_nobody_fail(failure: Answer) -> None:
    async def finds(toloka: Toloka) -> None:
        toloka.spoil = spoil_list(failure)
        operations = [toloka.add(20 + number) for number in range(MANY)]
        assert set((await toloka.wait(*operations)).values()) == {"SUCCESS"}
        # In the meantime, reads by id are more frequent than once a minute.
        assert toloka.clock() < 20 + MANY + 10

    quickly(finds)()


@quickly
async def test_while_the_list_fails_the_looks_by_id_keep_to_a_rate(toloka: Toloka) -> None:
    toloka.spoil = spoil_list(error(403))
    await toloka.wait(*(toloka.add() for _ in range(500)), seconds=100)
    looks = [at for at, _ in toloka.looks if at < 100]
    assert len(looks) <= 100 * QUICK_ROTATION_PER_SECOND
    assert len(looks) >= 500


@quickly
async def test_a_list_that_asks_for_a_pause_gets_it(toloka: Toloka) -> None:
    toloka.spoil = spoil_list(error(503, **{"retry-after": "50"}))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(100):
            await toloka.wait(*(toloka.add() for _ in range(MANY)))
    assert len(toloka.lists) <= 3


@quickly
async def test_while_all_fails_few_requests_are_sent(toloka: Toloka) -> None:
    toloka.spoil = lambda _path: error(503)
    await asyncio.gather(*(toloka.wait(toloka.add(), seconds=590) for _ in range(500)))
    assert len([at for at, _ in toloka.looks if at < 590]) <= 600 / 5 + 1


@pytest.mark.parametrize("count", [1, MANY])
def test_an_id_that_is_unknown_for_a_moment_after_it_was_submitted_is_waited_for(count: int) -> None:
    async def finds(toloka: Toloka) -> None:
        unknown = [error(404)]
        toloka.spoil = lambda path: unknown.pop() if path != "/operations" and unknown else None
        found = await toloka.wait(*(toloka.add(20) for _ in range(count)), knows=False)
        assert set(found.values()) == {"SUCCESS"}
        assert unknown == []

    quickly(finds)()


@quickly
async def test_an_id_that_is_polled_often_has_some_seconds_to_become_known(toloka: Toloka) -> None:
    toloka.spoil = lambda _path: error(404) if toloka.clock() < 3 else None
    assert list((await toloka.wait(toloka.add(5), interval=0.1)).values()) == ["SUCCESS"]


@pytest.mark.parametrize("status", [400, 403, 409])
@pytest.mark.parametrize("count", [1, MANY])
def test_an_operation_that_may_not_be_read_for_a_while_is_waited_for(status: int, count: int) -> None:
    async def finds(toloka: Toloka) -> None:
        toloka.spoil = lambda path: error(status) if path != "/operations" and toloka.clock() < 100 else None
        found = await toloka.wait(*(toloka.add(50) for _ in range(count)), knows=False)
        assert set(found.values()) == {"SUCCESS"}

    quickly(finds)()


@pytest.mark.parametrize("count", [1, MANY])
def test_a_tls_failure_in_the_first_look_ends_the_wait_and_later_does_not(count: int) -> None:
    async def fails(toloka: Toloka) -> None:
        toloka.spoil = lambda _path: lost("tls")
        with pytest.raises(TolokaTlsError):
            await toloka.wait(*(toloka.add() for _ in range(count)))

    async def outlives(toloka: Toloka) -> None:
        toloka.spoil = lambda _path: lost("tls") if 12 < toloka.clock() < 50 else None
        assert set((await toloka.wait(*(toloka.add(20) for _ in range(count)))).values()) == {"SUCCESS"}

    quickly(fails)()
    quickly(outlives)()


# What callers bring


@pytest.mark.parametrize("broken", ["on_change", "on_outage", "intervals", "no more intervals"])
@pytest.mark.parametrize("count", [1, MANY])
def test_what_one_caller_brings_fails_nobody_else(broken: str, count: int) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    def failing() -> Iterator[float]:
        yield 1.0
        if broken == "intervals":
            raise ZeroDivisionError

    async def fails(toloka: Toloka) -> None:
        toloka.spoil = lambda _path: error(503) if 7 < toloka.clock() < 18 else None
        given: dict[str, Any] = {"intervals": failing} if "intervals" in broken else {broken: fail}
        shared = toloka.add(20)
        waits = [toloka.wait(shared), *(toloka.wait(toloka.add(20)) for _ in range(count))]
        found = await asyncio.gather(toloka.wait(shared, **given), *waits)
        assert {status for one in found for status in one.values()} == {"SUCCESS"}

    quickly(fails)()


@quickly
async def test_intervals_that_cannot_be_made_fail_their_own_caller(toloka: Toloka) -> None:
    def fail() -> Iterator[float]:
        raise ZeroDivisionError

    other = asyncio.create_task(toloka.wait(toloka.add(20)))
    with pytest.raises(ZeroDivisionError):
        await toloka.wait(toloka.add(), toloka.add(), intervals=fail)
    assert list((await other).values()) == ["SUCCESS"]


# How outages are reported


@pytest.mark.parametrize("count", [1, MANY])
def test_each_who_waits_hears_when_an_outage_begins_each_minute_and_when_it_ends(count: int) -> None:
    async def hears(toloka: Toloka) -> None:
        toloka.spoil = lambda _path: error(503) if 3 < toloka.clock() < 150 else None
        logs = [Lines(toloka) for _ in range(count)]
        await asyncio.gather(*(toloka.wait(toloka.add(200), on_outage=log) for log in logs))
        for log in logs:
            assert [level for _, level, _ in log.all] == [logging.WARNING] * 3 + [logging.INFO]
            assert log.at("failed; still waiting") == pytest.approx([5], abs=1)
            assert log.at("has been failing for") == pytest.approx([65, 125], abs=10)
            assert log.at("works again") == pytest.approx([151], abs=6)
            assert all("Toloka is not available" in line for _, level, line in log.all if level == logging.WARNING)

    quickly(hears)()


@quickly
async def test_one_who_comes_into_an_outage_hears_of_it_at_once(toloka: Toloka) -> None:
    toloka.spoil = lambda _path: error(503) if toloka.clock() < 50 else None
    early = toloka.wait(*(toloka.add(60) for _ in range(MANY)))
    log = Lines(toloka)
    await asyncio.gather(early, apart(30, toloka.wait(toloka.add(60), on_outage=log)))
    assert log.at("has been failing for")[0] == pytest.approx(30, abs=1)
    assert len(log.at("works again")) == 1


@quickly
async def test_what_concerns_one_operation_is_told_to_those_who_wait_for_it(toloka: Toloka) -> None:
    bad, *others = [toloka.add(200) for _ in range(MANY)]
    toloka.spoil = lambda path: error(403) if path.endswith(bad) and toloka.clock() < 100 else None
    its, theirs = Lines(toloka), Lines(toloka)
    await asyncio.gather(toloka.wait(bad, on_outage=its), *(toloka.wait(one, on_outage=theirs) for one in others))
    assert theirs.all == []
    assert len(its.at(f"Polling operation {bad} failed")) == 1
    assert len(its.at("works again")) == 1


@pytest.mark.parametrize("count", [1, MANY])
def test_those_without_a_log_of_their_own_hear_it_once(count: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    async def hears(toloka: Toloka) -> None:
        toloka.spoil = lambda _path: error(503) if 3 < toloka.clock() < 50 else None
        operation = toloka.add(60)
        await asyncio.gather(*(toloka.wait(operation if count == 1 else toloka.add(60)) for _ in range(MANY)))

    quickly(hears)()
    assert caplog.text.count("failed; still waiting") == 1
    assert caplog.text.count("works again") == 1


@quickly
async def test_many_who_hear_of_an_outage_do_not_hold_up_the_loop(toloka: Toloka) -> None:
    # This loop's clock moves on with each of its rounds.
    told: Counter[float] = Counter()
    toloka.spoil = lambda _path: error(503) if toloka.clock() > 3 else None
    waits = [
        toloka.wait(toloka.add(), seconds=20, on_outage=lambda *_: told.update([toloka.clock()])) for _ in range(1000)
    ]
    await asyncio.gather(*waits)
    assert told.total() >= 1000
    assert max(told.values()) <= 50


# Groups


@quickly
async def test_the_wait_for_groups_ends_with_the_first_and_what_is_near_it(toloka: Toloka) -> None:
    quick, near, slow, *others = [toloka.add(seconds) for seconds in (10, 11, 60, *[90] * MANY)]
    groups = [[quick, near], [near], [slow], others]
    outcome = await toloka.poller.wait_for_any(
        groups, submitted={}, intervals=lambda: itertools.repeat(1.0), seconds=None, gather=3.0
    )
    assert toloka.clock() < 17
    assert {id_ for id_, one in outcome.operations.items() if one and one.is_finished} == {quick, near}
    assert outcome.unfinished == [slow, *others]


@pytest.mark.parametrize(("fail_fast", "ends"), [(True, 10), (False, 30)])
def test_one_that_fails_ends_its_group_if_that_is_asked_for(fail_fast: bool, ends: float) -> None:
    async def ending(toloka: Toloka) -> None:
        groups = [[toloka.add(10, outcome="FAIL"), toloka.add(60)], [toloka.add(30)]]
        await toloka.poller.wait_for_any(
            groups, submitted={}, intervals=lambda: itertools.repeat(1.0), seconds=None, fail_fast=fail_fast
        )
        assert ends <= toloka.clock() < ends + 3

    quickly(ending)()


@quickly
async def test_an_id_that_does_not_exist_is_an_error_of_its_group_only(toloka: Toloka) -> None:
    slow = toloka.add(100)
    outcome = await toloka.poller.wait_for_any(
        [["nowhere"], [slow]], submitted={}, intervals=lambda: itertools.repeat(1.0), seconds=None
    )
    assert type(outcome.errors["nowhere"]) is TolokaNotFoundError
    assert outcome.unfinished == [slow]


# The end


@quickly
async def test_those_who_still_wait_hear_that_the_poller_is_closed(toloka: Toloka) -> None:
    waits = [asyncio.create_task(toloka.wait(toloka.add())) for _ in range(MANY)]
    await asyncio.sleep(7)
    await toloka.poller.__aexit__()
    errors = await asyncio.gather(*waits, return_exceptions=True)
    assert {str(one) for one in errors} == {"the poller was closed"}


@quickly
async def test_a_change_is_told_in_the_context_of_the_one_who_waits(toloka: Toloka) -> None:
    seen: list[str] = []

    async def named(name: str) -> None:
        _who.set(name)
        await toloka.wait(toloka.add(3), on_change=lambda _: seen.append(_who.get()))

    await asyncio.gather(named("a"), named("b"))
    assert set(seen) == {"a", "b"}


@pytest.mark.parametrize("count", [1, MANY])
def test_the_time_of_a_refusal_is_known(count: int) -> None:
    async def refused(toloka: Toloka) -> None:
        toloka.spoil = lambda _: error(401)
        assert [toloka.poller.refused_at] == [None]
        await asyncio.gather(*(toloka.wait(toloka.add()) for _ in range(count)), return_exceptions=True)
        assert toloka.poller.refused_at is not None
        assert 0 < toloka.poller.refused_at <= toloka.clock()

    quickly(refused)()


@pytest.mark.parametrize("count", [1, MANY])
def test_a_wait_without_news_ends_with_the_reason(count: int) -> None:
    async def without_news(toloka: Toloka) -> None:
        toloka.spoil = lambda _: error(500)
        outcome = await toloka.poller.wait_for_any(
            [[toloka.add() for _ in range(count)]],
            submitted={},
            intervals=lambda: itertools.repeat(1.0),
            seconds=10,
        )
        assert outcome.trouble is not None
        assert outcome.trouble.status == 500

    quickly(without_news)()


class Outages(Observer):
    """Counts the outages that it is told of, and keeps how many waits there were."""

    began = ended = 0

    def __init__(self) -> None:
        self.counts: list[int] = []

    def waiting(self, awaited: str, count: int) -> None:
        assert awaited == "operations"
        self.counts.append(count)

    def outage_began(self) -> None:
        self.began += 1

    def outage_ended(self, seconds: float) -> None:  # noqa: ARG002 - the base class's signature
        self.ended += 1


@pytest.mark.parametrize("count", [1, MANY])
def test_an_outage_is_observed_once(count: int) -> None:
    async def observed(toloka: Toloka) -> None:
        observer = toloka.client.api.observer = Outages()
        toloka.spoil = lambda _: error(500) if 10 < toloka.clock() < 40 else None
        async with Poller(toloka.client) as poller:
            toloka.poller = poller
            await toloka.wait(*(toloka.add(60) for _ in range(count)))
        assert (observer.began, observer.ended) == (1, 1)
        assert set(observer.counts[:-1]) == {count}
        assert observer.counts[-1] == 0

    quickly(observed)()


@quickly
async def test_a_wait_that_has_ended_hears_of_no_outage(toloka: Toloka) -> None:
    early, late = Lines(toloka), Lines(toloka)
    await toloka.wait(*(toloka.add(5) for _ in range(MANY)), on_outage=early)
    toloka.spoil = lambda _: error(500) if toloka.clock() < 60 else None
    await toloka.wait(*(toloka.add(90) for _ in range(MANY)), on_outage=late)
    assert late.all
    assert early.all == []


@quickly
async def test_after_a_wait_in_vain_the_next_one_works(toloka: Toloka) -> None:
    operation = toloka.add(20)
    assert await toloka.wait(operation, seconds=10) == {operation: "RUNNING"}
    assert await toloka.wait(operation) == {operation: "SUCCESS"}


@quickly
async def test_without_a_deadline_there_is_no_last_look(toloka: Toloka) -> None:
    operations = [toloka.add(20) for _ in range(MANY)]
    await toloka.wait(*operations, seconds=1000)
    assert toloka.looks == []


@quickly
async def test_an_outage_of_the_list_ends_when_few_are_left(toloka: Toloka) -> None:
    observer, lines = Outages(), Lines(toloka)
    toloka.client.api.observer = observer
    toloka.spoil = spoil_list(error(500))
    async with Poller(toloka.client) as poller:
        toloka.poller = poller
        soon = [toloka.wait(toloka.add(20)) for _ in range(MANY)]
        await asyncio.gather(*soon, *(toloka.wait(toloka.add(200), on_outage=lines) for _ in range(FEW)))
    assert (observer.began, observer.ended) == (1, 1)
    assert [(level, line) for _, level, line in lines.all][-1] == (
        logging.INFO,
        "Polling the few remaining operations by their ids.",
    )


@quickly
async def test_what_finishes_while_few_are_read_by_their_ids_is_in_the_next_list(toloka: Toloka) -> None:
    first = asyncio.create_task(toloka.wait(toloka.add(300)))
    await asyncio.sleep(60)
    late = [toloka.add(1) for _ in range(MANY)]
    await asyncio.sleep(30)
    assert set((await toloka.wait(*late)).values()) == {"SUCCESS"}
    assert toloka.clock() < 100
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
