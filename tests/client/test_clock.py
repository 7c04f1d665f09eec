"""The offset between this machine's clock and Toloka's, learnt from answers."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_toloka.client import AsyncTolokaClient, TolokaClient
from airflow_provider_toloka.client.clock import ServerClock
from airflow_provider_toloka.client.config import Settings
from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.polling.poller import Poller

NOW = 1_700_000_000.0
MINUTES = 60.0


class Machine:
    """This machine, a Toloka whose clock is some seconds ahead, and the requests between them."""

    def __init__(self, ahead: float) -> None:
        self.now = NOW
        self.ahead = ahead
        self.clock = ServerClock(lambda: self.now)

    def ask(self, there: float = 0.05, back: float = 0.05, headers: Mapping[str, str] | None = None) -> None:
        sent = self.now
        date = formatdate(self.now + there + self.ahead, usegmt=True)
        self.now += there + back
        self.clock.learn({"date": date} if headers is None else headers, sent=sent, received=self.now)

    @property
    def error(self) -> float:
        return abs(self.clock.now().timestamp() - self.now - self.ahead)


def test_until_the_first_answer_it_is_the_time_of_this_machine() -> None:
    machine = Machine(ahead=20 * MINUTES)
    assert machine.clock.now() == datetime.fromtimestamp(NOW, UTC)
    assert not machine.clock.is_known


@pytest.mark.parametrize("ahead", [20 * MINUTES, -20 * MINUTES, 3.3, -86_400 * 400])
def test_one_answer_tells_the_time_to_a_second(ahead: float) -> None:
    machine = Machine(ahead)
    machine.ask()
    assert machine.clock.is_known
    assert machine.error <= 0.6


@given(ahead=st.floats(-5000, 5000), waits=st.lists(st.tuples(st.floats(0, 3), st.floats(0, 3), st.floats(0, 10))))
def test_however_long_answers_take_the_time_is_never_further_off_than_the_quickest_allows(
    ahead: float, waits: list[tuple[float, float, float]]
) -> None:
    machine = Machine(ahead)
    quickest = float("inf")
    for there, back, pause in waits:
        machine.now += pause
        machine.ask(there, back)
        quickest = min(quickest, there + back)
        assert machine.error <= quickest + 1.001


def test_many_answers_tell_it_more_exactly_than_the_header_can() -> None:
    machine = Machine(ahead=20 * MINUTES + 0.4)
    for _ in range(50):
        machine.now += 0.37
        machine.ask()
    assert machine.error <= 0.2


def test_equal_clocks_are_taken_for_equal() -> None:
    machine = Machine(ahead=0.0)
    for _ in range(20):
        machine.now += 0.37
        machine.ask()
        assert machine.clock.offset == 0.0


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param({"date": ""}, id="empty"),
        pytest.param({"date": "yesterday"}, id="no date"),
        pytest.param({"date": "Tue, 99 Nov 2023 22:13:20 GMT"}, id="no such day"),
        pytest.param({"date": "Tue, 14 Nov 999999 22:13:20 GMT"}, id="no such year"),
        pytest.param({"date": "Tue, 14 Nov 2000 22:13:20 GMT", "age": "60"}, id="from a cache"),
    ],
)
def test_an_answer_without_a_usable_date_changes_nothing(headers: dict[str, str]) -> None:
    machine = Machine(ahead=20 * MINUTES)
    machine.ask(headers=headers)
    assert not machine.clock.is_known
    machine.ask()
    before = machine.clock.offset
    machine.ask(headers=headers)
    machine.ask(headers=headers)
    assert machine.clock.offset == before


def test_a_single_wrong_date_changes_nothing() -> None:
    machine = Machine(ahead=20 * MINUTES)
    machine.ask()
    for _ in range(5):
        before = machine.clock.offset
        machine.ask(headers={"date": formatdate(machine.now - 5000, usegmt=True)})
        assert (machine.clock.is_known, machine.clock.offset) == (True, before)
        machine.ask()
        assert machine.error <= 0.6


def test_a_clock_that_is_set_is_followed_from_the_second_answer_on() -> None:
    machine = Machine(ahead=0.0)
    for _ in range(5):
        machine.ask()
    machine.ahead = -20 * MINUTES
    machine.ask()
    machine.ask()
    assert machine.error <= 0.6


def test_a_clock_that_is_set_while_a_request_is_under_way_changes_nothing() -> None:
    machine = Machine(ahead=0.0)
    machine.clock.learn({"date": formatdate(NOW, usegmt=True)}, sent=NOW, received=NOW - 3600)
    assert not machine.clock.is_known


# A Toloka whose clock is wrong


@pytest.fixture(params=[20 * MINUTES, -20 * MINUTES], ids=["20 minutes ahead", "20 minutes behind"])
def apart(request: pytest.FixtureRequest) -> Iterator[TolokaEmulator]:
    # With a token of its own: an earlier emulator on the same port was the same account, with another clock.
    with TolokaEmulator(clock=lambda: time.time() + request.param, tokens=[uuid.uuid4().hex]) as toloka:
        toloka.ahead = request.param  # type: ignore[attr-defined]
        yield toloka


def settings_of(toloka: TolokaEmulator) -> Settings:
    return Settings(token=toloka.token, base_url=f"{toloka.url}/api/v1")


def error_of(now: datetime, toloka: TolokaEmulator) -> float:
    return abs(now.timestamp() - time.time() - toloka.ahead)  # type: ignore[attr-defined, no-any-return]


def test_a_client_tells_the_time_at_toloka_before_its_first_call(apart: TolokaEmulator) -> None:
    with TolokaClient(settings_of(apart)) as client:
        assert error_of(client.now(), apart) <= 2
        client.now()
        assert len(apart.requests) == 1


def test_without_toloka_it_is_the_time_of_this_machine() -> None:
    with TolokaClient(Settings(token="made-up", base_url="http://127.0.0.1:9/api/v1")) as client:
        assert abs(client.now().timestamp() - time.time()) <= 2


async def test_asynchronous_clients_learn_it_too(apart: TolokaEmulator) -> None:
    async with AsyncTolokaClient(settings_of(apart)) as client:
        await client.get_requester()
        apart.clear_requests()
        assert error_of(await client.now(), apart) <= 2
    assert not apart.requests


def test_an_operation_whose_answer_was_lost_is_found(apart: TolokaEmulator) -> None:
    project = apart.add_project()
    apart.fault("POST /projects/*/archive", disconnect="after")
    with TolokaClient(settings_of(apart)) as client:
        operation = client.archive_project(project["id"])
    assert operation is not None
    assert operation.id in apart.operations
    assert [request.method for request in apart.requests].count("POST") == 1


@pytest.mark.parametrize("is_known", [True, False], ids=["submitted at a known time", "submitted some time"])
async def test_many_waits_end_as_quickly_as_ever(apart: TolokaEmulator, is_known: bool) -> None:
    added = [apart.add_operation("POOL.ARCHIVE", status="RUNNING", finishes_in=0.5) for _ in range(60)]
    submitted = datetime.fromisoformat(added[0]["submitted"]).replace(tzinfo=UTC) if is_known else None
    async with AsyncTolokaClient(settings_of(apart)) as client, Poller(client) as poller:
        waits = {operation["id"]: submitted for operation in added}
        known = await poller.wait_for(waits, intervals=lambda: itertools.repeat(0.3), seconds=30)
    assert all(operation and operation.is_finished for operation in known.values())
    ends = [datetime.fromisoformat(apart.operations[id_]["finished"]).replace(tzinfo=UTC) for id_ in waits]
    by_id = [request for request in apart.requests if request.path.startswith("/operations/")]
    # Before they end, they are read in a slow rotation. Then most are found in a list.
    assert sum(request.at > max(ends).timestamp() for request in by_id) < 30


async def test_watchers_that_begin_together_all_begin_in_the_time_of_toloka(apart: TolokaEmulator) -> None:
    async with AsyncTolokaClient(settings_of(apart)) as client, Poller(client) as poller:
        now = await asyncio.gather(*(poller.now() for _ in range(3)), *(client.now() for _ in range(3)))
    assert max(error_of(time, apart) for time in now) <= 2


async def test_a_watcher_begins_in_the_time_of_toloka(apart: TolokaEmulator) -> None:
    async with AsyncTolokaClient(settings_of(apart)) as client, Poller(client) as poller:
        since = await poller.now() - timedelta(seconds=5)
        finished = apart.add_operation("POOL.CLOSE")
        with poller.listen(since, 0.2) as listener:
            news = await asyncio.wait_for(listener.news(), 5)
    assert [operation.id for operation in news] == [finished["id"]]
