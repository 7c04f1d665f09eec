"""The rules of all waits."""

from __future__ import annotations

import math

import pytest

from airflow_provider_toloka.client.observer import Observer
from airflow_provider_toloka.client.waiting import Outage, ends_wait, time_away, time_left
from airflow_provider_toloka.exceptions import (
    TolokaApiError,
    TolokaAuthenticationError,
    TolokaNotFoundError,
    TolokaPermissionError,
    TolokaTlsError,
    TolokaUnavailableError,
)


@pytest.mark.parametrize(("deadline", "left"), [(None, math.inf), (110, 10), (100, 0), (90, 0)])
def test_the_time_that_is_left(deadline: float | None, left: float) -> None:
    assert time_left(deadline, 100) == left


@pytest.mark.parametrize(
    ("error", "times_unknown", "is_first", "ends"),
    [
        (TolokaNotFoundError, 2, True, False),
        (TolokaNotFoundError, 3, False, True),
        (TolokaAuthenticationError, 0, False, True),
        (TolokaTlsError, 0, True, True),
        (TolokaTlsError, 0, False, False),
        (TolokaPermissionError, 3, True, False),
        (TolokaUnavailableError, 3, True, False),
    ],
)
def test_what_ends_a_wait(error: type[TolokaApiError], times_unknown: int, is_first: bool, ends: bool) -> None:
    assert ends_wait(error("no"), times_unknown=times_unknown, is_first=is_first) is ends


def test_by_default_an_error_is_neither_the_first_nor_a_repeated_one() -> None:
    assert not ends_wait(TolokaNotFoundError("no"))
    assert not ends_wait(TolokaNotFoundError("no"), times_unknown=2)
    assert not ends_wait(TolokaTlsError("no"))


@pytest.mark.parametrize(("asked", "pause"), [(None, 0), (0.0, 0), (7.0, 7), (61.0, 60)])
def test_a_pause_that_toloka_asks_for_is_a_minute_at_most(asked: float | None, pause: float) -> None:
    assert time_away(TolokaUnavailableError("no", retry_after=asked)) == pause
    assert time_away(None) == 0


class Recorder(Observer):
    def __init__(self) -> None:
        self.seen: list[object] = []

    def outage_began(self) -> None:
        self.seen.append("began")

    def outage_ended(self, seconds: float) -> None:
        self.seen.append(seconds)


def test_an_outage_is_told_when_it_begins_once_a_minute_and_when_it_ends() -> None:
    observer = Recorder()
    outage = Outage("Polling operation 1", observer=observer)
    assert outage.worked(5) is None
    assert outage.line(5) is None
    error, other = TolokaUnavailableError("no answer"), TolokaUnavailableError("busy")
    assert outage.failed(error, 10) == "Polling operation 1 failed; still waiting: no answer"
    assert outage.line(10.5) == "Polling operation 1 failed; still waiting: no answer"
    assert outage.line(11) == "Polling operation 1 has been failing for 1 s; still waiting: no answer"
    assert [outage.failed(other, now) for now in (20, 40, 69.9)] == [None] * 3
    assert [outage.error] == [other]
    assert outage.failed(error, 70) == "Polling operation 1 has been failing for 60 s; still waiting: no answer"
    assert outage.failed(error, 129) is None
    assert outage.failed(error, 131) == "Polling operation 1 has been failing for 121 s; still waiting: no answer"
    assert outage.worked(135) == "Polling operation 1 works again after 125 s."
    assert [outage.error] == [None]
    assert outage.worked(136) is None
    assert observer.seen == ["began", 125]
    # The next one begins anew, although the last line was less than a minute ago.
    assert outage.failed(error, 137) == "Polling operation 1 failed; still waiting: no answer"
    assert outage.worked(139) == "Polling operation 1 works again after 2 s."
    assert observer.seen == ["began", 125, "began", 2]


def test_the_interval_between_lines_may_be_another_one() -> None:
    outage = Outage("Polling", interval=5)
    error = TolokaUnavailableError("no answer")
    assert [bool(outage.failed(error, now)) for now in (0, 4.9, 5, 9.9, 10)] == [True, False, True, False, True]
