"""Where each reading of the list of finished operations begins."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_toloka.client.async_client import AsyncTolokaClient
from airflow_provider_toloka.client.sansio import Request
from airflow_provider_toloka.exceptions import (
    TolokaAuthenticationError,
    TolokaNotFoundError,
    TolokaUnavailableError,
)
from airflow_provider_toloka.polling.finished import FinishedOperations
from tests.driving import SETTINGS, Answer, error, operation, page

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
_ids = itertools.count(1)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def done(seconds: float) -> dict[str, Any]:
    finished = at(seconds).replace(tzinfo=None).isoformat(timespec="milliseconds")
    return operation(status="SUCCESS", id_=f"op{next(_ids)}", finished=finished)


class Scripted:
    """Gives these answers, and keeps the seconds after noon from which each list was asked for."""

    requests = 0
    rate = 300.0

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.starts: list[float] = []
        self.list = FinishedOperations(AsyncTolokaClient(SETTINGS, transport=self))

    async def send(self, request: Request) -> Answer:
        assert (request.path, request.query["sort"]) == ("/operations", "finished")
        start = datetime.fromisoformat(request.query["finished_gte"]).replace(tzinfo=UTC)
        self.starts.append((start - NOON).total_seconds())
        return self.answers.pop(0)

    async def sleep(self, seconds: float) -> float:
        raise AssertionError(f"a poll is not tried again after {seconds} s")

    async def _read(self, more: list[datetime]) -> list[int]:
        return [len(operations) async for operations in self.list.read(more)]

    def read(self, *answers: Answer, more: tuple[float, ...] = ()) -> list[int]:
        """Read once; return the number of operations of each page."""
        self.answers = list(answers)
        self.starts.clear()
        pages = asyncio.run(self._read([at(seconds) for seconds in more]))
        assert not self.answers
        return pages


def test_nothing_is_read_before_a_start_is_known() -> None:
    assert Scripted().read() == []


def test_the_first_reading_begins_at_the_earliest_start() -> None:
    toloka = Scripted()
    for seconds in (10, 5, 7):
        toloka.list.include(at(seconds))
    assert toloka.read(page(done(6), done(8))) == [2]
    assert toloka.starts == [5]


def test_the_next_one_begins_a_second_before_the_end_of_the_last() -> None:
    toloka = Scripted()
    toloka.list.include(at(5))
    toloka.read(page(done(6), done(8)))
    toloka.read(page())
    assert toloka.starts == [7]
    # Nothing has finished since: it begins there again.
    toloka.read(page(done(9)))
    assert toloka.starts == [7]
    toloka.read(page())
    assert toloka.starts == [8]


def test_a_start_that_is_earlier_goes_first_and_a_later_one_does_not() -> None:
    toloka = Scripted()
    toloka.list.include(at(5))
    toloka.read(page(done(20)))
    toloka.list.include(at(30))
    toloka.read(page())
    assert toloka.starts == [19]
    toloka.list.include(at(3))
    toloka.read(page())
    assert toloka.starts == [3]
    # A start counts once.
    toloka.read(page())
    assert toloka.starts == [19]
    toloka.read(page(), more=(25, 11))
    assert toloka.starts == [11]


def test_a_page_goes_on_where_the_last_one_ended() -> None:
    toloka = Scripted()
    toloka.list.include(at(0))
    assert toloka.read(page(done(1), done(2), has_more=True), page(done(2), done(4), has_more=True), page()) == [
        2,
        2,
        0,
    ]
    assert toloka.starts == [0, 2, 4]
    toloka.read(page())
    assert toloka.starts == [3]


def test_a_page_of_one_millisecond_is_left_behind() -> None:
    toloka = Scripted()
    toloka.list.include(at(2))
    toloka.read(page(done(2), done(2), has_more=True), page())
    assert toloka.starts == [2, 2.001]


def test_an_earlier_page_does_not_set_the_position_back() -> None:
    toloka = Scripted()
    toloka.list.include(at(0))
    toloka.read(page(done(50)))
    toloka.list.include(at(10))
    toloka.read(page(done(20)))
    toloka.read(page())
    assert toloka.starts == [49]


def test_while_nothing_has_finished_each_reading_begins_at_the_start() -> None:
    toloka = Scripted()
    toloka.list.include(at(5))
    for _ in range(3):
        toloka.read(page())
        assert toloka.starts == [5]


@pytest.mark.parametrize("failure", [error(500), error(404), error(401)])
def test_after_a_failure_the_next_one_begins_where_it_failed(failure: Answer) -> None:
    toloka = Scripted()
    toloka.list.include(at(5))
    with pytest.raises((TolokaUnavailableError, TolokaNotFoundError, TolokaAuthenticationError)):
        toloka.read(failure)
    assert toloka.starts == [5]
    with pytest.raises(TolokaUnavailableError):
        toloka.read(page(done(6), has_more=True), error(500))
    toloka.read(page())
    assert toloka.starts == [5]


def test_a_new_start_takes_the_place_of_the_position() -> None:
    toloka = Scripted()
    toloka.list.include(at(5))
    toloka.read(page(done(50)))
    toloka.list.restart(at(60))
    toloka.read(page())
    assert toloka.starts == [60]
