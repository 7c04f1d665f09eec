from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_toloka.archiving.plan import (
    Plan,
    PoolsRule,
    Snapshot,
    Step,
    describe,
    explain,
    next_steps,
    project_in_use,
    step_of,
    told_time,
)
from airflow_provider_toloka.client.models import Operation, Pool, Project, Training
from airflow_provider_toloka.client.resources import (
    ARCHIVE_POOL,
    ARCHIVE_PROJECT,
    ARCHIVE_TRAINING,
    CLOSE_POOL,
    CLOSE_TRAINING,
)
from tests.driving import operation, pool, project

RULES: list[PoolsRule] = ["require_archived", "archive_closed", "close_and_archive"]
CLOSE: PoolsRule = "close_and_archive"


def snapshot(pools: str = "", trainings: str = "", running: Any = (), status: str = "ACTIVE") -> Snapshot:
    """Make a project with pools 1, 2, ... and trainings 101, 102, ... of these statuses."""
    return Snapshot(
        project=Project.from_json(project(status=status)),
        pools=[Pool.from_json(pool(str(i), name)) for i, name in enumerate(pools.split(), 1)],
        trainings=[Training.from_json(pool(str(i), name)) for i, name in enumerate(trainings.split(), 101)],
        operations=[
            Operation.from_json(operation(type_, id_=f"op{i}", parameters=parameters))
            for i, (type_, parameters) in enumerate(running)
        ],
    )


def shown(plan: Plan) -> list[str]:
    return [
        *(str(step) for step in plan.steps),
        *(f"wait {operation.type}" for operation in plan.operations),
        *(f"look {text}" for text in plan.locked),
        *(f"stop {text}" for text in plan.blocked),
    ]


@pytest.mark.parametrize(
    ("pools", "trainings", "steps"),
    [
        ("", "", ["archive project 1"]),
        ("ARCHIVED", "ARCHIVED", ["archive project 1"]),
        ("OPEN", "OPEN", ["close pool 1"]),
        ("CLOSED OPEN ARCHIVED", "CLOSED", ["archive pool 1", "close pool 2"]),
        ("CLOSED CLOSED", "OPEN", ["archive pool 1", "archive pool 2"]),
        ("ARCHIVED", "OPEN CLOSED", ["close training 101", "archive training 102"]),
        ("ARCHIVED", "CLOSED", ["archive training 101"]),
        ("LOCKED CLOSED", "", ["archive pool 2", "look pool 1 'P' is LOCKED"]),
        ("ARCHIVED", "LOCKED", ["look training 101 'P' is LOCKED"]),
    ],
)
def test_pools_come_before_trainings_and_these_before_the_project(pools: str, trainings: str, steps: list[str]) -> None:
    assert shown(next_steps(snapshot(pools, trainings), CLOSE)) == steps


@pytest.mark.parametrize("rule", RULES)
def test_an_archived_project_is_done_whatever_it_holds(rule: PoolsRule) -> None:
    plan = next_steps(snapshot("OPEN", "LOCKED", status="ARCHIVED"), rule)
    assert plan.is_empty
    assert shown(plan) == []


@pytest.mark.parametrize("rule", RULES)
def test_a_project_whose_pools_are_archived_is_archived_under_every_rule(rule: PoolsRule) -> None:
    plan = next_steps(snapshot("ARCHIVED", "ARCHIVED"), rule)
    assert plan.steps == (Step(ARCHIVE_PROJECT, "1"),)
    assert not plan.is_empty


@pytest.mark.parametrize(
    ("rule", "pools", "trainings", "blocked"),
    [
        ("require_archived", "CLOSED ARCHIVED", "OPEN", ["pool 1 'P' is CLOSED", "training 101 'P' is OPEN"]),
        ("require_archived", "LOCKED", "", ["pool 1 'P' is LOCKED"]),
        ("archive_closed", "CLOSED OPEN", "CLOSED", ["pool 2 'P' is OPEN"]),
        ("archive_closed", "CLOSED", "OPEN", ["training 101 'P' is OPEN"]),
        ("close_and_archive", "OPEN NEW", "NEWER", ["pool 2 'P' is NEW", "training 101 'P' is NEWER"]),
    ],
)
def test_what_the_rule_forbids_stops_everything(
    rule: PoolsRule, pools: str, trainings: str, blocked: list[str]
) -> None:
    assert next_steps(snapshot(pools, trainings), rule) == Plan(blocked=tuple(blocked))


