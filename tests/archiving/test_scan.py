"""Reading an account to select projects: with few requests, in an order that misses nothing."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pendulum
import pytest

from airflow_provider_toloka.archiving.scan import FEW_PROJECTS, PAGES_AHEAD, search, together
from airflow_provider_toloka.archiving.selection import Search, Selection
from airflow_provider_toloka.client.retry import RetryPolicy
from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.exceptions import TolokaAuthenticationError, TolokaUnavailableError
from airflow_provider_toloka.hooks.toloka import TolokaHook

NOW = pendulum.now("UTC")
LONG_AGO = NOW.subtract(days=400)
STALE = Selection(before=NOW.subtract(days=180))


async def read(selection: Selection = STALE, **more: Any) -> Search:
    async with TolokaHook(retry_policy=RetryPolicy(retries=1, jitter=lambda _: 0.0)).async_client() as client:
        return await search(client, selection, **more)


def fill(toloka: TolokaEmulator, count: int, pools: int = 0) -> list[str]:
    ids = [str(100 + i) for i in range(count)]
    projects = [{"id": id_, "created": LONG_AGO.timestamp()} for id_ in ids]
    held = [{"project_id": id_, "created": LONG_AGO.timestamp()} for id_ in ids for _ in range(pools)]
    toloka.load({"projects": projects, "pools": held, "trainings": held[:1]})
    return ids


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def asked(toloka: TolokaEmulator) -> Counter[str]:
    assert {request.method for request in toloka.requests} == {"GET"}
    return Counter(request.path for request in toloka.requests)


def ids_of(found: Search) -> list[str]:
    return [candidate.project.id for candidate in found.found()]


async def test_the_account_is_read_by_pages(toloka_emulator: TolokaEmulator) -> None:
    ids = fill(toloka_emulator, 301, pools=3)
    found = await read()
    assert set(ids_of(found)) == set(ids)
    assert {len(candidate.pools) for candidate in found.found()} == {3}
    assert asked(toloka_emulator) == {"/projects": 2, "/pools": 4, "/trainings": 1}


async def test_archived_projects_are_not_read(toloka_emulator: TolokaEmulator) -> None:
    fill(toloka_emulator, 1)
    for _ in range(300):
        toloka_emulator.add_project("Archived", status="ARCHIVED")
    assert ids_of(await read()) == ["100"]
    assert asked(toloka_emulator)["/projects"] == 1


async def test_each_page_is_reported_with_the_search(toloka_emulator: TolokaEmulator) -> None:
    fill(toloka_emulator, 301, pools=1)
    seen: list[int] = []
    await read(on_page=lambda found: seen.append(found.active))
    assert len(seen) == sum(asked(toloka_emulator).values())
    assert seen[-1] == 301


async def test_pools_are_read_some_pages_ahead_of_the_projects(toloka_emulator: TolokaEmulator) -> None:
    fill(toloka_emulator, 1, pools=(PAGES_AHEAD + 2) * 300)
    held = toloka_emulator.fault("GET /projects", hold=True)
    reading = asyncio.create_task(read())
    await asyncio.to_thread(held.wait)
    await asyncio.to_thread(until, lambda: asked(toloka_emulator)["/pools"] == PAGES_AHEAD)
    await asyncio.sleep(0.2)  # several pages' time
    assert asked(toloka_emulator)["/pools"] == PAGES_AHEAD
    held.release()
    (project,) = (await reading).found()
    assert len(project.pools) == (PAGES_AHEAD + 2) * 300
    assert asked(toloka_emulator)["/pools"] == PAGES_AHEAD + 2


@pytest.mark.parametrize("keeps", [{}, {"keep_others": False}, {"keep_others": True}])
async def test_other_projects_are_kept_only_on_request(toloka_emulator: TolokaEmulator, keeps: dict[str, Any]) -> None:
    fill(toloka_emulator, 2)
    toloka_emulator.add_pool("101", status="OPEN")
    assert list((await read(**keeps)).left_alone) == (["101"] if keeps.get("keep_others") else [])


async def test_an_empty_account_has_no_stale_project(toloka_emulator: TolokaEmulator) -> None:
    assert ids_of(await read()) == []
    assert asked(toloka_emulator) == {"/projects": 1, "/pools": 1, "/trainings": 1}


async def test_pools_may_come_before_projects(toloka_emulator: TolokaEmulator) -> None:
    fill(toloka_emulator, 3)
    toloka_emulator.add_pool("101", status="OPEN")
    held = toloka_emulator.fault("GET /projects", hold=True)
    reading = asyncio.create_task(read())
    await asyncio.to_thread(held.wait)

    def have_gone_by() -> bool:
        others = [request.status for request in toloka_emulator.requests if request.path != "/projects"]
        return others == [200, 200]

    await asyncio.to_thread(until, have_gone_by)
    held.release()
    assert ids_of(await reading) == ["100", "102"]


@pytest.mark.parametrize(("count", "one_by_one"), [(1, True), (FEW_PROJECTS, True), (FEW_PROJECTS + 1, False)])
async def test_few_projects_are_read_one_by_one_and_many_from_the_lists(
    toloka_emulator: TolokaEmulator, count: int, one_by_one: bool
) -> None:
    ids = fill(toloka_emulator, 100, pools=1)
    found = await read(Selection(before=STALE.before, project_ids=ids[:count]))
    assert set(ids_of(found)) == set(ids[:count])
    assert {len(candidate.pools) for candidate in found.found()} == {1}
    requests = asked(toloka_emulator)
    assert (f"/projects/{ids[0]}" in requests) == one_by_one
    assert requests["/pools"] == (count if one_by_one else 1)
    assert requests["/projects"] == (0 if one_by_one else 1)


async def test_no_project_at_all_costs_no_request(toloka_emulator: TolokaEmulator) -> None:
    fill(toloka_emulator, 2)
    assert ids_of(await read(Selection(project_ids=[]))) == []
    assert toloka_emulator.requests == []


@pytest.mark.parametrize("count", [1, FEW_PROJECTS])
async def test_one_that_there_is_not_is_told_of(toloka_emulator: TolokaEmulator, count: int) -> None:
    ids = fill(toloka_emulator, count)
    found = await read(Selection(project_ids=[*ids, "99"]))
    assert list(found.unreadable) == ["99"]
    assert "99" in str(found.unreadable["99"])
    assert set(ids_of(found)) == set(ids)


@pytest.mark.parametrize("count", [1, FEW_PROJECTS])
async def test_an_archived_one_asked_for_is_found(toloka_emulator: TolokaEmulator, count: int) -> None:
    ids = fill(toloka_emulator, count)
    toloka_emulator.add_project(id="1", status="ARCHIVED")
    found = await read(Selection(before=STALE.before, project_ids=[*ids, "1"]))
    assert found.candidates["1"].project.status == "ARCHIVED"
    assert (found.refused, found.unreadable) == ({}, {})


@pytest.mark.parametrize("by_id", [True, False])
async def test_what_runs_is_read_first_and_in_the_order_of_its_life(
    toloka_emulator: TolokaEmulator, by_id: bool
) -> None:
    ids = fill(toloka_emulator, 2)
    parameters = {"project_id": ids[0]}
    running = toloka_emulator.add_operation("PROJECT.ARCHIVE", status="RUNNING", parameters=parameters)
    pending = toloka_emulator.add_operation("POOL.CLOSE", status="PENDING", parameters={"pool_id": "1"})
    selection = Selection(before=STALE.before, project_ids=ids if by_id else None)
    found = await read(selection, with_operations=True)
    operations = [operation.id for ones in found.operations.values() for operation in ones]
    assert sorted(operations) == sorted([running["id"], pending["id"]])
    assert [one.id for one in found.snapshot(found.candidates[ids[0]]).operations] == [running["id"]]
    order = [request for request in toloka_emulator.requests if request.path.startswith(("/operations", "/projects"))]
    assert [request.query.get("status") for request in order[:2]] == ["PENDING", "RUNNING"]
    assert [request.path for request in order[:2]] == ["/operations"] * 2
    assert len(order) == (4 if by_id else 3)


@pytest.mark.parametrize(
    ("what", "error"), [({"status": 401}, TolokaAuthenticationError), ({"status": 503}, TolokaUnavailableError)]
)
@pytest.mark.parametrize("rule", ["GET /trainings", "GET /projects", "GET /projects/*"])
async def test_an_error_stops_the_rest(
    toloka_emulator: TolokaEmulator, what: dict[str, Any], error: type[Exception], rule: str
) -> None:
    ids = fill(toloka_emulator, 20)
    toloka_emulator.fault(rule, times=None, **what)
    with pytest.raises(error):
        await read(Selection(project_ids=ids if "*" in rule else None, before=STALE.before))
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_all_is_done_together_and_what_is_left_at_an_error_is_stopped() -> None:
    ended: list[str] = []
    both = asyncio.Barrier(2)

    async def endless() -> None:
        try:
            await both.wait()
            await asyncio.sleep(600)
        finally:
            ended.append("stopped")

    async def fail() -> None:
        await both.wait()
        raise ValueError("the reason")

    with pytest.raises(ValueError, match="the reason"):
        await together([endless(), fail()])
    assert ended == ["stopped"]
