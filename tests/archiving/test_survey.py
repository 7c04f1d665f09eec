"""From a search to the entries of a report."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from airflow_provider_toloka.archiving.selection import Search, Selection
from airflow_provider_toloka.archiving.survey import survey
from airflow_provider_toloka.client.models import Pool, Project, Training
from airflow_provider_toloka.exceptions import TolokaNotFoundError
from airflow_provider_toloka.reporting import Outcome, ReportedProject
from tests.reporting.accounts import NOW

BEFORE = NOW - timedelta(days=180)


def ago(days: float) -> Any:
    return NOW - timedelta(days=days)


def account(*, keep_others: bool, **selection: Any) -> Search:
    found = Search(Selection(**{"before": BEFORE, **selection}), keep_others=keep_others)
    for id_, days, name in (
        ("1", 400, "Stale"),
        ("2", 400, "Pool is open"),
        ("3", 5, "New"),
        ("4", 400, "Excluded"),
        ("5", 400, "Used lately"),
    ):
        found.see_project(Project(id=id_, status="ACTIVE", public_name=name, created=ago(days)))
    found.see_project(Project(id="6", status="ARCHIVED", public_name="Archived", created=ago(400)))
    found.see_no_more_projects()
    for kind, id_, project_id, status, days in (
        (Pool, "10", "1", "CLOSED", 390),
        (Training, "11", "1", "CLOSED", 385),
        (Pool, "12", "1", "ARCHIVED", 380),
        (Pool, "20", "2", "CLOSED", 390),
        (Pool, "21", "2", "OPEN", 300),
        (Training, "22", "2", "CLOSED", 250),
        (Pool, "40", "4", "CLOSED", 200),
        (Pool, "50", "5", "ARCHIVED", 20),
        (Pool, "51", "5", "CLOSED", 10),
    ):
        found.see(kind(id=id_, project_id=project_id, status=status, created=ago(400), last_started=ago(days)))
    return found


def told(one: ReportedProject) -> tuple[Any, ...]:
    assert one.last_activity
    return one.outcome.value, (NOW - one.last_activity).days, one.pools, one.trainings


def test_each_active_project_has_an_entry() -> None:
    entries = {
        one.id: one for one in survey(account(keep_others=True, exclude_project_ids=["4"]), web_page="at {}".format)
    }
    assert {id_: told(one) for id_, one in entries.items()} == {
        "1": ("would_archive", 380, 1, 1),
        "2": ("in_use", 250, 2, 1),
        "3": ("in_use", 5, 0, 0),
        "4": ("skipped", 200, 1, 0),
        "5": ("in_use", 10, 1, 0),
    }
    assert entries["2"].reason == "pool 21 '' is open"
    assert entries["4"].reason == "it is excluded"
    assert entries["1"].url == "at 1"


def test_without_the_others_only_the_selected_ones_are_kept() -> None:
    found = account(keep_others=False, exclude_project_ids=["4"])
    assert [one.id for one in survey(found)] == ["1"]
    assert not found.may_want({"project_id": "2"})
    assert account(keep_others=True).may_want({"project_id": "2"})


def test_an_entry_has_all_that_is_known_of_a_project() -> None:
    found = account(keep_others=True, exclude_project_ids=["4"])
    selected, *_ = survey(found, web_page="at {}".format, try_number=2)
    assert selected == ReportedProject(
        id="1",
        name="Stale",
        outcome=Outcome.WOULD_ARCHIVE,
        last_activity=ago(380),
        pools=1,
        trainings=1,
        url="at 1",
        try_number=2,
    )
    assert [(one.url, one.try_number) for one in survey(found)] == [(None, None)] * 5


def test_an_entry_of_a_project_that_was_asked_for_and_is_not_there() -> None:
    found = account(keep_others=False, project_ids=["1", "3", "6", "7"])
    found.unreadable["7"] = TolokaNotFoundError("Could not find it.", reason="not found", remedy="Check the id.")
    entries = {one.id: one for one in survey(found, web_page="at {}".format, try_number=2)}
    assert entries["3"] == ReportedProject(
        id="3", outcome=Outcome.SKIPPED, reason=found.refused["3"], url="at 3", try_number=2
    )
    assert entries["7"] == ReportedProject(
        id="7",
        outcome=Outcome.FAILED,
        reason="not found",
        remedy="Check the id.",
        error="Could not find it.",
        url="at 7",
        try_number=2,
    )
    assert entries["6"].last_activity is None
    assert [one.url for one in survey(found)] == [None] * 4


@pytest.mark.parametrize("keep_others", [False, True])
def test_projects_that_were_asked_for_by_id_have_one_entry_each(keep_others: bool) -> None:
    found = account(keep_others=keep_others, project_ids=["1", "2", "3", "6", "7"])
    found.unreadable["7"] = TolokaNotFoundError("Could not find it.", reason="not found", remedy="Check the id.")
    entries = survey(found)
    assert sorted(one.id for one in entries) == ["1", "2", "3", "6", "7"]
    assert {one.outcome.value for one in entries if one.id in ("1", "6", "7")} == {
        "would_archive",
        "already_archived",
        "failed",
    }


def test_the_search_counts_what_it_leaves_out() -> None:
    found = account(keep_others=False, exclude_project_ids=["4", "6", "99"], name_pattern="*a*")
    assert found.active == 5
    assert found.excluded == {"4"}
    assert found.not_matching == 2  # "Pool is open", "New"
