from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pendulum
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_toloka.client.api import TolokaApi
from airflow_provider_toloka.client.resources import (
    ARCHIVE_POOL,
    ARCHIVE_PROJECT,
    ARCHIVE_TRAINING,
    CLOSE_POOL,
    CLOSE_TRAINING,
    Change,
)
from airflow_provider_toloka.client.sansio import Request, Response
from airflow_provider_toloka.exceptions import (
    TolokaConflictError,
    TolokaInvalidAnswerError,
    TolokaNotFoundError,
    TolokaRequestError,
    TolokaUnavailableError,
)
from tests.driving import (
    SETTINGS,
    Answer,
    Driver,
    answer,
    api,
    error,
    lost,
    ok,
    operation,
    page,
    pool,
    project,
    read_all,
)

CHANGES = [ARCHIVE_PROJECT, CLOSE_POOL, ARCHIVE_POOL, CLOSE_TRAINING, ARCHIVE_TRAINING]
METHODS = ["projects.archive", "pools.close", "pools.archive", "trainings.close", "trainings.archive"]
READERS = ["projects.get", "pools.get", "trainings.get", "operations.get", "operations.get_log", "waits.wait_for"]
BAD_IDS = ["1/../pools/2", "", None, "None", "1?x", True]

LOOK = ["GET /operations", "GET /operations", "GET /projects/1"]
POST = "POST /projects/1/archive"
IDLE = [page(), page()]
RUNNING = ok({"items": [operation()], "has_more": False})
ACCEPTED = answer(202, operation())
DONE = [*IDLE, ok(project(status="ARCHIVED"))]


def query(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()}


# Ids


@pytest.mark.parametrize("bad", BAD_IDS, ids=repr)
@pytest.mark.parametrize("method", READERS + METHODS)
def test_what_is_no_id_is_refused_before_any_request(method: str, bad: Any) -> None:
    driver = Driver()
    call: Callable[[Any], Any] = attrgetter(method)(api())
    subject = method.partition("s.")[0].replace("wait", "operation")
    with pytest.raises(ValueError, match=rf"^{subject}_id should be an id"):
        driver.run(call(bad))
    assert driver.requests == []


def test_a_whole_number_is_an_id() -> None:
    driver = Driver([ok(project("12"))])
    driver.run(api().projects.get(12))  # type: ignore[arg-type]
    assert driver.calls == ["GET /projects/12"]


# Lists


def test_a_list_is_read_page_by_page_by_its_ids() -> None:
    driver = Driver([page(project("9"), project("10"), has_more=True), page(project("2"))])
    assert [item.id for item in driver.run(read_all(api().projects.listing(status="ACTIVE")))] == ["9", "10", "2"]
    assert [query(request) for request in driver.requests] == [
        {"status": "ACTIVE", "sort": "id", "limit": "300"},
        {"status": "ACTIVE", "sort": "id", "limit": "300", "id_gt": "10"},
    ]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (datetime(2022, 12, 1, 1, 2, 3, 4000, tzinfo=UTC), "2022-12-01T01:02:03.004"),
        (datetime(2022, 12, 1, 1, 2, 3), "2022-12-01T01:02:03.000"),  # noqa: DTZ001 - taken as UTC
        (pendulum.datetime(2022, 12, 1, 1, 2, 3, tz="Asia/Tokyo"), "2022-11-30T16:02:03.000"),
        ("2022-12-01", "2022-12-01"),
        ("a&b=c", "a&b=c"),
    ],
)
def test_a_filter_by_time_is_utc_without_a_zone(value: str | datetime, written: str) -> None:
    driver = Driver([page()])
    driver.run(read_all(api().projects.listing(created_gte=value)))
    assert query(driver.requests[0])["created_gte"] == written


@pytest.mark.parametrize(
    ("listing", "filters"),
    [
        ("projects", ["status", "owner", "id_gt", "id_gte", "id_lt", "id_lte", "created_lt"]),
        ("pools", ["status", "project_id", "created_gt", "last_started_lte"]),
        ("trainings", ["status", "project_id", "created_gt", "last_started_lte"]),
        ("operations", ["type", "status", "submitted_gte", "finished_lt"]),
    ],
)
def test_each_list_has_its_filters(listing: str, filters: list[str]) -> None:
    driver = Driver([page()])
    driver.run(read_all(getattr(api(), listing).listing(**dict.fromkeys(filters, "1"))))
    assert query(driver.requests[0]) == {**dict.fromkeys(filters, "1"), "sort": "id", "limit": "300"}


