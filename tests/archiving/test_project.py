from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from airflow_provider_toloka.archiving.plan import PoolsRule
from airflow_provider_toloka.archiving.project import Progress, change_one, look_at_project, retire_project
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.client.resources import ARCHIVE_POOL, ARCHIVE_TRAINING, CLOSE_POOL
from airflow_provider_toloka.client.sansio import Request
from airflow_provider_toloka.exceptions import (
    TolokaConflictError,
    TolokaInUseError,
    TolokaNotArchivableError,
    TolokaOperationFailedError,
    TolokaPostponedError,
)
from tests.driving import NOW, Answer, Driver, answer, api, error, ok, operation, page, pool, project
from tests.world import API, CutOffError, World, retire

CLOSE: PoolsRule = "close_and_archive"


def filled(*, operation_seconds: float = 0) -> World:
    world = World(operation_seconds=operation_seconds)
    world.account.add_training("1", "OPEN", id="20")
    world.account.add_pool("1", "OPEN", id="10", training_id="20")
    world.account.add_pool("1", "CLOSED", id="11")
    world.account.add_pool("1", "ARCHIVED", id="12")
    return world


@pytest.mark.parametrize("operation_seconds", [0, 3])
@pytest.mark.parametrize("keeps", [True, False])
def test_all_is_closed_and_archived_in_tolokas_order(operation_seconds: float, keeps: bool) -> None:
    world = filled(operation_seconds=operation_seconds)
    world.driver.run(retire(CLOSE, keeps=keeps))
    assert world.driver.changes == [
        "/pools/10/close",
        "/pools/11/archive",
        "/pools/10/archive",
        "/trainings/20/close",
        "/trainings/20/archive",
        "/projects/1/archive",
    ]
    assert set(world.statuses().values()) == {"ARCHIVED"}
    assert world.refused == []


@pytest.mark.parametrize("rule", ["require_archived", "archive_closed", CLOSE])
def test_a_project_without_pools_is_archived_under_every_rule(rule: PoolsRule) -> None:
    world = World()
    progress = world.driver.run(retire_project(API, "1", rule))
    assert progress.is_last
    assert [one.type for one in progress.operations] == ["PROJECT.ARCHIVE"]
    assert world.driver.changes == ["/projects/1/archive"]


@pytest.mark.parametrize("rule", ["require_archived", "archive_closed", CLOSE])
def test_an_archived_project_is_left_alone(rule: PoolsRule) -> None:
    world = World()
    world.account.tables["projects"].update("1", status="ARCHIVED")
    assert world.driver.run(retire_project(API, "1", rule)) == Progress(is_last=True)
    assert world.driver.changes == []


def test_a_project_that_another_has_just_archived_needs_no_wait() -> None:
    world = World()
    before = world.driver.run(look_at_project(API, "1"))
    world.account.tables["projects"].update("1", status="ARCHIVED")
    progress = world.driver.run(retire_project(API, "1", "require_archived", snapshot=before))
    assert progress == Progress(is_last=True)
    assert world.driver.changes == ["/projects/1/archive"]


def test_a_project_that_is_not_shown_as_archived_yet_is_looked_at_again() -> None:
    world = World(lag=True)
    before = world.driver.run(look_at_project(API, "1"))
    world.account.tables["projects"].update("1", status="ARCHIVED")
    world._shown = {kind: [dict(row) for row in rows] for kind, rows in world._shown.items()}
    world._shown["projects"][0]["status"] = "ACTIVE"
    progress = world.driver.run(retire_project(API, "1", "require_archived", snapshot=before))
    assert progress.locked == ("project 1 is not shown as archived yet",)
    assert not progress.is_last
    assert world.driver.changes == ["/projects/1/archive"]


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("require_archived", "project 1:\n  pool 10 'A pool' is OPEN\n  pool 11 'A pool' is CLOSED\n"),
        ("archive_closed", "project 1:\n  pool 10 'A pool' is OPEN\n  training 20 'A training' is OPEN\n"),
    ],
)
def test_what_the_rule_forbids_stops_it_before_anything_is_changed(rule: PoolsRule, told: str) -> None:
    world = filled()
    before = world.statuses()
    with pytest.raises(TolokaNotArchivableError) as caught:
        world.driver.run(retire(rule))
    assert str(caught.value).startswith(f"Could not archive {told}")
    assert world.driver.changes == []
    assert world.statuses() == before


