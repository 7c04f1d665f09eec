from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_toloka._durations import parse_age


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("180d", timedelta(days=180)),
        (" 180 D ", timedelta(days=180)),
        ("1.5d", timedelta(hours=36)),
        ("12h", timedelta(hours=12)),
        ("26w", timedelta(weeks=26)),
        ("P180D", timedelta(days=180)),
        ("P2W", timedelta(days=14)),
        ("PT12H", timedelta(hours=12)),
        ("P1DT2H3M4S", timedelta(days=1, hours=2, minutes=3, seconds=4)),
    ],
)
def test_what_people_write(text: str, age: timedelta) -> None:
    assert parse_age(text) == age


@pytest.mark.parametrize(
    "text", ["", "180", "d", "6mo", "P6M", "P1Y", "P", "PT", "-5d", "0d", "P0D", "1e9d", "9" * 9 + "w"]
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 180d"):
        parse_age(text)


@given(st.text())
def test_whatever_is_given_is_read_or_refused(text: str) -> None:
    try:
        assert parse_age(text) > timedelta()
    except ValueError as error:
        assert "P180D" in str(error)  # noqa: PT017 - either outcome is right
