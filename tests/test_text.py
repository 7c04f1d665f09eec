from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_toloka._text import LONGEST, one_line, shown

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


class Liar:
    def __repr__(self) -> str:
        return "fine\n[2026-01-01] ERROR \x1b[31mnot so\x1b[0m"


@pytest.mark.parametrize("value", ["a", "it's", "a\nb", {"b": [1, None]}, 5, None, ["1"], b"1"], ids=repr)
def test_what_is_short_and_plain_is_shown_as_it_is(value: object) -> None:
    assert shown(value) == repr(value)


@given(VALUES)
def test_whatever_is_shown_is_one_line_of_bounded_length(value: object) -> None:
    told = shown(value)
    assert told.isprintable()
    assert len(told) <= 10 * LONGEST  # an escaped character takes ten, at most


@pytest.mark.parametrize(
    "value",
    [Liar(), 10**5000, "x" * 10_000_000, ["\u202e" * 1_000] * 1_000, [[[[[[[[1] * 99] * 99]] * 99]]]] * 99],
    ids=["liar", "number", "text", "list", "nest"],
)
def test_nothing_gets_out_of_hand(value: object) -> None:
    told = shown(value)
    assert told.isprintable()
    assert len(told) <= 10 * LONGEST


def test_depth_is_no_danger() -> None:
    nest: list[object] = []
    for _ in range(100_000):
        nest = [nest]
    assert shown(nest) == "[[[[[[[...]]]]]]]"


def test_line_breaks_and_control_characters_are_escaped() -> None:
    assert one_line("a\r\nb\x1b[2J\u2028\u202e\x00\ud800\t") == r"a\r\nb\x1b[2J\u2028\u202e\x00\ud800\t"
    assert one_line("Слон 🐘 b") == "Слон 🐘 b"
