"""What a task needs of Airflow: which errors use up no retries, until when it waits, how errors come from a trigger."""

from __future__ import annotations

import logging
import traceback
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowNotFoundException, BaseOperator
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_toloka import exceptions
from airflow_provider_toloka._task import Deadline, failing_at_once, operations_of
from airflow_provider_toloka.exceptions import (
    TolokaApiError,
    TolokaAuthenticationError,
    TolokaConflictError,
    TolokaError,
    TolokaInvalidAnswerError,
    TolokaNotArchivableError,
    TolokaNotFoundError,
    TolokaPermissionError,
    TolokaPostponedError,
    TolokaRateLimitError,
    TolokaRequestError,
    TolokaTimeoutError,
    TolokaUnavailableError,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
API_ERRORS = [one for one in vars(exceptions).values() if isinstance(one, type) and issubclass(one, TolokaApiError)]


@pytest.mark.parametrize(
    "error",
    [
        TolokaAuthenticationError,
        TolokaPermissionError,
        TolokaNotFoundError,
        TolokaPostponedError,
        TolokaRequestError,
        ValueError,
    ],
)
def test_permanent_errors_fail_at_once(error: type[Exception]) -> None:
    with pytest.raises(AirflowFailException, match="the reason") as raised, failing_at_once():
        raise error("the reason")
    assert isinstance(raised.value.__context__, error)


@pytest.mark.parametrize("remedy", ["Check the id.", "Another one.", ""])
def test_the_remedy_is_on_a_line_of_its_own(remedy: str) -> None:
    error = TolokaNotFoundError("Could not read pool 1: not found. Check the id.", code="CODE", remedy=remedy)
    with pytest.raises(AirflowFailException) as raised, failing_at_once():
        raise error
    is_known = remedy in error.summary and remedy
    told = "Could not read pool 1: not found. [code 'CODE']\nCheck the id." if is_known else str(error)
    assert str(raised.value) == told


def test_a_task_may_name_further_permanent_errors() -> None:
    with pytest.raises(AirflowFailException, match="the reason"), failing_at_once(TolokaConflictError):
        raise TolokaNotArchivableError("the reason")


@pytest.mark.parametrize(
    "error",
    [
        # Airflow reports a transient failure of a secrets backend like this.
        AirflowNotFoundException,
        TolokaConflictError,
        TolokaNotArchivableError,
        TolokaRateLimitError,
        TolokaUnavailableError,
        TolokaInvalidAnswerError,
        TolokaTimeoutError,
        TolokaError,
        RuntimeError,
    ],
)
def test_others_leave_airflow_its_retries(error: type[Exception]) -> None:
    with pytest.raises(error, match="the reason") as raised, failing_at_once():
        raise error("the reason")
    assert type(raised.value) is error


@pytest.mark.parametrize("error_class", API_ERRORS)
def test_an_error_of_a_trigger_comes_out_as_the_same_class(error_class: type[TolokaApiError]) -> None:
    error = error_class("So it is", status=403, code="CODE", message="M", request_id="r-1", retry_after=2.0)
    with pytest.raises(error_class) as raised:
        operations_of({"error": error.to_json()})
    assert type(raised.value) is error_class
    assert str(raised.value) == str(error)
    assert raised.value.retry_after == 2.0


def deadline(timeout: Any, execution_timeout: timedelta | None = None, started: float = 0) -> Deadline:
    """Return the deadline of a try that began some seconds ago."""
    task = BaseOperator(task_id="a", execution_timeout=execution_timeout)
    ti: Any = SimpleNamespace(start_date=NOW - timedelta(seconds=started))
    return Deadline.of_try(task, {"ti": ti}, timeout, clock=NOW.timestamp)


@pytest.mark.parametrize(
    ("timeout", "execution_timeout", "seconds", "limit"),
    [
        (60, None, 60, "timeout"),
        (60, timedelta(seconds=90), 60, "timeout"),
        # Airflow 2 fails a task at its limit before it could resume.
        (60, timedelta(seconds=50), 40 if AIRFLOW_V_3_0_PLUS else 35, "execution_timeout"),
        (None, timedelta(hours=1), 3590 if AIRFLOW_V_3_0_PLUS else 3560, "execution_timeout"),
    ],
)
def test_the_limit_that_is_reached_first_counts(
    timeout: Any, execution_timeout: timedelta | None, seconds: float, limit: str
) -> None:
    given = deadline(timeout, execution_timeout, started=10)
    assert given == Deadline(NOW.timestamp() + seconds, limit)


def test_without_a_limit_there_is_no_deadline() -> None:
    assert deadline(None) == Deadline(None)
    assert deadline(None).for_deferral is None


def test_airflow_ends_a_deferral_somewhat_after_the_deadline() -> None:
    one = Deadline(datetime.now(UTC).timestamp() + 60)
    assert one.for_deferral is not None
    assert timedelta(seconds=60) < one.for_deferral < timedelta(seconds=300)


@pytest.mark.parametrize("error", [TolokaConflictError, TolokaNotFoundError, ValueError])
def test_a_failure_is_logged_once_and_its_origin_at_debug(
    error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    remedy = "Close the pool first."

    def deep() -> None:
        try:
            [].pop()
        except IndexError:
            raise error(remedy)  # noqa: B904 - its context is tested

    caplog.set_level(logging.DEBUG, "airflow_provider_toloka._task")
    with pytest.raises(Exception, match=remedy) as caught, failing_at_once():
        deep()
    told = "".join(traceback.format_exception(caught.value))
    assert told.count("Traceback") == told.count(remedy) == 1
    assert "deep" not in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    (record,) = caplog.records
    assert record.levelno == logging.DEBUG
    assert "in deep" in caplog.text
