"""The event trigger, in its own event loop against the emulator."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.triggers.events import OperationFinishedTrigger
from airflow_provider_toloka.triggers.pools import PoolClosedTrigger
from tests.triggers.conftest import until

GIVEN: dict[str, Any] = {"operation_types": ["POOL.CLOSE"], "poll_interval": 0.1}


class Store:
    """What Airflow 3.3 gives a trigger to keep its cursor in: a value by key, through JSON."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    async def aget(self, key: str) -> Any:
        return json.loads(self.values.get(key, "null"))

    async def aset(self, key: str, value: Any) -> None:
        self.values[key] = json.dumps(value)


class Watch:
    """A running trigger, and its events."""

    def __init__(self, trigger: OperationFinishedTrigger) -> None:
        self.trigger = trigger
        self.payloads: list[dict[str, Any]] = []

    @property
    def ids(self) -> list[str]:
        return [payload["operation_id"] for payload in self.payloads]

    async def run(self) -> None:
        async for event in self.trigger.run():
            self.payloads.append(json.loads(json.dumps(event.payload)))


@asynccontextmanager
async def watching(store: Store | None = None, **arguments: Any) -> AsyncIterator[Watch]:
    """Run a trigger as the triggerer does: made anew from what it serialises to, and cancelled at the end."""
    _, kept = OperationFinishedTrigger(**GIVEN | arguments).serialize()
    trigger = OperationFinishedTrigger(**json.loads(json.dumps(kept)))
    trigger.asset_state_store = store  # type: ignore[assignment]
    watch = Watch(trigger)
    task = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def lists(toloka: TolokaEmulator) -> int:
    return sum(request.path == "/operations" for request in toloka.requests)


async def listed(toloka: TolokaEmulator, times: int = 2) -> None:
    """Wait until the list has been read this many times from now on."""
    before = lists(toloka)
    await until(lambda: lists(toloka) >= before + times)


def finish(toloka: TolokaEmulator, type_: str = "POOL.CLOSE", status: str = "SUCCESS", **fields: Any) -> str:
    """Let an operation finish now; give its id."""
    given: dict[str, Any] = {"finished": datetime.now(UTC), "parameters": {"pool_id": "21"}} | fields
    operation: str = toloka.add_operation(type_, status=status, **given)["id"]
    return operation


async def test_fires_for_an_operation_of_any_origin(toloka: TolokaEmulator) -> None:
    async with watching() as watch:
        await listed(toloka)
        pool = toloka.add_pool("1001", status="OPEN")["id"]
        operation = toloka.add_operation("POOL.CLOSE", status="RUNNING", finishes_in=0.3, parameters={"pool_id": pool})[
            "id"
        ]
        await until(lambda: bool(watch.payloads))
        await listed(toloka)
    [payload] = watch.payloads
    finished = toloka.operations[operation]["finished"]
    assert datetime.fromisoformat(payload.pop("finished")) == datetime.fromisoformat(finished).replace(tzinfo=UTC)
    assert payload == {
        "operation_id": operation,
        "type": "POOL.CLOSE",
        "status": "SUCCESS",
        "project_id": None,
        "pool_id": pool,
        "training_id": None,
    }


@pytest.mark.parametrize(("given", "told"), [(21, "21"), ("21", "21"), (2.1, None), (True, None), (["21"], None)])
async def test_an_id_that_is_a_number_is_told_as_text(toloka: TolokaEmulator, given: Any, told: str | None) -> None:
    async with watching() as watch:
        await listed(toloka)
        finish(toloka, parameters={"pool_id": given})
        await until(lambda: bool(watch.payloads))
    assert watch.payloads[0]["pool_id"] == told


async def test_tells_of_the_types_and_outcomes_that_are_asked_for_only(toloka: TolokaEmulator) -> None:
    async with (
        watching(operation_types=["POOL.CLOSE", "PROJECT.ARCHIVE"]) as successes,
        watching(statuses=["FAIL"]) as failures,
    ):
        await listed(toloka)
        closed, failed, archived = (
            finish(toloka),
            finish(toloka, status="FAIL"),
            finish(toloka, "PROJECT.ARCHIVE", parameters={"project_id": "1001"}),
        )
        finish(toloka, "POOL.OPEN")
        finish(toloka, "SOMETHING.NEW", parameters=None)
        toloka.add_operation("POOL.CLOSE", status="RUNNING")
        await listed(toloka)
    assert sorted(successes.ids) == sorted([closed, archived])
    assert failures.ids == [failed]
    assert {payload["project_id"] for payload in successes.payloads} == {None, "1001"}