def test_a_lock_is_looked_at_again_and_the_others_go_on() -> None:
    world = World()
    world.account.add_pool("1", "LOCKED", id="10")
    world.account.add_pool("1", "CLOSED", id="11")
    progress = world.driver.run(retire_project(API, "1", "archive_closed"))
    assert progress.locked == ("pool 10 'A pool' is LOCKED",)
    assert not progress.is_last
    assert world.driver.changes == ["/pools/11/archive"]
    world.driver.run(retire("archive_closed"))
    assert set(world.statuses().values()) == {"ARCHIVED"}


@pytest.mark.parametrize("code", ["POOL_LOCKED_BY_ANOTHER_OPERATION", "OPERATION_ALREADY_EXISTS"])
def test_a_lock_that_only_the_answer_tells_of_is_looked_at_again(code: str) -> None:
    look = [page(), page(), page(pool("10")), page(), ok(project())]
    driver = Driver([*look, error(409, code), page(), page(), ok(pool("10"))])
    progress = driver.run(retire_project(API, "1", "archive_closed"))
    assert (progress.is_last, progress.locked) == (False, ("pool 10 is locked by another operation",))


@pytest.mark.parametrize(
    ("held", "reason"),
    [
        ({"last_rejected": NOW - 8 * 86_400}, "It can be archived 9 days after the last rejection"),
        ({"active_assignments": 1}, "active assignments in pool 10. Wait until the Tolokers have finished"),
    ],
)
def test_a_pool_that_is_in_use_is_named_with_the_reason_and_the_others_go_on(held: Any, reason: str) -> None:
    world = World()
    world.account.add_pool("1", id="10", **held)
    world.account.add_pool("1", id="11")
    with pytest.raises(
        TolokaNotArchivableError, match=r"^Could not archive project 1:\n  Could not archive pool 10"
    ) as caught:
        world.driver.run(retire(CLOSE))
    assert reason in str(caught.value)
    assert "Clear the task when the cause is fixed" in str(caught.value)
    assert world.statuses() == {"projects 1": "ACTIVE", "pools 10": "CLOSED", "pools 11": "ARCHIVED"}


@pytest.mark.parametrize(
    ("held", "error_class"),
    [
        ([{"last_rejected": NOW}], TolokaPostponedError),
        ([{"active_assignments": 1}], TolokaNotArchivableError),
        ([{"last_rejected": NOW}, {"active_assignments": 1}], TolokaNotArchivableError),
    ],
)
def test_only_what_will_be_possible_in_a_few_days_is_postponed(held: Any, error_class: type[Exception]) -> None:
    world = World()
    for number, more in enumerate(held, 10):
        world.account.add_pool("1", id=str(number), **more)
    with pytest.raises(TolokaNotArchivableError) as caught:
        world.driver.run(retire(CLOSE))
    assert type(caught.value) is error_class


def test_after_nine_days_a_pool_with_rejections_is_archived() -> None:
    world = World()
    world.account.add_pool("1", id="10", last_rejected=NOW - 9 * 86_400)
    world.driver.run(retire("archive_closed"))
    assert world.statuses()["projects 1"] == "ARCHIVED"


def test_a_training_that_another_project_needs_is_named_with_the_reason() -> None:
    world = World()
    world.account.add_project(id="2")
    world.account.add_training("1", id="20")
    world.account.add_pool("2", id="10", training_id="20")
    with pytest.raises(TolokaNotArchivableError, match=r"archive training 20 .* it may belong to another project"):
        world.driver.run(retire(CLOSE))
    assert world.statuses()["pools 10"] == "CLOSED"


