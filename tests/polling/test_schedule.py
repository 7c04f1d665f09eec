"""The order in which waits are polled; waits that have finished are forgotten."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from airflow_provider_toloka.polling.rotation import Rotation
from airflow_provider_toloka.polling.schedule import Due, Schedule
from airflow_provider_toloka.polling.wait import Wait


def new(id_: str) -> Wait:
    return Wait(id_, asyncio.get_running_loop().create_future())


def ids_of(due: list[Due]) -> list[str]:
    return [wait.operation_id for one in due for wait, _ in one.members]


@pytest.mark.parametrize("forgets", [False, True])
async def test_the_schedule_drops_what_has_finished(forgets: bool) -> None:
    schedule, waits = Schedule(), [new("a"), new("b"), new("c")]
    for wait, interval in zip(waits, (3.0, 1.0, 2.0), strict=True):
        schedule.add(wait, itertools.repeat(interval), 10.0, 10.0)
    waits[1].finished.cancel()
    if forgets:
        schedule.forget_finished()
        assert (len(schedule), schedule.next_time) == (2, 12.0)
    assert ids_of(schedule.take(12.0, 0.0)) == ["c"]
    assert ids_of(schedule.take(20.0, 0.0)) == ["a"]
    assert schedule.next_time is None


async def test_a_wait_that_has_finished_is_not_scheduled() -> None:
    schedule, wait = Schedule(), new("a")
    wait.finished.cancel()
    schedule.add(wait, itertools.repeat(1.0), 10.0, 10.0)
    assert len(schedule) == 0


async def test_a_late_wait_is_due_once() -> None:
    schedule = Schedule()
    schedule.add(new("a"), itertools.repeat(1.0), 10.0, 15.0)
    assert schedule.next_time == 15.0


@pytest.mark.parametrize(("interval", "is_served"), [(0.9, False), (1.0, True)])
async def test_a_recent_list_serves_a_wait_unless_its_interval_is_short(interval: float, is_served: bool) -> None:
    schedule = Schedule()
    schedule.add(new("a"), itertools.repeat(interval), 10.0, 10.0)
    due = schedule.take(11.0, 10.9)
    assert len(due) == (not is_served)
    assert schedule.next_time == (10.9 + interval if is_served else None)


@pytest.mark.parametrize("is_listed", [False, True])
async def test_waits_with_the_same_time_and_interval_stay_together(is_listed: bool) -> None:
    schedule = Schedule()
    for id_, interval in (("a", 2.0), ("b", 2.0), ("c", 4.0)):
        schedule.add(new(id_), itertools.repeat(interval), 10.0, 10.0)
    (both,) = due = schedule.take(12.0, 0.0)
    assert ids_of(due) == ["a", "b"]
    assert len(schedule) == 1
    schedule.repeat(both, 12.0)
    assert (len(schedule), schedule.next_time) == (3, 14.0)
    due = schedule.take(14.0, 13.5 if is_listed else 0.0)
    assert ids_of(due) == ([] if is_listed else ["a", "b", "c"])
    assert schedule.next_time == (15.5 if is_listed else None)


@pytest.mark.parametrize("forgets", [False, True])
async def test_the_rotation_drops_what_has_finished_and_former_positions(forgets: bool) -> None:
    rotation, waits = Rotation(), [new("a"), new("b"), new("c")]
    for position, wait in enumerate(waits):
        rotation.put(wait, float(position))
    rotation.put(waits[0], 5.0)
    waits[1].finished.cancel()
    if forgets:
        rotation.forget_finished()
    taken = [rotation.take(before) for before in (1.9, 2.0, 4.9, 5.0, 9.0)]
    assert [wait and wait.operation_id for wait in taken] == [None, "c", None, "a", None]
