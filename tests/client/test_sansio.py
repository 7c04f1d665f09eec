from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from airflow_provider_toloka.client.config import Settings
from airflow_provider_toloka.client.retry import Patience, RetryPolicy, full_jitter
from airflow_provider_toloka.exceptions import (
    TolokaApiError,
    TolokaAuthenticationError,
    TolokaConflictError,
    TolokaInvalidAnswerError,
    TolokaNotFoundError,
    TolokaPermissionError,
    TolokaRateLimitError,
    TolokaRequestError,
    TolokaUnavailableError,
)
from tests.driving import NOW, Answer, Driver, answer, api, error, longest, lost, ok, project

PASSING = [
    *(pytest.param(lost(kind), id=kind) for kind in ("unreachable", "tls", "timeout", "broken", "too large")),
    *(pytest.param(error(status), id=str(status)) for status in (408, 429, 500, 502, 503, 504)),
]
LASTING = {
    400: TolokaRequestError,
    401: TolokaAuthenticationError,
    403: TolokaPermissionError,
    404: TolokaNotFoundError,
    405: TolokaRequestError,
    409: TolokaConflictError,
    413: TolokaRequestError,
    415: TolokaRequestError,
    204: TolokaInvalidAnswerError,
    302: TolokaInvalidAnswerError,
}


@pytest.fixture(autouse=True)
def timezone() -> Iterator[None]:
    yield
    time.tzset()


def quota(interval: object) -> Answer:
    return answer(429, {"code": "TOO_MANY_REQUESTS", "payload": {"interval": interval}})


@pytest.mark.parametrize("failure", PASSING)
def test_a_failure_that_may_pass_is_tried_again(failure: Answer) -> None:
    driver = Driver([failure, ok(project())])
    assert driver.run(api().projects.get("1")).id == "1"
    assert driver.calls == ["GET /projects/1"] * 2
    assert driver.sleeps == [1.0]


@pytest.mark.parametrize(("status", "kind"), LASTING.items())
def test_a_failure_that_lasts_is_not_tried_again(status: int, kind: type[TolokaApiError]) -> None:
    driver = Driver([error(status)])
    with pytest.raises(kind) as caught:
        driver.run(api().projects.get("1"))
    assert type(caught.value) is kind
    assert driver.sleeps == []


def test_waits_double_up_to_the_longest_and_end_with_the_retries() -> None:
    driver = Driver([error(503)] * 6)
    with pytest.raises(TolokaUnavailableError) as caught:
        driver.run(api(retries=5, longest_wait=6.0).projects.get("1"))
    assert driver.sleeps == [1.0, 2.0, 4.0, 6.0, 6.0]
    assert caught.value.status == 503


def test_waits_of_one_call_end_with_their_sum() -> None:
    driver = Driver(lambda _: error(503))
    with pytest.raises(TolokaUnavailableError):
        driver.run(api(retries=100, longest_wait=10.0, total_wait=30.0).projects.get("1"))
    assert driver.sleeps == [1.0, 2.0, 4.0, 8.0, 10.0]


def test_the_connection_says_how_often_to_try() -> None:
    settings = Settings(token="t", retries=2)
    driver = Driver(lambda _: error(503))
    with pytest.raises(TolokaUnavailableError):
        driver.run(type(api())(settings).projects.get("1"))
    assert len(driver.requests) == 3


def test_the_jitter_draws_from_the_whole_wait() -> None:
    draws = [full_jitter(8.0) for _ in range(2000)]
    assert 0 <= min(draws) < 1 < 7 < max(draws) <= 8


def test_the_jitter_of_the_policy_is_asked() -> None:
    driver = Driver([error(503), error(503), ok(project())])
    driver.run(api(jitter=lambda seconds: seconds / 4).projects.get("1"))
    assert driver.sleeps == [0.25, 0.5]


def test_very_many_retries_are_no_harm() -> None:
    patience = Patience(RetryPolicy(retries=2000, jitter=lambda _: 0.0))
    assert [patience.next_wait(None) for _ in range(2001)] == [0.0] * 2000 + [None]


