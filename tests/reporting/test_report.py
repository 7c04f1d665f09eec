"""A report as data: merged over tries, to JSON and back."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from airflow_provider_toloka.reporting import Outcome, Report, ReportedProject
from tests.reporting.accounts import NASTY, NOW, project, report

FULL = report(
    project(
        outcome=Outcome.ARCHIVED,
        name=NASTY,
        reason="why",
        remedy="what to do",
        pools=2,
        trainings=1,
        operation_id="57068577e4b0bf7b07a0256f",
        finished=NOW,
        try_number=2,
    ),
    project("1002", Outcome.POSTPONED, idle=None, name=None, url=None, postponed_until=NOW + timedelta(days=7)),
)


def test_it_comes_back_from_json_as_it_was() -> None:
    again = Report.from_json(json.loads(json.dumps(FULL.to_json())))
    assert again == replace(FULL, projects=tuple(FULL.ordered()))
    bare = report(run=None, before=None, account=None, account_id=None, dry_run=True)
    assert Report.from_json(json.loads(json.dumps(bare.to_json()))) == bare


def test_json_has_the_counts_and_the_times_in_utc() -> None:
    told = FULL.to_json()
    assert told["counts"] == {"postponed": 1, "archived": 1}
    assert told["projects"][-1]["finished"] == "2026-11-25T10:00:00+00:00"


def test_json_of_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="format 99"):
        Report.from_json(FULL.to_json() | {"format": 99})


def test_entries_may_come_from_a_newer_version() -> None:
    entry = project().to_json() | {"colour": "green"}
    assert ReportedProject.from_json(entry) == project()


def outcomes(of: Report) -> dict[str, str]:
    return {one.id: one.outcome.value for one in of.projects}


def test_the_tries_of_a_task_are_merged() -> None:
    first = [
        project("1", Outcome.ARCHIVED, pools=3, operation_id="a", try_number=1),
        project("2", Outcome.ARCHIVED, operation_id="b", try_number=1),
        project("3", Outcome.FAILED, reason="pool 9 is OPEN", remedy="Close it.", operation_id="c", try_number=1),
        project("4", Outcome.WOULD_ARCHIVE, pools=2, try_number=1),
    ]
    second = report(
        project("2", Outcome.ALREADY_ARCHIVED, idle=None, name=None, try_number=2),
        project("3", Outcome.ARCHIVED, operation_id="d", finished=NOW, try_number=2),
        project("4", Outcome.ARCHIVED, idle=None, name=None, url=None, operation_id="e", try_number=2),
        project("5", Outcome.IN_USE, idle=1),
    )
    merged = second.after(first)
    assert outcomes(merged) == {"1": "archived", "2": "archived", "3": "archived", "4": "archived", "5": "in_use"}
    entries = {one.id: one for one in merged.projects}
    assert [(entries[id_].operation_id, entries[id_].try_number) for id_ in "1234"] == [
        ("a", 1),
        ("b", 1),
        ("d", 2),
        ("e", 2),
    ]
    assert (entries["3"].reason, entries["3"].remedy) == ("", "")
    # What only the first try knew is kept.
    assert (entries["4"].name, entries["4"].pools) == ("Project 4", 2)
    assert entries["4"].last_activity == NOW - timedelta(days=200)


def test_an_update_replaces_the_entry_with_its_id() -> None:
    before = report(project("1", Outcome.WOULD_ARCHIVE, pools=2), project("2", Outcome.IN_USE))
    after = before.updated([ReportedProject(id="1", outcome=Outcome.POSTPONED), project("3")])
    assert outcomes(after) == {"1": "postponed", "2": "in_use", "3": "archived"}
    assert (after.projects[0].name, after.projects[0].pools) == ("Project 1", 2)
    assert outcomes(before) == {"1": "would_archive", "2": "in_use"}


def test_a_reader_sees_failures_first_and_then_the_longest_idle() -> None:
    shuffled = report(
        project("1", Outcome.IN_USE, idle=5),
        project("2", Outcome.ARCHIVED, idle=300),
        project("3", Outcome.ARCHIVED, idle=400),
        project("4", Outcome.FAILED),
        project("5", Outcome.POSTPONED),
        project("6", Outcome.ARCHIVED, idle=None),
    )
    assert [one.id for one in shuffled.ordered()] == ["4", "5", "6", "3", "2", "1"]
    assert {one.id for one in shuffled.selected} == {"2", "3", "4", "5", "6"}
    assert shuffled.inactive_for == timedelta(days=180)