@pytest.mark.parametrize(
    ("rule", "standing", "plan"),
    [
        (CLOSE, snapshot("OPEN", running=[("POOL.CLOSE", {"pool_id": "1"})]), ["wait POOL.CLOSE"]),
        ("archive_closed", snapshot("OPEN", running=[("POOL.CLOSE", {"pool_id": "1"})]), ["wait POOL.CLOSE"]),
        ("archive_closed", snapshot("OPEN", running=[("POOL.OPEN", {"pool_id": "1"})]), ["stop pool 1 'P' is OPEN"]),
        ("archive_closed", snapshot("CLOSED", running=[("POOL.OPEN", {"pool_id": "1"})]), ["wait POOL.OPEN"]),
        (
            "require_archived",
            snapshot("OPEN", running=[("POOL.CLOSE", {"pool_id": "1"})]),
            ["stop pool 1 'P' is OPEN"],
        ),
        (CLOSE, snapshot("CLOSED", running=[("POOL.ARCHIVE", {"pool_id": "2"})]), ["archive pool 1"]),
        (CLOSE, snapshot("CLOSED", running=[("TRAINING.ARCHIVE", {"training_id": "1"})]), ["archive pool 1"]),
        (CLOSE, snapshot("LOCKED", running=[("POOL.ARCHIVE", {"pool_id": "1"})]), ["wait POOL.ARCHIVE"]),
        (CLOSE, snapshot("", "OPEN", [("TRAINING.CLOSE", {"training_id": "101"})]), ["wait TRAINING.CLOSE"]),
        ("require_archived", snapshot(running=[("PROJECT.ARCHIVE", {"project_id": "1"})]), ["wait PROJECT.ARCHIVE"]),
        ("require_archived", snapshot(running=[("PROJECT.ARCHIVE", {"project_id": "2"})]), ["archive project 1"]),
    ],
)
def test_what_runs_is_waited_for_and_not_submitted_again(rule: PoolsRule, standing: Snapshot, plan: list[str]) -> None:
    assert shown(next_steps(standing, rule)) == plan


@pytest.mark.parametrize(
    ("standing", "done", "plan"),
    [
        (snapshot("OPEN"), Step(CLOSE_POOL, "1"), "look pool 1 'P' is OPEN"),
        (snapshot("CLOSED"), Step(CLOSE_POOL, "1"), "archive pool 1"),
        (snapshot("CLOSED"), Step(ARCHIVE_POOL, "1"), "look pool 1 'P' is CLOSED"),
        (snapshot("", "OPEN"), Step(CLOSE_TRAINING, "101"), "look training 101 'P' is OPEN"),
        (snapshot("", "CLOSED"), Step(ARCHIVE_TRAINING, "101"), "look training 101 'P' is CLOSED"),
        (snapshot(), Step(ARCHIVE_PROJECT, "1"), "look project 1 is not shown as archived yet"),
    ],
)
@pytest.mark.parametrize("rule", [CLOSE, "archive_closed"])
def test_an_effect_that_shows_late_is_looked_at_again(
    rule: PoolsRule, standing: Snapshot, done: Step, plan: str
) -> None:
    assert shown(next_steps(standing, rule, {done})) == [plan]


@pytest.mark.parametrize(
    ("rule", "remedy"),
    [
        ("require_archived", "  pools='archive_closed' archives those that are closed,\n  pools='close_and_archive' "),
        ("archive_closed", "Close them, or let this task do it:\n  pools='close_and_archive' stops paid work."),
        ("close_and_archive", "Clear the task when the cause is fixed"),
    ],
)
def test_the_reason_is_told_with_its_remedy(rule: PoolsRule, remedy: str) -> None:
    told = explain(["pool 1 'P' is OPEN", "pool 2 'P' is OPEN"], rule)
    assert told.startswith("  pool 1 'P' is OPEN\n  pool 2 'P' is OPEN\n")
    assert remedy in told


def test_of_very_many_reasons_some_are_told() -> None:
    told = explain([f"pool {i} is OPEN" for i in range(1000)], CLOSE)
    assert "  pool 19 is OPEN\n  and 980 more\n" in told
    assert "pool 20 " not in told