@pytest.mark.parametrize("wrong", ["project_id", "sort", "limit", "created", "private_name"])
def test_a_filter_that_the_list_has_not_is_named(wrong: str) -> None:
    with pytest.raises(ValueError, match=rf"^The list of projects has no filter {wrong}; it has created_gt, "):
        api().projects.listing(**{wrong: "1"})


def test_a_filter_by_id_holds_on_every_page() -> None:
    driver = Driver([page(project("5"), has_more=True), page(project("6"))])
    driver.run(read_all(api().projects.listing(id_gte="5", id_lt="9")))
    assert [query(request).get("id_gte") for request in driver.requests] == ["5", None]
    assert [query(request).get("id_gt") for request in driver.requests] == [None, "5"]
    assert [query(request)["id_lt"] for request in driver.requests] == ["9", "9"]


@pytest.mark.parametrize(
    "pages",
    [[page(has_more=True)], [page(project("1"), has_more=True), page(project("1"), has_more=True)]],
    ids=["empty", "the same again"],
)
def test_a_page_that_does_not_lead_on_is_an_error(pages: list[Answer]) -> None:
    with pytest.raises(TolokaInvalidAnswerError, match=r"promises more, but contains no new id"):
        Driver(pages).run(read_all(api().projects.listing()))


def test_of_a_page_only_what_is_wanted_is_read_and_the_last_item() -> None:
    driver = Driver([page(*map(project, "123"), has_more=True), page(*map(project, "456"))])
    listing = replace(api().projects.listing(), keep=lambda json: json["id"] in ("1", "5"))
    # The next page follows the last item of this one.
    assert [one.id for one in driver.run(read_all(listing))] == ["1", "3", "5", "6"]
    assert query(driver.requests[1])["id_gt"] == "3"


def test_each_page_has_retries_of_its_own() -> None:
    driver = Driver([error(503), page(project("1"), has_more=True), lost(), page(project("2"))])
    assert len(driver.run(read_all(api(retries=1).projects.listing()))) == 2


@given(ids=st.sets(st.from_regex(r"\A[A-Za-z0-9_-]{1,12}\Z"), max_size=40), size=st.integers(1, 7))
def test_every_item_is_read_once_in_the_servers_order(ids: set[str], size: int) -> None:
    order = sorted(ids, key=lambda id_: (len(id_), id_))

    def serve(request: Request) -> Response:
        after = query(request).get("id_gt")
        start = order.index(after) + 1 if after else 0
        shown = order[start : start + size]
        return page(*(project(id_) for id_ in shown), has_more=start + size < len(order))

    assert [item.id for item in Driver(serve).run(read_all(api().projects.listing()))] == order


# Changes


@pytest.mark.parametrize(("change", "method"), list(zip(CHANGES, METHODS, strict=True)))
def test_each_change_looks_and_then_posts(change: Change, method: str) -> None:
    path = change.resource.path
    state = project() if path == "projects" else pool("1", "OPEN" if change.action == "close" else "CLOSED")
    started = operation(change.operation_type, parameters={change.resource.id_param: "1"})
    driver = Driver([*IDLE, ok(state), answer(202, started)])
    result = driver.run(attrgetter(method)(api())("1"))
    assert (result.id, result.type) == ("op1", change.operation_type)
    assert driver.calls == [*LOOK[:2], f"GET /{path}/1", f"POST /{path}/1/{change.action}"]
    assert [query(request)["status"] for request in driver.requests[:2]] == ["PENDING", "RUNNING"]


@pytest.mark.parametrize(
    ("method", "state"),
    [
        ("projects.archive", project(status="ARCHIVED")),
        ("pools.close", pool("1", "CLOSED")),
        ("pools.close", pool("1", "ARCHIVED")),
        ("pools.archive", pool("1", "ARCHIVED")),
        ("trainings.close", pool("1", "CLOSED")),
        ("trainings.archive", pool("1", "ARCHIVED")),
    ],
)
def test_what_is_done_is_not_done_again(method: str, state: dict[str, Any]) -> None:
    driver = Driver([*IDLE, ok(state)])
    assert driver.run(attrgetter(method)(api())("1")) is None
    assert driver.changes == []