@pytest.mark.parametrize("rule", ["archive_closed", CLOSE])
@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("lag", [True, False])
def test_what_runs_already_is_waited_for(rule: PoolsRule, keeps: bool, lag: bool) -> None:
    world = World(lag=lag)
    world.account.add_pool("1", "OPEN", id="10")
    world.account.add_operation("POOL.CLOSE", status="PENDING", finishes_in=7, parameters={"pool_id": "10"})
    world.driver.run(retire(rule, keeps=keeps))
    assert world.driver.changes == ["/pools/10/archive", "/projects/1/archive"]
    assert world.driver.now >= NOW + 7


def test_the_projects_own_operation_is_taken_over() -> None:
    world = World()
    world.account.add_operation("PROJECT.ARCHIVE", status="RUNNING", finishes_in=7, parameters={"project_id": "1"})
    progress = world.driver.run(retire("require_archived"))
    assert progress.is_last
    assert world.driver.changes == []
    assert world.statuses()["projects 1"] == "ARCHIVED"


@pytest.mark.parametrize(
    "type_", ["POOL.CLOSE", "POOL.ARCHIVE", "TRAINING.CLOSE", "TRAINING.ARCHIVE", "PROJECT.ARCHIVE"]
)
@pytest.mark.parametrize("operation_seconds", [0, 3])
def test_an_operation_that_fails_ends_it(type_: str, operation_seconds: float) -> None:
    world = filled(operation_seconds=operation_seconds)
    world.account.operations.fail_next(type_, 1, {"why": "so"})
    with pytest.raises(TolokaOperationFailedError, match=rf"{type_}.*ended as FAIL. Details: {{'why': 'so'}}"):
        world.driver.run(retire(CLOSE))
    world.driver.run(retire(CLOSE))
    assert set(world.statuses().values()) == {"ARCHIVED"}


def test_an_effect_that_shows_late_is_not_brought_about_again() -> None:
    closed = operation("POOL.CLOSE", "SUCCESS", parameters={"pool_id": "10"})
    stale = [page(), page(), page(pool("10", "OPEN")), page(), ok(project())]
    for rule in ("archive_closed", CLOSE):
        driver = Driver(stale)
        progress = driver.run(retire_project(API, "1", rule, [Operation.from_json(closed)]))
        assert progress.locked == ("pool 10 'P' is OPEN",)
        assert driver.changes == []


def test_a_step_that_proves_done_is_not_tried_again() -> None:
    world = World(lag=True)
    world.account.add_pool("1", "CLOSED", id="10")
    world.driver.run(API.projects.get("1"))
    world.account.tables["pools"].update("10", status="ARCHIVED")  # it does not show yet
    world.driver.run(retire("archive_closed"))
    assert world.driver.changes == ["/pools/10/archive", "/projects/1/archive"]
    assert world.statuses()["projects 1"] == "ARCHIVED"


@pytest.mark.parametrize(
    ("rule", "ends"), [(CLOSE, contextlib.nullcontext()), ("archive_closed", pytest.raises(TolokaNotArchivableError))]
)
def test_what_was_known_is_looked_at_again_before_it_is_an_error(rule: PoolsRule, ends: Any) -> None:
    world = World()
    world.account.add_pool("1", "CLOSED", id="10")
    known = world.driver.run(look_at_project(API, "1"))
    world.account.tables["pools"].update("10", status="OPEN")  # another user opens it again
    with ends as caught:
        world.driver.run(retire_project(API, "1", rule, snapshot=known))
    assert world.statuses()["projects 1"] == ("ARCHIVED" if rule == CLOSE else "ACTIVE")
    assert caught is None or "pool 10 'A pool' is OPEN" in str(caught.value)


