from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.exceptions import (
    TolokaConflictError,
    TolokaInvalidAnswerError,
    TolokaRateLimitError,
    TolokaRequestError,
    TolokaUnavailableError,
)
from tests.driving import NOW, Driver, answer, api, error, lost, ok, page

SINCE = datetime.fromtimestamp(NOW, UTC)
POOL = {"id": "7", "project_id": "1", "status": "CLOSED", "last_stopped": (SINCE + timedelta(hours=1)).isoformat()}
DAWID: dict[str, Any] = {"fields": ["result"], "method": "DAWID_SKENE"}
WEIGHTED: dict[str, Any] = {"fields": ["result", "like"], "method": "WEIGHTED_DYNAMIC_OVERLAP", "skill_id": "12"}


def operation(status: str = "RUNNING", id_: str = "op1", **parameters: Any) -> dict[str, Any]:
    given = {"pool_id": "7", "algorithm": "DAWID_SKENE", "aggregated_output_fields": ["result"], **parameters}
    return {"id": id_, "type": "SOLUTION.AGGREGATE", "status": status, "parameters": given}


def start(answers: Any, *, since: datetime | None = SINCE, retries: int = 3, **how: Any) -> tuple[Operation, Driver]:
    driver = Driver(answers)
    calls = api(list_lag=1, retries=retries)
    return driver.run(calls.aggregation.start("7", since=since, **(how or DAWID))), driver


def sent(driver: Driver) -> list[Any]:
    return [request.json for request in driver.requests if request.method == "POST"]


def test_what_nobody_has_started_is_started() -> None:
    found, driver = start([ok(POOL), page(), page(), page(), ok(operation())])
    assert found.id == "op1"
    assert sent(driver) == [{"type": "DAWID_SKENE", "pool_id": "7", "fields": [{"name": "result"}]}]
    # An aggregation from before the pool closed has not seen all answers.
    assert "submitted_gte=2023-11-14T23%3A13%3A20.000" in driver.full_calls[3]


def test_the_skill_weighs_the_answers() -> None:
    _, driver = start([ok(POOL), page(), page(), page(), ok(operation())], **WEIGHTED)
    assert sent(driver)[0]["answer_weight_skill_id"] == "12"


WEIGHTED_PARAMETERS: dict[str, Any] = {
    "algorithm": "WEIGHTED_DYNAMIC_OVERLAP",
    "aggregated_output_fields": None,
    "aggregated_fields": [{"name": "like"}, {"name": "result"}],
    "answer_weight_skill_id": 12,
}


@pytest.mark.parametrize(("how", "parameters"), [(DAWID, {}), (WEIGHTED, WEIGHTED_PARAMETERS)])
@pytest.mark.parametrize("pages_before", [0, 1, 2])
def test_the_same_one_is_found(how: Any, parameters: Any, pages_before: int) -> None:
    found, driver = start([ok(POOL), *[page()] * pages_before, page(operation(**parameters))], **how)
    assert (found.id, sent(driver)) == ("op1", [])


@pytest.mark.parametrize(
    "other",
    [
        {"pool_id": "8"},
        {"algorithm": "WEIGHTED_DYNAMIC_OVERLAP"},
        {"aggregated_output_fields": ["like"]},
        {"aggregated_output_fields": ["result", "like"]},
        {"aggregated_output_fields": None},
    ],
)
def test_another_one_is_not_taken_for_it(other: Any) -> None:
    found, _ = start([ok(POOL), page(operation(**other)), page(), page(), ok(operation(id_="op2"))])
    assert found.id == "op2"


def test_another_skill_is_another_aggregation() -> None:
    other = operation(**{**WEIGHTED_PARAMETERS, "answer_weight_skill_id": "13"})
    found, _ = start([ok(POOL), page(other), page(), page(), ok(operation(id_="op2"))], **WEIGHTED)
    assert found.id == "op2"


def test_without_a_time_only_one_that_is_under_way_is_found() -> None:
    _, driver = start([ok(POOL), page(), page(), ok(operation())], since=None)
    assert len(sent(driver)) == 1


def test_a_lost_answer_is_found_out_by_looking() -> None:
    found, driver = start([ok(POOL), page(), page(), page(), lost(), page(operation(id_="op2"))])
    assert (found.id, len(sent(driver))) == ("op2", 1)


def test_after_a_lost_answer_it_is_searched_for_until_the_lists_had_time_to_update() -> None:
    nothing = [page(), page(), page()]
    found, driver = start([ok(POOL), *nothing, lost(), *nothing, page(operation(id_="op2"))])
    assert (found.id, len(sent(driver))) == ("op2", 1)


def test_an_aggregation_with_odd_parameters_is_another_one() -> None:
    odd = operation(aggregated_output_fields=[["result"]])
    found, _ = start([ok(POOL), page(odd), page(), page(), ok(operation(id_="op2"))])
    assert found.id == "op2"


@pytest.mark.parametrize("failure", [lost("timeout"), error(503)])
def test_after_the_last_lost_answer_it_is_searched_for_too(failure: Any) -> None:
    nothing = [page(), page(), page()]
    found, driver = start([ok(POOL), *nothing, failure, *nothing, page(operation())], retries=0)
    assert (found.id, len(sent(driver)), driver.sleeps) == ("op1", 1, [1])
    with pytest.raises(TolokaUnavailableError, match=r"^Could not aggregate the answers of pool 7"):
        start([ok(POOL), *nothing, lost("unreachable")], retries=0)


