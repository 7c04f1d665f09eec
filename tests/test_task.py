"""What a task needs of Airflow: which errors use up no retries, and since when it waits."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowNotFoundException, BaseOperator
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_3_PLUS

from airflow_provider_toloka._task import failing_at_once, first_started, require_positive, seconds
from airflow_provider_toloka.exceptions import (
    TolokaAuthenticationError,
    TolokaConflictError,
    TolokaError,
    TolokaInvalidAnswerError,
    TolokaNotArchivableError,
    TolokaNotFoundError,
    TolokaRateLimitError,
    TolokaRequestError,
    TolokaTimeoutError,
    TolokaUnavailableError,
)
from tests.running import clear, new_dag, run, run_try


@pytest.mark.parametrize(
    "error",
    [TolokaAuthenticationError, TolokaNotFoundError, TolokaRequestError, AirflowNotFoundException, ValueError],
)
def test_what_no_retry_mends_fails_at_once(error: type[Exception]) -> None:
    with pytest.raises(AirflowFailException, match="the reason") as raised, failing_at_once():
        raise error("the reason")
    assert isinstance(raised.value.__cause__, error)


@pytest.mark.parametrize(
    "error",
    [
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
def test_what_a_retry_may_mend_is_left_as_it_is(error: type[Exception]) -> None:
    with pytest.raises(error, match="the reason") as raised, failing_at_once():
        raise error("the reason")
    assert type(raised.value) is error


@pytest.mark.parametrize("duration", [1, 0.001, timedelta(milliseconds=1)])
def test_a_duration_above_zero_is_taken(duration: float | timedelta) -> None:
    require_positive("timeout", duration)


@pytest.mark.parametrize("duration", [0, -1, -0.5, float("nan"), timedelta(0), timedelta(-1), "5", None, True])
def test_another_is_refused_by_name(duration: Any) -> None:
    with pytest.raises(ValueError, match="timeout should be a number of seconds above 0"):
        require_positive("timeout", duration)


@pytest.mark.parametrize(("duration", "number"), [(2, 2), (0.5, 0.5), (timedelta(minutes=1), 60)])
def test_seconds_of_a_duration(duration: float | timedelta, number: float) -> None:
    assert seconds(duration) == number


@pytest.mark.skipif(
    AIRFLOW_V_3_0_PLUS and not AIRFLOW_V_3_3_PLUS, reason="Airflow 3.0 to 3.2 tell a task nothing of its former tries"
)
@pytest.mark.usefixtures("airflow_database")
def test_the_time_counts_from_the_first_try_until_the_task_is_cleared() -> None:
    starts: list[float] = []

    class Failing(BaseOperator):
        def execute(self, context: Any) -> None:
            starts.append(first_started(context))
            raise RuntimeError

    with new_dag() as dag:
        Failing(task_id="task", retries=2)
    dag_run = run(dag).dag_run
    for tries in (3, 2, 1):
        starts.clear()
        before = time.time()
        clear(dag, dag_run)
        for _ in range(tries):
            run_try(dag, dag_run)
        assert len(starts) == tries
        # Airflow 2's own record of the first try begins before its task does.
        assert all(before <= start <= starts[0] for start in starts), (before, starts)
