from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_toloka.reporting import Outcome
from airflow_provider_toloka.reporting.histogram import idle_time
from tests.reporting.accounts import NOW, project, report


def test_the_threshold_is_the_edge_of_a_bar() -> None:
    drawn = idle_time(
        report(
            project("1", Outcome.IN_USE, idle=179.9),
            project("2", Outcome.WOULD_ARCHIVE, idle=180),
            project("3", Outcome.SKIPPED, idle=200),
            project("4", Outcome.IN_USE, idle=0),
        )
    )
    bars = [(bar.start, bar.end, bar.selected, bar.left_alone) for bar in drawn.bars if bar.count]
    assert bars == [(0, 30, 0, 1), (150, 180, 0, 1), (180, None, 1, 1)]
    assert drawn.bars[drawn.threshold or 0].start == 180
    assert drawn.highest == 2


def test_projects_that_were_archived_before_are_not_active() -> None:
    drawn = idle_time(report(project(outcome=Outcome.ALREADY_ARCHIVED), project("2", Outcome.FAILED, idle=None)))
    assert sum(bar.count for bar in drawn.bars) == 0
    assert drawn.unknown == 1


@given(
    idle=st.lists(st.floats(0, 20_000)),
    threshold=st.none() | st.floats(0.01, 5_000),
    most_bars=st.integers(4, 30),
)
def test_each_project_is_in_the_bar_of_its_age(idle: list[float], threshold: float | None, most_bars: int) -> None:
    before = None if threshold is None else NOW - timedelta(days=threshold)
    made = report(*(project(str(place), idle=days) for place, days in enumerate(idle)), before=before)
    drawn = idle_time(made, most_bars=most_bars)
    for place, bar in enumerate(drawn.bars):
        below = sum(one.count for one in drawn.bars[:place])
        assert sum(days < bar.start - 0.001 for days in idle) <= below <= sum(days < bar.start + 0.001 for days in idle)
    assert sum(bar.count for bar in drawn.bars) == len(idle)
    assert 1 <= len(drawn.bars) <= most_bars
    assert drawn.bars[0].start == 0
    assert drawn.bars[-1].end is None
    assert [bar.end for bar in drawn.bars[:-1]] == [bar.start for bar in drawn.bars[1:]]
    assert (drawn.threshold is None) == (threshold is None)
    if drawn.threshold is not None and threshold is not None:
        assert abs(drawn.bars[drawn.threshold].start - threshold) < 0.001
