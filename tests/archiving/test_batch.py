"""Many projects side by side: over the network against the emulator, and by hand for any account."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pendulum
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_toloka.archiving.batch import Batch, Results
from airflow_provider_toloka.archiving.plan import PoolsRule, Snapshot, step_of
from airflow_provider_toloka.archiving.project import retire_project
from airflow_provider_toloka.archiving.scan import search
from airflow_provider_toloka.archiving.selection import Search, Selection
from airflow_provider_toloka.client.backoff import backing_off
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.client.observer import Observer
from airflow_provider_toloka.client.retry import RetryPolicy
from airflow_provider_toloka.client.sansio import Flow, Sleep
from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.exceptions import TolokaAuthenticationError, TolokaError
from airflow_provider_toloka.hooks.toloka import TolokaHook
from airflow_provider_toloka.reporting import Outcome
from tests import driving
from tests.driving import NOW, read_all
from tests.world import API, CutOffError, World

DAY = 86_400
STALE_BEFORE = pendulum.datetime(2021, 1, 1)


async def archive(
    project_ids: Sequence[str] | None = None,
    *,
    pools: PoolsRule = "archive_closed",
    seconds: float = 30,
    patience: float | None = None,
    stale_before: datetime | None = None,
    waited: Mapping[str, Sequence[Operation]] | None = None,
    observer: Observer | None = None,
    results: Results | None = None,
    **options: Any,
) -> Results:
    """Select and archive, as one try of a task does."""
    results = results or Results()
    async with TolokaHook(retry_policy=RetryPolicy(retries=1, jitter=lambda _: 0.0)).async_client() as client:
        client.api.observer = observer or client.api.observer
        found = await search(client, Selection(project_ids=project_ids, before=stale_before), with_operations=True)
        batch = Batch(
            client,
            pools=pools,
            poll_interval=0.1,
            deadline=time.time() + seconds,
            patience=patience,
            stale_before=stale_before,
            results=results,
            **options,
        )
        await batch.run(found, waited)
    return results


class Outcomes(Observer):
    """Counts the projects that have ended."""

    def __init__(self) -> None:
        self.counts = Counter[str]()

    def project_ended(self, outcome: str) -> None:
        self.counts[outcome] += 1


def fill(toloka: TolokaEmulator, projects: int = 4) -> list[str]:
    """Add old projects with a training, a pool that requires it, and one that does not."""
    made: dict[str, Any] = {"created": "2020-01-01T00:00:00"}
    ids = [toloka.add_project(f"Project {i}", **made)["id"] for i in range(projects)]
    for project_id in ids:
        training = toloka.add_training(project_id, **made)
        toloka.add_pool(project_id, training_id=training["id"], **made)
        toloka.add_pool(project_id, **made)
    return ids


def statuses(toloka: TolokaEmulator) -> set[str]:
    return {row["status"] for kind in (toloka.projects, toloka.pools, toloka.trainings) for row in kind.values()}


def submitted(toloka: TolokaEmulator) -> Counter[tuple[str, str]]:
    return Counter((one["type"], str(one["parameters"])) for one in toloka.operations.values())


@pytest.fixture(params=[0, 0.3], ids=["done at once", "taking time"])
def toloka(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    with TolokaEmulator(operation_seconds=request.param) as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_TOLOKA_DEFAULT", json.dumps(emulator.connection))
        yield emulator


async def test_all_are_archived_with_one_operation_for_each_object(toloka: TolokaEmulator) -> None:
    ids = fill(toloka, 30)
    results = await archive(ids)
    archived = results.of(Outcome.ARCHIVED)
    assert {entry.id for entry in archived} == set(results.ended) == set(ids)
    assert {entry.name for entry in archived} == {f"Project {i}" for i in range(30)}
    assert results.waiting == {}
    assert statuses(toloka) == {"ARCHIVED"}
    assert set(submitted(toloka).values()) == {1}


@pytest.mark.parametrize("toloka", [0.3], indirect=True)
async def test_many_operations_go_on_at_the_same_time(toloka: TolokaEmulator) -> None:
    started = time.monotonic()
    await archive(fill(toloka, 20))
    seconds = time.monotonic() - started
    assert statuses(toloka) == {"ARCHIVED"}
    assert seconds < 0.3 * len(toloka.operations) / 3


@pytest.mark.parametrize("calls", [1, 14, 17, 21, 28])
@pytest.mark.parametrize("is_carried_out", [True, False], ids=["answers lost", "requests lost"])
async def test_a_batch_that_is_cut_off_goes_on_where_it_stands(
    toloka: TolokaEmulator, calls: int, is_carried_out: bool
) -> None:
    ids = fill(toloka)
    toloka.fault("* /**", times=calls)
    last: dict[str, Any] = {"hold": True} if is_carried_out else {"disconnect": "before"}
    last_call = toloka.fault("* /**", times=None, **last)
    cut_off = asyncio.create_task(archive(ids))
    await asyncio.to_thread(last_call.wait)
    cut_off.cancel()
    await asyncio.wait([cut_off])
    toloka.clear_faults()
    results = await archive(ids)
    assert results.of(Outcome.FAILED) == []
    assert {entry.id for entry in results.of(Outcome.ARCHIVED, Outcome.ALREADY_ARCHIVED)} == set(ids)
    assert statuses(toloka) == {"ARCHIVED"}
    assert set(submitted(toloka).values()) == {1}


async def test_an_answer_that_is_lost_now_and_then_changes_nothing(toloka: TolokaEmulator) -> None:
    ids = fill(toloka)
    for _ in range(3):
        toloka.fault("* /**", times=9)
        toloka.fault("* /**", disconnect="after")
    await archive(ids)
    assert statuses(toloka) == {"ARCHIVED"}
    assert set(submitted(toloka).values()) == {1}


async def test_one_that_fails_does_not_stop_the_others(toloka: TolokaEmulator) -> None:
    ids = fill(toloka)
    toloka.add_pool(ids[1], last_rejected=time.time() - DAY)
    toloka.add_pool(ids[2], status="OPEN")
    results = await archive(ids)
    (postponed,) = results.of(Outcome.POSTPONED)
    assert postponed.id == ids[1]
    assert postponed.reason.startswith("rejected answers in pool ")
    assert "9 days after the last rejection" in postponed.remedy
    assert postponed.postponed_until
    assert abs(postponed.postponed_until - datetime.now(UTC) - timedelta(days=8)) < timedelta(minutes=5)
    (failed,) = results.of(Outcome.FAILED)
    assert failed.id == ids[2]
    assert "is OPEN" in failed.reason
    assert {entry.id for entry in results.of(Outcome.ARCHIVED)} == {ids[0], ids[3]}


async def test_an_operation_that_fails_is_told_of(toloka: TolokaEmulator) -> None:
    ids = fill(toloka)
    toloka.fail_next("PROJECT.ARCHIVE", details={"why": "the moon"})
    results = await archive(ids)
    (failed,) = results.of(Outcome.FAILED)
    assert "'why': 'the moon'" in failed.reason
    assert results.transient == {failed.id}
    assert len(results.of(Outcome.ARCHIVED)) == len(ids) - 1
    again = (await archive([failed.id])).of(Outcome.ARCHIVED)
    assert [entry.id for entry in again] == [failed.id]


async def test_what_was_archived_is_told_with_its_operation(toloka: TolokaEmulator) -> None:
    ids = fill(toloka)
    archived = (await archive(ids)).of(Outcome.ARCHIVED)
    for entry in archived:
        operation = toloka.operations[str(entry.operation_id)]
        assert (operation["type"], operation["parameters"]) == ("PROJECT.ARCHIVE", {"project_id": entry.id})
        assert entry.finished


async def test_one_that_may_not_be_changed_does_not_stop_the_others(toloka: TolokaEmulator) -> None:
    ids = fill(toloka)
    toloka.fault(f"POST /projects/{ids[1]}/archive", times=None, status=403)
    results = await archive(ids)
    (failed,) = results.of(Outcome.FAILED)
    assert (failed.id, "403" in failed.error, results.transient) == (ids[1], True, set())
    assert failed.reason == "the token may not do this"
    assert failed.remedy == "Check the rights of the token's account."
    assert {entry.id for entry in results.of(Outcome.ARCHIVED)} == {*ids} - {ids[1]}


def looks_for_openings(toloka: TolokaEmulator) -> int:
    return sum(request.query.get("type") == "POOL.OPEN" for request in toloka.requests)


@pytest.mark.parametrize("how", ["opened", "opened and closed", "being opened", "made"])
@pytest.mark.parametrize("when", ["before its turn", "amid its pools"])
async def test_a_stale_project_that_is_used_again_is_left_alone(toloka: TolokaEmulator, how: str, when: str) -> None:
    (id_,) = fill(toloka, 1)
    # Not the pool that is archived first: while an operation works on one, Toloka opens it for nobody.
    pool_id = list(toloka.pools)[-1]
    held = toloka.fault("GET /trainings" if when == "before its turn" else "POST /pools/*/archive", hold=True)
    cleaning = asyncio.create_task(archive([id_], pools="close_and_archive", stale_before=STALE_BEFORE))
    await asyncio.to_thread(held.wait)
    if how == "opened":
        with toloka._account.lock:
            toloka._account.tables["pools"].update(pool_id, status="OPEN")
    elif how == "opened and closed":
        toloka.add_operation("POOL.OPEN", status="SUCCESS", parameters={"pool_id": pool_id})
        # What was opened is read every second, once the batch has begun.
        reads = looks_for_openings(toloka)
        while reads and looks_for_openings(toloka) < reads + 2:  # noqa: ASYNC110 - another thread adds to them
            await asyncio.sleep(0.05)
    elif how == "made":
        toloka.add_pool(id_, created=time.time() + 1)
    else:
        toloka.add_operation("POOL.OPEN", status="RUNNING", finishes_in=0.5, parameters={"pool_id": pool_id})
    held.release()
    results = await cleaning
    (entry,) = results.of(Outcome.IN_USE)
    assert entry.id == id_
    assert re.search(f"pool {pool_id if how != 'made' else '.*'} '.*' (is|was)", entry.reason)
    assert not [request for request in toloka.requests if request.path.endswith("/close")]
    assert toloka.projects[id_]["status"] == "ACTIVE"


@pytest.mark.parametrize("limit", ["timeout", "execution_timeout"])
async def test_nothing_is_changed_after_the_deadline(toloka: TolokaEmulator, limit: str) -> None:
    (failed,) = (await archive(fill(toloka, 1), seconds=-1, limit=limit)).of(Outcome.FAILED)
    assert f"timed out ({limit})" in failed.reason
    assert failed.remedy == f"Clear the task to resume, or increase {limit}."
    assert {request.method for request in toloka.requests} == {"GET"}


@pytest.mark.parametrize("rate", [None, 20])
async def test_neither_a_retry_nor_a_queue_changes_anything_after_the_deadline(
    toloka_emulator: TolokaEmulator, monkeypatch: pytest.MonkeyPatch, rate: int | None
) -> None:
    ids = fill(toloka_emulator, 20 if rate else 2)
    if rate:
        connection = toloka_emulator.connection | {"extra": {"max_requests_per_second": rate}}
        monkeypatch.setenv("AIRFLOW_CONN_TOLOKA_DEFAULT", json.dumps(connection))
    else:
        toloka_emulator.fault("POST /**", times=None, status=503, headers={"Retry-After": "3"})
        asyncio.get_running_loop().call_later(2.5, toloka_emulator.clear_faults)
    results = await archive(ids, seconds=2)
    at = [one.at for one in toloka_emulator.requests if one.method == "POST"]
    assert at[-1] - at[0] < 2.3
    assert {one.id for one in results.of(Outcome.FAILED)} == {*ids}


async def test_what_has_ended_is_observed(toloka: TolokaEmulator) -> None:
    ids = fill(toloka, 3)
    toloka.fault(f"POST /projects/{ids[1]}/archive", times=None, status=403)
    toloka.add_project("Old", id="7", status="ARCHIVED")
    observer = Outcomes()
    await archive([*ids, "7", "404"], observer=observer)
    assert observer.counts == {"archived": 2, "failed": 2}


@pytest.mark.parametrize("toloka", [0.5], indirect=True)
async def test_the_progress_is_logged_with_an_estimate(
    toloka: TolokaEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    done, failing, slow = (toloka.add_project()["id"] for _ in range(3))
    toloka.fault(f"POST /projects/{failing}/archive", times=None, status=403)
    toloka.add_operation("PROJECT.ARCHIVE", status="RUNNING", parameters={"project_id": slow})
    with caplog.at_level(logging.INFO, "airflow_provider_toloka.archiving.batch"):
        await archive([done, failing, slow], seconds=6, progress_seconds=0.2)
    lines = [line for line in caplog.messages if line.startswith("Archived")]
    assert re.fullmatch("Archived 0 of 3 projects(; 1 failed)?", lines[0])
    # One project in the time since the start, so the last one will take as long.
    assert re.fullmatch("Archived 1 of 3 projects; 1 failed; about [1-7] s left", lines[-1])


@pytest.mark.parametrize("toloka", [0.2], indirect=True)
async def test_what_ended_is_handed_on_while_the_batch_runs(toloka: TolokaEmulator) -> None:
    done, slow = (toloka.add_project()["id"] for _ in range(2))
    toloka.add_operation("PROJECT.ARCHIVE", status="RUNNING", parameters={"project_id": slow})
    results, calls = Results(), list[list[str]]()
    await archive(
        [done, slow],
        seconds=3,
        results=results,
        on_progress=lambda: calls.append([*results.ended]),
        progress_seconds=0.2,
    )
    assert calls == [[], [done]]  # submitted, and archived
    assert list(results.submitted) == []


async def test_what_was_archived_during_a_wait_is_told_with_its_operation(toloka: TolokaEmulator) -> None:
    toloka.add_project("Mine", id="1", status="ARCHIVED")
    toloka.add_project("Another's", id="2", status="ARCHIVED")
    finished = {"status": "SUCCESS", "finished": "2026-01-02T03:04:05"}
    waited = [
        Operation.from_json(driving.operation("POOL.ARCHIVE", id_="a", **finished)),
        Operation.from_json(driving.operation("PROJECT.ARCHIVE", id_="b", **finished)),
    ]
    results = await archive(["1", "2"], waited={"1": waited})
    told = {id_: (one.outcome, one.operation_id, one.finished) for id_, one in results.ended.items()}
    assert told["1"] == (Outcome.ARCHIVED, "b", waited[1].finished)
    assert told["2"] == (Outcome.ALREADY_ARCHIVED, None, None)


async def test_rejected_answers_postpone_a_project_until_they_cannot_be_appealed(toloka: TolokaEmulator) -> None:
    ids = fill(toloka, 1)
    body = {"code": "THERE_IS_REJECTED_ASSIGNMENT", "message": "not now", "request_id": "r"}
    toloka.fault("POST /pools/*/archive", times=None, status=409, body=body)
    (entry,) = (await archive(ids)).of(Outcome.POSTPONED)
    assert entry.postponed_until is not None
    assert abs(entry.postponed_until - datetime.now(UTC) - timedelta(days=9)) < timedelta(minutes=5)


async def test_what_the_search_has_read_is_not_read_again(toloka_emulator: TolokaEmulator) -> None:
    id_ = toloka_emulator.add_project()["id"]
    await archive([id_])
    paths = Counter(request.path for request in toloka_emulator.requests if request.method == "GET")
    assert (paths["/pools"], paths["/trainings"], paths[f"/projects/{id_}"]) == (1, 1, 1)
    queries = [request.query for request in toloka_emulator.requests if request.path in ("/pools", "/trainings")]
    assert [query.get("project_id") for query in queries] == [id_, id_]


@pytest.mark.parametrize("toloka", [0.3], indirect=True)
async def test_operations_are_logged_for_those_who_debug(
    toloka: TolokaEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    ids = fill(toloka, 1)
    with caplog.at_level(logging.DEBUG, "airflow_provider_toloka.archiving"):
        (entry,) = (await archive(ids)).of(Outcome.ARCHIVED)
    ended = f"operation {entry.operation_id} (PROJECT.ARCHIVE) is SUCCESS, progress 100 %"
    assert f"Toloka's {ended}" in caplog.messages
    assert f"Operation {entry.operation_id}: archive project {ids[0]}" in caplog.messages


async def test_a_refused_token_stops_all(toloka: TolokaEmulator) -> None:
    ids = fill(toloka)
    toloka.fault("POST /**", times=None, status=401)
    with pytest.raises(TolokaAuthenticationError):
        await archive(ids)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_archived_project_costs_no_request_to_change(toloka: TolokaEmulator) -> None:
    toloka.add_project("Old", id="1", status="ARCHIVED")
    results = await archive(["1"])
    assert {id_: (one.name, one.outcome) for id_, one in results.ended.items()} == {
        "1": ("Old", Outcome.ALREADY_ARCHIVED)
    }
    assert all(request.method == "GET" for request in toloka.requests)


@pytest.mark.parametrize("patience", [None, 0.2])
async def test_what_takes_too_long_fails_at_the_deadline_or_is_left_to_wait_for(
    toloka_emulator: TolokaEmulator, patience: float | None
) -> None:
    fill(toloka_emulator, 1)
    quick, slow = toloka_emulator.add_project()["id"], toloka_emulator.add_project()["id"]
    parameters = {"project_id": slow}
    running = toloka_emulator.add_operation("PROJECT.ARCHIVE", status="RUNNING", parameters=parameters)
    results = await archive([quick, slow], seconds=30 if patience else 0.6, patience=patience)
    assert [entry.id for entry in results.of(Outcome.ARCHIVED)] == [quick]
    waiting = {id_: [one.id for one in ones] for id_, ones in results.waiting.items()}
    assert waiting == ({slow: [running["id"]]} if patience else {})
    failed = results.of(Outcome.FAILED)
    assert [(entry.id, f"operation {running['id']}" in entry.error) for entry in failed] == (
        [] if patience else [(slow, True)]
    )
    assert {*results.submitted} == ({slow} if patience else set())


# By hand, for any account


def one_project(
    project_id: str, found: Search, pools: PoolsRule, failed: dict[str, str], before: datetime | None = None
) -> Flow[None]:
    """Archive one project of a batch, and note a failure, as a batch does."""
    done: Sequence[Operation] = ()
    known: Snapshot | None = found.snapshot(found.candidates[project_id])
    try:
        for _ in range(30):
            progress = yield from retire_project(API, project_id, pools, done, known, stale_before=before)
            ids = [one.id for one in progress.operations]
            seen = yield from API.waits.poll(ids, intervals=backing_off(1, 1), deadline=None)
            done = list(seen.values())
            yield from API.operations.require_success([one for one in done if step_of(one)])
            if progress.is_last:
                return
            known = progress.snapshot
            if progress.locked:
                yield Sleep(5)
        raise AssertionError("it does not come to an end")
    except TolokaError as error:
        failed[project_id] = str(error)


def side_by_side(flows: Sequence[Flow[None]], order: random.Random) -> Flow[None]:
    """Run flows in any order; time passes only when all of them sleep."""
    steps: list[tuple[Flow[None], Any]] = []

    def advance(flow: Flow[None], answer: Any) -> None:
        with contextlib.suppress(StopIteration):
            steps.append((flow, flow.send(answer)))

    for flow in flows:
        advance(flow, None)
    while steps:
        moving = [i for i, (_, step) in enumerate(steps) if not isinstance(step, Sleep) or not step.seconds]
        shortest = min(range(len(steps)), key=lambda i: getattr(steps[i][1], "seconds", 0))
        flow, step = steps.pop(order.choice(moving) if moving else shortest)
        advance(flow, (yield step))


def select(selection: Selection) -> Flow[Search]:
    """Read the account as a batch does."""
    found = Search(selection)
    for status in ("PENDING", "RUNNING"):
        for operation in (yield from read_all(API.operations.listing(status=status))):
            found.see_operation(operation)
    for project in (yield from read_all(API.projects.listing())):
        found.see_project(project)
    found.see_no_more_projects()
    for pool in (yield from read_all(API.pools.listing())):
        found.see(pool)
    for training in (yield from read_all(API.trainings.listing())):
        found.see(training)
    return found


AGES = st.sampled_from([400, 181, 300, 180, 100])
STATUS = st.sampled_from(["CLOSED", "CLOSED", "OPEN", "LOCKED", "ARCHIVED"])
#: The training that a pool requires: none, one of its own project's, or any of the account's.
REQUIRED = st.none() | st.sampled_from([-1, -2]) | st.integers(0, 5)
RUNS = {"OPEN": "CLOSE", "CLOSED": "ARCHIVE"}
PROJECTS = st.lists(
    st.fixed_dictionaries(
        {
            "is_archived": st.sampled_from([False, False, False, True]),
            "age": AGES,
            "trainings": st.lists(st.tuples(STATUS, AGES), max_size=2),
            "pools": st.lists(st.tuples(STATUS, AGES, REQUIRED, st.booleans()), max_size=3),
        }
    ),
    min_size=1,
    max_size=4,
)


def fill_world(world: World, projects: Sequence[dict[str, Any]]) -> tuple[dict[str, str], set[str]]:
    """Fill an account; give whose each pool and training is, and the trainings that another project requires."""
    whose: dict[str, str] = {}
    trainings: list[tuple[str, str, str]] = []
    for i, one in enumerate(projects):
        project_id = str(2 + i)
        status = "ARCHIVED" if one["is_archived"] else "ACTIVE"
        world.account.add_project(id=project_id, status=status, created=NOW - one["age"] * DAY)
        for status, age in one["trainings"]:
            id_ = str(500 + len(trainings))
            trainings.append((id_, project_id, "ARCHIVED" if one["is_archived"] else status))
            world.account.add_training(project_id, trainings[-1][2], id=id_, created=NOW - age * DAY)
            whose[f"/trainings/{id_}"] = project_id
    shared = set()
    for i, one in enumerate(projects):
        for j, (given_status, age, required, is_busy) in enumerate(one["pools"]):
            project_id, id_ = str(2 + i), str(100 + 10 * i + j)
            status = "ARCHIVED" if one["is_archived"] else given_status
            own = [training for training in trainings if training[1] == project_id]
            choice = own if required is not None and required < 0 else trainings
            needs = choice[required] if required is not None and -len(choice) <= required < len(choice) else None
            # Toloka would not have archived a training that a pool still requires.
            if needs and needs[2] == "ARCHIVED" != status:
                needs = None
            training_id = needs[0] if needs else None
            world.account.add_pool(
                project_id,
                status,
                id=id_,
                training_id=training_id,
                created=NOW - age * DAY,
                last_started=NOW - age * DAY,
            )
            whose[f"/pools/{id_}"] = project_id
            if needs and needs[1] != project_id:
                shared.add(needs[0])
            if is_busy and status in RUNS:
                world.account.add_operation(
                    f"POOL.{RUNS[status]}", status="RUNNING", finishes_in=4, parameters={"pool_id": id_}
                )
    return whose, shared


@settings(max_examples=250, deadline=None)
@given(
    projects=PROJECTS,
    asked=st.none() | st.sets(st.sampled_from(["1", "2", "3", "4", "5"])),
    rule=st.sampled_from(["require_archived", "archive_closed", "close_and_archive"]),
    operation_seconds=st.sampled_from([0, 3]),
    lag=st.booleans(),
    cuts=st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=3),
    order=st.randoms(use_true_random=False),
)
def test_in_any_account_only_what_is_selected_is_archived_in_order_and_once(
    projects: list[dict[str, Any]],
    asked: set[str] | None,
    rule: PoolsRule,
    operation_seconds: float,
    lag: bool,
    cuts: list[tuple[int, bool]],
    order: random.Random,
) -> None:
    world = World(operation_seconds=operation_seconds, lag=lag)
    whose, shared = fill_world(world, projects)
    before = pendulum.from_timestamp(NOW).subtract(days=180) if asked is None else None
    selection = Selection(project_ids=asked, before=before)
    selected = set(world.driver.run(select(selection)).candidates)
    assert selected == expected(projects) if asked is None else selected <= asked
    failed: dict[str, str] = {}

    def run() -> Flow[None]:
        failed.clear()
        found = yield from select(selection)
        assert found.candidates.keys() <= selected
        yield from side_by_side([one_project(id_, found, rule, failed, before) for id_ in found.candidates], order)

    for calls, is_before in cuts:
        world.cut_at, world.cut_before = len(world.driver.requests) + calls, is_before
        with contextlib.suppress(CutOffError):
            world.driver.run(run())
        world.driver.sleeps.append(1)
        world.driver.now += 1  # the next try does not come at once
    world.cut_at = None
    world.driver.run(run())

    touched = {path.rpartition("/")[0] for path in world.driver.changes}
    assert {whose.get(path, path.rpartition("/")[2]) for path in touched} <= selected
    assert all(path.startswith("/trainings/") and path.split("/")[2] in shared for path in refused_paths(world))
    assert set(world.submitted().values()) <= {1}
    after = world.statuses()
    assert all((after[f"projects {id_}"] == "ARCHIVED") != (id_ in failed) for id_ in selected)
    if rule == "close_and_archive" and not shared:
        assert failed == {}


def expected(projects: Sequence[dict[str, Any]]) -> set[str]:
    """Return the stale projects by a plain implementation of the rule."""
    return {
        str(2 + i)
        for i, one in enumerate(projects)
        if not one["is_archived"]
        and one["age"] > 180
        and all(status != "OPEN" and age > 180 for status, age, *_ in (*one["pools"], *one["trainings"]))
    }


def refused_paths(world: World) -> list[str]:
    return [refusal.partition(" ")[0] for refusal in world.refused]