@pytest.mark.parametrize(
    ("header", "asked"),
    [
        pytest.param("7", 7.0, id="seconds"),
        pytest.param(" 7 ", 7.0, id="blanks"),
        pytest.param("0", 0.0, id="at once"),
        pytest.param("Tue, 14 Nov 2023 22:13:30 GMT", 10.0, id="a date"),
        pytest.param("Tue Nov 14 22:13:30 2023", 10.0, id="a date in C's form"),
        pytest.param("Tue, 14 Nov 2023 22:13:30 -0000", 10.0, id="a date without a zone"),
        pytest.param("Tue, 14 Nov 2023 22:13:10 GMT", None, id="a date in the past"),
        pytest.param("", None, id="empty"),
        pytest.param("-1", None, id="negative"),
        pytest.param("abc", None, id="no number"),
        pytest.param("1e3", None, id="no plain number"),
        pytest.param("٣", None, id="digits of another script"),
        pytest.param("9" * 5000, None, id="beyond all belief"),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_heeded_when_it_makes_sense(
    monkeypatch: pytest.MonkeyPatch, status: int, header: str, asked: float | None
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    driver = Driver([error(status, retry_after=header), ok(project())])
    driver.run(api().projects.get("1"))
    # The jitter is as long as it may be. The rate controller spreads those that were refused: theirs is shorter.
    jitter = 0.25 if status == 429 and asked is not None else 1.0
    assert driver.sleeps == pytest.approx([(asked or 0.0) + jitter])


@pytest.mark.parametrize(
    ("header", "when"),
    [
        ("91", "2023-11-14 22:14:51"),
        ("31536000", "2024-11-13 22:13:20"),
        ("Wed, 15 Nov 2023 22:13:20 GMT", "2023-11-15 22:13:20"),
    ],
)
def test_a_longer_wait_than_the_policy_allows_is_an_error_that_says_when(header: str, when: str) -> None:
    driver = Driver([error(429, retry_after=header)])
    with pytest.raises(TolokaRateLimitError, match=f"Try again after {when} UTC"):
        driver.run(api().projects.get("1"))
    assert driver.sleeps == []


def test_a_quota_per_minute_is_waited_for() -> None:
    driver = Driver([quota("MIN"), ok(project())])
    driver.run(api(jitter=lambda _: 0.0).projects.get("1"))
    assert driver.sleeps == [60.0]


@pytest.mark.parametrize(("interval", "seconds"), [("HOUR", 3600), ("DAY", 86400)])
def test_a_longer_quota_is_an_error_at_once(interval: str, seconds: int) -> None:
    driver = Driver([quota(interval)])
    with pytest.raises(TolokaRateLimitError, match="Try again after 2023-11-1") as caught:
        driver.run(api().projects.get("1"))
    assert caught.value.retry_after == seconds
    assert driver.sleeps == []


@pytest.mark.parametrize("interval", ["WEEK", None, 7, ["MIN"], {"MIN": 1}])
def test_a_quota_with_an_unknown_interval_backs_off(interval: object) -> None:
    driver = Driver([quota(interval), ok(project())])
    driver.run(api().projects.get("1"))
    assert driver.sleeps == [1.0]


def test_retry_after_goes_before_the_quota() -> None:
    told = answer(429, {"payload": {"interval": "DAY"}}, retry_after="3")
    driver = Driver([told, ok(project())])
    driver.run(api(jitter=lambda _: 0.0).projects.get("1"))
    assert driver.sleeps == [3.0]


def test_asked_waits_count_towards_the_sum() -> None:
    driver = Driver(lambda _: error(429, retry_after="80"))
    with pytest.raises(TolokaRateLimitError):
        driver.run(api(retries=100, jitter=lambda _: 0.0).projects.get("1"))
    assert driver.sleeps == [80.0] * 3
    assert driver.now == NOW + 240


def test_refusals_that_say_when_to_come_back_do_not_use_up_the_retries() -> None:
    refusals = [error(429, retry_after="1")] * 40
    driver = Driver([*refusals, error(503), *refusals, error(503), ok(project())])
    assert driver.run(api(retries=2, jitter=lambda _: 0.0).projects.get("1")).id == "1"
    assert len(driver.requests) == 83


def test_without_retries_a_refusal_is_not_retried_either() -> None:
    driver = Driver(lambda _: error(429, retry_after="1"))
    with pytest.raises(TolokaRateLimitError):
        driver.run(api(retries=0).projects.get("1"))
    assert len(driver.requests) == 1


def test_refusals_that_say_when_to_come_back_use_up_the_time() -> None:
    driver = Driver(lambda _: error(429, retry_after="7"))
    with pytest.raises(TolokaRateLimitError):
        driver.run(api(retries=2, total_wait=100.0).projects.get("1"))
    assert 90 < sum(driver.sleeps) <= 100


def test_refusals_that_do_not_say_when_to_come_back_are_retried_as_often_as_other_failures() -> None:
    driver = Driver(lambda _: error(429))
    with pytest.raises(TolokaRateLimitError):
        driver.run(api(retries=2).projects.get("1"))
    assert len(driver.requests) == 3


@pytest.mark.parametrize(("asked", "level"), [("1", "DEBUG"), ("60", "WARNING")])
def test_short_refusals_are_no_warning(caplog: pytest.LogCaptureFixture, asked: str, level: str) -> None:
    caplog.set_level("DEBUG")
    Driver([error(429, retry_after=asked), ok(project())]).run(api().projects.get("1"))
    assert {record.levelname for record in caplog.records} == {level}


def test_a_date_to_come_back_at_is_read_by_the_clock_that_it_was_written_by() -> None:
    # This machine's clock says 22:13:20.
    late = error(429, retry_after="Tue, 14 Nov 2023 22:33:27 GMT", date="Tue, 14 Nov 2023 22:33:20 GMT")
    driver = Driver([late, ok(project())])
    driver.run(api(jitter=lambda _: 0.0).projects.get("1"))
    assert driver.sleeps == [7.0]


def test_a_retry_is_logged_with_its_reason(caplog: pytest.LogCaptureFixture) -> None:
    Driver([lost("unreachable"), ok(project())]).run(api().projects.get("1"))
    assert "Trying again in 1.0 s (retry 1 of 5): Could not read project 1 at Toloka" in caplog.text


def test_the_longest_wait_is_never_passed() -> None:
    patience = Patience(RetryPolicy(retries=50, total_wait=1e9, jitter=longest))
    waits = [patience.next_wait(None) for _ in range(50)]
    assert max(wait for wait in waits if wait is not None) == 90.0
