"""The lines of a log: the rule first, the outcome last, a line for each project."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_toloka.reporting import Outcome, ReportedProject, log_lines
from airflow_provider_toloka.reporting.words import age, duration
from tests.reporting.accounts import NASTY, NOW, project, report

NOT_ACTIVE = "are not active projects of this account"
WEEK_LATER = NOW + timedelta(days=7)


def many(count: int, outcome: Outcome, first: int = 1, **more: Any) -> list[ReportedProject]:
    return [project(str(first + place), outcome, **more) for place in range(count)]


def test_the_first_line_is_the_rule() -> None:
    account = report(*many(13, Outcome.WOULD_ARCHIVE), *many(27, Outcome.IN_USE, 100, idle=3))
    assert log_lines.first_line(account) == (
        "Account 'Acme' (production): 40 projects, 13 idle since before 2026-05-29 (180 days)"
    )


def test_the_first_line_without_an_age() -> None:
    line = log_lines.account_line(account=None, environment="sandbox", projects=1, selected=1)
    assert line == "Account (sandbox): 1 project, 1 selected"


@pytest.mark.parametrize(
    ("projects", "line"),
    [
        (
            [
                *many(10, Outcome.ARCHIVED),
                project("99", pools=25),
                *many(2, Outcome.POSTPONED, 50, postponed_until=WEEK_LATER),
            ],
            "Archived 11 projects with 25 pools; 2 postponed to 2026-12-02",
        ),
        (
            [
                *many(2, Outcome.ARCHIVED, pools=1, trainings=1),
                *many(1, Outcome.FAILED, 20),
                project("30", Outcome.POSTPONED, postponed_until=WEEK_LATER),
                project("31", Outcome.POSTPONED, postponed_until=WEEK_LATER + timedelta(days=1)),
            ],
            "Archived 2 projects with 4 pools and trainings; 1 failed; 2 postponed, the first to 2026-12-02",
        ),
        ([project("1", pools=1), project("2", Outcome.FAILED)], "Archived project 1 'Project 1' in 13 s; 1 failed"),
        (many(2, Outcome.FAILED), "Archived 0 projects; 2 failed"),
        (
            [project("1001", name="Cats or dogs"), project("5", Outcome.IN_USE)],
            "Archived project 1001 'Cats or dogs' in 13 s; 1 in use, left alone",
        ),
        (
            [project("1006", Outcome.ALREADY_ARCHIVED, name="Voice commands")],
            "Project 1006 'Voice commands' is archived already",
        ),
        (many(2, Outcome.ALREADY_ARCHIVED), "Archived 0 projects: 2 are archived already"),
        (many(3, Outcome.IN_USE), "Archived 0 projects; 3 in use, left alone"),
        ([], "Archived 0 projects: none was selected"),
        (
            [*many(12, Outcome.WOULD_ARCHIVE), project("99", Outcome.WOULD_ARCHIVE, pools=14, trainings=7)],
            "DRY RUN: 13 projects would be archived, with 21 pools and trainings; nothing was changed",
        ),
        (
            many(1, Outcome.WOULD_ARCHIVE, trainings=1),
            "DRY RUN: 1 project would be archived, with 1 training; nothing was changed",
        ),
        (many(2, Outcome.WOULD_ARCHIVE), "DRY RUN: 2 projects would be archived; nothing was changed"),
        (
            [*many(1, Outcome.WOULD_ARCHIVE), project("9", Outcome.FAILED)],
            "DRY RUN: 1 project would be archived; nothing was changed; 1 failed",
        ),
    ],
)
def test_the_last_line_is_the_outcome(projects: list[ReportedProject], line: str) -> None:
    assert log_lines.last_line(projects, seconds=13) == line


def test_the_last_line_of_a_preview_that_finds_nothing_says_that_it_was_one() -> None:
    told = log_lines.last_line([], dry_run=True)
    assert told == "DRY RUN: 0 projects would be archived; nothing was changed"


def test_a_row_has_the_reason_before_the_name() -> None:
    reason = "rejected answers in pool 90003 [HTTP status 409, code 'THERE_IS_REJECTED_ASSIGNMENT', request id '337d']"
    rows = log_lines.rows(
        [
            project(
                "50003",
                Outcome.POSTPONED,
                name="Bounding boxes around everything that moves in the street",
                reason=reason,
                postponed_until=WEEK_LATER,
            ),
            project(
                "7", Outcome.FAILED, name="Cats\nor dogs", reason="GET https://toloka.dev/api/v1/projects/7\nfailed"
            ),
            project("8", Outcome.IN_USE, name=None),
        ]
    )
    assert rows == [
        "50003  postponed to 2026-12-02  rejected answers in pool 90003  Bounding boxes around everything that m…",
        "7      failed                   GET failed                      Cats\\nor dogs",
        "8      in use",
    ]


def test_one_long_reason_pushes_no_name_out_of_sight() -> None:
    rows = log_lines.rows(
        [project("1", Outcome.FAILED, reason="x" * 500), project("2", Outcome.FAILED, reason="short")]
    )
    assert len(rows[0]) < 140
    assert rows[1].index("Project 2") < 80


def test_a_long_table_ends_with_where_the_rest_is() -> None:
    rows = log_lines.rows(many(1_234, Outcome.ARCHIVED), most=30, rest="/reports/stale.html")
    assert len(rows) == 31
    assert rows[-1] == "and 1,204 more: see /reports/stale.html"
    assert len(log_lines.rows(many(30, Outcome.ARCHIVED), most=30)) == 30


def test_long_tables_are_folded() -> None:
    assert log_lines.grouped("Archived", ["a"]) == ["Archived", "a"]
    folded = log_lines.grouped("Archived", ["a"] * 15)
    assert (folded[0], folded[-1], len(folded)) == ("::group::Archived", "::endgroup::", 17)


def test_a_failure_tells_each_remedy_once_on_a_line_of_its_own() -> None:
    remedy = "Set pools='close_and_archive' to close open pools."
    told = log_lines.failure(
        [
            project("1", Outcome.FAILED, reason="pool 9 is OPEN", remedy=remedy),
            project("2", Outcome.FAILED, reason="pool 8 is OPEN", remedy=remedy),
        ],
        of=12,
    )
    assert told.splitlines() == [
        "2 of 12 projects could not be archived:",
        "  1  failed  pool 9 is OPEN  Project 1",
        "  2  failed  pool 8 is OPEN  Project 2",
        f"  {remedy}",
        "Fix the causes and clear the task; archived projects are not touched again.",
    ]


@pytest.mark.parametrize(
    ("given", "warnings"),
    [
        (
            {"projects": 40, "not_matching": 40, "name_pattern": "^Forgotten.*"},
            ["0 of 40 projects: 40 do not match '^Forgotten.*' (a glob, case-sensitive)"],
        ),
        (
            {"projects": 40, "not_matching": 38, "excluded": 2, "name_pattern": "^Forgotten.*"},
            ["0 of 40 projects: 38 do not match '^Forgotten.*' (a glob, case-sensitive), 2 are excluded"],
        ),
        (
            {"projects": 1, "not_matching": 1, "name_pattern": "x"},
            ["0 of 1 project: 1 does not match 'x' (a glob, case-sensitive)"],
        ),
        ({"projects": 40, "not_matching": 39, "name_pattern": "F*"}, []),
        ({"projects": 0, "name_pattern": "F*"}, []),
        ({"projects": 40}, []),
        (
            {"projects": 40, "unknown_exclusions": ["7"]},
            ["exclude_project_ids: 7 is not an active project of this account"],
        ),
        (
            {"projects": 40, "unknown_exclusions": [str(number) for number in range(12)]},
            ["exclude_project_ids: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more " + NOT_ACTIVE],
        ),
    ],
)
def test_what_fits_nothing_is_warned_about(given: dict[str, object], warnings: list[str]) -> None:
    assert log_lines.selection_warnings(**given) == warnings  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"done": 11, "total": 25}, "Archived 11 of 25 projects"),
        ({"done": 0, "total": 1, "failed": 1}, "Archived 0 of 1 project; 1 failed"),
        ({"done": 5, "total": 2_500, "seconds_left": 4_000}, "Archived 5 of 2,500 projects; about 1 h 6 min left"),
    ],
)
def test_progress(given: dict[str, float], line: str) -> None:
    assert log_lines.progress_line(**given) == line  # type: ignore[arg-type]


def test_names_stay_on_their_line() -> None:
    entry = project("1", name=NASTY, reason=NASTY)
    for line in (*log_lines.rows([entry]), log_lines.last_line([entry]), log_lines.archived_line("1", NASTY)):
        assert line.isprintable()


@pytest.mark.parametrize(
    ("how_long", "told"),
    [
        (timedelta(days=180), "180 days"),
        (timedelta(days=1), "1 day"),
        (timedelta(hours=12), "12 hours"),
        (timedelta(hours=1), "1 hour"),
        (timedelta(days=2, hours=12), "2.5 days"),
        (timedelta(days=1234), "1,234 days"),
    ],
)
def test_ages(how_long: timedelta, told: str) -> None:
    assert age(how_long) == told


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.4, "0 s"), (13, "13 s"), (125, "2 min 5 s"), (59.9, "1 min 0 s"), (3_780, "1 h 3 min")]
)
def test_durations(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_dates_are_in_utc() -> None:
    late = datetime(2026, 5, 29, 23, tzinfo=UTC).astimezone(datetime.fromisoformat("2026-01-01T00:00:00+09:00").tzinfo)
    line = log_lines.account_line(account="A", environment="production", projects=2, selected=1, before=late)
    assert line == "Account 'A' (production): 2 projects, 1 idle since before 2026-05-29"
