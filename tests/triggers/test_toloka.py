"""The trigger, in its own event loop against the emulator."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from airflow.serialization.serialized_objects import BaseSerialization
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_toloka.archiving.batch import Results
from airflow_provider_toloka.archiving.selection import Selection
from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.exceptions import TolokaAuthenticationError, TolokaNotFoundError, error_from_json
from airflow_provider_toloka.operators._resuming import carry as carry_of
from airflow_provider_toloka.operators._selecting import Arguments
from airflow_provider_toloka.triggers.packing import pack, unpack
from airflow_provider_toloka.triggers.task import held_until
from airflow_provider_toloka.triggers.toloka import OperationTrigger
from tests.triggers.conftest import until


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
    """Return the payload of the only event, after a round trip through the database."""
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
    error = error_from_json(event["error"])
    assert type(error) is TolokaNotFoundError
    assert (error.status, error.code) == (404, "DOES_NOT_EXIST")


@pytest.mark.parametrize("several", [1, 7])
async def test_a_refused_token_is_an_error(
    toloka: TolokaEmulator, monkeypatch: pytest.MonkeyPatch, several: int
) -> None:
    accepted = os.environ["AIRFLOW_CONN_TOLOKA_DEFAULT"]
    monkeypatch.setenv("AIRFLOW_CONN_TOLOKA_DEFAULT", accepted.replace(toloka.token, "another"))
    event = await event_of(*(add(toloka) for _ in range(several)), carry=["x"])
    error = error_from_json(event["error"])
    assert type(error) is TolokaAuthenticationError
    assert error.status == 401
    assert "another" not in json.dumps(event)
    assert event["carry"] == ["x"]


@pytest.mark.usefixtures("airflow_database")
async def test_a_missing_connection_is_an_error_when_it_stays_missing() -> None:
    event = await event_of("1", toloka_conn_id="nowhere")
    assert event["error"]["class"] == "AirflowNotFoundException"
    assert "nowhere" in event["error"]["message"]


@pytest.mark.usefixtures("airflow_database")
async def test_a_connection_that_is_missing_for_a_moment_is_read_again(
    toloka: TolokaEmulator, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    """Airflow says "not found" as well when a secrets backend fails."""
    waiting = asyncio.create_task(event_of(add(toloka, status="SUCCESS"), toloka_conn_id="later"))
    await until(lambda: "trying again" in logged())
    monkeypatch.setenv("AIRFLOW_CONN_LATER", os.environ["AIRFLOW_CONN_TOLOKA_DEFAULT"])
    assert statuses(await waiting) == ["SUCCESS"]


async def test_a_wrong_connection_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_TOLOKA_DEFAULT", json.dumps({"conn_type": "toloka"}))
    error = (await event_of("1"))["error"]
    assert error["class"] == "ValueError"
    assert "API token" in error["message"]


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
    more = {"submitted": "2026-01-01T00:00:00", "carry": ["x"], "groups": {"a": ["1"], "b": ["2"]}, "not_before": 3.0}
    trigger = trigger_of("1", "2", deadline=7.5, longest_interval=9.0, limit="execution_timeout", gather=1.0, **more)
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
        looked = toloka.fault("GET /operations/*", status=401 if ending == "error" else None)
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


# Of groups, the first that has ended


async def test_the_first_group_that_ends_ends_the_wait(toloka: TolokaEmulator) -> None:
    quick, slow, done = add(toloka, finishes_in=0.3), add(toloka), add(toloka, status="SUCCESS")
    event = await event_of(groups={"1": [quick, done], "2": [slow, done]}, gather=0.0)
    assert statuses(event) == ["SUCCESS", "SUCCESS", "RUNNING"]
    assert event["unfinished"] == [slow]


async def test_what_ends_soon_after_the_first_group_is_gathered(toloka: TolokaEmulator) -> None:
    groups = {str(number): [add(toloka, finishes_in=0.2 + 0.1 * number)] for number in range(5)}
    event = await event_of(groups={**groups, "slow": [add(toloka)]}, gather=3.0)
    assert statuses(event) == ["SUCCESS"] * 5 + ["RUNNING"]


@pytest.mark.parametrize("ending", ["fails", "does not exist"])
async def test_one_that_fails_ends_its_group_only(toloka: TolokaEmulator, ending: str) -> None:
    bad = add(toloka, finishes_in=0.2, outcome="FAIL") if ending == "fails" else "999"
    slow, other = add(toloka), add(toloka)
    event = await event_of(groups={"1": [bad, slow], "2": [other]}, gather=0.0)
    assert event["operations"][other]["status"] == "RUNNING"
    if ending == "fails":
        assert event["errors"] == {}
        assert event["operations"][bad]["status"] == "FAIL"
    else:
        assert type(error_from_json(event["errors"][bad])) is TolokaNotFoundError
        assert sorted(event["unfinished"]) == sorted([slow, other])


async def test_a_group_of_no_operations_ends_after_an_interval(toloka: TolokaEmulator) -> None:
    event = await event_of(groups={"1": [add(toloka)], "2": []}, poll_interval=0.5, gather=0.0)
    assert statuses(event) == ["RUNNING"]


async def test_the_deadline_ends_the_wait_for_groups_too(toloka: TolokaEmulator) -> None:
    event = await event_of(groups={"1": [add(toloka)]}, deadline=time.time() + 0.5, limit="execution_timeout")
    assert statuses(event) == ["RUNNING"]
    assert event["limit"] == "execution_timeout"


# When Airflow may have the event


async def hold(*operation_ids: str, trigger_id: int | None, **arguments: Any) -> float:
    """Run a trigger, as a triggerer does if it has an id; give the time of its event."""
    trigger: Any = trigger_of(*operation_ids, **arguments)
    trigger.trigger_id = trigger_id
    async with asyncio.timeout(20):
        async for _ in trigger.run():
            return time.time()
    raise AssertionError


@pytest.mark.parametrize("ending", ["success", "error", "pause"])
async def test_a_triggerer_does_not_get_the_event_before_its_time(toloka: TolokaEmulator, ending: str) -> None:
    ids = {"success": [add(toloka, status="SUCCESS")], "error": ["999"], "pause": []}[ending]
    not_before = time.time() + 6
    assert await hold(*ids, trigger_id=1, not_before=not_before) >= not_before


async def test_without_a_triggerer_the_event_comes_at_once() -> None:
    assert await hold(trigger_id=None, not_before=time.time() + 600)


@pytest.mark.parametrize(("not_before", "until_"), [(90, 90), (107, 107), (10**9, 130)])
def test_a_clock_that_is_wrong_does_not_hold_the_event_for_long(not_before: float, until_: float) -> None:
    assert held_until(not_before, started=100) == until_


# What fits into Airflow's database


@pytest.mark.parametrize("each", [1, 2])
def test_the_arguments_of_a_thousand_waiting_projects_fit_into_every_database(each: int) -> None:
    groups = {str(10**6 + number): [str(uuid4()) for _ in range(each)] for number in range(1000)}
    carried = Arguments(Selection(before=datetime(2026, 1, 1, tzinfo=UTC)), datetime(2026, 7, 1, tzinfo=UTC))
    carry = carry_of(carried, Results(transient={*groups} if each == 1 else set()))
    _, arguments = trigger_of(groups=groups, carry=carry).serialize()
    encrypted = Fernet(Fernet.generate_key()).encrypt(json.dumps(BaseSerialization.serialize(arguments)).encode())
    assert len(encrypted) < (60_000 if each == 1 else 65_536)
    again = OperationTrigger(**json.loads(json.dumps(arguments)))
    assert (again.groups, again.operation_ids, again.carry) == (groups, [], carry)


def test_a_few_ids_stay_readable() -> None:
    _, arguments = trigger_of(*(str(uuid4()) for _ in range(20))).serialize()
    assert len(arguments["operation_ids"]) == 20
    assert "packed" not in arguments


@given(
    st.recursive(
        st.none() | st.text() | st.uuids().map(str), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_what_is_packed_comes_back(value: Any) -> None:
    padded = [value, "\0" * 3000]
    packed = pack(padded)
    assert packed is not None
    assert unpack(packed) == padded


@pytest.mark.parametrize("packed", ["", "abc", "!!!", "c${NkU|?*`0000"])
def test_what_was_not_packed_is_refused(packed: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpack(packed)


# A connection that changes while tasks wait


def connect(monkeypatch: pytest.MonkeyPatch, toloka: TolokaEmulator, **changes: Any) -> None:
    connection = toloka.connection | {"extra": {"retries": 1}} | changes
    monkeypatch.setenv("AIRFLOW_CONN_TOLOKA_DEFAULT", json.dumps(connection))


@pytest.mark.parametrize("several", [1, 7])
async def test_a_token_that_is_rotated_while_tasks_wait_is_taken_from_the_connection(
    toloka: TolokaEmulator, monkeypatch: pytest.MonkeyPatch, several: int
) -> None:
    with TolokaEmulator(tokens=("the-new-one",)) as rotated:
        ids = [rotated.add_operation("POOL.OPEN", status="SUCCESS")["id"] for _ in range(several)]
        asked = toloka.fault("GET /**", times=None, hold=True, status=401)
        waiting = [asyncio.create_task(event_of(id_)) for id_ in ids]
        await asyncio.to_thread(asked.wait)
        # The same account, behind another address: an emulator's tokens stay as they are.
        connect(monkeypatch, rotated)
        asked.release()
        events = await asyncio.gather(*waiting)
    assert [statuses(event) for event in events] == [["SUCCESS"]] * several


async def test_a_refused_token_whose_connection_has_not_changed_ends_all_waits_after_one_reading(
    toloka: TolokaEmulator, reads: list[str]
) -> None:
    toloka.fault("GET /**", times=None, status=401)
    events = await asyncio.gather(*(event_of(add(toloka)) for _ in range(50)))
    assert {event["error"]["class"] for event in events} == {"TolokaAuthenticationError"}
    assert len(reads) == 2


async def test_a_new_wait_does_not_ask_an_old_host(toloka: TolokaEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    old = asyncio.create_task(event_of(add(toloka)))
    await until(lambda: bool(toloka.requests))
    with TolokaEmulator() as moved:
        connect(monkeypatch, moved)
        operation = moved.add_operation("POOL.OPEN", status="SUCCESS")["id"]
        await asyncio.sleep(1.1)  # for so long, a connection that was read is not read again
        assert statuses(await event_of(operation)) == ["SUCCESS"]
    old.cancel()
    await asyncio.wait([old])


async def test_triggers_that_start_at_once_share_one_reading_of_the_connection(
    toloka: TolokaEmulator, reads: list[str]
) -> None:
    operation = add(toloka, status="SUCCESS")
    await asyncio.gather(*(event_of(operation) for _ in range(200)))
    assert reads == ["toloka_default"]


async def test_one_that_is_cancelled_while_the_connection_is_read_leaves_the_others_theirs(
    toloka: TolokaEmulator,
) -> None:
    first, second = (asyncio.create_task(event_of(add(toloka, status="SUCCESS"))) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert statuses(await second) == ["SUCCESS"]
    assert first.cancelled()


# What reaches the log of each task

_task_of: ContextVar[str] = ContextVar("task", default="the triggerer")


class ByTask(logging.Handler):
    """Sorts lines as Airflow's triggerer does: by what is set in the context in which a line is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, list[str]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.setdefault(_task_of.get(), []).append(record.getMessage())


