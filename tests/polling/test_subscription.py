"""Each operation of an account is reported once, also by a watcher that was interrupted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.exceptions import TolokaUnavailableError
from airflow_provider_toloka.polling.subscription import Cursor, Listener

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def finished(id_: str, seconds: float | None) -> Operation:
    time = None if seconds is None else START + timedelta(seconds=seconds)
    return Operation(id=id_, type="POOL.CLOSE", status="SUCCESS", finished=time)


def test_an_operation_is_new_once() -> None:
    cursor = Cursor(START)
    seen = [finished("a", 1), finished("b", 1), finished("a", 1), finished("c", 2), finished("b", 1)]
    assert [cursor.is_new(operation) for operation in seen] == [True, True, False, True, False]


@pytest.mark.parametrize(
    ("seconds", "is_new"), [(-1.1, False), (-1, True), (-0.5, True), (0, True), (5, True), (None, False)]
)
def test_what_appears_late_is_new_for_a_second(seconds: float | None, is_new: bool) -> None:
    cursor = Cursor(START)
    assert cursor.since == START - timedelta(seconds=1)
    assert cursor.is_new(finished("a", seconds)) is is_new


def test_the_position_is_the_latest_finish() -> None:
    cursor = Cursor(START)
    for operation in (finished("a", 3), finished("b", 2.5)):
        assert cursor.is_new(operation)
    assert cursor.since == START + timedelta(seconds=2)


def test_ids_are_kept_as_long_as_the_list_shows_them() -> None:
    cursor = Cursor(START)
    for id_, seconds in (("a", 0), ("b", 1), ("c", 2)):
        assert cursor.is_new(finished(id_, seconds))
    assert cursor.to_json() == {"finished": (START + timedelta(seconds=2)).isoformat(), "ids": ["b", "c"]}


def test_a_restored_position_reports_nothing_twice() -> None:
    cursor = Cursor(START)
    cursor.is_new(finished("a", 2))
    restored = Cursor.from_json(cursor.to_json())
    assert restored.since == cursor.since
    assert not restored.is_new(finished("a", 2))
    assert restored.is_new(finished("b", 2))
    assert restored.is_new(finished("c", 3))
    assert not restored.is_new(finished("a", 2))


def test_the_position_does_not_advance_into_an_incomplete_list() -> None:
    cursor = Cursor(START)
    assert cursor.is_new(finished("late", 9), until=START + timedelta(seconds=2))
    assert cursor.since == START + timedelta(seconds=1)
    for one in (cursor, Cursor.from_json(cursor.to_json())):
        until = START + timedelta(seconds=60)
        assert one.is_new(finished("missed", 8), until=until)
        assert not one.is_new(finished("late", 9), until=until)
        assert one.is_new(finished("next", 30), until=until)
        assert one.to_json() == {"finished": (START + timedelta(seconds=30)).isoformat(), "ids": ["next"]}


async def test_a_listener_receives_all_that_was_heard() -> None:
    listener = Listener(START)
    listener.hear([finished("a", 1)])
    listener.hear([finished("b", 2)])
    assert [operation.id for operation in await listener.news()] == ["a", "b"]
    listener.hear([finished("c", 3)])
    assert [operation.id for operation in await listener.news()] == ["c"]


async def test_an_error_ends_a_listener() -> None:
    listener = Listener(START)
    listener.finished.set_exception(TolokaUnavailableError("no answer"))
    with pytest.raises(TolokaUnavailableError, match="no answer"):
        await listener.news()
