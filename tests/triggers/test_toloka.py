"""The trigger, run on an event loop of its own against the emulator."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import time
import warnings
from typing import Any

import pytest

from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.triggers.toloka import OperationTrigger


def add(toloka: TolokaEmulator, finishes_in: float | None = None, status: str = "RUNNING", **fields: Any) -> str:
    operation: str = toloka.add_operation("POOL.OPEN", status=status, finishes_in=finishes_in, **fields)["id"]
    return operation


def trigger_of(*operation_ids: str, **arguments: Any) -> OperationTrigger:
    given: dict[str, Any] = {
        "toloka_conn_id": "toloka_default",
        "operation_ids": operation_ids,
        "poll_interval": 0.1,
    } | arguments
    return OperationTrigger(**given)


async def event_of(*operation_ids: str, **arguments: Any) -> dict[str, Any]:
    """Give the payload of its one event, as it is after its way through the database."""
    events = [event async for event in trigger_of(*operation_ids, **arguments).run()]
    (event,) = events
    payload: dict[str, Any] = json.loads(json.dumps(event.payload))
    return payload


def statuses(event: dict[str, Any]) -> list[str | None]:
    return [operation and operation["status"] for operation in event["operations"].values()]


async def test_tells_of_success(toloka: TolokaEmulator) -> None:
    operation, deadline = add(toloka, finishes_in=0.5), time.time() + 60
    event = await event_of(operation, deadline=deadline, carry={"a": [1]})
    assert list(event["operations"]) == [operation]
    assert (statuses(event), event["deadline"], event["carry"]) == (["SUCCESS"], deadline, {"a": [1]})


async def test_waits_for_the_last_of_several(toloka: TolokaEmulator) -> None:
    operations = [add(toloka, finishes_in=0.1 * number) for number in range(1, 8)]
    event = await event_of(*operations)
    assert list(event["operations"]) == operations
    assert statuses(event) == ["SUCCESS"] * 7


async def test_one_that_has_failed_ends_the_wait_for_all(toloka: TolokaEmulator) -> None:
    running, failing = add(toloka), add(toloka, finishes_in=0.3, outcome="FAIL")
    event = await event_of(running, failing)
    assert statuses(event) == ["RUNNING", "FAIL"]


async def test_one_that_has_failed_may_leave_the_others_to_be_waited_for(toloka: TolokaEmulator) -> None:
    failing, slower = add(toloka, finishes_in=0.2, outcome="FAIL"), add(toloka, finishes_in=0.8)
    event = await event_of(failing, slower, fail_fast=False)
    assert statuses(event) == ["FAIL", "SUCCESS"]


@pytest.mark.parametrize("seconds", [0.5, -5], ids=["in the wait", "before it"])
async def test_the_deadline_ends_the_wait(toloka: TolokaEmulator, seconds: float) -> None:
    event = await event_of(add(toloka), add(toloka, status="SUCCESS"), deadline=time.time() + seconds)
    assert statuses(event) == ["RUNNING", "SUCCESS"]


@pytest.mark.parametrize("several", [1, 7])
async def test_an_operation_that_is_not_there_is_an_error(toloka: TolokaEmulator, several: int) -> None:
    event = await event_of("999", *(add(toloka) for _ in range(several - 1)))
    assert list(event) == ["error"]
    assert "DOES_NOT_EXIST" in event["error"]


@pytest.mark.parametrize("several", [1, 7])
async def test_a_refused_token_is_an_error(
    toloka: TolokaEmulator, monkeypatch: pytest.MonkeyPatch, several: int
) -> None:
    accepted = os.environ["AIRFLOW_CONN_TOLOKA_DEFAULT"]
    monkeypatch.setenv("AIRFLOW_CONN_TOLOKA_DEFAULT", accepted.replace(toloka.token, "another"))
    event = await event_of(*(add(toloka) for _ in range(several)))
    assert "401" in event["error"]
    assert "another" not in event["error"]


@pytest.mark.usefixtures("airflow_database")
async def test_a_missing_connection_is_an_error() -> None:
    event = await event_of("1", toloka_conn_id="nowhere")
    assert "nowhere" in event["error"]


async def test_a_wrong_connection_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_TOLOKA_DEFAULT", json.dumps({"conn_type": "toloka"}))
    assert "API token" in (await event_of("1"))["error"]


@pytest.mark.parametrize("outage", [{"status": 503}, {"status": 429}, {"disconnect": "before"}, {"disconnect": "cut"}])
@pytest.mark.parametrize("several", [1, 7])
async def test_an_outage_is_outlived(toloka: TolokaEmulator, outage: dict[str, Any], several: int) -> None:
    toloka.fault("* /**", times=4, **outage)
    event = await event_of(*(add(toloka, finishes_in=0.2) for _ in range(several)))
    assert statuses(event) == ["SUCCESS"] * several


async def test_without_operations_it_pauses_once(toloka: TolokaEmulator) -> None:
    before = time.monotonic()
    event = await event_of(poll_interval=0.3)
    assert event["operations"] == {}
    assert time.monotonic() - before >= 0.3
    assert toloka.requests == []


async def test_a_pause_ends_at_the_deadline() -> None:
    before = time.monotonic()
    await event_of(poll_interval=3600, deadline=time.time() + 0.3)
    assert time.monotonic() - before < 60


async def test_no_pause_is_longer_than_the_longest(toloka: TolokaEmulator) -> None:
    before = time.monotonic()
    event = await event_of(add(toloka, finishes_in=0.5), poll_interval=3600, longest_interval=0.2)
    assert statuses(event) == ["SUCCESS"]
    assert time.monotonic() - before < 60


async def test_the_pauses_double_up_to_the_longest(toloka: TolokaEmulator) -> None:
    operation = add(toloka, finishes_in=2.5)
    submitted = toloka.operations[operation]["submitted"] + "+00:00"
    await event_of(operation, submitted=submitted, poll_interval=0.2, longest_interval=0.8)
    looks = [request for request in toloka.requests if request.path.endswith(operation)]
    assert 2 <= len(looks) <= 6  # after 0.2, 0.6, 1.4, 2.2 and 3 seconds; without doubling it would be thirteen


async def test_others_on_the_event_loop_go_on(toloka: TolokaEmulator) -> None:
    """Also while Toloka does not answer."""
    held = toloka.fault("GET /operations/*", hold=True)
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - before)

    ticking = asyncio.create_task(tick())
    waiting = asyncio.create_task(event_of(add(toloka, status="SUCCESS")))
    await asyncio.to_thread(held.wait)
    held.release()
    await waiting
    ticking.cancel()
    assert longest < 10  # far below the time-out of a request, which a loop that is held up would wait for


def test_its_arguments_are_plain_json_that_makes_it_again(toloka: TolokaEmulator) -> None:
    trigger = trigger_of("1", "2", deadline=7.5, longest_interval=9.0, submitted="2026-01-01T00:00:00", carry=["x"])
    path, arguments = trigger.serialize()
    assert path == f"{OperationTrigger.__module__}.OperationTrigger"
    stored = json.dumps(arguments)
    assert toloka.token not in stored
    assert OperationTrigger(**json.loads(stored)).serialize() == (path, arguments)
    assert all(value is not None for name, value in arguments.items() if name != "fail_fast")


@pytest.mark.parametrize("ending", ["event", "cancelled", "error"])
async def test_nothing_is_left_open(toloka: TolokaEmulator, ending: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        looked = toloka.fault("GET /operations/*", status=404 if ending == "error" else None)
        waiting = asyncio.create_task(event_of(add(toloka, finishes_in=0.3 if ending == "event" else None)))
        await asyncio.to_thread(looked.wait)
        if ending == "cancelled":
            waiting.cancel()
        await asyncio.wait([waiting], timeout=20)
        assert waiting.cancelled() == (ending == "cancelled")
        del waiting
        await asyncio.sleep(0)
        gc.collect()
    assert [str(warning.message) for warning in caught if "nclosed" in str(warning.message)] == []
    assert {task for task in asyncio.all_tasks() if task is not asyncio.current_task()} == set()


async def test_triggers_of_one_connection_share_their_requests(toloka: TolokaEmulator) -> None:
    operations = [add(toloka, finishes_in=1) for _ in range(40)]
    events = await asyncio.gather(*(event_of(operation) for operation in operations))
    assert [statuses(event) for event in events] == [["SUCCESS"]] * 40
    assert len(toloka.requests) < 2 * len(operations)
