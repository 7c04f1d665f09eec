"""Whatever is lost, late or killed: one project, one pool, each task once, and the pool is opened once."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.client.sansio import Flow
from airflow_provider_toloka.emulator.options import Tolokers
from airflow_provider_toloka.exceptions import (
    TolokaApiError,
    TolokaConflictError,
    TolokaOperationFailedError,
    TolokaTasksRefusedError,
)
from airflow_provider_toloka.labelling.chunks import Limits, chunks_of
from airflow_provider_toloka.labelling.upload import Upload
from tests.labelling.forms import POOL, PROJECT, TRAINING
from tests.labelling.toloka import API, FATES, KilledError, Toloka

fates = st.lists(st.sampled_from(FATES), max_size=12)
RETRY_DELAY = 5.0


def until_done(toloka: Toloka, make: Any) -> Any:
    """Run a flow as the tries of a task: one that fails or is killed is followed by another."""
    for try_number in range(1, 20):
        try:
            return toloka.run(make(try_number))
        except (KilledError, TolokaApiError):
            toloka.now += RETRY_DELAY
    raise AssertionError("no try came to an end")


def project_in(toloka: Toloka) -> str:
    return toloka.run(API.projects.ensure(PROJECT, key="p")).id


def pool_in(toloka: Toloka, **more: Any) -> str:
    form = {**POOL, "project_id": project_in(toloka), **more}
    return toloka.run(API.pools.ensure(form, key="pool")).id


@given(
    kind=st.sampled_from(["projects", "pools", "trainings"]),
    fates=fates,
    list_lag=st.sampled_from([0.0, 3.0, 30.0]),
    keep_metadata=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_one_object_is_created(kind: str, fates: list[Any], list_lag: float, keep_metadata: bool) -> None:
    toloka = Toloka(list_lag=list_lag, keep_metadata=keep_metadata)
    form = dict(PROJECT)
    if kind != "projects":
        form = {**(POOL if kind == "pools" else TRAINING), "project_id": project_in(toloka)}
    toloka._fates = iter(fates)
    calls = getattr(API, kind)
    made = until_done(toloka, lambda number: calls.ensure(form, key="k", was_tried=number > 1))
    rows = [row for row in toloka.rows(kind) if kind != "projects" or "[airflow:k]" in row["private_comment"]]
    assert [row["id"] for row in rows] == [made.id]


@given(kind=st.sampled_from(["projects", "pools"]), turns=st.lists(st.integers(0, 1), max_size=30))
@settings(max_examples=100, deadline=None)
def test_two_runs_of_a_task_at_once_return_the_same_object(kind: str, turns: list[int]) -> None:
    toloka = Toloka()
    form = dict(PROJECT) if kind == "projects" else {**POOL, "project_id": project_in(toloka)}
    flows: list[Flow[Any]] = [getattr(API, kind).ensure(form, key="k") for _ in range(2)]
    one, other = toloka.run_together(flows, iter(turns))
    # A search while the other request is in flight creates a second object: it is unused, and a warning names it.
    assert one.id == other.id


def test_another_key_is_another_object_and_an_archived_one_is_none() -> None:
    toloka = Toloka()
    ids = [toloka.run(API.projects.ensure(PROJECT, key=key)).id for key in ("a", "b", "a")]
    assert ids[0] == ids[2] != ids[1]
    toloka.run(API.projects.archive(ids[0]))
    assert toloka.run(API.projects.ensure(PROJECT, key="a")).id not in ids


def test_the_page_of_a_duplicate_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    toloka = Toloka(list_lag=1000)
    first, second = (toloka.run(API.projects.ensure(PROJECT, key="a")).id for _ in range(2))
    toloka.now += 2000
    assert toloka.run(API.projects.ensure(PROJECT, key="a")).id == min(first, second, key=lambda id_: (len(id_), id_))
    assert f"/requester/project/{max(first, second, key=lambda id_: (len(id_), id_))}" in caplog.text


TASKS = [{"input_values": {"image": f"https://example.com/{number}.jpg"}} for number in range(11)]


def upload(
    toloka: Toloka, pool_id: str, tasks: list[Any], *, resumed: bool = False, **more: Any
) -> Flow[list[Operation]]:
    """Do as the operator does."""
    job = Upload(key="upload", pool_id=pool_id, **more)
    sent = []
    for chunk in chunks_of(tasks, pool_id, Limits(items=4)):
        sent.append((yield from job.send(API, chunk, may_repeat=not resumed)))
        toloka.account.settle()
    for operation in sent:
        yield from API.waits.wait_for(operation.id, poll_interval=1, timeout=100)
    return sent


@given(fates=fates, operation_seconds=st.sampled_from([0.0, 2.0]))
@settings(max_examples=200, deadline=None)
def test_each_task_is_added_once(fates: list[Any], operation_seconds: float) -> None:
    toloka = Toloka(operation_seconds=operation_seconds)
    pool_id = pool_in(toloka)
    toloka._fates = iter(fates)
    until_done(toloka, lambda _: upload(toloka, pool_id, TASKS))
    added = Counter(row["input_values"]["image"] for row in toloka.rows("tasks"))
    assert added == {task["input_values"]["image"]: 1 for task in TASKS}


def searches(toloka: Toloka) -> int:
    return sum(request.method == "GET" and request.path.startswith("/operations/") for request in toloka.requests)


def test_after_a_chunk_that_is_not_there_none_is_searched_for() -> None:
    toloka = Toloka()
    pool_id = pool_in(toloka)
    job = Upload(key="upload", pool_id=pool_id)
    for chunk in chunks_of(TASKS, pool_id, Limits(items=4)):
        toloka.run(job.send(API, chunk, may_repeat=True))
    assert searches(toloka) == 1


def test_a_chunk_that_is_there_after_all_is_added_once() -> None:
    toloka = Toloka()
    pool_id = pool_in(toloka)
    first, second, third = chunks_of(TASKS, pool_id, Limits(items=4))
    for chunk in (second, third):
        toloka.run(Upload(key="upload", pool_id=pool_id).send(API, chunk, may_repeat=True))
    job = Upload(key="upload", pool_id=pool_id)
    for chunk in (first, second, third):
        toloka.run(job.send(API, chunk, may_repeat=True))
    assert len(toloka.rows("tasks")) == len(TASKS)


def test_a_resumed_upload_sends_nothing_again() -> None:
    toloka = Toloka()
    pool_id = pool_in(toloka)
    first = toloka.run(upload(toloka, pool_id, TASKS))
    before = toloka.posts()
    assert toloka.run(upload(toloka, pool_id, TASKS, resumed=True)) == [*first]
    assert toloka.posts() == before


def test_corrected_input_is_uploaded_and_what_was_right_is_not_again() -> None:
    toloka = Toloka()
    pool_id = pool_in(toloka)
    wrong = [*TASKS[:10], {"input_values": {"picture": "no such field"}}]
    with pytest.raises(TolokaTasksRefusedError, match=r"refuses 1 tasks: tasks\[10\] \(.*picture") as caught:
        toloka.run(upload(toloka, pool_id, wrong))
    assert caught.value.is_permanent
    # Another try of the same input does not send it again.
    posts = toloka.posts()
    with pytest.raises(TolokaTasksRefusedError, match=r"tasks\[10\]"):
        toloka.run(upload(toloka, pool_id, wrong))
    assert toloka.posts() == posts
    toloka.run(upload(toloka, pool_id, TASKS))
    assert sorted(Counter(row["input_values"]["image"] for row in toloka.rows("tasks")).values()) == [1] * 11


def test_invalid_tasks_are_skipped_on_request() -> None:
    toloka = Toloka()
    pool_id = pool_in(toloka)
    tasks = [*TASKS[:2], {"input_values": {"picture": "no such field"}}]
    (operation,) = toloka.run(upload(toloka, pool_id, tasks, skip_invalid=True))
    assert (operation.details["success_count"], operation.details["not_valid_count"]) == (2, 1)


def fail(toloka: Toloka, operation_id: str, **details: Any) -> None:
    toloka.account.tables["operations"].update(operation_id, status="FAIL", details=details)


def test_an_upload_that_failed_is_repeated_by_a_new_try_only() -> None:
    toloka = Toloka()
    pool_id = pool_in(toloka)
    (first,) = toloka.run(upload(toloka, pool_id, TASKS[:3]))
    fail(toloka, first.id, success_count=0)
    with pytest.raises(TolokaOperationFailedError) as caught:
        toloka.run(upload(toloka, pool_id, TASKS[:3], resumed=True))
    assert not caught.value.is_permanent
    (second,) = toloka.run(upload(toloka, pool_id, TASKS[:3]))
    assert second.id != first.id
    # A third try finds the second's upload.
    assert [one.id for one in toloka.run(upload(toloka, pool_id, TASKS[:3]))] == [second.id]


def test_a_later_chunk_that_failed_is_repeated_with_corrected_input() -> None:
    toloka = Toloka()
    pool_id = pool_in(toloka)
    old = toloka.run(upload(toloka, pool_id, TASKS))
    fail(toloka, old[2].id, success_count=0)
    corrected = [{"input_values": {"image": "https://example.com/corrected.jpg"}}, *TASKS[1:]]
    new = toloka.run(upload(toloka, pool_id, corrected))
    # Only the first chunk has changed.
    assert [one.id in {one.id for one in old} for one in new] == [False, True, False]
    assert [one.id for one in toloka.run(upload(toloka, pool_id, corrected))] == [one.id for one in new]


@pytest.mark.parametrize("fates", [["ok", "ok"], ["ok", "answer lost"], ["ok", "503 carried out"]])
def test_an_upload_that_fails_at_once_is_not_repeated_by_the_same_try(fates: list[Any]) -> None:
    toloka = Toloka()
    pool_id = pool_in(toloka)
    toloka.account.operations.fail_next("TASK.BATCH_CREATE", 1, {"success_count": 0})
    toloka._fates = iter(fates)
    before = toloka.posts()
    with pytest.raises(TolokaOperationFailedError):
        toloka.run(upload(toloka, pool_id, TASKS[:3]))
    assert set(toloka.posts()[len(before) :]) == {"/tasks"}
    assert sum(row["type"] == "TASK.BATCH_CREATE" for row in toloka.rows("operations")) == 1


def test_a_resumed_task_finds_the_upload_that_repeated_a_failed_one() -> None:
    toloka = Toloka()
    pool_id = pool_in(toloka)
    (first,) = toloka.run(upload(toloka, pool_id, TASKS[:3]))
    fail(toloka, first.id, success_count=0)
    (second,) = toloka.run(upload(toloka, pool_id, TASKS[:3]))
    posts = toloka.posts()
    assert [one.id for one in toloka.run(upload(toloka, pool_id, TASKS[:3], resumed=True))] == [second.id]
    fail(toloka, second.id, success_count=0)
    with pytest.raises(TolokaOperationFailedError, match=second.id):
        toloka.run(upload(toloka, pool_id, TASKS[:3], resumed=True))
    assert toloka.posts() == posts


def test_an_upload_that_was_added_in_part_is_not_repeated() -> None:
    toloka = Toloka()
    pool_id = pool_in(toloka)
    (first,) = toloka.run(upload(toloka, pool_id, TASKS[:3]))
    fail(toloka, first.id, success_count=2, total_count=3)
    with pytest.raises(TolokaTasksRefusedError, match="added only 2 of 3 tasks of chunk 0") as caught:
        toloka.run(upload(toloka, pool_id, TASKS[:3]))
    assert caught.value.is_permanent


def opened(toloka: Toloka) -> int:
    return sum(row["type"] == "POOL.OPEN" for row in toloka.rows("operations"))


@given(
    fates=fates,
    operation_seconds=st.sampled_from([0.0, 2.0]),
    seconds=st.sampled_from([0.0, 1.0, 1000.0]),
    skew=st.sampled_from([-3600.0, 0.0, 3600.0]),
)
@settings(max_examples=200, deadline=None)
def test_a_pool_is_opened_once_however_fast_it_is_completed(
    fates: list[Any], operation_seconds: float, seconds: float, skew: float
) -> None:
    toloka = Toloka(operation_seconds=operation_seconds, tolokers=Tolokers(count=5, seconds=seconds), skew=skew)
    pool_id = pool_in(toloka)
    toloka.run(upload(toloka, pool_id, TASKS))
    toloka.now += 3600
    began = datetime.fromtimestamp(toloka.now, UTC)
    toloka._fates = iter(fates)
    until_done(toloka, lambda _: API.pools.open(pool_id, opened_since=began))
    toloka.now += 10
    until_done(toloka, lambda _: API.pools.open(pool_id, opened_since=began))
    assert opened(toloka) == 1
    assert toloka.rows("pools")[0]["last_started"] is not None


@pytest.mark.parametrize("skew", [-3600, 0, 3600])
def test_a_later_run_opens_a_pool_that_was_completed_before(skew: float) -> None:
    toloka = Toloka(tolokers=Tolokers(count=5), skew=skew)
    pool_id = pool_in(toloka)
    toloka.run(upload(toloka, pool_id, TASKS[:5]))
    assert toloka.run(API.pools.open(pool_id, opened_since=datetime.fromtimestamp(toloka.now, UTC))) is not None
    toloka.now += 3600
    assert toloka.rows("pools")[0]["status"] == "CLOSED"
    job = Upload(key="another day", pool_id=pool_id)
    for chunk in chunks_of(TASKS[5:], pool_id):
        toloka.run(job.send(API, chunk, may_repeat=True))
    toloka.run(API.pools.open(pool_id, opened_since=datetime.fromtimestamp(toloka.now, UTC)))
    assert opened(toloka) == 2


@pytest.mark.parametrize(
    ("more", "with_tasks", "remedy"),
    [({}, False, "it has no tasks. Add tasks first"), ({"mixer_config": None}, True, "it has no mixer_config")],
)
def test_a_pool_that_cannot_be_opened_is_told_of_with_the_remedy(
    more: dict[str, Any], with_tasks: bool, remedy: str
) -> None:
    toloka = Toloka()
    pool_id = pool_in(toloka, **more)
    if with_tasks:
        toloka.run(upload(toloka, pool_id, TASKS))
    with pytest.raises(TolokaConflictError, match=remedy):
        toloka.run(API.pools.open(pool_id))


def test_an_archived_pool_is_not_opened() -> None:
    toloka = Toloka()
    pool_id = pool_in(toloka)
    toloka.run(API.pools.archive(pool_id))
    with pytest.raises(TolokaConflictError, match=rf"pool {pool_id}: it is ARCHIVED.*Create another pool"):
        toloka.run(API.pools.open(pool_id))
    assert opened(toloka) == 0