@pytest.mark.parametrize("before", [[], [page()]], ids=["pending", "running"])
def test_an_operation_that_runs_is_taken_over(before: list[Answer]) -> None:
    driver = Driver([*before, RUNNING])
    assert getattr(driver.run(api().projects.archive("1")), "id", None) == "op1"
    assert driver.changes == []


def test_an_operation_on_a_later_page_is_found() -> None:
    others = [operation("POOL.ARCHIVE", id_="a"), operation(id_="b", parameters={"project_id": "2"})]
    driver = Driver([page(*others, has_more=True), RUNNING])
    assert getattr(driver.run(api().projects.archive("1")), "id", None) == "op1"
    assert query(driver.requests[1])["id_gt"] == "b"


def test_no_content_means_that_nothing_is_left() -> None:
    driver = Driver([*IDLE, ok(project()), answer(204)])
    assert driver.run(api().projects.archive("1")) is None


@pytest.mark.parametrize(
    "failure",
    [lost("timeout"), lost("broken"), lost("unreachable"), error(500), error(502), error(504), error(408)],
    ids=str,
)
@pytest.mark.parametrize(
    ("found", "result", "posts"),
    [
        pytest.param([page(operation(status="PENDING"))], "op1", 1, id="pending"),
        pytest.param([page(), RUNNING], "op1", 1, id="running"),
        pytest.param([*DONE, page(operation(status="SUCCESS"))], "op1", 1, id="done"),
        pytest.param([*DONE, page(operation(status="FAIL"), operation("POOL.CLOSE"))], None, 1, id="done by another"),
        pytest.param([*IDLE, ok(project()), ACCEPTED], "op1", 2, id="really lost"),
    ],
)
def test_a_lost_answer_is_settled_by_looking(
    failure: Answer, found: list[Answer], result: str | None, posts: int
) -> None:
    driver = Driver([*IDLE, ok(project()), failure, *found])
    assert getattr(driver.run(api().projects.archive("1")), "id", None) == result
    assert driver.changes == ["/projects/1/archive"] * posts
    assert driver.sleeps == [1.0]


def test_the_operation_behind_a_lost_answer_is_looked_for_on_all_pages() -> None:
    others = [operation(id_=id_, parameters={"project_id": "2"}) for id_ in ("a", "b")]
    found = page(operation(status="SUCCESS"))
    driver = Driver([*IDLE, ok(project()), lost(), *DONE, page(*others, has_more=True), found])
    assert getattr(driver.run(api().projects.archive("1")), "id", None) == "op1"
    assert query(driver.requests[-1]) == {
        "type": "PROJECT.ARCHIVE",
        "submitted_gte": "2023-11-14T22:03:20.000",
        "sort": "id",
        "limit": "300",
        "id_gt": "b",
    }


def test_the_latest_operation_behind_a_lost_answer_is_returned_whatever_its_id() -> None:
    times = {"a": "2023-11-14T22:13:30", "b": "2023-11-14T22:13:20"}
    several = [operation(status="SUCCESS", id_=id_, submitted=time) for id_, time in times.items()]
    driver = Driver([*IDLE, ok(project()), lost(), *DONE, page(*several)])
    assert getattr(driver.run(api().projects.archive("1")), "id", None) == "a"


def test_a_change_is_never_posted_twice_in_a_row() -> None:
    def serve(request: Request) -> Answer:
        if request.method == "POST":
            return lost()
        return page() if request.path == "/operations" else ok(project())

    driver = Driver(serve)
    with pytest.raises(TolokaUnavailableError, match=r"^Could not archive project 1 at Toloka"):
        driver.run(api(retries=4).projects.archive("1"))
    assert driver.calls == [*[*LOOK, POST] * 5, *LOOK]


@pytest.mark.parametrize("failure", [lost("timeout"), lost("broken"), error(503)])
@pytest.mark.parametrize("found", [[page(operation(status="PENDING"))], [*DONE, page(operation(status="SUCCESS"))]])
def test_after_the_last_lost_answer_it_is_looked_for_too(failure: Answer, found: list[Answer]) -> None:
    driver = Driver([*IDLE, ok(project()), failure, *found])
    assert getattr(driver.run(api(retries=0).projects.archive("1")), "id", None) == "op1"
    assert driver.changes == ["/projects/1/archive"]


