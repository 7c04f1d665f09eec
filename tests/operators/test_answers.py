"""The operators for answers, as tasks of real DAG runs against the emulator."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_toloka.client import TolokaClient
from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.emulator.options import Tolokers
from airflow_provider_toloka.exceptions import TolokaTimeoutError
from airflow_provider_toloka.operators.answers import TolokaAggregateOperator, TolokaExportAssignmentsOperator
from tests.labelling.forms import POOL, PROJECT
from tests.running import new_dag, posts, run, run_logged

pytestmark = pytest.mark.usefixtures("airflow_database")

AGGREGATE = "/aggregated-solutions/aggregate-by-pool"
OPERATION_ID = "5c04458e-63c1-46c1-ba0d-6f0756a5358b"


@pytest.fixture
def toloka(monkeypatch: pytest.MonkeyPatch) -> Iterator[TolokaEmulator]:
    with TolokaEmulator(operation_seconds=0.1, tolokers=Tolokers(count=4), quotas=False) as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_TOLOKA_DEFAULT", json.dumps(emulator.connection | {"extra": {"retries": 1}}))
        yield emulator


@pytest.fixture
def pool_id(toloka: TolokaEmulator) -> str:
    """A closed pool whose tasks all have answers."""
    tasks = [{"input_values": {"image": f"https://example.com/{number}.jpg"}} for number in range(7)]
    with TolokaClient.from_token(toloka.token, url=toloka.url, allow_http=True) as client:
        project = client.create_project(PROJECT, key="p")
        pool = client.create_pool({**POOL, "project_id": project.id}, key="pool")
        added = client.add_tasks([{**task, "pool_id": pool.id} for task in tasks], operation_id=OPERATION_ID)
        client.wait_for_operation(added.id, poll_interval=0.1)
        opening = client.open_pool(pool.id)
        assert opening
        client.wait_for_operation(opening.id, poll_interval=0.1)
    assert toloka.pools[pool.id]["status"] == "CLOSED"
    toloka.clear_requests()
    return pool.id


def aggregate(pool_id: str, **more: Any) -> Any:
    arguments = {"pool_id": pool_id, "fields": ["result"], "method": "DAWID_SKENE", "poll_interval": 0.1}
    return run_logged(TolokaAggregateOperator, **arguments | more)


@pytest.mark.parametrize("carry_out", [False, True], ids=["lost", "carried out"])
def test_nothing_is_aggregated_after_the_deadline(toloka: TolokaEmulator, pool_id: str, carry_out: bool) -> None:
    toloka.fault(f"POST {AGGREGATE}", status=503, headers={"Retry-After": "2"}, carry_out=carry_out)
    task, _ = aggregate(pool_id, timeout=1, retries=1)
    # An aggregation that was started is found, and only one that is missing is too late.
    assert [type(error) for error in task.errors] == ([] if carry_out else [TolokaTimeoutError])
    assert (task.state, task.tries, len(posts(toloka))) == ("success", 2 - carry_out, 2 - carry_out)


def test_a_late_aggregation_is_named(toloka: TolokaEmulator, pool_id: str) -> None:
    toloka.fault(f"GET /pools/{pool_id}", times=None, delay=1)
    task, _ = aggregate(pool_id, timeout=1)
    assert task.error == (
        f"Timed out (timeout): the answers of pool {pool_id} are not aggregated. Clear the task to resume waiting, or "
        "increase timeout."
    )
    assert posts(toloka) == []


def test_the_outcome_has_the_number_of_requests(toloka: TolokaEmulator, pool_id: str, tmp_path: Path) -> None:
    _, ran = aggregate(pool_id)
    assert f"Aggregated the answers of pool {pool_id} ({len(toloka.requests)} requests)" in ran.log
    toloka.clear_requests()
    _, ran = aggregate(pool_id, path=str(tmp_path / "a.csv"), format="csv")
    assert f"Wrote 7 rows to {tmp_path}/a.csv ({len(toloka.requests)} requests)" in ran.log
    toloka.clear_requests()
    _, ran = run_logged(TolokaExportAssignmentsOperator, pool_id=pool_id, path=str(tmp_path / "b.jsonl"))
    assert re.search(rf"Wrote 21 rows of \d+ assignments to {tmp_path}/b.jsonl \(2 requests\)", ran.log)
    assert len(toloka.requests) == 2


AGGREGATION: dict[str, Any] = {"pool_id": "1", "fields": ["result"], "method": "DAWID_SKENE"}
EXPORT: dict[str, Any] = {"pool_id": "1", "path": "answers.jsonl"}
WRONG: list[tuple[type[BaseOperator], dict[str, Any], str]] = [
    (TolokaAggregateOperator, AGGREGATION | {"method": "NONSENSE"}, "method should be one of"),
    (TolokaAggregateOperator, AGGREGATION | {"fields": "a"}, "fields should be a list"),
    (TolokaAggregateOperator, AGGREGATION | {"fields": []}, "fields should be a list"),
    (TolokaAggregateOperator, AGGREGATION | {"fields": 5}, "fields should be a list"),
    (TolokaAggregateOperator, AGGREGATION | {"fields": ["a", "b"]}, "DAWID_SKENE aggregates one field at a time"),
    (TolokaAggregateOperator, AGGREGATION | {"method": "WEIGHTED_DYNAMIC_OVERLAP"}, "needs a skill_id"),
    (TolokaAggregateOperator, AGGREGATION | {"skill_id": "5"}, "takes no skill_id"),
    (
        TolokaAggregateOperator,
        AGGREGATION | {"method": "WEIGHTED_DYNAMIC_OVERLAP", "skill_id": "a skill"},
        "skill_id should be an id",
    ),
    (TolokaAggregateOperator, AGGREGATION | {"pool_id": "10/01"}, "pool_id should be an id"),
    (TolokaAggregateOperator, AGGREGATION | {"path": "None"}, "path is empty"),
    (TolokaAggregateOperator, AGGREGATION | {"format": "xml"}, "format should be one of"),
    (TolokaExportAssignmentsOperator, EXPORT | {"pool_id": ""}, "pool_id should be an id"),
    (TolokaExportAssignmentsOperator, EXPORT | {"path": ""}, "path is empty"),
    (TolokaExportAssignmentsOperator, EXPORT | {"status": "DONE"}, "status should be one or more of"),
    (TolokaExportAssignmentsOperator, EXPORT | {"status": []}, "status should be one or more of"),
    (TolokaExportAssignmentsOperator, EXPORT | {"status": 5}, "status should be one or more of"),
    (TolokaExportAssignmentsOperator, EXPORT | {"format": "xml"}, "format should be one of"),
]


@pytest.mark.parametrize(("operator", "arguments", "problem"), WRONG)
def test_a_wrong_literal_fails_when_the_dag_is_parsed(
    operator: type[BaseOperator], arguments: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        operator(task_id="task", **arguments)


@pytest.mark.parametrize(("operator", "arguments", "problem"), WRONG)
def test_a_wrong_value_fails_before_the_first_request(
    toloka: TolokaEmulator, operator: type[BaseOperator], arguments: dict[str, Any], problem: str
) -> None:
    with new_dag(render_native=True, params=arguments) as dag:
        rendered: Any = {name: f"{{{{ params.{name} }}}}" for name in arguments}
        operator(task_id="task", retries=2, **rendered)
    task = run(dag).tasks["task"]
    assert (task.state, task.tries, problem in task.error) == ("failed", 1, True), task.error
    assert toloka.requests == []


@pytest.mark.parametrize("value", ["no", "", None, 1])
def test_a_switch_that_is_no_truth_value_fails_when_the_dag_is_parsed(value: Any) -> None:
    with pytest.raises(ValueError, match=r"without_golden is .* it should be true or false"):
        TolokaExportAssignmentsOperator(task_id="task", **EXPORT | {"without_golden": value})


def test_a_switch_is_checked_before_the_first_request(toloka: TolokaEmulator) -> None:
    with new_dag() as dag:
        TolokaExportAssignmentsOperator(task_id="task", retries=2, **EXPORT).without_golden = "no"  # type: ignore[assignment]
    task = run(dag).tasks["task"]
    assert (task.state, task.tries, "without_golden is 'no'" in task.error) == ("failed", 1, True), task.error
    assert toloka.requests == []


@pytest.mark.parametrize(("value", "rows"), [("False", 1), ("True", 0)])
def test_a_switch_may_be_a_text(toloka: TolokaEmulator, tmp_path: Path, value: Any, rows: int) -> None:
    with TolokaClient.from_token(toloka.token, url=toloka.url, allow_http=True) as client:
        project = client.create_project(PROJECT, key="p")
        pool = client.create_pool({**POOL, "project_id": project.id}, key="golden")
    toloka.fault(
        "GET /assignments",
        body={
            "items": [
                {
                    "id": "a",
                    "status": "ACCEPTED",
                    "pool_id": pool.id,
                    "tasks": [{"id": "t", "input_values": {}, "known_solutions": [{"output_values": {"result": "x"}}]}],
                    "solutions": [{"output_values": {"result": "x"}}],
                }
            ],
            "has_more": False,
        },
    )
    task, _ = run_logged(
        TolokaExportAssignmentsOperator, pool_id=pool.id, path=str(tmp_path / "a.jsonl"), without_golden=value
    )
    assert task.result["rows"] == rows, task.errors


def test_a_skill_that_renders_to_none_is_not_left_out(toloka: TolokaEmulator) -> None:
    with new_dag(render_native=True) as dag:
        TolokaAggregateOperator(task_id="task", skill_id="{{ none }}", **AGGREGATION)
    task = run(dag).tasks["task"]
    assert (task.state, "skill_id is empty (None)" in task.error) == ("failed", True), task.error
    assert toloka.requests == []


def test_lists_may_contain_templates() -> None:
    with new_dag():
        upstream = BaseOperator(task_id="upstream")
        for item in ("{{ params.one }}", upstream.output):
            TolokaAggregateOperator(task_id=f"a{id(item)}", **AGGREGATION | {"fields": [item]})
            TolokaExportAssignmentsOperator(task_id=f"e{id(item)}", **EXPORT | {"status": ["ACCEPTED", item]})