class Logging(OperationTrigger):
    """A trigger with a log of the standard library's, on every Airflow."""

    @property
    def log(self) -> Any:
        return logging.getLogger("tests.triggers")


@pytest.fixture
def by_task() -> Iterator[dict[str, list[str]]]:
    handler = ByTask()
    logger = logging.getLogger("tests.triggers")
    logger.addHandler(handler)
    logger.setLevel("INFO")
    yield handler.lines
    logger.removeHandler(handler)


@pytest.mark.parametrize("several", [2, 7])
async def test_news_of_an_outage_and_of_changes_reach_the_log_of_each_task(
    toloka: TolokaEmulator, by_task: dict[str, list[str]], several: int
) -> None:
    operations = {f"task {number}": add(toloka, finishes_in=3600) for number in range(several)}

    async def wait(task: str, operation: str) -> None:
        _task_of.set(task)
        trigger = Logging(toloka_conn_id="toloka_default", operation_ids=[operation], poll_interval=0.1)
        async for _ in trigger.run():
            pass

    waiting = [asyncio.create_task(wait(*one)) for one in operations.items()]
    toloka.fault("GET /**", times=None, status=503)
    await until(lambda: len(by_task) == several)
    toloka.clear_faults()
    await until(lambda: all(any("works again" in line for line in lines) for lines in by_task.values()))
    for operation in operations.values():
        toloka.finish(operation)
    await asyncio.gather(*waiting)
    assert by_task.keys() == operations.keys()
    for lines in by_task.values():
        assert sum("failed; still waiting" in line for line in lines) == 1
        assert sum("works again" in line for line in lines) == 1
    if several == 2:
        for task, operation in operations.items():
            assert sum(f"operation {operation} (POOL.OPEN) is RUNNING" in line for line in by_task[task]) == 1
