from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_toloka.client.work import ACCEPTED, REJECTED, Assignment
from airflow_provider_toloka.exceptions import TolokaConflictError, TolokaInvalidAnswerError, TolokaUnavailableError
from tests.driving import Driver, answer, api, error, lost, ok, page


def assignment(status: str, **more: Any) -> dict[str, Any]:
    return {"id": "a1", "status": status, "pool_id": "1", **more}


def changes(driver: Driver) -> list[Any]:
    return [request.json for request in driver.requests if request.method == "PATCH"]


def decide(answers: Any, status: str, comment: str | None = None) -> tuple[Assignment, Driver]:
    driver = Driver(answers)
    return driver.run(api().assignments.decide("a1", status, comment)), driver


@pytest.mark.parametrize(
    ("before", "status"), [("SUBMITTED", ACCEPTED), ("REJECTED", ACCEPTED), ("SUBMITTED", REJECTED)]
)
def test_it_looks_then_decides(before: str, status: str) -> None:
    found, driver = decide([ok(assignment(before)), ok(assignment(status))], status, "Because")
    assert found.status == status
    assert driver.calls == ["GET /assignments/a1", "PATCH /assignments/a1"]
    assert changes(driver) == [{"status": status, "public_comment": "Because"}]


@pytest.mark.parametrize("status", [ACCEPTED, REJECTED])
def test_what_is_decided_already_is_not_touched(status: str) -> None:
    found, driver = decide([ok(assignment(status))], status)
    assert (found.status, changes(driver)) == (status, [])


def test_what_is_paid_is_never_rejected() -> None:
    driver = Driver([ok(assignment(ACCEPTED))])
    with pytest.raises(ValueError, match="Assignment a1 is ACCEPTED, and the Toloker is paid"):
        driver.run(api().assignments.decide("a1", REJECTED, "No"))
    assert changes(driver) == []


@pytest.mark.parametrize("before", ["ACTIVE", "SKIPPED", "EXPIRED"])
@pytest.mark.parametrize("status", [ACCEPTED, REJECTED])
def test_what_is_not_submitted_is_not_decided(before: str, status: str) -> None:
    driver = Driver([ok(assignment(before))])
    with pytest.raises(TolokaConflictError, match=f"a1 to {status}: it is {before}"):
        driver.run(api().assignments.decide("a1", status))
    assert changes(driver) == []


@pytest.mark.parametrize("spoilt", [lost(), answer(502), answer(200, b"<html>")])
def test_a_lost_answer_is_found_out_by_looking(spoilt: Any) -> None:
    found, driver = decide([ok(assignment("SUBMITTED")), spoilt, ok(assignment(ACCEPTED))], ACCEPTED)
    assert (found.status, len(changes(driver))) == (ACCEPTED, 1)


def test_a_request_that_was_lost_is_sent_again() -> None:
    seen = [ok(assignment("SUBMITTED")), lost(), ok(assignment("SUBMITTED")), ok(assignment(ACCEPTED))]
    found, driver = decide(seen, ACCEPTED)
    assert (found.status, len(changes(driver))) == (ACCEPTED, 2)


def test_a_conflict_is_no_failure_if_it_is_done() -> None:
    found, _ = decide([ok(assignment("SUBMITTED")), error(409), ok(assignment(REJECTED))], REJECTED)
    assert found.status == REJECTED
    with pytest.raises(TolokaConflictError):
        decide([ok(assignment("SUBMITTED")), error(409), ok(assignment(ACCEPTED))], REJECTED)


def test_after_the_last_lost_answer_it_is_read_too() -> None:
    driver = Driver([ok(assignment("SUBMITTED")), lost(), ok(assignment(ACCEPTED))])
    assert driver.run(api(retries=0).assignments.decide("a1", ACCEPTED)).status == ACCEPTED
    driver = Driver([ok(assignment("SUBMITTED")), lost("unreachable")])
    with pytest.raises(TolokaUnavailableError, match=r"^Could not set assignment a1 to ACCEPTED"):
        driver.run(api(retries=0).assignments.decide("a1", ACCEPTED))


def test_it_gives_up_in_the_end() -> None:
    driver = Driver(lambda request: ok(assignment("SUBMITTED")) if request.method == "GET" else lost())
    with pytest.raises(TolokaUnavailableError):
        driver.run(api(retries=2).assignments.decide("a1", ACCEPTED))
    assert len(changes(driver)) == 3


def test_a_comment_that_is_too_long_is_refused_before_anything_is_asked() -> None:
    driver = Driver()
    with pytest.raises(ValueError, match="public_comment has 2049 characters"):
        driver.run(api().assignments.decide("a1", REJECTED, "x" * 2049))
    assert driver.requests == []


@pytest.mark.parametrize("spoilt", [{"solutions": [{}]}, {"solutions": {}}, {"tasks": ["t1"]}, {"tasks": 3}])
def test_answers_that_do_not_fit_their_tasks_are_no_assignment(spoilt: dict[str, Any]) -> None:
    with pytest.raises(TolokaInvalidAnswerError):
        Driver([ok(assignment(ACCEPTED, tasks=[{}, {}]) | spoilt)]).run(api().assignments.get("a1"))


@pytest.mark.parametrize(("items", "are_there"), [([], False), ([assignment("ACTIVE")], True)])
def test_whether_there_are_any_takes_one_request(items: list[Any], are_there: bool) -> None:
    driver = Driver([page(*items)])
    assert driver.run(api().assignments.are_there(pool_id="1", statuses=("ACTIVE", "SUBMITTED"))) is are_there
    assert driver.full_calls == ["GET /assignments?pool_id=1&status=ACTIVE%2CSUBMITTED&limit=1"]