@pytest.mark.parametrize("refusal", [lost("unreachable"), lost("tls")])
def test_what_was_certainly_not_done_is_not_looked_for_in_the_end(refusal: Answer) -> None:
    driver = Driver([*IDLE, ok(project()), refusal])
    with pytest.raises(TolokaUnavailableError, match=r"^Could not archive project 1"):
        driver.run(api(retries=0).projects.archive("1"))
    assert driver.calls == [*LOOK, POST]


@pytest.mark.parametrize("look_first", [True, False])
def test_a_caller_who_has_looked_may_post_at_once_but_not_again(look_first: bool) -> None:
    driver = Driver([*([*IDLE, ok(project())] if look_first else []), error(503), *IDLE, ok(project()), ACCEPTED])
    driver.run(api().changes.make(ARCHIVE_PROJECT, "1", look_first=look_first))
    assert driver.calls == [*(LOOK if look_first else []), POST, *LOOK, POST]


@pytest.mark.parametrize(
    ("found", "result"),
    [
        pytest.param([RUNNING], "op1", id="another's operation"),
        pytest.param([*DONE, page(operation(status="SUCCESS"))], "op1", id="done meanwhile"),
        pytest.param([*DONE, page()], None, id="done, without an operation"),
    ],
)
def test_a_conflict_is_no_error_when_somebody_was_faster(found: list[Answer], result: str | None) -> None:
    driver = Driver([*IDLE, ok(project()), error(409, "OPERATION_ALREADY_EXISTS"), *found])
    assert getattr(driver.run(api().projects.archive("1")), "id", None) == result
    assert driver.changes == ["/projects/1/archive"]


def test_a_conflict_that_stays_is_an_error() -> None:
    driver = Driver([*IDLE, ok(project()), error(409, "UNARCHIVED_POOLS_CONFLICT"), *IDLE, ok(project())])
    with pytest.raises(TolokaConflictError) as caught:
        driver.run(api().projects.archive("1"))
    assert caught.value.code == "UNARCHIVED_POOLS_CONFLICT"
    assert driver.changes == ["/projects/1/archive"]


@pytest.mark.parametrize(("status", "kind"), [(404, TolokaNotFoundError), (400, TolokaRequestError)])
def test_another_error_of_a_change_is_not_looked_into(status: int, kind: type[Exception]) -> None:
    driver = Driver([*IDLE, ok(project()), error(status)])
    with pytest.raises(kind):
        driver.run(api().projects.archive("1"))
    assert driver.calls == [*LOOK, POST]


def test_a_change_of_an_object_that_is_not_there_posts_nothing() -> None:
    driver = Driver([*IDLE, error(404, "DOES_NOT_EXIST")])
    with pytest.raises(TolokaNotFoundError):
        driver.run(api().projects.archive("1"))
    assert driver.changes == []


def test_requests_go_below_the_base_url() -> None:
    driver = Driver([ok(project())])
    driver.run(TolokaApi(SETTINGS).projects.get("1"))
    assert driver.requests == [Request("GET", "/projects/1")]


@pytest.mark.parametrize("spoilt", [answer(202, b"<html>"), answer(200, b"[]"), answer(202), answer(307, location="/")])
@pytest.mark.parametrize("looks", [[RUNNING], [*DONE, page(operation(status="SUCCESS"))]], ids=["runs", "done"])
def test_a_change_whose_answer_cannot_be_read_is_settled_by_looking(spoilt: Answer, looks: list[Answer]) -> None:
    driver = Driver([*IDLE, ok(project()), spoilt, *looks])
    assert getattr(driver.run(api().projects.archive("1")), "id", None) == "op1"
    assert driver.calls.count(POST) == 1
    assert driver.sleeps == []


def test_a_change_whose_answer_cannot_be_read_and_that_did_not_happen_is_an_error() -> None:
    driver = Driver([*IDLE, ok(project()), answer(202, b"<html>"), *IDLE, ok(project())])
    with pytest.raises(TolokaInvalidAnswerError, match="Could not archive project 1"):
        driver.run(api().projects.archive("1"))
    assert driver.calls.count(POST) == 1


@pytest.mark.parametrize("method", ["projects.get", "operations.get"])
def test_an_answer_about_another_object_is_refused(method: str) -> None:
    other = project("2") if method == "projects.get" else operation(id_="2")
    with pytest.raises(TolokaInvalidAnswerError, match="'id' should be '1', but is '2'"):
        Driver([ok(other)]).run(attrgetter(method)(api())("1"))
