"""Count an account's active projects by idle time; the edge of a bar is at the threshold. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from airflow_provider_toloka.reporting.report import Outcome, Report, days

MOST_BARS = 18
#: The possible numbers of bars below the threshold; the first with bars of whole days is used.
_PARTS = (6, 5, 4, 7, 8, 3, 2, 1)
_NICE_DAYS = (1, 2, 5, 7, 10, 14, 15, 30, 60, 90, 180, 365)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """The projects with an idle time in a range of days.

    :param start: the start of the range.
    :param end: the start of the next bar; None: this is the last bar, without an end.
    :param selected: the number of projects selected for archiving.
    :param left_alone: the number of other projects.
    """

    start: float
    end: float | None
    selected: int = 0
    left_alone: int = 0

    @property
    def count(self) -> int:
        """The total number of projects."""
        return self.selected + self.left_alone

    @property
    def label(self) -> str:
        """The range, in days."""
        return f"{self.start:,.4g}+" if self.end is None else f"{self.start:,.4g} to {self.end:,.4g}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Histogram:
    """An account's active projects by idle time.

    :param bars: from the shortest idle time to the longest, without gaps.
    :param threshold: the index of the first bar of stale projects; None: activity does not matter.
    :param unknown: the number of active projects without a known activity.
    """

    bars: tuple[Bar, ...]
    threshold: int | None
    unknown: int

    @property
    def highest(self) -> int:
        """The count of the highest bar."""
        return max((bar.count for bar in self.bars), default=0)


def idle_time(report: Report, *, most_bars: int = MOST_BARS) -> Histogram:
    """Count the account's active projects by idle time.

    Projects that were archived before are left out; projects that this run archived are counted.

    :param report: the report.
    :param most_bars: the highest number of bars, at least 2; default 18.
    """
    active = [project for project in report.projects if project.outcome is not Outcome.ALREADY_ARCHIVED]
    idle = [
        (days(how_long), project.is_selected)
        for project in active
        if (how_long := project.idle(report.as_of)) is not None
    ]
    threshold = days(report.inactive_for) if report.inactive_for else None
    longest = max((idle_days for idle_days, _ in idle), default=0.0)
    width = _width(threshold, longest, most_bars)
    # A project that has been idle for exactly the threshold belongs to the bar that starts there.
    number = min(most_bars, max(int(longest / width) + 1, 1 if threshold is None else round(threshold / width) + 1))
    selected, left_alone = [0] * number, [0] * number
    for idle_days, is_selected in idle:
        (selected if is_selected else left_alone)[min(int(idle_days / width + 1e-9), number - 1)] += 1
    return Histogram(
        bars=tuple(
            Bar(
                start=round(place * width, 3),
                end=None if place == number - 1 else round((place + 1) * width, 3),
                selected=selected[place],
                left_alone=left_alone[place],
            )
            for place in range(number)
        ),
        threshold=None if threshold is None else round(threshold / width),
        unknown=len(active) - len(idle),
    )


def _width(threshold: float | None, longest: float, most_bars: int) -> float:
    if threshold is None:
        needed = max(longest, 1.0) / most_bars
        return next((float(nice) for nice in _NICE_DAYS if nice > needed), math.ceil(needed))
    parts = [number for number in _PARTS if number < most_bars]
    # Wide bars, if the threshold is short and projects have been idle for years.
    fitting = [number for number in parts if longest * number / threshold < most_bars] or [parts[-1]]
    whole = [number for number in fitting if (threshold / number).is_integer()]
    return threshold / (whole or fitting)[0]