@pytest.mark.parametrize(
    ("date", "submitted_gte"),
    [
        # Toloka's clock is a minute behind; a minute more, because the time may be the scheduler's.
        ({"date": "Tue, 14 Nov 2023 22:12:20 GMT"}, "submitted_gte=2023-11-14T22%3A11%3A20.000"),
        ({}, "submitted_gte=2023-11-14T22%3A03%3A20.000"),
    ],
)
@pytest.mark.parametrize("since", [SINCE, SINCE.replace(tzinfo=None), None])
def test_times_are_compared_by_tolokas_clock(date: Any, submitted_gte: str, since: datetime | None) -> None:
    closed = answer(200, {**POOL, "last_stopped": "2023-11-14T20:00:00"}, **date)
    finished = [page(), page(), page(operation("SUCCESS"))]
    # Without a time, what has finished is searched for only after the response was lost.
    found, driver = start([closed, *([] if since else [page(), page(), lost()]), *finished], since=since)
    assert (found.id, len(sent(driver))) == ("op1", 0 if since else 1)
    assert submitted_gte in driver.full_calls[-1]


def test_of_several_the_latest_is_returned_whatever_its_id() -> None:
    times = {"a": "2023-11-14T23:20:00", "b": "2023-11-14T23:30:00", "c": "2023-11-14T23:10:00", "d": None}
    several = page(*({**operation("SUCCESS", id_), "submitted": time} for id_, time in times.items()))
    assert start([ok(POOL), page(), page(), several])[0].id == "b"


@pytest.mark.parametrize("damaged", [answer(201, b"<html>"), answer(201), answer(201, {"id": "op1"})])
def test_a_damaged_answer_is_settled_by_looking(damaged: Any) -> None:
    nothing = [page(), page(), page()]
    found, driver = start([ok(POOL), *nothing, damaged, *nothing, page(), page(operation())])
    assert (found.id, len(sent(driver)), driver.sleeps) == ("op1", 1, [1])
    with pytest.raises(TolokaInvalidAnswerError, match=r"^Could not aggregate the answers of pool 7"):
        start([ok(POOL), *nothing, damaged, *nothing, *nothing])


def test_a_quota_of_an_hour_is_left_to_airflow() -> None:
    quota = error(429, "TOO_MANY_REQUESTS", retry_after="3600")
    with pytest.raises(TolokaRateLimitError, match="Try again after"):
        start([ok(POOL), page(), page(), page(), quota])


@pytest.mark.parametrize("status", ["OPEN", "LOCKED", "ARCHIVED"])
def test_a_pool_that_is_not_closed_is_refused(status: str) -> None:
    with pytest.raises(TolokaConflictError, match=rf"pool 7: it is {status}, and should be CLOSED"):
        start([ok({**POOL, "status": status})])


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ({**DAWID, "method": "MAJORITY"}, "method should be one of DAWID_SKENE, WEIGHTED_DYNAMIC_OVERLAP"),
        ({**DAWID, "fields": []}, "fields should be a list"),
        ({**DAWID, "fields": "result"}, "fields should be a list"),
        ({**DAWID, "fields": ["a", "b"]}, "DAWID_SKENE aggregates one field at a time"),
        ({**DAWID, "skill_id": "1"}, "DAWID_SKENE takes no skill_id"),
        ({**WEIGHTED, "skill_id": None}, "WEIGHTED_DYNAMIC_OVERLAP needs a skill_id"),
        ({**WEIGHTED, "skill_id": ""}, "skill_id should be an id"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_asked(how: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        start([], **how)


def result(task_id: str) -> dict[str, Any]:
    return {"task_id": task_id, "pool_id": "7", "output_values": {"result": "cat"}, "confidence": 0.9}


def read(answers: Any) -> tuple[list[str], list[str]]:
    driver = Driver(answers)
    found = driver.run(api().aggregation.listing("op1").all())
    return [one.task_id for one in found], driver.full_calls


def test_results_are_paged_by_task() -> None:
    ids, calls = read([page(result("a"), result("b"), has_more=True), page(result("c"))])
    assert ids == ["a", "b", "c"]
    assert calls == [
        "GET /aggregated-solutions/op1?sort=task_id&limit=10000",
        "GET /aggregated-solutions/op1?sort=task_id&task_id_gt=b&limit=10000",
    ]


def test_where_pages_are_small_small_ones_are_read() -> None:
    ids, calls = read([error(400), page(result("a"), has_more=True), page(result("b"))])
    assert ids == ["a", "b"]
    assert [call.rpartition("=")[2] for call in calls] == ["10000", "300", "300"]


def test_other_refusals_are_told_of() -> None:
    with pytest.raises(TolokaRequestError):
        read([error(400), error(400)])


@pytest.mark.parametrize("second", [page(has_more=True), page(result("a"), has_more=True)])
def test_a_page_that_does_not_lead_on_ends_the_reading(second: Any) -> None:
    with pytest.raises(TolokaInvalidAnswerError):
        read([page(result("a"), has_more=True), second])
