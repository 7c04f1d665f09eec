from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_provider_toloka.client.models import Pool
from airflow_provider_toloka.labelling.closing import REASONS, check_reasons, outcome

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def pool(status: str, reason: str | None = None, started: datetime | None = NOW) -> Pool:
    return Pool(id="7", project_id="1", status=status, last_close_reason=reason, last_started=started)


@pytest.mark.parametrize(
    ("seen", "note"),
    [
        (pool("OPEN"), "is OPEN"),
        (pool("OPEN", "COMPLETED"), "is OPEN"),
        (pool("LOCKED", "COMPLETED"), "is LOCKED"),
        (pool("CLOSED", None, None), "was never opened"),
        (pool("CLOSED", "COMPLETED", None), "was never opened"),
        (pool("CLOSED", "FOR_UPDATE"), "will open again"),
        (pool("CLOSED", None), "is CLOSED"),
    ],
)
def test_it_is_waited_for(seen: Pool, note: str) -> None:
    judged = outcome(seen, ["COMPLETED"])
    assert (judged.is_over, judged.problem) == (False, None)
    assert note in judged.note


@pytest.mark.parametrize("status", ["CLOSED", "ARCHIVED"])
@pytest.mark.parametrize("reason", REASONS)
def test_a_wanted_reason_ends_the_wait(status: str, reason: str) -> None:
    judged = outcome(pool(status, reason), ["EXPIRED", reason])
    assert (judged.is_over, judged.problem) == (True, None)


@pytest.mark.parametrize(
    ("seen", "problem"),
    [
        (pool("CLOSED", "NOT_ENOUGH_BALANCE"), "Pool 7 was closed as NOT_ENOUGH_BALANCE, not as COMPLETED. Top up"),
        (pool("CLOSED", "MANUAL"), "It was closed manually"),
        (pool("CLOSED", "EXPIRED"), "set a later will_expire"),
        (pool("ARCHIVED", "FOR_UPDATE"), "was closed as FOR_UPDATE"),
        (pool("CLOSED", "SOMETHING_NEW"), "was closed as SOMETHING_NEW"),
        (pool("ARCHIVED", None, None), "Pool 7 was archived without having been opened"),
    ],
)
def test_another_reason_is_a_problem(seen: Pool, problem: str) -> None:
    judged = outcome(seen, ["COMPLETED"])
    assert judged.is_over
    assert problem in str(judged.problem)


@pytest.mark.parametrize("given", ["COMPLETED", ["MANUAL", "COMPLETED"], ("EXPIRED",), {"BLOCKED"}])
def test_known_reasons_are_taken(given: object) -> None:
    assert set(check_reasons(given)) <= set(REASONS)


@pytest.mark.parametrize("given", [None, "", "None", [], "COMPLETE", ["COMPLETED", "x"], 3])
def test_other_reasons_are_refused(given: object) -> None:
    with pytest.raises(ValueError, match="reasons should be one or more of"):
        check_reasons(given)
