"""The operators for stale projects, as tasks of real DAG runs against the emulator."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import uuid
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest
from airflow.models import DagRun
from airflow.providers.common.compat.sdk import DAG, AirflowFailException
from airflow.providers.common.compat.standard.operators import PythonOperator
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_3_PLUS
from airflow.utils.session import create_session

from airflow_provider_toloka.archiving.scan import FEW_PROJECTS
from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.exceptions import TolokaError
from airflow_provider_toloka.operators.stale import (
    TolokaArchiveStaleProjectsOperator,
    TolokaFindStaleProjectsOperator,
)
from tests.conftest import ROOT
from tests.operators.killed import cleanup, recorded
from tests.processes import Program, until
from tests.running import Ended, Run, ended_tasks, new_dag, posts, run, run_logged, run_task, run_try, store

pytestmark = pytest.mark.usefixtures("airflow_database")

HALF_A_YEAR = timedelta(days=180)
#: Of the account "stale": those with pools in the archive, and those with closed pools and a training.
EMPTY = [str(985 + 5 * i) for i in range(7)]
FULL = [str(986 + 5 * i) for i in range(7)]
STALE = {*EMPTY, *FULL}

both_ways = pytest.mark.parametrize("deferrable", [False, True], ids=["on the worker", "deferrable"])


def find(**arguments: Any) -> Ended:
    return run_task(TolokaFindStaleProjectsOperator, **{"inactive_for": HALF_A_YEAR} | arguments)


def archive(**arguments: Any) -> Ended:
    given = {"project_ids": "all", "inactive_for": HALF_A_YEAR, "poll_interval": 0.2, "deferrable": False}
    if "project_ids" in arguments:
        del given["inactive_for"]
    return run_task(TolokaArchiveStaleProjectsOperator, **given | arguments)


def ids(projects: list[dict[str, Any]]) -> list[str]:
    return [project["id"] for project in projects]


def archived_since(toloka: TolokaEmulator, before: dict[str, Any]) -> set[Any]:
    """Return the projects whose status, or whose pools' or trainings' status, has changed."""
    now = toloka.state()
    return {
        row.get("project_id", row["id"])
        for kind in ("projects", "pools", "trainings")
        for row, was in zip(now[kind], before[kind], strict=True)
        if row["status"] != was["status"]
    }


def submitted_once(toloka: TolokaEmulator) -> bool:
    counted = Counter((one["type"], str(one["parameters"])) for one in toloka.operations.values())
    return set(counted.values()) == {1}


# Finding


def test_finds_the_stale_projects_the_longest_idle_first(stale: TolokaEmulator) -> None:
    found = find().result
    assert set(ids(found)) == STALE
    assert set(found[0]) == {"id", "name", "last_activity", "pools", "trainings", "reason"}
    last = [project["last_activity"] for project in found]
    assert last == sorted(last)
    by_id = {project["id"]: project for project in found}
    assert (by_id["1016"]["name"], by_id["1016"]["pools"], by_id["1016"]["trainings"]) == (
        "Forgotten labelling 36",
        2,
        1,
    )
    assert by_id["1016"]["reason"] == "no activity for 820 days; 3 pools and trainings to archive first"
    requests = Counter((request.method, request.path) for request in stale.requests)
    assert requests == {("GET", path): 1 for path in ("/requester", "/projects", "/pools", "/trainings")}


@pytest.mark.usefixtures("stale")
def test_gives_only_the_ids_if_asked_to() -> None:
    task = find(only_ids=True, name_pattern="{{ 'Forgotten' }}*", exclude_project_ids=["{{ 1016 }}"])
    assert task.result == FULL[-2::-1]


NOW = pendulum.now("UTC")
EARLIER = NOW.subtract(days=400)
LONG_IDLE = {"1005", "1010", "1015", "1006", "1011", "1016"}


@pytest.mark.usefixtures("stale")
@pytest.mark.parametrize(
    "as_of",
    [EARLIER, EARLIER.isoformat(), EARLIER.naive(), "{{ '" + EARLIER.to_iso8601_string() + "' }}"],
    ids=["datetime", "text", "without a zone", "template"],
)
def test_the_reference_time_may_be_given(as_of: datetime | str) -> None:
    assert set(ids(find(as_of=as_of).result)) == LONG_IDLE


@pytest.mark.parametrize("as_of", ["yesterday", "2026-13-01", "P1D"])
def test_a_reference_time_that_is_none_fails_at_once(stale: TolokaEmulator, as_of: str) -> None:
    with pytest.raises(ValueError, match="as_of should be a time in ISO 8601"):
        find(as_of=as_of)
    task = find(as_of=f"{{{{ '{as_of}' }}}}", retries=2)
    assert (task.state, task.tries) == ("failed", 1)
    assert "as_of should be a time in ISO 8601" in task.error
    assert stale.requests == []


@pytest.mark.usefixtures("stale")
@pytest.mark.parametrize("has_date", [True, False])
def test_else_it_is_the_logical_date_or_now(has_date: bool) -> None:
    if not (has_date or AIRFLOW_V_3_0_PLUS):
        pytest.skip("in Airflow 2 every run has a logical date")
    with new_dag() as dag:
        TolokaFindStaleProjectsOperator(task_id="task", inactive_for=HALF_A_YEAR, as_of="logical_date")
    store(dag)
    name = "logical_date" if AIRFLOW_V_3_0_PLUS else "execution_date"
    given: dict[str, Any] = {name: EARLIER if has_date else None}
    dag_run = dag.test(**given)
    found = ended_tasks(dag, dag_run)["task"].result
    assert set(ids(found)) == (LONG_IDLE if has_date else STALE)


# Archiving


@both_ways
def test_archives_the_stale_ones_and_leaves_the_others_alone(stale: TolokaEmulator, deferrable: bool) -> None:
    before = stale.state()
    task = archive(deferrable=deferrable)
    assert task.state == "success", task.errors
    assert set(ids(task.result["archived"])) == archived_since(stale, before) == STALE
    assert {name for name, projects in task.result.items() if projects} == {"archived"}
    for project in task.result["archived"]:
        operation = stale.operations[project["operation_id"]]
        assert operation["parameters"] == {"project_id": project["id"]}
        assert (project["name"], project["try_number"]) == (stale.projects[project["id"]]["public_name"], 1)
    held = [*stale.pools.values(), *stale.trainings.values()]
    assert {row["status"] for row in held if row["project_id"] in STALE} == {"ARCHIVED"}
    assert submitted_once(stale)


@pytest.mark.parametrize("dry_run", [True, "True", "{{ params.dry_run }}"])
def test_a_dry_run_reports_and_sends_no_post(stale: TolokaEmulator, dry_run: bool | str) -> None:
    task = archive(preview=dry_run, params={"dry_run": True})
    assert task.state == "success"
    assert {name for name, projects in task.result.items() if projects} == {"would_archive"}
    assert set(ids(task.result["would_archive"])) == STALE
    assert {request.method for request in stale.requests} == {"GET"}


@pytest.mark.parametrize("dry_run", ["False", "{{ params.dry_run }}"])
def test_a_template_may_turn_the_dry_run_off(stale: TolokaEmulator, dry_run: str) -> None:
    task = archive(preview=dry_run, params={"dry_run": False}, name_pattern="Finished survey 35")
    assert ids(task.result["archived"]) == ["1015"]
    assert posts(stale) == ["/projects/1015/archive"]


@pytest.mark.parametrize("dry_run", [True, False])
def test_too_many_projects_stop_it_before_the_first_change(stale: TolokaEmulator, dry_run: bool) -> None:
    task = archive(max_projects=13, retries=2, preview=dry_run)
    assert (task.state, task.tries) == ("failed", 1)
    assert isinstance(task.errors[0], AirflowFailException)
    assert "14 projects are selected" in task.error
    assert "TolokaFindStaleProjectsOperator lists them" in task.error
    assert "max_projects=14" in task.error
    assert posts(stale) == []


@both_ways
def test_one_that_fails_does_not_stop_the_others_and_is_told_at_the_end(
    stale: TolokaEmulator, deferrable: bool
) -> None:
    stale.add_pool("985", last_rejected=NOW.subtract(days=8).timestamp(), created=NOW.subtract(days=300).timestamp())
    stale.fail_next("TRAINING.ARCHIVE", details={"why": "the moon"})
    stale.add_project("Archived", id="1", status="ARCHIVED")
    task = archive(deferrable=deferrable, project_ids=[*STALE, "1", "404"], inactive_for=HALF_A_YEAR)
    assert task.state == "failed"
    assert isinstance(task.errors[0], TolokaError)
    moonstruck = ({*FULL} - {*ids(task.result["archived"])}).pop()
    reasons = {project["id"]: project["reason"] for project in (*task.result["failed"], *task.result["postponed"])}
    assert set(reasons) == {"985", moonstruck, "404"}
    assert task.error.startswith("3 of ")
    for project_id, told in (
        ("985", "rejected answers in pool 998"),
        (moonstruck, "the moon"),
        ("404", "not found"),
    ):
        assert told in reasons[project_id]
        assert re.search(rf"^ +{project_id} ", task.error, re.MULTILINE)
    assert set(ids(task.result["archived"])) == STALE - {"985", moonstruck}
    assert ids(task.result["already_archived"]) == ["1"]
    assert ids(task.result["postponed"]) == ["985"]


def test_what_only_time_helps_costs_no_retry(stale: TolokaEmulator) -> None:
    stale.add_pool("985", last_rejected=NOW.subtract(days=8).timestamp(), created=NOW.subtract(days=300).timestamp())
    task = archive(project_ids=["985", "990"], retries=3)
    assert (task.state, task.tries) == ("failed", 1)
    assert isinstance(task.errors[0], AirflowFailException)
    task = archive(project_ids=["985"], on_conflict="skip")
    assert task.state == "success"
    (entry,) = task.result["postponed"]
    assert entry["postponed_until"][:10] == NOW.add(days=1).date().isoformat()
    assert entry["reason"] == f"rejected answers in pool {entry['error'].partition('archive pool ')[2].split()[0]}"
    assert "9 days after the last rejection" in entry["remedy"]
    assert "request id" in entry["error"]


def test_a_retry_goes_on_where_it_stands(stale: TolokaEmulator) -> None:
    stale.fail_next("PROJECT.ARCHIVE", times=2)
    task = archive(retries=1)
    assert (task.state, task.tries) == ("success", 2)
    # Airflow 3.3 keeps the record of former tries.
    assert len(task.result["archived"]) == (14 if AIRFLOW_V_3_3_PLUS else 2)
    # Older ones do not; Toloka knows its operations.
    others = task.result["already_archived"]
    assert len(others) == (0 if AIRFLOW_V_3_3_PLUS else 12)
    assert all(one["operation_id"] in stale.operations for one in others)
    assert {stale.projects[id_]["status"] for id_ in STALE} == {"ARCHIVED"}
    counted = Counter((one["type"], str(one["parameters"])) for one in stale.operations.values())
    assert sorted(counted.values())[-3:] == [1, 2, 2]


def one_stale_project(**arguments: Any) -> tuple[DAG, Run]:
    """Run a clean-up of the account that selects project 985 only."""
    with new_dag() as dag:
        TolokaArchiveStaleProjectsOperator(
            task_id="task",
            project_ids="all",
            exclude_project_ids=sorted(STALE - {"985"}),
            inactive_for=HALF_A_YEAR,
            poll_interval=0.2,
            deferrable=False,
            **arguments,
        )
    return dag, run(dag)


def test_a_failure_of_an_earlier_try_does_not_fail_a_try_that_leaves_the_project_alone(stale: TolokaEmulator) -> None:
    stale.fail_next("PROJECT.ARCHIVE")
    dag, ran = one_stale_project()
    assert (ran.state, ids(ran.tasks["task"].result["failed"])) == ("failed", ["985"])
    stale.add_pool("985", status="OPEN")
    run_try(dag, ran.dag_run)
    task = ended_tasks(dag, ran.dag_run)["task"]
    assert (task.state, task.result["failed"]) == ("success", [])
    assert stale.projects["985"]["status"] == "ACTIVE"


@pytest.mark.parametrize("stale", [600], indirect=True)
def test_what_finished_after_the_end_of_a_try_is_archived_for_the_next_one(stale: TolokaEmulator) -> None:
    dag, ran = one_stale_project(timeout=1)
    assert (ran.state, ids(ran.tasks["task"].result["failed"])) == ("failed", ["985"])
    (operation_id,) = stale.operations
    stale.finish(operation_id)
    run_try(dag, ran.dag_run)
    task = ended_tasks(dag, ran.dag_run)["task"]
    assert (task.state, task.result["failed"]) == ("success", [])
    if AIRFLOW_V_3_3_PLUS:  # it keeps the record of former tries
        (archived,) = task.result["archived"]
        assert (archived["id"], archived["operation_id"]) == ("985", operation_id)
    assert posts(stale) == ["/projects/985/archive"]


@pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="the record of former tries is kept from Airflow 3.3 on")
@pytest.mark.parametrize("stale", [600], indirect=True)
def test_a_killed_try_leaves_the_record_of_what_it_archived(stale: TolokaEmulator, tmp_path: Path) -> None:
    dag_id = f"test-{uuid.uuid4()}"
    command = [sys.executable, "-m", "tests.operators.killed", dag_id]
    program = Program(command, dict(os.environ) | {"PYTHONPATH": str(ROOT)}, tmp_path / "log")
    try:
        until("both are submitted", lambda: len(stale.operations) == 2)
        (archived,) = [one["id"] for one in stale.operations.values() if one["parameters"]["project_id"] == "985"]
        stale.finish(archived)
        until("985 is recorded", lambda: "985" in recorded(dag_id), 60)
    finally:
        program.kill_all()
    (unfinished,) = {*stale.operations} - {archived}
    stale.finish(unfinished)
    dag = cleanup(dag_id)
    with create_session() as session:
        dag_run = session.query(DagRun).filter_by(dag_id=dag_id).one()
    run_try(dag, dag_run)
    task = ended_tasks(dag, dag_run)["task"]
    told = {one["id"]: (one["operation_id"], one["try_number"]) for one in task.result["archived"]}
    assert (task.state, told) == ("success", {"985": (archived, 1), "990": (unfinished, 1)})


@both_ways
def test_a_project_that_stays_locked_is_reported_with_the_lock(stale: TolokaEmulator, deferrable: bool) -> None:
    stale.add_pool("985", status="LOCKED")
    task = archive(project_ids=["985", "990"], timeout=3, deferrable=deferrable)
    (failed,) = task.result["failed"]
    assert failed["id"] == "985"
    assert failed["reason"].startswith("timed out (timeout): ")
    assert "unfinished" not in failed["reason"]
    assert deferrable or "is LOCKED" in failed["reason"]
    assert ids(task.result["archived"]) == ["990"]


@both_ways
@pytest.mark.parametrize("what", ["the report cannot be written", "the account cannot be read at the end"])
@pytest.mark.parametrize("stale", [3], indirect=True)
def test_every_ending_pushes_the_result(stale: TolokaEmulator, tmp_path: Path, what: str, deferrable: bool) -> None:
    arguments: dict[str, Any] = {}
    if what == "the report cannot be written":
        (tmp_path / "file").touch()
        arguments["report_path"] = str(tmp_path / "file" / "report.html")
    else:
        stale.fault("GET /requester", delay=0.01)  # it is answered once
        stale.fault("GET /requester", times=None, status=503)
    task = archive(project_ids=["985", "990"], deferrable=deferrable, **arguments)
    assert task.state == ("failed" if arguments else "success")
    assert set(ids(task.result["archived"])) == {"985", "990"}


@pytest.mark.parametrize("count", [2, FEW_PROJECTS + 1])
def test_given_projects_are_archived_unless_they_are_stale_no_more(stale: TolokaEmulator, count: int) -> None:
    more = [stale.add_project(created=NOW.subtract(days=300).timestamp())["id"] for _ in range(count)]
    stale.clear_requests()
    given = [*more, "982", "1008", "984", "404"]
    task = archive(project_ids=given, inactive_for=HALF_A_YEAR)
    result = task.result
    assert set(ids(result["archived"])) == set(more)
    assert ids(result["already_archived"]) == ["984"]
    assert {project["id"]: project["reason"].partition(" at ")[0] for project in result["skipped"]} == {
        "982": "it was created",
        "1008": "pool 2281 'Live' is open",
    }
    assert ids(result["failed"]) == ["404"]
    reads = {request.path for request in stale.requests if request.method == "GET"}
    assert ("/projects/982" in reads) == (count == 2)


def test_project_ids_may_come_from_a_template(stale: TolokaEmulator) -> None:
    task = archive(project_ids=["{{ 1000 + 15 }}"], toloka_conn_id="toloka_{{ 'default' }}")
    assert ids(task.result["archived"]) == ["1015"]
    assert posts(stale) == ["/projects/1015/archive"]


def test_open_pools_are_closed_only_if_that_is_asked_for(stale: TolokaEmulator) -> None:
    assert "pool 2031 'Live' is OPEN" in archive(project_ids=["983"]).error
    assert posts(stale) == []
    assert ids(archive(project_ids=["983"], pools="close_and_archive").result["archived"]) == ["983"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"inactive_for": "{{ 'any' }}"}, "would archive the whole account"),
        ({"project_ids": "{{ '985' }}"}, "project_ids should be a list of ids"),
        ({"project_ids": ["{{ '98/5' }}"]}, "project_ids should be an id"),
        ({"exclude_project_ids": "{{ '985' }}"}, "exclude_project_ids should be a list of ids"),
        ({"preview": "{{ 'perhaps' }}"}, "preview is"),
        ({"pools": "{{ 'all' }}"}, "pools should be one of"),
        ({"max_projects": "{{ 0 }}"}, "max_projects should be a whole number above 0"),
        ({"as_of": "{{ 'soon' }}"}, "as_of should be a time"),
        ({"as_of": "2100-01-01T00:00:00"}, "as_of is later than now"),
    ],
)
def test_wrong_arguments_fail_at_once(stale: TolokaEmulator, arguments: dict[str, Any], told: str) -> None:
    task = archive(**{"retries": 2} | arguments)
    assert (task.state, task.tries) == ("failed", 1)
    assert isinstance(task.errors[0], AirflowFailException)
    assert told in task.error
    assert posts(stale) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"inactive_for": "any"}, "would archive the whole account"),
        ({"project_ids": "985"}, "project_ids should be a list of ids"),
        ({"project_ids": ["98/5"]}, "project_ids should be an id"),
        ({"exclude_project_ids": "985"}, "exclude_project_ids should be a list of ids"),
        ({"preview": "perhaps"}, "preview is"),
        ({"report_path": "report.txt"}, "should end with .html"),
        ({"as_of": NOW.date()}, "a date without a time"),
        ({"as_of": 20260101}, "as_of should be a time in ISO 8601"),
        ({"inactive_for": timedelta(0)}, "inactive_for should be a duration above 0"),
        ({"inactive_for": "half a year"}, "timedelta\\(days=180\\)"),
        ({"pools": "all"}, "pools should be one of"),
        ({"max_projects": 0}, "max_projects should be a whole number above 0"),
        ({"max_projects": timedelta(1)}, "max_projects should be a whole number above 0"),
        ({"on_conflict": "wait"}, "on_conflict should be one of"),
        ({"poll_interval": 0}, "poll_interval should be a duration above 0"),
        ({"timeout": -1}, "timeout should be a duration above 0"),
        ({"timeout": float("inf")}, "timeout should be a duration above 0"),
    ],
)
def test_wrong_arguments_that_are_no_templates_fail_when_the_dag_is_parsed(
    arguments: dict[str, Any], told: str
) -> None:
    given: dict[str, Any] = {"task_id": "a", "project_ids": "all", "inactive_for": 1}
    with pytest.raises(ValueError, match=told):
        TolokaArchiveStaleProjectsOperator(**given | arguments)


@pytest.mark.parametrize("nothing", ["{{ none }}", "", None, "{{ ti.xcom_pull(task_ids='nobody') }}"])
@pytest.mark.parametrize(
    "name",
    ["project_ids", "inactive_for", "name_pattern", "exclude_project_ids", "as_of", "pools", "preview", "max_projects"],
)
@pytest.mark.parametrize("native", [False, True])
def test_an_argument_that_comes_to_nothing_changes_nothing(
    stale: TolokaEmulator, name: str, nothing: str | None, native: bool
) -> None:
    given: dict[str, Any] = {"project_ids": "all", "inactive_for": HALF_A_YEAR, name: nothing}
    try:
        with new_dag(render_native=native) as dag:
            TolokaArchiveStaleProjectsOperator(task_id="task", deferrable=False, **given)
    except ValueError as error:
        told = str(error)
    else:
        task = run(dag).tasks["task"]
        assert task.state == "failed"
        told = task.error
    assert name in told
    assert stale.requests == []


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="Airflow 2 itself fails while it renders such a template")
@pytest.mark.parametrize(
    "name", ["project_ids", "inactive_for", "name_pattern", "as_of", "pools", "preview", "max_projects", "report_path"]
)
def test_a_misspelt_name_in_a_native_template_fails_at_once_and_names_the_parameter(
    stale: TolokaEmulator, name: str
) -> None:
    given: dict[str, Any] = {"project_ids": "all", "inactive_for": HALF_A_YEAR, name: "{{ dag_run.conf.misspelt }}"}
    with new_dag(render_native=True) as dag:
        TolokaArchiveStaleProjectsOperator(task_id="task", deferrable=False, retries=2, **given)
    task = run(dag).tasks["task"]
    assert (task.state, task.tries) == ("failed", 1)
    assert name in task.error
    assert stale.requests == []


@pytest.mark.parametrize("how", ["fail", "return nothing"])
def test_exclusions_of_mapped_tasks_that_come_to_nothing_change_nothing(stale: TolokaEmulator, how: str) -> None:
    def keep(_number: int) -> str | None:
        if how == "fail":
            raise ZeroDivisionError
        return None

    with new_dag() as dag:
        kept = PythonOperator.partial(task_id="keep", python_callable=keep).expand(op_args=[[1], [2]])
        TolokaArchiveStaleProjectsOperator(
            task_id="task",
            project_ids="all",
            inactive_for=HALF_A_YEAR,
            exclude_project_ids=kept.output,
            trigger_rule="all_done",
            deferrable=False,
        )
    task = run(dag).tasks["task"]
    assert task.state == "failed"
    assert "exclude_project_ids" in task.error
    assert stale.requests == []


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("name", ["inactive_for", "name_pattern", "exclude_project_ids", "as_of", "max_projects"])
def test_nothing_is_found_by_an_argument_that_comes_to_nothing(stale: TolokaEmulator, name: str, native: bool) -> None:
    given: dict[str, Any] = {"inactive_for": HALF_A_YEAR, name: "{{ none }}"}
    with new_dag(render_native=native) as dag:
        TolokaFindStaleProjectsOperator(task_id="task", **given)
    task = run(dag).tasks["task"]
    assert task.state == "failed"
    assert name in task.error
    assert stale.requests == []


@pytest.mark.parametrize("is_found_late", [False, True])
def test_a_refused_token_fails_at_once(
    stale: TolokaEmulator, monkeypatch: pytest.MonkeyPatch, is_found_late: bool
) -> None:
    if is_found_late:
        stale.fault("POST /**", times=None, status=401)
    else:
        accepted = os.environ["AIRFLOW_CONN_TOLOKA_DEFAULT"]
        monkeypatch.setenv("AIRFLOW_CONN_TOLOKA_DEFAULT", accepted.replace(stale.token, "another"))
    task = archive(retries=2)
    assert (task.state, task.tries) == ("failed", 1)
    assert isinstance(task.errors[0], AirflowFailException)
    assert "401" in task.error
    assert stale.operations == {}


@pytest.mark.parametrize(("stale", "deferrals"), [(0.3, 0), (2.6, 2)], indirect=["stale"], ids=["quick", "slow"])
def test_what_finishes_while_the_worker_looks_is_not_deferred(stale: TolokaEmulator, deferrals: int) -> None:
    stale.add_project("Two stages", id="1")
    stale.add_pool("1")
    stale.add_project("One stage", id="2")
    task, ran = run_logged(
        TolokaArchiveStaleProjectsOperator, project_ids=["1", "2"], deferrable=True, poll_interval=0.2
    )
    assert task.state == "success"
    assert sorted(ids(task.result["archived"])) == ["1", "2"]
    assert ran.deferrals == deferrals
    assert submitted_once(stale)


@both_ways
def test_the_timeout_ends_the_wait_and_tells_what_is_left(stale: TolokaEmulator, deferrable: bool) -> None:
    running = stale.add_operation("PROJECT.ARCHIVE", status="RUNNING", parameters={"project_id": "985"})
    task = archive(deferrable=deferrable, timeout=3 if deferrable else 1, project_ids=["985", "990"])
    assert task.state == "failed"
    (failed,) = task.result["failed"]
    assert failed["reason"] == "timed out (timeout): archive project 985 not finished"
    assert f"operation {running['id']} (PROJECT.ARCHIVE) is RUNNING" in failed["error"]
    assert ids(task.result["archived"]) == ["990"]
    assert posts(stale) == ["/projects/990/archive"]


@pytest.mark.usefixtures("stale")
def test_the_log_begins_with_the_rule_and_ends_with_the_outcome() -> None:
    arguments: dict[str, Any] = {"project_ids": "all", "inactive_for": HALF_A_YEAR, "deferrable": False}
    _, ran = run_logged(TolokaArchiveStaleProjectsOperator, **arguments)
    assert re.search(r"Account 'Emulated requester' \(.*\): \d+ projects, 14 idle since before", ran.log)
    assert "Archived 14 projects with " in ran.log
    _, ran = run_logged(TolokaArchiveStaleProjectsOperator, name_pattern="no such name", **arguments)
    assert "do not match 'no such name' (a glob, case-sensitive)" in ran.log


def test_a_report_is_written_in_every_ending(stale: TolokaEmulator, tmp_path: Path) -> None:
    stale.fail_next("PROJECT.ARCHIVE")
    task = archive(report_path=str(tmp_path / "{{ ti.task_id }}.json"))
    assert task.state == "failed"
    report = json.loads((tmp_path / "task.json").read_text())
    assert sorted({project["outcome"] for project in report["projects"]}) == ["archived", "failed", "in_use"]
    archive(report_path=str(tmp_path / "again.html"), preview=True)
    assert "<html" in (tmp_path / "again.html").read_text()


@pytest.mark.parametrize("preview", [True, False])
def test_a_report_shows_the_whole_account_but_the_log_and_the_result_do_not(
    stale: TolokaEmulator, tmp_path: Path, preview: bool
) -> None:
    path = tmp_path / "report.json"
    task, ran = run_logged(
        TolokaArchiveStaleProjectsOperator,
        project_ids="all",
        inactive_for=HALF_A_YEAR,
        name_pattern="*1*",
        preview=preview,
        deferrable=False,
        report_path=str(path),
    )
    done = "would_archive" if preview else "archived"
    active = {id_ for id_, one in stale.projects.items() if one["status"] == "ACTIVE"} | STALE
    ours = {id_ for id_ in STALE if "1" in stale.projects[id_]["public_name"]}
    assert {outcome: set(ids(entries)) for outcome, entries in task.result.items() if entries} == {done: ours}
    assert {one["id"] for one in json.loads(path.read_text())["projects"]} == active
    assert "::group::In use" not in ran.log


def test_a_listed_project_that_is_not_stale_is_skipped_in_the_report_of_a_preview(
    stale: TolokaEmulator, tmp_path: Path
) -> None:
    path = tmp_path / "report.json"
    used = min({id_ for id_, one in stale.projects.items() if one["status"] == "ACTIVE"} - STALE)
    task = archive(project_ids=["985", used], inactive_for=HALF_A_YEAR, preview=True, report_path=str(path))
    report = json.loads(path.read_text())
    active = sum(one["status"] == "ACTIVE" for one in stale.projects.values())
    assert (len(report["projects"]), report["counts"]["would_archive"]) == (active, 1)
    others = [one for one in report["projects"] if one["id"] in STALE - {"985"}]
    assert {(one["outcome"], one["reason"]) for one in others} == {("skipped", "not in project_ids")}
    assert ids(task.result["skipped"]) == [used]


def test_an_empty_report_path_means_no_report(stale: TolokaEmulator) -> None:
    assert archive(project_ids=["985"], report_path="{{ '' }}").state == "success"
    assert stale.projects["985"]["status"] == "ARCHIVED"


@pytest.mark.usefixtures("stale")
def test_works_inside_a_running_event_loop() -> None:
    ti = SimpleNamespace(
        dag_id="d", run_id="r", task_id="a", try_number=1, map_index=-1, xcom_push=lambda *_, **__: None
    )

    async def within() -> Any:
        return TolokaFindStaleProjectsOperator(task_id="a", inactive_for=HALF_A_YEAR).execute({"ti": ti})  # type: ignore[typeddict-item]

    assert set(ids(asyncio.run(within()))) == STALE
