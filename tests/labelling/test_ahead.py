"""Items are computed while the caller works with the one before."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextvars import ContextVar

import pytest

from airflow_provider_toloka.labelling.ahead import one_ahead

PATIENCE = 10
RUN: ContextVar[str] = ContextVar("RUN", default="none")


def test_all_items_in_order() -> None:
    assert list(one_ahead(iter(range(100)))) == list(range(100))
    assert list(one_ahead([])) == []


def test_one_item_ahead_and_no_more() -> None:
    begun = [threading.Event() for _ in range(4)]

    def items() -> Iterator[int]:
        for number, event in enumerate(begun):
            event.set()
            yield number

    ahead = one_ahead(items())
    assert next(ahead) == 0
    assert begun[1].wait(PATIENCE)
    assert not begun[2].is_set()  # it is computed after item 1 is taken
    assert list(ahead) == [1, 2, 3]


def test_an_error_comes_where_the_item_would() -> None:
    def items() -> Iterator[int]:
        yield 0
        raise ValueError("item 1 is invalid")

    ahead = one_ahead(items())
    assert next(ahead) == 0
    with pytest.raises(ValueError, match="item 1 is invalid"):
        next(ahead)


def test_a_caller_that_stops_does_not_wait() -> None:
    go_on, ended = threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        yield 0
        go_on.wait(PATIENCE)
        ended.set()
        yield 1

    for _ in one_ahead(items()):
        break
    assert not ended.is_set()
    go_on.set()
    assert ended.wait(PATIENCE)  # the thread ends by itself


def test_items_are_computed_in_the_context_of_the_caller() -> None:
    token = RUN.set("the caller's")
    try:
        assert list(one_ahead(RUN.get() for _ in range(2))) == ["the caller's"] * 2
    finally:
        RUN.reset(token)