def test_what_is_known_is_not_ahead_of_what_runs() -> None:
    world = filled(operation_seconds=3)
    progress = world.driver.run(retire_project(API, "1", CLOSE))
    assert [one.type for one in progress.operations] == ["POOL.CLOSE", "POOL.ARCHIVE"]
    assert progress.snapshot
    assert [one.status for one in progress.snapshot.pools] == ["OPEN", "CLOSED", "ARCHIVED"]


@pytest.mark.parametrize("code", ["POOL_LOCKED_BY_ANOTHER_OPERATION", "OPERATION_ALREADY_EXISTS"])
def test_a_single_change_of_what_is_locked_is_to_be_tried_later(code: str) -> None:
    look = [page(), page(), ok(pool("10", "OPEN"))]
    progress = Driver([*look, error(409, code), *look]).run(change_one(API, CLOSE_POOL, "10"))
    assert not progress.is_last
    assert code in progress.locked[0]


@pytest.mark.parametrize(
    ("change", "code", "reason"),
    [
        (ARCHIVE_POOL, "THERE_IS_REJECTED_ASSIGNMENT", "9 days after the last rejection. [HTTP status 409"),
        (ARCHIVE_POOL, "THERE_IS_ACTIVE_ASSIGNMENT", "Wait until the Tolokers have finished"),
        (ARCHIVE_TRAINING, "TRAINING_ARCHIVE_CONFLICT", "a pool that requires training 10 is not archived"),
        (ARCHIVE_POOL, "POOL_INAPPROPRIATE_STATUS", "does not allow this. [HTTP status 409"),
    ],
)
def test_a_single_change_that_is_refused_is_explained(change: Any, code: str, reason: str) -> None:
    look = [page(), page(), ok(pool("10"))]
    with pytest.raises(TolokaConflictError) as caught:
        Driver([*look, error(409, code), *look]).run(change_one(API, change, "10"))
    assert reason in str(caught.value)
    assert caught.value.code == code


@pytest.mark.parametrize("status", ["OPEN", "CLOSED", "ARCHIVED"])
def test_a_single_change_ends_in_the_wanted_state(status: str) -> None:
    world = World()
    world.account.add_pool("1", status, id="10")
    progress = world.driver.run(change_one(API, CLOSE_POOL, "10"))
    assert progress.is_last
    assert [one.type for one in progress.operations] == (["POOL.CLOSE"] if status == "OPEN" else [])


STATUS = st.sampled_from(["OPEN", "CLOSED", "LOCKED", "ARCHIVED"])
RUNS = {"OPEN": "CLOSE", "CLOSED": "ARCHIVE"}


@settings(max_examples=250, deadline=None)
@given(
    pools=st.lists(st.tuples(STATUS, st.none() | st.integers(0, 2), st.booleans()), max_size=4),
    trainings=st.lists(STATUS, max_size=3),
    rule=st.sampled_from(["require_archived", "archive_closed", CLOSE]),
    operation_seconds=st.sampled_from([0, 3]),
    lag=st.booleans(),
    keeps=st.booleans(),
    cuts=st.lists(st.tuples(st.integers(0, 25), st.booleans()), max_size=3),
)
def test_any_project_is_archived_in_order_and_once_however_often_it_is_cut_off(
    pools: list[tuple[str, int | None, bool]],
    trainings: list[str],
    rule: PoolsRule,
    operation_seconds: float,
    lag: bool,
    keeps: bool,
    cuts: list[tuple[int, bool]],
) -> None:
    world = World(operation_seconds=operation_seconds, lag=lag)
    for i, status in enumerate(trainings):
        world.account.add_training("1", status, id=str(20 + i))
    forbidden = {"require_archived": ("OPEN", "CLOSED", "LOCKED"), "archive_closed": ("OPEN",), CLOSE: ()}[rule]
    is_blocked = any(status in forbidden for status in trainings)
    for i, (status, required, is_busy) in enumerate(pools):
        training_id = str(20 + required) if required is not None and required < len(trainings) else None
        # Toloka would not have archived a training that a pool still requires.
        assume(training_id is None or status == "ARCHIVED" or trainings[int(training_id) - 20] != "ARCHIVED")
        world.account.add_pool("1", status, id=str(10 + i), training_id=training_id)
        runs = RUNS.get(status) if is_busy else None
        if runs:
            parameters = {"pool_id": str(10 + i)}
            world.account.add_operation(f"POOL.{runs}", status="RUNNING", finishes_in=4, parameters=parameters)
        is_blocked |= status in forbidden and not (runs == "CLOSE" and rule == "archive_closed")
    before = world.statuses()
    for calls, is_before in cuts:
        world.cut_at, world.cut_before = len(world.driver.requests) + calls, is_before
        with contextlib.suppress(CutOffError, TolokaNotArchivableError):
            world.driver.run(retire(rule, keeps=keeps))
        world.driver.sleeps.append(1)
        world.driver.now += 1  # the next try does not come at once
    world.cut_at = None
    if is_blocked and not cuts:
        with pytest.raises(TolokaNotArchivableError):
            world.driver.run(retire(rule, keeps=keeps))
        assert (world.driver.changes, world.statuses()) == ([], before)
    elif not is_blocked:
        world.driver.run(retire(rule, keeps=keeps))
        assert set(world.statuses().values()) == {"ARCHIVED"}
    assert world.refused == []
    assert set(world.submitted().values()) <= {1}


