"""Starting DAGs when pools close, and the arguments of the triggers."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.triggers import pools as module
from airflow_provider_toloka.triggers.events import OperationFinishedTrigger
from airflow_provider_toloka.triggers.pools import PoolClosedTrigger, PoolTrigger


@pytest.fixture
def toloka(monkeypatch: pytest.MonkeyPatch) -> Iterator[TolokaEmulator]:
    with TolokaEmulator() as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_TOLOKA_DEFAULT", json.dumps(emulator.connection | {"extra": {"retries": 1}}))
        yield emulator


def closed(id_: str, seconds: float, reason: str = "COMPLETED", project_id: str = "1") -> dict[str, Any]:
    """Create a pool that closes in this many seconds."""
    at = datetime.now(UTC) + timedelta(seconds=seconds)
    return {
        "id": id_,
        "project_id": project_id,
        "status": "CLOSED",
        "last_close_reason": reason,
        "last_started": "2026-11-01T10:00:00",
        "last_stopped": at.replace(tzinfo=None).isoformat(timespec="milliseconds"),
    }


def load(toloka: TolokaEmulator, *pools: dict[str, Any]) -> None:
    toloka.load({"projects": [{"id": "1"}, {"id": "2"}], "pools": list(pools)})


async def events(trigger: PoolClosedTrigger, count: int) -> list[dict[str, Any]]:
    heard = []
    async with asyncio.timeout(30):
        async for event in trigger.run():
            heard.append(event.payload)
            if len(heard) == count:
                return heard
    raise AssertionError("the watcher has ended")


async def test_it_fires_for_each_pool_that_closes_in_their_order(toloka: TolokaEmulator) -> None:
    load(toloka, closed("1", -3600), closed("3", -10), closed("2", -20, "MANUAL"), closed("4", -5, "FOR_UPDATE"))
    trigger = PoolClosedTrigger(poll_interval=0.05, look_back=60)
    heard = []
    async with asyncio.timeout(30):
        async for event in trigger.run():
            heard.append(event.payload)
            if len(heard) == 2:
                load(toloka, closed("5", -1))
            if len(heard) == 3:
                break
    assert [(one["pool_id"], one["last_close_reason"]) for one in heard] == [
        ("2", "MANUAL"), ("3", "COMPLETED"), ("5", "COMPLETED"),
    ]  # fmt: skip
    assert heard[0]["project_id"] == "1"
    assert datetime.fromisoformat(heard[0]["closed"]).tzinfo is not None


async def test_the_last_of_several_is_repeated_on_request(toloka: TolokaEmulator) -> None:
    load(toloka, closed("1", -9), closed("2", -8))
    trigger = PoolClosedTrigger(poll_interval=0.05, look_back=60, repeat_last=True, settle_seconds=0.01)
    assert [one["pool_id"] for one in await events(trigger, 3)] == ["1", "2", "2"]


async def test_it_is_narrowed_to_a_project_and_to_reasons(toloka: TolokaEmulator) -> None:
    load(toloka, closed("1", -9), closed("2", -8, project_id="2"), closed("3", -7, "MANUAL", project_id="2"))
    trigger = PoolClosedTrigger(poll_interval=0.05, look_back=60, project_id="2", reasons=["MANUAL"])
    assert [one["pool_id"] for one in await events(trigger, 1)] == ["3"]
    assert {request.query.get("project_id") for request in toloka.requests if request.path == "/pools"} == {"2"}


async def test_a_pool_that_closes_again_fires_again(toloka: TolokaEmulator) -> None:
    load(toloka, closed("1", -20))
    trigger = PoolClosedTrigger(poll_interval=0.05, look_back=60)
    heard = []
    async with asyncio.timeout(30):
        async for event in trigger.run():
            heard.append(event.payload)
            if len(heard) == 2:
                break
            load(toloka, closed("1", -1))
    assert [one["pool_id"] for one in heard] == ["1", "1"]
    assert heard[0]["closed"] < heard[1]["closed"]


async def test_pools_that_close_while_the_list_is_read_are_reported_once(toloka: TolokaEmulator) -> None:
    pools = {str(number): closed(str(number), -3600) for number in range(1000, 1400)}

    def close(**seconds: float) -> None:
        pools.update({id_[1:]: closed(id_[1:], later) for id_, later in seconds.items()})
        load(toloka, *pools.values())

    close()
    first_page = toloka.fault("GET /pools", times=1, hold="after")
    hearing = asyncio.create_task(events(PoolClosedTrigger(poll_interval=0.05, look_back=60), 3))
    await asyncio.to_thread(first_page.wait)
    close(_1001=1, _1399=3)
    first_page.release()
    while len([request for request in toloka.requests if request.path == "/pools"]) < 7:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    close(_1002=5)
    assert [one["pool_id"] for one in await hearing] == ["1399", "1001", "1002"]


async def test_a_pool_that_appears_late_in_the_list_is_reported_once(toloka: TolokaEmulator) -> None:
    pools = [closed("1", -5), closed("2", -50), closed("3", -1)]
    load(toloka, pools[0])
    trigger = PoolClosedTrigger(poll_interval=0.05, look_back=60)
    heard = []
    async with asyncio.timeout(10):
        async for event in trigger.run():
            heard.append(event.payload["pool_id"])
            if len(heard) == 3:
                break
            load(toloka, *pools[: len(heard) + 1])
    assert heard == ["1", "2", "3"]


async def test_an_outage_ends_nothing(toloka: TolokaEmulator) -> None:
    toloka.fault("GET /pools", times=5, status=503)
    load(toloka, closed("1", -20))
    assert len(await events(PoolClosedTrigger(poll_interval=0.05, look_back=60), 1)) == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"project_id": ""}, "project_id"),
        ({"reasons": []}, "reasons should be one or more of"),
        ({"reasons": ["DONE"]}, "reasons should be one or more of"),
        ({"toloka_conn_id": ""}, "toloka_conn_id"),
        ({"poll_interval": 0}, "poll_interval"),
        ({"look_back": -1}, "look_back"),
        ({"repeat_last": 1}, "repeat_last"),
        ({"settle_seconds": -1}, "settle_seconds"),
    ],
)
def test_wrong_arguments_are_refused(arguments: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        PoolClosedTrigger(**arguments)


@pytest.mark.parametrize("trigger", [PoolClosedTrigger(), OperationFinishedTrigger(operation_types=["POOL.CLOSE"])])
def test_airflow_can_copy_a_watcher(trigger: Any) -> None:
    assert copy.deepcopy(trigger).serialize() == trigger.serialize()


async def test_whatever_ends_a_wait_is_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_TOLOKA_DEFAULT", "{not JSON")
    trigger = PoolTrigger(toloka_conn_id="toloka_default", pool_id="1", reasons=["COMPLETED"])
    [event] = [event.payload async for event in trigger.run()]
    assert event["error"]["message"]
    assert event["deadline"] is None


@pytest.mark.parametrize(
    "trigger",
    [
        PoolClosedTrigger(project_id="2", reasons=["MANUAL"], poll_interval=5, look_back=7, toloka_conn_id="other"),
        PoolTrigger(
            toloka_conn_id="other",
            pool_id="7",
            reasons=["MANUAL"],
            last_started="2026-11-01T10:00:00+00:00",
            answers_checked=True,
            poll_interval=5,
            deadline=9.5,
            not_before=7.5,
        ),
    ],
)
def test_the_arguments_are_plain_json_and_make_the_same_trigger(trigger: Any) -> None:
    path, arguments = trigger.serialize()
    again = getattr(module, path.rpartition(".")[2])(**json.loads(json.dumps(arguments)))
    assert again.serialize() == (path, arguments)


@pytest.mark.parametrize(
    ("path", "subject"),
    [("GET /pools/7", "Polling pools"), ("GET /assignments", "Polling the assignments of pool 7")],
    ids=["pool", "assignments"],
)
async def test_an_outage_is_two_lines_in_the_log_of_the_task(
    toloka: TolokaEmulator, monkeypatch: pytest.MonkeyPatch, path: str, subject: str
) -> None:
    load(toloka, closed("7", -60))
    toloka.fault(path, times=4, status=503)  # two polls with a retry each, or four without
    lines: list[tuple[int, str]] = []
    monkeypatch.setattr(PoolTrigger, "log_outage", lambda _, *line: lines.append(line))
    trigger = PoolTrigger(
        toloka_conn_id="toloka_default", pool_id="7", reasons=["COMPLETED"], answers_checked=True, poll_interval=0.1
    )
    async with asyncio.timeout(30):
        (event,) = [event.payload async for event in trigger.run()]
    assert (event["pool"]["status"], event["checked"], event["trouble"]) == ("CLOSED", True, None)
    (begins, begun), (ends, ended) = lines
    assert (begins, ends) == (logging.WARNING, logging.INFO)
    assert begun.startswith(f"{subject} failed; still waiting: ")
    assert ended.startswith(f"{subject} works again after ")


@pytest.mark.parametrize("answers_checked", [True, False])
async def test_unchecked_answers_are_waited_for_until_the_deadline(
    toloka: TolokaEmulator, answers_checked: bool
) -> None:
    load(toloka, closed("7", -60))
    toloka.fault("GET /assignments", times=None, status=503)
    trigger = PoolTrigger(
        toloka_conn_id="toloka_default",
        pool_id="7",
        reasons=["COMPLETED"],
        answers_checked=answers_checked,
        poll_interval=0.1,
        deadline=time.time() + 1,
    )
    async with asyncio.timeout(30):
        (event,) = [event.payload async for event in trigger.run()]
    assert (event["pool"]["status"], event["checked"]) == ("CLOSED", False)
    assert ("503" in str(event["trouble"])) is answers_checked
    assert ("/assignments" in {request.path for request in toloka.requests}) is answers_checked