async def test_each_operation_comes_once(toloka: TolokaEmulator) -> None:
    finished = []
    async with watching() as watch:
        await listed(toloka)
        for _ in range(15):
            finished += [finish(toloka) for _ in range(30)]
            await asyncio.sleep(0.1)
        # A wait for an older operation has the list read from further back.
        async with watching(look_back=60):
            await listed(toloka, 3)
    assert sorted(watch.ids) == sorted(finished)


async def test_of_several_at_once_the_last_comes_once_more_if_that_is_asked_for(toloka: TolokaEmulator) -> None:
    store = Store()
    async with watching(store, repeat_last=True, settle_seconds=1.0) as watch:
        await listed(toloka)
        kept = dict(store.values)
        several = {finish(toloka) for _ in range(3)}
        await until(lambda: len(watch.ids) >= 3)
        assert store.values == kept  # if it ends now, all of them come again
        await until(lambda: len(watch.ids) >= 4)
        assert set(watch.ids[:3]) == several
        assert watch.ids[3:] == watch.ids[2:3]
        await until(lambda: store.values != kept)
        alone = finish(toloka)
        await until(lambda: len(watch.ids) >= 5)
        await until(lambda: alone in json.dumps(store.values))
        assert watch.ids[4:] == [alone]


async def test_of_several_at_once_none_comes_twice_unless_that_is_asked_for(toloka: TolokaEmulator) -> None:
    store = Store()
    async with watching(store, settle_seconds=0.5) as watch:
        await listed(toloka)
        kept = dict(store.values)
        several = {finish(toloka) for _ in range(3)}
        # The cursor is stored when the events have settled: by then, one would have been repeated.
        await until(lambda: store.values != kept)
        await listed(toloka)
    assert sorted(watch.ids) == sorted(several)


async def test_what_finished_before_is_none_of_its_business_unless_it_looks_back(toloka: TolokaEmulator) -> None:
    before = finish(toloka, finished=datetime.now(UTC).timestamp() - 5)
    async with watching() as watch, watching(look_back=10) as looks_back:
        await listed(toloka, 3)
    assert (watch.ids, looks_back.ids) == ([], [before])


async def test_after_a_restart_it_goes_on_where_it_was(toloka: TolokaEmulator) -> None:
    store = Store()
    async with watching(store, settle_seconds=0.1) as watch:
        await until(lambda: bool(store.values))
        [first] = store.values.values()
        before = finish(toloka)
        await until(lambda: watch.ids == [before] and list(store.values.values()) != [first])
    meanwhile = [finish(toloka) for _ in range(400)]  # more than a page of them
    async with watching(store) as watch:
        await until(lambda: len(watch.ids) >= len(meanwhile))
        await listed(toloka)
        after = finish(toloka)
        await until(lambda: after in watch.ids)
    assert sorted(watch.ids) == sorted([*meanwhile, after])


async def test_what_may_not_have_come_through_before_a_crash_comes_again(toloka: TolokaEmulator) -> None:
    store = Store()
    async with watching(store) as watch:
        await until(lambda: bool(store.values))
        operation = finish(toloka)
        await until(lambda: watch.ids == [operation])
        await listed(toloka)
    async with watching(store) as watch:
        await until(lambda: watch.ids == [operation])


async def test_watchers_of_one_asset_keep_cursors_of_their_own(toloka: TolokaEmulator) -> None:
    store = Store()
    async with watching(store), watching(store, operation_types=["POOL.OPEN"]), watching(store, statuses=["FAIL"]):
        await until(lambda: len(store.values) == 3)
        await listed(toloka)


async def test_a_trigger_of_several_assets_works_without_a_cursor_and_says_so(
    toloka: TolokaEmulator, logged: Callable[[], str]
) -> None:
    class Several(Store):
        async def aget(self, key: str) -> Any:
            raise ValueError(f"Task has 2 concrete inlets and outlets: {key}")

    async with watching(Several()) as watch:
        await listed(toloka)
        operation = finish(toloka)
        await until(lambda: watch.ids == [operation])
    assert "No position is stored" in logged()