def test_an_operation_of_an_unknown_type_that_is_finished_at_once_is_submitted_once() -> None:
    def serve(request: Request) -> Answer:
        if request.method == "POST":
            return answer(202, operation("PROJECT.FROBNICATE", "SUCCESS"))
        return ok(project()) if request.path.endswith("/projects/1") else page()

    driver = Driver(serve)
    progress = driver.run(retire_project(api(), "1", "require_archived"))
    assert driver.changes == ["/projects/1/archive"]
    assert progress.locked == ("project 1 is not shown as archived yet",)


@settings(max_examples=300, deadline=None)
@given(
    at=st.integers(0, 40),
    which=st.sampled_from(["10", "11", "made"]),
    rule=st.sampled_from(["archive_closed", CLOSE]),
    operation_seconds=st.sampled_from([0, 3]),
    keeps=st.booleans(),
)
def test_a_stale_project_in_which_somebody_opens_a_pool_at_any_moment_is_left_alone(
    at: int, which: str, rule: PoolsRule, operation_seconds: float, keeps: bool
) -> None:
    world = World(operation_seconds=operation_seconds)
    old: dict[str, Any] = {"created": NOW - 400 * 86_400}
    world.account.add_training("1", "CLOSED", id="20", **old)
    world.account.add_pool("1", "CLOSED", id="10", **old)
    world.account.add_pool("1", "CLOSED", id="11", **old)
    before = datetime.fromtimestamp(NOW, UTC) - timedelta(days=180)
    serve = world.driver._answer
    is_opened = False

    def meddle(request: Request) -> Answer:
        nonlocal is_opened
        if len(world.driver.requests) > at and not is_opened:
            is_opened = _open(world, which)
        return serve(request)

    world.driver._answer = meddle
    with contextlib.suppress(TolokaInUseError):
        world.driver.run(retire(rule, keeps=keeps, stale_before=before))
    assert not [path for path in world.driver.changes if path.endswith("/close")]
    archived = world.statuses()["projects 1"] == "ARCHIVED"
    assert archived != is_opened


def _open(world: World, which: str) -> bool:
    """Open a pool, or create an open one, as another user, if Toloka allows it."""
    world.account.settle()
    tables, operations = world.account.tables, world.account.operations
    busy = operations.running_on("PROJECT", "1") or operations.running_on("POOL", which)
    if busy or (tables["projects"].get("1") or {})["status"] == "ARCHIVED":
        return False
    if which == "made":
        world.account.add_pool("1", "OPEN", id="12")
        return True
    if (tables["pools"].get(which) or {})["status"] == "ARCHIVED":
        return False
    tables["pools"].update(which, status="OPEN")
    return True
