"""Each call: the request that it begins with, what an error says could not be done, and which id is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import airflow_provider_toloka.client as package
from airflow_provider_toloka.client.api import TolokaApi
from airflow_provider_toloka.client.sansio import Flow
from airflow_provider_toloka.exceptions import (
    TolokaConflictError,
    TolokaError,
    TolokaInvalidAnswerError,
    TolokaPermissionError,
    TolokaUnavailableError,
)
from tests.driving import NOW, Answer, Driver, answer, api, error, lost, ok, operation, page, pool, project

ID = "77"
OPENED = datetime.fromtimestamp(NOW, UTC)


def aggregate(api: TolokaApi, id_: str) -> Flow[Any]:
    return api.aggregation.start(id_, fields=["result"], method="DAWID_SKENE")


#: By name: the call, its first request, the subject of its errors, and the parameter of its id; None: it has no id.
CALLS: dict[str, tuple[Callable[[TolokaApi, str], Flow[Any]], str, str, str | None]] = {
    "requester": (lambda api, _: api.get_requester(), "GET /requester", "read the account", None),
    "project": (lambda api, id_: api.projects.get(id_), "GET /projects/77", "read project 77", "project_id"),
    "field types": (
        lambda api, id_: api.projects.field_types(id_),
        "GET /projects/77",
        "read project 77",
        "project_id",
    ),
    "pool": (lambda api, id_: api.pools.get(id_), "GET /pools/77", "read pool 77", "pool_id"),
    "training": (lambda api, id_: api.trainings.get(id_), "GET /trainings/77", "read training 77", "training_id"),
    "operation": (
        lambda api, id_: api.operations.get(id_),
        "GET /operations/77",
        "read operation 77",
        "operation_id",
    ),
    "log": (
        lambda api, id_: api.operations.get_log(id_),
        "GET /operations/77/log",
        "read the log of operation 77",
        "operation_id",
    ),
    "finished": (
        lambda api, _: api.operations.list_finished(OPENED),
        "GET /operations",
        "list finished operations",
        None,
    ),
    "projects": (lambda api, _: api.projects.listing().all(), "GET /projects", "list projects", None),
    "assignment": (
        lambda api, id_: api.assignments.get(id_),
        "GET /assignments/77",
        "read assignment 77",
        "assignment_id",
    ),
    "assignments": (
        lambda api, id_: api.assignments.are_there(pool_id=id_, statuses=["ACTIVE"]),
        "GET /assignments",
        "list assignments of pool 77",
        "pool_id",
    ),
    "decision": (
        lambda api, id_: api.assignments.decide(id_, "ACCEPTED"),
        "GET /assignments/77",
        "read assignment 77",
        "assignment_id",
    ),
    "tasks": (lambda api, id_: api.tasks.add([], operation_id=id_), "POST /tasks", "add tasks", "operation_id"),
    "aggregation": (aggregate, "GET /pools/77", "read pool 77", "pool_id"),
    "results": (
        lambda api, id_: api.aggregation.listing(id_).all(),
        "GET /aggregated-solutions/77",
        "list the results of aggregation 77",
        "operation_id",
    ),
    "opening a pool": (lambda api, id_: api.pools.open(id_), "GET /pools/77", "read pool 77", "pool_id"),
    "opening a training": (
        lambda api, id_: api.trainings.open(id_),
        "GET /trainings/77",
        "read training 77",
        "training_id",
    ),
    "a pool's project": (
        lambda api, id_: api.pools.ensure({"project_id": id_}, key="k"),
        "GET /pools",
        "list pools",
        "project_id",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_an_error_says_what_could_not_be_done(name: str) -> None:
    call, request, subject, _ = CALLS[name]
    driver = Driver([error(403)])
    with pytest.raises(TolokaPermissionError, match=rf"^Could not {subject} at Toloka"):
        driver.run(call(api(), ID))
    assert driver.calls == [request]


@pytest.mark.parametrize("name", [name for name, (*_, parameter) in CALLS.items() if parameter])
@pytest.mark.parametrize("bad", ["", "None", "a/b"])
def test_a_wrong_id_is_named_before_anything_is_sent(name: str, bad: str) -> None:
    call, _, _, parameter = CALLS[name]
    driver = Driver()
    with pytest.raises(ValueError, match=rf"^{parameter} should be an id"):
        driver.run(call(api(), bad))
    assert driver.requests == []


CLOSED = pool(ID, "CLOSED")
SUBMITTED = {"id": ID, "status": "SUBMITTED"}


@pytest.mark.parametrize(
    ("call", "before", "request_", "subject"),
    [
        (
            aggregate,
            [ok(CLOSED), page(), page()],
            "POST /aggregated-solutions/aggregate-by-pool",
            "aggregate the answers of pool 77",
        ),
        (
            lambda api, id_: api.assignments.decide(id_, "ACCEPTED"),
            [ok(SUBMITTED)],
            "PATCH /assignments/77",
            "set assignment 77 to ACCEPTED",
        ),
        (
            lambda api, id_: api.pools.close(id_),
            [page(), page(), ok(pool(ID, "OPEN"))],
            "POST /pools/77/close",
            "close pool 77",
        ),
        (
            lambda api, _: api.projects.ensure({}, key="k"),
            [page()],
            "POST /projects",
            "create a project",
        ),
    ],
)
def test_a_change_that_is_refused_says_so(call: Any, before: list[Any], request_: str, subject: str) -> None:
    driver = Driver([*before, error(403)])
    with pytest.raises(TolokaPermissionError, match=rf"^Could not {subject} at Toloka"):
        driver.run(call(api(), ID))
    assert driver.calls[-1] == request_


@pytest.mark.parametrize("length", [2048, 2049])
def test_a_comment_may_have_2048_characters(length: int) -> None:
    driver = Driver([ok(SUBMITTED), ok({"id": ID, "status": "ACCEPTED"})] if length == 2048 else [])
    flow = api().assignments.decide(ID, "ACCEPTED", "x" * length)
    if length == 2048:
        assert driver.run(flow).status == "ACCEPTED"
        assert driver.requests[-1].json == {"status": "ACCEPTED", "public_comment": "x" * 2048}
    else:
        with pytest.raises(ValueError, match="public_comment has 2049 characters, but may have 2048"):
            driver.run(flow)


def test_an_assignment_that_cannot_be_decided_says_which_can() -> None:
    with pytest.raises(
        TolokaConflictError, match=r"it is SKIPPED\. Only an assignment that is SUBMITTED or REJECTED can be\.$"
    ):
        Driver([ok({"id": ID, "status": "SKIPPED"})]).run(api().assignments.decide(ID, "ACCEPTED"))


def test_an_open_pool_is_not_aggregated() -> None:
    with pytest.raises(TolokaConflictError) as raised:
        Driver([ok(pool(ID, "OPEN"))]).run(aggregate(api(), ID))
    assert str(raised.value) == (
        "Could not aggregate the answers of pool 77: it is OPEN, and should be CLOSED. "
        "Wait for it with TolokaPoolSensor."
    )


@pytest.mark.parametrize("fields", [[""], ["a", ""], [1], "result", []])
def test_the_fields_to_aggregate_are_names(fields: Any) -> None:
    with pytest.raises(ValueError, match="fields should be a list of the output's fields, but is"):
        Driver().run(api().aggregation.start(ID, fields=fields, method="WEIGHTED_DYNAMIC_OVERLAP", skill_id="1"))


def results(*ids: str, has_more: bool = False) -> Any:
    return page(*({"task_id": id_, "output_values": {}} for id_ in ids), has_more=has_more)


def test_results_are_asked_for_in_large_pages_or_in_small_ones() -> None:
    driver = Driver([results("a", has_more=True), error(400), results("b", has_more=True), results("c")])
    found = driver.run(api().aggregation.listing(ID).all())
    assert [one.task_id for one in found] == ["a", "b", "c"]
    assert {call.partition("?")[0] for call in driver.full_calls} == {"GET /aggregated-solutions/77"}
    queries = [dict(request.query) for request in driver.requests]
    assert [query["limit"] for query in queries] == ["10000", "10000", "300", "300"]
    assert [query.get("task_id_gt") for query in queries] == [None, "a", "a", "b"]


def test_a_page_of_results_that_does_not_lead_on_is_told_of() -> None:
    with pytest.raises(TolokaInvalidAnswerError, match=r"^Could not list the results of aggregation 77: a page says"):
        Driver([results(has_more=True)]).run(api().aggregation.listing(ID).all())


def test_the_second_refusal_of_results_says_what_could_not_be_done() -> None:
    with pytest.raises(TolokaError, match=r"^Could not list the results of aggregation 77 at Toloka"):
        Driver([error(400), error(400)]).run(api().aggregation.listing(ID).all())


# Opening


def opened(last_started: str, **more: Any) -> dict[str, Any]:
    return {**pool(ID, "CLOSED"), "last_started": last_started, **more}


def opening(id_: str, pool_id: str = ID, **more: Any) -> dict[str, Any]:
    return operation("POOL.OPEN", "SUCCESS", id_, **{"parameters": {"pool_id": pool_id}, **more})


@pytest.mark.parametrize(
    ("date", "last_started", "is_opened_before"),
    [
        # By Toloka's clock, which is an hour ahead, with a minute for the scheduler's, which set the time.
        ("Tue, 14 Nov 2023 23:13:20 GMT", "2023-11-14T23:12:20", True),
        ("Tue, 14 Nov 2023 23:13:20 GMT", "2023-11-14T23:12:19", False),
        # Without a time of Toloka's, clocks may be a quarter of an hour apart.
        (None, "2023-11-14T22:12:00", True),
        (None, "2023-11-14T20:00:00", False),
    ],
)
def test_a_pool_that_was_opened_since_is_not_opened_again(
    date: str | None, last_started: str, is_opened_before: bool
) -> None:
    found = answer(200, opened(last_started), **({"date": date} if date else {}))
    ours, others = opening("ours"), opening("others", "78")
    if is_opened_before:
        driver = Driver([found, page(ours, others)])
    else:
        driver = Driver([found, page(), page(), ok(opened(last_started)), answer(202, ours)])
    result = driver.run(api().pools.open(ID, opened_since=OPENED))
    assert result
    assert result.id == "ours"
    assert driver.changes == ([] if is_opened_before else ["/pools/77/open"])
    if is_opened_before:
        assert dict(driver.requests[-1].query)["type"] == "POOL.OPEN"


def test_an_open_pool_needs_no_opening() -> None:
    driver = Driver([ok(pool(ID, "OPEN")), page(), page(), ok(pool(ID, "OPEN"))])
    assert driver.run(api().pools.open(ID)) is None


def test_a_pool_that_somebody_opened_and_that_closed_meanwhile_is_not_opened_again() -> None:
    # The first look finds a pool that was never opened; the second one, that it was opened since.
    since_then = opened("2023-11-14T22:13:20")
    driver = Driver([answer(200, pool(ID), date="Tue, 14 Nov 2023 22:13:20 GMT"), page(), page(), ok(since_then)])
    assert driver.run(api().pools.open(ID, opened_since=OPENED)) is None
    assert driver.changes == []


@pytest.mark.parametrize("since", [None, OPENED])
def test_a_pool_that_closed_before_a_lost_answer_is_settled_is_opened_once(since: datetime | None) -> None:
    before, after = ok(opened("2023-11-01T00:00:00")), ok(opened("2023-11-14T20:00:00"))
    driver = Driver([before, page(), page(), before, lost(), page(), page(), after, page(opening("ours"))])
    result = driver.run(api().pools.open(ID, opened_since=since))
    assert result
    assert result.id == "ours"
    assert driver.changes == ["/pools/77/open"]


def test_a_time_without_a_zone_is_in_utc() -> None:
    naive = OPENED.replace(tzinfo=None)
    driver = Driver([ok(opened("2023-11-14T22:12:00")), page(opening("ours"))])
    assert driver.run(api().pools.open(ID, opened_since=naive))
    assert driver.changes == []


def test_the_remedy_takes_the_place_of_the_facts_in_the_message_only() -> None:
    refusal = error(409, "EMPTY_POOL")
    driver = Driver([ok(pool(ID)), page(), page(), ok(pool(ID)), refusal, page(), page(), ok(pool(ID))])
    with pytest.raises(TolokaConflictError) as raised:
        driver.run(api().pools.open(ID))
    assert raised.value.summary == (
        "Could not open pool 77 at Toloka (custom, https://toloka.test/api/v1): it has no tasks. "
        "Add tasks first, with TolokaAddTasksOperator."
    )
    assert (raised.value.status, raised.value.code, raised.value.request_id) == (409, "EMPTY_POOL", "r-1")


def test_another_conflict_comes_as_it_is() -> None:
    driver = Driver([ok(pool(ID)), page(), page(), ok(pool(ID)), error(409, "ODD"), page(), page(), ok(pool(ID))])
    with pytest.raises(TolokaConflictError, match=r"^Could not open pool 77 at Toloka") as raised:
        driver.run(api().pools.open(ID))
    assert raised.value.code == "ODD"


# Time


def test_the_time_is_asked_for_once_and_without_retries() -> None:
    toloka = api(retries=3)
    driver = Driver([error(503)])
    assert abs(driver.run(toloka.now()) - datetime.now(UTC)) < timedelta(minutes=1)
    assert driver.calls == ["GET /requester"]
    assert driver.sleeps == []
    # It is not asked for again, although no answer has told it.
    assert abs(driver.run(toloka.now()) - datetime.now(UTC)) < timedelta(minutes=1)


# Fields, tasks and what the package exports


def test_the_types_of_a_projects_fields() -> None:
    spec = {
        "input_spec": {"image": {"type": "url"}, "odd": "no field"},
        "output_spec": {"result": {"type": "string"}, "strange": {}},
    }
    driver = Driver([ok({**project(), "task_spec": spec})])
    assert driver.run(api().projects.field_types("1")) == {
        "INPUT:image": "url",
        "GOLDEN:result": "string",
        "GOLDEN:strange": "None",
    }
    assert Driver([ok(project())]).run(api().projects.field_types("1")) == {}


def test_the_operation_of_tasks_that_exist_is_read_until_it_is_visible() -> None:
    exists = error(409, "OPERATION_ALREADY_EXISTS")
    driver = Driver([exists, error(404), error(404), ok(operation("TASK.BATCH_CREATE", id_=ID))])
    assert driver.run(api(list_lag=10).tasks.add([], operation_id=ID)).id == ID
    assert driver.sleeps == [1, 2]
    assert driver.calls == ["POST /tasks", *["GET /operations/77"] * 3]


def test_tasks_that_are_never_seen_are_told_of() -> None:
    driver = Driver([error(409, "OPERATION_ALREADY_EXISTS"), *[error(404)] * 3])
    with pytest.raises(TolokaError, match=r"^Could not read operation 77 at Toloka"):
        driver.run(api(list_lag=2).tasks.add([], operation_id=ID))


def test_after_the_last_lost_answer_the_operation_of_tasks_is_read_too() -> None:
    driver = Driver([lost("timeout"), ok(operation("TASK.BATCH_CREATE", id_=ID))])
    assert driver.run(api(retries=0).tasks.add([], operation_id=ID)).id == ID
    failures: list[list[Answer]] = [[lost("timeout"), *[error(404)] * 3], [lost("unreachable")]]
    for failed in failures:
        with pytest.raises(TolokaUnavailableError, match=r"^Could not add tasks at Toloka"):
            Driver(failed).run(api(retries=0, list_lag=2).tasks.add([], operation_id=ID))


@pytest.mark.parametrize("status", [403, 404])
def test_a_gateways_page_is_told_of_if_no_tasks_were_added(status: int) -> None:
    driver = Driver([answer(status, b"<html>"), *[error(404)] * 3])
    with pytest.raises(TolokaInvalidAnswerError, match=r"^Could not add tasks: no Toloka API answers") as raised:
        driver.run(api(list_lag=2).tasks.add([], operation_id=ID))
    assert raised.value.status == status


def test_a_switch_of_tasks_is_a_truth_value() -> None:
    driver = Driver([ok(operation("TASK.BATCH_CREATE", id_=ID))])
    text: Any = "False"
    driver.run(api().tasks.add([], operation_id=ID, allow_defaults=text))
    assert driver.requests[0].query["allow_defaults"] == "false"
    text = "no"
    with pytest.raises(ValueError, match="skip_invalid is 'no'; it should be true or false"):
        Driver().run(api().tasks.add([], operation_id=ID, skip_invalid=text))


def test_another_conflict_of_tasks_is_an_error() -> None:
    with pytest.raises(TolokaConflictError, match=r"^Could not add tasks at Toloka"):
        Driver([error(409, "ODD")]).run(api().tasks.add([], operation_id=ID))


@pytest.mark.parametrize("name", package.__all__)
def test_the_package_has_what_it_says(name: str) -> None:
    assert getattr(package, name).__name__ == name


def test_the_package_has_nothing_else() -> None:
    with pytest.raises(
        AttributeError, match=r"module 'airflow_provider_toloka\.client' has no attribute 'TolokaClint'"
    ):
        package.TolokaClint  # noqa: B018


def test_an_unavailable_toloka_is_told_of_after_the_retries() -> None:
    driver = Driver([error(503)] * 3)
    with pytest.raises(TolokaUnavailableError, match=r"^Could not read pool 77 at Toloka"):
        driver.run(api(retries=2).pools.get(ID))
