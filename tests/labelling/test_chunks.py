from __future__ import annotations

import itertools
import json
import tracemalloc
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_toloka.labelling.chunks import Limits, chunks_of

values = st.dictionaries(
    st.text(max_size=5), st.none() | st.booleans() | st.integers() | st.text(max_size=20), max_size=3
)
tasks_ = st.lists(
    st.fixed_dictionaries(
        {"input_values": values},
        optional={
            "overlap": st.integers(1, 9),
            "known_solutions": st.lists(st.fixed_dictionaries({"output_values": values})),
        },
    ),
    max_size=30,
)


def size(task: dict[str, Any]) -> int:
    return len(json.dumps(task["input_values"], ensure_ascii=False, separators=(",", ":")).encode())


@given(tasks=tasks_, items=st.integers(1, 7), most=st.integers(1, 200))
def test_chunks_hold_all_tasks_in_order_and_within_the_limits(
    tasks: list[dict[str, Any]], items: int, most: int
) -> None:
    chunks = list(chunks_of(tasks, "2001", Limits(items=items, input_bytes=most)))
    sent = [json.loads(chunk.body) for chunk in chunks]
    assert list(itertools.chain(*sent)) == [{**task, "pool_id": "2001"} for task in tasks]
    for number, (chunk, held) in enumerate(zip(chunks, sent, strict=True)):
        assert (chunk.number, chunk.count) == (number, len(held))
        assert chunk.first == sum(earlier.count for earlier in chunks[:number])
        assert 1 <= len(held) <= items
        assert len(held) == 1 or sum(map(size, held)) <= most
        assert chunk.digest == sha256(chunk.body).hexdigest()


def test_a_chunk_is_filled_up_to_the_limits() -> None:
    tasks = [{"input_values": {"n": number}} for number in range(10)]  # 7 bytes each
    assert [chunk.count for chunk in chunks_of(tasks, "1", Limits(items=4))] == [4, 4, 2]
    assert [chunk.count for chunk in chunks_of(tasks, "1", Limits(input_bytes=21))] == [3, 3, 3, 1]
    golden = [{"input_values": {}, "known_solutions": [{"output_values": {"n": 1}}]} for _ in range(3)]
    assert [chunk.count for chunk in chunks_of(golden, "1", Limits(output_bytes=14))] == [2, 1]


def test_the_order_of_keys_changes_nothing() -> None:
    one = chunks_of([{"input_values": {"a": 1, "b": 2}, "overlap": 3}], "1")
    other = chunks_of([{"overlap": 3, "input_values": {"b": 2, "a": 1}}], "1")
    assert [chunk.digest for chunk in one] == [chunk.digest for chunk in other]


def test_bytes_are_counted_not_characters() -> None:
    tasks = [{"input_values": {"n": "ж"}}] * 2  # 9 characters, 10 bytes each
    assert [chunk.count for chunk in chunks_of(tasks, "1", Limits(input_bytes=19))] == [1, 1]
    assert [chunk.count for chunk in chunks_of(tasks, "1", Limits(input_bytes=20))] == [2]


@pytest.mark.parametrize(
    ("task", "problem"),
    [
        ({"input_values": {"image": "x" * 1_048_576}}, r"tasks\[1\]\.input_values is 1,048,588 bytes"),
        (
            {"input_values": {}, "known_solutions": [{"output_values": {"r": "x" * 4_194_304}}]},
            r"tasks\[1\]'s output_values is 4,194,312 bytes",
        ),
        ({"input_values": {"n": float("inf")}}, r"tasks\[1\] cannot be encoded as JSON"),
        ({"input_values": {"n": {1, 2}}}, r"tasks\[1\] cannot be encoded as JSON"),
        ({"input_values": {}, "pool_id": "2"}, r"tasks\[1\]\.pool_id is '2', but the tasks are for 1"),
        ({"image": "u"}, r"tasks\[1\]\.input_values is required"),
    ],
)
def test_a_task_that_cannot_be_sent_is_named(task: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        list(chunks_of([{"input_values": {}}, task], "1"))


def test_a_task_may_name_the_pool_that_it_goes_to() -> None:
    (chunk,) = chunks_of([{"input_values": {}, "pool_id": 1}], "1")
    assert json.loads(chunk.body) == [{"input_values": {}, "pool_id": "1"}]


def test_memory_holds_one_chunk_whatever_the_number_of_tasks() -> None:
    def tasks() -> Iterator[dict[str, Any]]:
        for number in range(50_000):
            yield {"input_values": {"image": f"https://example.com/images/{number:060}.jpg"}}

    tracemalloc.start()
    try:
        counted = sum(chunk.count for chunk in chunks_of(tasks(), "1"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert counted == 50_000
    assert peak < 5_000_000