@pytest.mark.parametrize(
    ("type_", "parameters", "step"),
    [
        ("PROJECT.ARCHIVE", {"project_id": "1"}, Step(ARCHIVE_PROJECT, "1")),
        ("POOL.CLOSE", {"pool_id": "2"}, Step(CLOSE_POOL, "2")),
        ("POOL.ARCHIVE", {"pool_id": "2"}, Step(ARCHIVE_POOL, "2")),
        ("TRAINING.CLOSE", {"training_id": "3"}, Step(CLOSE_TRAINING, "3")),
        ("TRAINING.ARCHIVE", {"training_id": "3"}, Step(ARCHIVE_TRAINING, "3")),
        ("POOL.OPEN", {"pool_id": "2"}, None),
        ("NEW.TYPE", {}, None),
    ],
)
def test_an_operation_is_known_as_a_step(type_: str, parameters: Any, step: Step | None) -> None:
    assert step_of(Operation.from_json(operation(type_, parameters=parameters))) == step


def test_a_pool_without_a_name_is_named_by_its_id() -> None:
    assert describe(Pool(id="1", project_id="1", status="OPEN")) == "pool 1 ''"
    assert describe(Training(id="2", project_id="1", status="OPEN", private_name="It's")) == 'training 2 "It\'s"'


CLEAR = "Nothing more was submitted for this project. Clear the task when the cause is fixed."
LET_CLOSE = "Close them, or let this task do it:\n  pools='close_and_archive' stops paid work."
LET_ARCHIVE = """Archive them first, or let this task do it:
  pools='archive_closed' archives those that are closed,
  pools='close_and_archive' also closes the open ones, which stops paid work."""


@pytest.mark.parametrize(
    ("rule", "remedy"),
    [("require_archived", LET_ARCHIVE), ("archive_closed", LET_CLOSE), ("close_and_archive", CLEAR)],
)
def test_the_explanation_ends_with_the_remedy(rule: PoolsRule, remedy: str) -> None:
    assert explain(["pool 1 'P' is OPEN"], rule) == f"  pool 1 'P' is OPEN\n{remedy}"


@pytest.mark.parametrize(("count", "more"), [(20, []), (21, ["  and 1 more"])])
def test_the_explanation_names_twenty_objects(count: int, more: list[str]) -> None:
    lines = explain([f"pool {number}" for number in range(count)], CLOSE).splitlines()
    assert lines == [*(f"  pool {number}" for number in range(20)), *more, CLEAR]


def test_a_project_without_activity_is_not_in_use() -> None:
    idle = snapshot("CLOSED", "ARCHIVED")
    assert project_in_use(idle, datetime.max.replace(tzinfo=UTC)) == ""


def test_an_unknown_time_is_called_so() -> None:
    assert told_time(None) == "an unknown time"


@pytest.mark.parametrize("hours", [-11, 0, 9])
def test_a_time_with_a_zone_is_converted(hours: int) -> None:
    time = datetime(2026, 1, 31, 20, 30, tzinfo=UTC).astimezone(timezone(timedelta(hours=hours)))
    assert told_time(time) == "2026-01-31 20:30:00 UTC"


@pytest.mark.parametrize(
    ("standing", "reason"),
    [
        (snapshot("CLOSED", running=[("POOL.OPEN", {"pool_id": "1"})]), "pool 1 'P' is being opened"),
        (snapshot("", "CLOSED", [("TRAINING.OPEN", {"training_id": "101"})]), "training 101 'P' is being opened"),
        (snapshot("CLOSED", running=[("POOL.OPEN", {"pool_id": "2"})]), ""),
        (snapshot("CLOSED", running=[("POOL.ARCHIVE", {"pool_id": "1"})]), ""),
        (snapshot("CLOSED OPEN"), "pool 2 'P' is open"),
    ],
)
def test_what_is_open_or_being_opened_is_in_use(standing: Snapshot, reason: str) -> None:
    assert project_in_use(standing, datetime.max.replace(tzinfo=UTC)) == reason


def test_the_effect_of_finished_steps_on_trainings() -> None:
    before = snapshot("OPEN", "OPEN CLOSED CLOSED")
    after = before.after({Step(CLOSE_TRAINING, "101"), Step(ARCHIVE_TRAINING, "102")}, finished=())
    assert [training.status for training in after.trainings] == ["CLOSED", "ARCHIVED", "CLOSED"]
    assert [pool.status for pool in after.pools] == ["OPEN"]
