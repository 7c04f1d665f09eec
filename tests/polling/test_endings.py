"""When a wait for groups of operations is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextvars import copy_context

import pytest

from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.exceptions import TolokaNotFoundError, TolokaUnavailableError
from airflow_provider_toloka.polling.endings import Ending
from airflow_provider_toloka.polling.wait import Wait
from tests.polling.quick import QuickLoop

#: What may happen to an operation.
SUCCEEDS = Operation(id="x", type="POOL.CLOSE", status="SUCCESS")
FAILS = Operation(id="x", type="POOL.CLOSE", status="FAIL")
UNKNOWN = TolokaNotFoundError("no such operation")
REFUSED = TolokaUnavailableError("no answer")
CANCELLED = None


def over_at(
    groups: list[list[str]],
    events: Mapping[str, tuple[float, Operation | Exception | None]],
    *,
    gather: float = 0.0,
    fail_fast: bool = True,
    empty_after: float = 0.0,
    close_at: float | None = None,
    deadline: float | None = None,
) -> float | None:
    """Return after how many seconds a wait is over; None: not within 100."""

    async def run() -> float | None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        waits = {id_: Wait(id_, loop.create_future()) for group in groups for id_ in group}
        ending = Ending(
            waits,
            groups,
            context=copy_context(),
            fail_fast=fail_fast,
            gather=gather,
            empty_after=empty_after,
        )
        if deadline is not None:
            ending.after(deadline)
        for id_, wait in waits.items():
            if id_ in events:
                seconds, event = events[id_]
                loop.call_at(began + seconds, _finish(wait.finished, event))
        if close_at is not None:
            loop.call_at(began + close_at, ending.close)
        try:
            async with asyncio.timeout(100):
                await ending.is_over
        except TimeoutError:
            return None
        finally:
            for wait in waits.values():
                wait.close()
        return round(loop.time() - began, 2)

    with asyncio.Runner(loop_factory=QuickLoop) as runner:
        return runner.run(run())


def _finish(future: asyncio.Future[Operation], event: Operation | Exception | None) -> Callable[[], object]:
    def finish() -> None:
        if isinstance(event, Operation):
            future.set_result(event)
        elif event is None:
            future.cancel()
        else:
            future.set_exception(event)

    return finish


def test_a_group_ends_with_its_last_operation() -> None:
    events = {"a": (1.0, SUCCEEDS), "b": (5.0, SUCCEEDS), "c": (3.0, SUCCEEDS)}
    assert over_at([["a", "b", "c"]], events) == 5
    assert over_at([["a", "b"], ["c"]], events) == 3
    assert over_at([["a", "b", "never"]], events) is None


def test_an_operation_may_belong_to_several_groups() -> None:
    events = {"a": (1.0, SUCCEEDS), "b": (2.0, SUCCEEDS)}
    assert over_at([["a", "never"], ["b", "a"]], events) == 2


@pytest.mark.parametrize(
    ("event", "fail_fast", "ends"),
    [
        (FAILS, True, 1),
        (FAILS, False, 5),
        (UNKNOWN, True, 1),
        (UNKNOWN, False, 1),
        (CANCELLED, False, 1),
        (REFUSED, False, 1),
    ],
)
def test_what_ends_a_group_at_once(event: Operation | Exception | None, fail_fast: bool, ends: float) -> None:
    assert over_at([["a", "b"]], {"a": (1.0, event), "b": (5.0, SUCCEEDS)}, fail_fast=fail_fast) == ends


def test_other_groups_have_some_time_to_end_too() -> None:
    groups = [["a"], ["b"], ["never"]]
    assert over_at(groups, {"a": (1.0, SUCCEEDS)}, gather=3) == 4
    assert over_at(groups, {"a": (1.0, SUCCEEDS), "b": (2.0, SUCCEEDS)}, gather=3) == 4


@pytest.mark.parametrize(("deadline", "ends"), [(-1, 0), (0.5, 0.5), (3, 3), (9, 4)])
def test_it_ends_at_the_deadline_at_the_latest(deadline: float, ends: float) -> None:
    assert over_at([["a"], ["never"]], {"a": (1.0, SUCCEEDS)}, gather=3, deadline=deadline) == ends


def test_that_time_ends_with_the_last_operation() -> None:
    assert over_at([["a"], ["b"]], {"a": (1.0, SUCCEEDS), "b": (2.0, SUCCEEDS)}, gather=3) == 2
    assert over_at([["a"], ["b"], ["c"]], {"a": (1, SUCCEEDS), "b": (2, UNKNOWN), "c": (3, FAILS)}, gather=9) == 3


@pytest.mark.parametrize(("event", "ends"), [(UNKNOWN, 4), (CANCELLED, 4), (FAILS, 4), (REFUSED, 1)])
def test_an_error_of_all_waits_is_not_gathered(event: Operation | Exception | None, ends: float) -> None:
    assert over_at([["a"], ["never"]], {"a": (1.0, event)}, gather=3) == ends


def test_a_group_without_operations_ends_after_a_while() -> None:
    assert over_at([[], ["never"]], {}, empty_after=7) == 7
    assert over_at([["never"], []], {}, empty_after=0) == 0


def test_after_it_is_closed_nothing_ends_it() -> None:
    events = {"a": (2.0, SUCCEEDS)}
    assert over_at([["a"], []], events, empty_after=7, close_at=1) is None
    assert over_at([["a"], ["never"]], events, gather=3, close_at=3) is None