async def test_watchers_of_one_connection_share_the_list(toloka: TolokaEmulator) -> None:
    async with watching(poll_interval=1.0), watching(poll_interval=1.0), watching(poll_interval=1.0):
        await asyncio.sleep(6)
    # One a second, and a few to begin with.
    assert lists(toloka) <= 9
    # The requester is asked once, for the time at Toloka.
    others = [request.path for request in toloka.requests if request.path != "/operations"]
    assert others in ([], ["/requester"])


@pytest.mark.parametrize("outage", [{"status": 503}, {"status": 429}, {"disconnect": "before"}, {"disconnect": "cut"}])
async def test_an_outage_is_outlived(toloka: TolokaEmulator, outage: dict[str, Any], logged: Callable[[], str]) -> None:
    async with watching() as watch:
        await listed(toloka)
        toloka.fault("GET /operations", times=3, **outage)
        operation = finish(toloka)
        await until(lambda: watch.ids == [operation])
    assert "Listing Toloka's finished operations failed; still waiting" in logged()


async def test_a_refused_token_is_told_of_and_outlived(
    toloka: TolokaEmulator, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    accepted = os.environ["AIRFLOW_CONN_TOLOKA_DEFAULT"]
    monkeypatch.setenv("AIRFLOW_CONN_TOLOKA_DEFAULT", accepted.replace(toloka.token, "another"))
    async with watching() as watch:
        await until(lambda: "trying again" in logged())
        monkeypatch.setenv("AIRFLOW_CONN_TOLOKA_DEFAULT", accepted)
        operation = finish(toloka)
        await until(lambda: watch.ids == [operation])
    assert "TolokaAuthenticationError" in logged()
    assert "another" not in logged()
    assert toloka.token not in logged()


@pytest.mark.usefixtures("airflow_database")
async def test_a_connection_that_is_made_later_is_found(
    toloka: TolokaEmulator, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    async with watching(toloka_conn_id="later") as watch:
        await until(lambda: "trying again" in logged())
        monkeypatch.setenv("AIRFLOW_CONN_LATER", os.environ["AIRFLOW_CONN_TOLOKA_DEFAULT"])
        operation = finish(toloka)
        await until(lambda: watch.ids == [operation])


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"operation_types": "POOL.CLOSE"}, "operation_types should be a list of at least one text"),
        ({"operation_types": []}, "operation_types should be a list of at least one text"),
        ({"operation_types": [None]}, "operation_types should be a list of texts"),
        ({"operation_types": ["pool.close"]}, "types of operations such as POOL.CLOSE, but has 'pool.close'"),
        ({"statuses": ["FAILED"]}, r"statuses should be of SUCCESS and FAIL, but is \['FAILED'\]"),
        ({"statuses": "FAIL"}, "statuses should be a list"),
        ({"toloka_conn_id": ""}, "toloka_conn_id should be the id of a connection"),
        ({"poll_interval": 0}, "poll_interval should be a duration above 0: .* but is 0"),
        ({"poll_interval": "soon"}, "poll_interval should be a duration above 0: .* but is 'soon'"),
        ({"poll_interval": True}, "poll_interval should be a duration above 0: .* but is True"),
        ({"repeat_last": "yes"}, "repeat_last should be True or False, but is 'yes'"),
        ({"settle_seconds": -1}, "settle_seconds should be a duration of 0 or more: .* but is -1"),
        ({"look_back": -1}, "look_back should be a duration of 0 or more: .* but is -1"),
        ({"look_back": None}, "look_back should be a duration of 0 or more: .* but is None"),
    ],
)
def test_wrong_arguments_are_refused_where_the_dag_is_read(arguments: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        OperationFinishedTrigger(**GIVEN | arguments)


@pytest.mark.parametrize("given", [timedelta(minutes=30), "PT30M", "0.5h", "1800", 1800])
@pytest.mark.parametrize("name", ["poll_interval", "look_back", "settle_seconds"])
def test_durations_may_be_given_in_any_form(name: str, given: Any) -> None:
    for trigger in (OperationFinishedTrigger(**GIVEN | {name: given}), PoolClosedTrigger(**{name: given})):
        arguments = trigger.serialize()[1]
        assert json.loads(json.dumps(arguments))[name] == 1800


@pytest.mark.parametrize("given", [0, 0.0, "0", timedelta()])
def test_a_trigger_need_not_look_back_or_settle(given: Any) -> None:
    trigger = PoolClosedTrigger(look_back=given, settle_seconds=given)
    assert (trigger.look_back, trigger.settle_seconds) == (0, 0)
