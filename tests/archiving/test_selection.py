"""Which projects are stale: the rules by themselves."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pendulum
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_toloka.archiving.selection import Search, Selection, table
from airflow_provider_toloka.client.models import Operation, Pool, Project, Training

AS_OF = pendulum.datetime(2026, 7, 1, tz="UTC")
IDLE = timedelta(days=180)
BEFORE = AS_OF - IDLE
INSTANT = timedelta(milliseconds=1)
TIMES = ("created", "last_started", "last_stopped")


def ago(days: float) -> pendulum.DateTime:
    return AS_OF - timedelta(days=days)


def project(project_id: str = "1", days: float | None = 400, name: str | None = "A survey", **more: Any) -> Project:
    created = None if days is None else ago(days)
    return Project(**{"id": project_id, "status": "ACTIVE", "public_name": name, "created": created} | more)


def pool(project_id: str = "1", kind: type[Training] = Pool, **more: Any) -> Any:
    given: dict[str, Any] = {"id": "10", "project_id": project_id, "status": "CLOSED", "created": ago(390)}
    return kind(**given | more)


def search(*seen: Project | Pool | Training, **selection: Any) -> Search:
    """Let the projects go by, and then the rest."""
    made = Search(Selection(**{"before": BEFORE} | selection))
    for one in seen:
        if isinstance(one, Project):
            made.see_project(one)
    made.see_no_more_projects()
    for one in seen:
        if not isinstance(one, Project):
            made.see(one)
    return made


def ids(found: Search) -> list[str]:
    return [candidate.project.id for candidate in found.found()]


@pytest.mark.parametrize(
    ("created", "is_stale"), [(BEFORE - INSTANT, True), (BEFORE, False), (BEFORE + INSTANT, False)]
)
def test_a_project_is_stale_when_it_was_created_more_than_so_long_ago(
    created: pendulum.DateTime, is_stale: bool
) -> None:
    assert bool(ids(search(project(created=created)))) == is_stale


@pytest.mark.parametrize("kind", [Pool, Training])
@pytest.mark.parametrize("field", TIMES)
@pytest.mark.parametrize("status", ["CLOSED", "LOCKED", "ARCHIVED"])
@pytest.mark.parametrize(("time", "is_stale"), [(BEFORE - INSTANT, True), (BEFORE, False)])
def test_each_time_of_each_pool_and_training_counts(
    kind: type[Training], field: str, status: str, time: pendulum.DateTime, is_stale: bool
) -> None:
    given: dict[str, Any] = {"status": status, field: time}
    assert bool(ids(search(project(), pool(kind=kind, **given)))) == is_stale


@pytest.mark.parametrize("kind", [Pool, Training])
def test_a_project_with_an_open_pool_or_training_is_not_stale(kind: type[Training]) -> None:
    assert ids(search(project(), pool(kind=kind, status="OPEN"))) == []


def test_an_archived_project_is_not_stale() -> None:
    assert ids(search(project(status="ARCHIVED"))) == []


def test_a_project_whose_age_is_not_known_is_not_stale() -> None:
    assert ids(search(project(days=None))) == []


def test_a_pool_whose_times_are_not_known_does_not_count() -> None:
    assert ids(search(project(), pool(created=None))) == ["1"]


def test_the_use_of_one_project_is_none_of_another() -> None:
    assert ids(search(project("1"), project("2"), pool("2", status="OPEN"))) == ["1"]


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("test *", "test 1", True),
        ("test *", "Test 1", False),
        ("test *", "a test 1", False),
        ("*", None, True),
        ("?*", None, False),
        ("t[ae]st", "tast", False),
        ("[DRAFT] *", "[DRAFT] cats", True),
        ("[DRAFT] *", "T shirts", False),
        ("[!a]?", "[!a]b", True),
        (None, "whatever", True),
    ],
)
def test_the_name_has_to_fit_the_whole_glob(pattern: str | None, name: str | None, fits: bool) -> None:
    assert bool(ids(search(project(name=name), name_pattern=pattern))) == fits


def test_excluded_projects_are_left_out() -> None:
    assert ids(search(project("1"), project("2"), exclude_project_ids=["2", "3"])) == ["1"]


def test_of_those_asked_for_by_id_it_says_why_one_is_not_selected() -> None:
    seen = [
        project("1"),
        project("2", days=10),
        project("3"),
        pool("3", status="OPEN", private_name="Live"),
        project("4"),
        pool("4", id="11", kind=Training, last_started=ago(20)),
        project("5"),
        project("6", name="Other"),
        project("7"),
    ]
    found = search(
        *seen, project_ids=["1", "2", "3", "4", "5", "6"], exclude_project_ids=["5"], name_pattern="A survey"
    )
    assert ids(found) == ["1"]
    assert found.refused == {
        "2": "it was created at 2026-06-21 00:00:00 UTC, not before 2026-01-02 00:00:00 UTC",
        "3": "pool 10 'Live' is open",
        "4": "training 11 '' was in use at 2026-06-11 00:00:00 UTC, not before 2026-01-02 00:00:00 UTC",
        "5": "it is excluded",
        "6": "its name 'Other' does not match 'A survey'",
    }


def test_without_a_time_every_project_asked_for_is_selected() -> None:
    seen = [project("1", days=0), pool("1", status="OPEN"), project("2", days=None), project("3", status="ARCHIVED")]
    found = search(*seen, before=None, project_ids=["1", "2", "3"])
    assert set(ids(found)) == {"1", "2", "3"}
    assert found.refused == {}


def test_the_longest_idle_comes_first() -> None:
    seen = [project("1", days=300), project("2", days=500), pool("2", created=ago(200)), project("3", days=400)]
    assert ids(search(*seen)) == ["3", "1", "2"]


@pytest.mark.parametrize(
    ("held", "reason"),
    [
        ([], "no activity for 400 days"),
        ([{"status": "ARCHIVED"}], "no activity for 390 days"),
        ([{}], "no activity for 390 days; 1 pool to archive first"),
        (
            [{"last_stopped": ago(200)}, {"kind": Training}],
            "no activity for 200 days; 2 pools and trainings to archive first",
        ),
    ],
)
def test_a_project_is_reported_with_its_age_and_what_is_left(held: list[dict[str, Any]], reason: str) -> None:
    found = search(project(), *(pool(**{"id": str(i), **fields}) for i, fields in enumerate(held)))
    left = [fields for fields in held if "status" not in fields]
    (candidate,) = found.found()
    report = candidate.report(AS_OF)
    last_activity = pendulum.parse(str(report.pop("last_activity")))
    assert f"for {(AS_OF - last_activity).days} days" in reason  # type: ignore[operator,union-attr]
    assert report == {
        "id": "1",
        "name": "A survey",
        "pools": sum("kind" not in fields for fields in left),
        "trainings": sum("kind" in fields for fields in left),
        "reason": reason,
    }


def test_an_age_that_is_not_known_is_said_so() -> None:
    (candidate,) = search(project(days=None), before=None, project_ids=["1"]).found()
    report = candidate.report(AS_OF)
    assert (report["last_activity"], report["reason"]) == (None, "no activity is known")


def test_how_a_project_stands_holds_what_runs_on_it_and_on_what_is_in_it() -> None:
    found = search(project("1"), pool("1"), pool("1", id="20", kind=Training), project("2"), pool("2", id="11"))
    running: dict[str, tuple[str, dict[str, Any]]] = {
        "p": ("PROJECT.ARCHIVE", {"project_id": "1"}),
        "q": ("POOL.ARCHIVE", {"pool_id": "10"}),
        "t": ("TRAINING.CLOSE", {"training_id": 20}),
        "x": ("POOL.ARCHIVE", {"pool_id": "11"}),
        "y": ("TRAINING.CLOSE", {"training_id": "10"}),
        "z": ("SOMETHING", {}),
    }
    for id_, (type_, parameters) in running.items():
        found.see_operation(Operation(id=id_, type=type_, status="RUNNING", parameters=parameters))
    snapshot = found.snapshot(found.candidates["1"])
    assert {operation.id for operation in snapshot.operations} == {"p", "q", "t"}
    assert [one.id for one in (*snapshot.pools, *snapshot.trainings)] == ["10", "20"]


HELD = st.lists(
    st.tuples(
        st.sampled_from(["1", "2", "3"]),
        st.sampled_from([Pool, Training]),
        st.sampled_from(["OPEN", "CLOSED", "ARCHIVED"]),
        st.integers(170, 190),
        st.sampled_from(TIMES),
    ),
    max_size=6,
)


@given(ages=st.lists(st.integers(170, 190), max_size=3), held=HELD, early=st.integers(0, 6))
def test_a_pool_that_goes_by_before_its_project_counts_the_same(
    ages: list[int], held: list[tuple[str, type[Training], str, int, str]], early: int
) -> None:
    projects = [project(str(i), days) for i, days in enumerate(ages, 1)]
    items = [
        pool(project_id, kind, **{"id": str(i), "created": None, "status": status, field: ago(days)})
        for i, (project_id, kind, status, days, field) in enumerate(held)
    ]
    late = search(*projects, *items)
    mixed = Search(Selection(before=BEFORE))
    for one, item in itertools.zip_longest(projects, items[:early]):
        if item:
            mixed.see(item)
        if one:
            mixed.see_project(one)
    mixed.see_no_more_projects()
    for item in items[early:]:
        mixed.see(item)
    assert mixed.found() == late.found()
    expected = {
        one.id
        for one, age in zip(projects, ages, strict=True)
        if age > IDLE.days
        and all(days > IDLE.days and status != "OPEN" for id_, _, status, days, _ in held if id_ == one.id)
    }
    assert set(ids(late)) == expected


def test_without_a_time_nothing_speaks_against_a_pool() -> None:
    everything = Selection()
    assert everything.reason_against(pool(status="OPEN")) == ""
    assert everything.allows(pool(status="OPEN"))


def test_a_project_that_is_left_alone_counts_what_it_holds_and_keeps_its_last_use() -> None:
    made = Search(Selection(before=BEFORE), keep_others=True)
    made.see_project(project())
    made.see_no_more_projects()
    made.see(pool(id="10", last_started=ago(300)))
    made.see(pool(id="11", kind=Training))
    made.see(pool(id="12", status="OPEN", last_started=ago(5)))
    for number in (13, 14):
        made.see(pool(id=str(number), kind=Training, last_started=ago(50)))
        made.see(pool(id=str(number + 10)))
    left = made.left_alone["1"]
    assert (left.pools, left.trainings, left.last_activity) == (4, 3, ago(5))
    assert (left.reason, left.is_left_out) == ("pool 12 '' is open", False)


def rows(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"id": str(1000 + number), "name": f"Name {number}", "reason": "idle", **more} for number in range(count)]


def test_the_table_has_a_line_for_each_project() -> None:
    assert table(rows(2)) == (
        "        1000  'Name 0'                                    idle\n"
        "        1001  'Name 1'                                    idle"
    )


def test_the_table_indents_the_further_lines_of_a_reason() -> None:
    first, second = table(rows(1, name=None, reason="one\ntwo")).splitlines()
    assert (first.index("one"), second) == (len(second) - 3, " " * (len(second) - 3) + "two")
    assert "''" in first


@pytest.mark.parametrize(("count", "more"), [(50, []), (51, ["  … and 1 more"])])
def test_the_table_shows_fifty_projects(count: int, more: list[str]) -> None:
    assert table(rows(count)).splitlines()[50:] == more
