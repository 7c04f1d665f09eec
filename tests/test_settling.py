"""How long a trigger keeps its event from Airflow."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_toloka._settling import settling_seconds


@pytest.mark.parametrize(
    ("times", "seconds"),
    [("1000 0 7\n", 7.25), ("1000 1000 7\n", 7.5), ("1000 19000 7\n", 12), ("1000 1000000 7\n", 30)],
    ids=["free", "one waits", "nineteen wait", "hundreds wait"],
)
def test_the_busier_the_machine_the_longer(tmp_path: Path, times: str, seconds: float) -> None:
    file = tmp_path / "schedstat"
    file.write_text(times)
    assert settling_seconds(file) == pytest.approx(seconds)


@pytest.mark.parametrize("times", [None, "", "0 0 0", "a b c"])
def test_where_the_system_does_not_say_the_machine_counts_as_free(tmp_path: Path, times: str | None) -> None:
    file = tmp_path / "schedstat"
    if times is not None:
        file.write_text(times)
    assert settling_seconds(file) == pytest.approx(7.25)


def test_this_machine_gives_an_answer_within_bounds() -> None:
    assert 7 <= settling_seconds() <= 30
