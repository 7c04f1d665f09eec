"""The operators that label data, as tasks of real DAG runs against the emulator."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseOperator
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.emulator.options import Tolokers
from airflow_provider_toloka.exceptions import TolokaConflictError, TolokaOperationFailedError, TolokaTimeoutError
from airflow_provider_toloka.operators._labelling import WaitingOperator
from airflow_provider_toloka.operators.answers import TolokaAggregateOperator, TolokaExportAssignmentsOperator
from airflow_provider_toloka.operators.create import (
    TolokaCreatePoolOperator,
    TolokaCreateProjectOperator,
    TolokaCreateTrainingOperator,
)
from airflow_provider_toloka.operators.open import TolokaOpenPoolOperator, TolokaOpenTrainingOperator
from airflow_provider_toloka.operators.tasks import TolokaAddTasksOperator
from tests.labelling.forms import POOL, PROJECT, TRAINING
from tests.running import Ended, new_dag, posts, run, run_logged, run_task, run_try

pytestmark = pytest.mark.usefixtures("airflow_database")

both_ways = pytest.mark.parametrize("deferrable", [False, True], indirect=True, ids=["on the worker", "deferrable"])
TASKS = [{"input_values": {"image": f"https://example.com/{number}.jpg"}} for number in range(7)]
POOL_FORM = {name: one for name, one in POOL.items() if name != "project_id"}
TRAINING_FORM = {name: one for name, one in TRAINING.items() if name != "project_id"}


@pytest.fixture
def toloka(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[TolokaEmulator]:
    seconds = getattr(request, "param", 0.3)
    with TolokaEmulator(operation_seconds=seconds, tolokers=Tolokers(count=4), quotas=False) as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_TOLOKA_DEFAULT", json.dumps(emulator.connection | {"extra": {"retries": 1}}))
        yield emulator


@pytest.fixture
def deferrable(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> bool:
    monkeypatch.setattr(WaitingOperator, "before_deferring", 0.0)
    return bool(request.param)


@pytest.fixture
def pool_id(toloka: TolokaEmulator) -> str:
    """A pool, made over HTTP as another program would."""
    return make_pool(toloka)


def make_pool(toloka: TolokaEmulator, **more: Any) -> str:
    from airflow_provider_toloka.client import TolokaClient

    with TolokaClient.from_token(toloka.token, url=toloka.url, allow_http=True) as client:
        project = client.create_project(PROJECT, key="p")
        pool = client.create_pool({**POOL, "project_id": project.id, **more}, key="pool")
    toloka.clear_requests()
    return pool.id


def add(pool_id: str, tasks: Any = TASKS, **more: Any) -> tuple[Ended, Any]:
    return run_logged(TolokaAddTasksOperator, **{"pool_id": pool_id, "tasks": tasks, "poll_interval": 0.1} | more)


def inputs(toloka: TolokaEmulator) -> Counter[str]:
    return Counter(row["input_values"]["image"] for row in toloka.tasks.values())


ONCE = {task["input_values"]["image"]: 1 for task in TASKS}


def test_a_project_is_created_from_a_dict(toloka: TolokaEmulator) -> None:
    task = run_task(TolokaCreateProjectOperator, project=PROJECT)
    ((id_, project),) = toloka.projects.items()
    assert (task.state, str(task.result)) == ("success", id_)
    assert project["public_name"] == PROJECT["public_name"]
    assert project["metadata"]["airflow"][0] in project["private_comment"]


@pytest.mark.parametrize("name", ["project.json", "project.yaml"])
def test_a_project_is_created_from_a_file(toloka: TolokaEmulator, tmp_path: Path, name: str) -> None:
    text = json.dumps(PROJECT | {"public_name": "{{ dag.dag_id }}"})
    (tmp_path / name).write_text(text)
    with new_dag() as dag:
        dag.template_searchpath = [str(tmp_path)]
        TolokaCreateProjectOperator(task_id="task", project=name)
    assert run(dag).tasks["task"].state == "success"
    assert [row["public_name"] for row in toloka.projects.values()] == [dag.dag_id]


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        ({"public_name": "x"}, "project.task_spec is required"),
        ("{{ '' }}", "project should be a dict"),
        ("{{ none }}", "project should be a dict"),
        ("{{ '{' }}", "neither JSON nor YAML"),
    ],
)
def test_a_wrong_form_fails_at_once_before_anything_is_asked(toloka: TolokaEmulator, form: Any, problem: str) -> None:
    task = run_task(TolokaCreateProjectOperator, project=form, retries=2)
    assert (task.state, task.tries, problem in task.error) == ("failed", 1, True)
    assert toloka.requests == []


def test_a_retry_finds_the_project_of_a_try_whose_answer_was_lost(toloka: TolokaEmulator) -> None:
    toloka.fault("POST /projects", disconnect="after")
    task = run_task(TolokaCreateProjectOperator, project=PROJECT, retries=2)
    assert (task.state, str(task.result)) == ("success", *toloka.projects)
    assert posts(toloka) == ["/projects"]


def test_another_try_of_the_same_run_finds_it(toloka: TolokaEmulator) -> None:
    with new_dag() as dag:
        TolokaCreateProjectOperator(task_id="task", project=PROJECT)
    ran = run(dag)
    run_try(dag, ran.dag_run)
    assert len(toloka.projects) == 1
    run(dag)
    assert len(toloka.projects) == 2


def test_with_a_key_all_runs_share_one(toloka: TolokaEmulator) -> None:
    made = [run_task(TolokaCreateProjectOperator, project=PROJECT, key="cats-v3").result for _ in range(2)]
    assert len(set(made)) == len(toloka.projects) == 1


@pytest.mark.parametrize("key", ["{{ '' }}", "{{ none }}", "{{ 'a b' }}"])
def test_a_key_that_comes_to_nothing_creates_nothing(toloka: TolokaEmulator, key: str) -> None:
    task = run_task(TolokaCreateProjectOperator, project=PROJECT, key=key)
    assert (task.state, "key should be" in task.error) == ("failed", True)
    assert not toloka.projects


NOTHING = "{{ none }}"


@pytest.mark.parametrize(
    ("operator", "name", "more"),
    [
        (TolokaCreateProjectOperator, "key", {"project": PROJECT}),
        (TolokaCreateTrainingOperator, "key", {"project_id": "1", "training": TRAINING_FORM}),
        (TolokaCreatePoolOperator, "key", {"project_id": "1", "pool_form": POOL_FORM}),
        (TolokaCreatePoolOperator, "training_id", {"project_id": "1", "pool_form": POOL_FORM}),
        (TolokaCreatePoolOperator, "expires_in", {"project_id": "1", "pool_form": POOL_FORM}),
        (TolokaAddTasksOperator, "key", {"pool_id": "1", "tasks": TASKS}),
        (TolokaAggregateOperator, "path", {"pool_id": "1", "fields": ["result"], "method": "DAWID_SKENE"}),
    ],
)
@pytest.mark.parametrize("source", ["a template", "an XComArg"])
def test_an_optional_argument_that_renders_to_none_is_not_left_out(
    toloka: TolokaEmulator, operator: type[BaseOperator], name: str, more: Any, source: str
) -> None:
    with new_dag(render_native=True) as dag:
        upstream = BaseOperator(task_id="upstream")
        given: Any = NOTHING if source == "a template" else upstream.output
        operator(task_id="task", trigger_rule="all_done", **{name: given}, **more)
    task = run(dag).tasks["task"]
    assert (task.state, f"{name} is empty (None)" in task.error) == ("failed", True), task.errors
    assert f"leave {name} out" in task.error
    assert toloka.requests == []


@pytest.mark.parametrize(
    ("operator", "arguments"),
    [
        (TolokaCreateProjectOperator, {"project": PROJECT, "key": "k"}),
        (TolokaCreateTrainingOperator, {"project_id": "1", "training": TRAINING_FORM, "key": "k"}),
        (TolokaCreatePoolOperator, {"project_id": "1", "pool_form": POOL_FORM, "training_id": "1", "expires_in": "1d"}),
        (TolokaAddTasksOperator, {"pool_id": "1", "tasks": TASKS, "key": "k"}),
        (TolokaExportAssignmentsOperator, {"pool_id": "1", "path": "a.csv", "status": "ACCEPTED", "format": "csv"}),
        (
            TolokaAggregateOperator,
            {
                "pool_id": "1",
                "fields": ["result"],
                "method": "WEIGHTED_DYNAMIC_OVERLAP",
                "skill_id": "1",
                "path": "a",
                "format": "csv",
            },
        ),
    ],
)
@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="Airflow 2 fails when it stores what was rendered")
def test_a_misspelt_name_in_a_native_template_fails_at_once(
    toloka: TolokaEmulator, operator: type[BaseOperator], arguments: Any
) -> None:
    with new_dag(render_native=True) as dag:
        for name in arguments:
            operator(task_id=name, retries=1, **arguments | {name: "{{ no_such_name }}"})
    for name, task in run(dag).tasks.items():
        assert (task.state, task.tries, str(name) in task.error) == ("failed", 1, True), task.errors
    assert toloka.requests == []


def test_an_optional_argument_may_be_none(toloka: TolokaEmulator) -> None:
    assert run_task(TolokaCreateProjectOperator, project=PROJECT, key=None).state == "success"
    assert len(toloka.projects) == 1


def test_a_training_and_a_pool_that_requires_it(toloka: TolokaEmulator) -> None:
    requirement = {"training_requirement": {"training_passing_skill_value": 80}}
    with new_dag() as dag:
        project = TolokaCreateProjectOperator(task_id="project", project=PROJECT)
        training = TolokaCreateTrainingOperator(task_id="training", project_id=project.output, training=TRAINING_FORM)
        form = {name: one for name, one in POOL_FORM.items() if name != "will_expire"}
        TolokaCreatePoolOperator(
            task_id="pool",
            project_id=project.output,
            pool_form=form | {"quality_control": requirement},
            training_id=training.output,
            expires_in="P14D",
        )
    assert run(dag).state == "success"
    ((training_id, _),) = toloka.trainings.items()
    ((_, pool),) = toloka.pools.items()
    assert pool["quality_control"]["training_requirement"]["training_pool_id"] == training_id
    assert pool["will_expire"] > pool["created"]


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"project_id": "{{ none }}"}, "project_id"),
        ({"training_id": "7"}, "training_passing_skill_value"),
        ({"expires_in": "1d"}, "expires_in and pool.will_expire are both given"),
        ({"expires_in": "{{ 0 }}"}, "expires_in should be a duration above 0"),
        ({"pool_form": {**POOL_FORM, "project_id": "2"}}, "pool.project_id is '2', but project_id is '1'"),
        ({"pool_form": {**POOL_FORM, "reward_per_assignment": 0.001}}, "minimum is"),
    ],
)
def test_a_wrong_pool_fails_at_once(toloka: TolokaEmulator, more: Any, problem: str) -> None:
    task = run_task(TolokaCreatePoolOperator, **{"project_id": "1", "pool_form": POOL_FORM, "retries": 2} | more)
    assert (task.state, task.tries, problem in task.error) == ("failed", 1, True), task.error
    assert toloka.requests == []


@both_ways
def test_tasks_are_added_once(toloka: TolokaEmulator, pool_id: str, deferrable: bool) -> None:
    task, ran = add(pool_id, deferrable=deferrable)
    assert task.state == "success"
    assert task.result == {"created": 7, "invalid": 0, "operation_ids": list(toloka.operations)}
    assert inputs(toloka) == ONCE
    assert ran.deferrals == deferrable
    assert posts(toloka) == ["/tasks"]


@pytest.mark.parametrize("fault", [{"disconnect": "after"}, {"status": 503, "carry_out": True}, {"disconnect": "cut"}])
def test_a_lost_answer_adds_nothing_twice(toloka: TolokaEmulator, pool_id: str, fault: Any) -> None:
    toloka.fault("POST /tasks", **fault)
    task, _ = add(pool_id, retries=1)
    assert (task.state, inputs(toloka)) == ("success", ONCE)


def test_tasks_come_from_a_file(toloka: TolokaEmulator, pool_id: str, tmp_path: Path) -> None:
    lines = "".join(json.dumps(task) + "\n" for task in TASKS)
    (tmp_path / "tasks.jsonl").write_text(lines)
    assert add(pool_id, f"file://{tmp_path}/tasks.jsonl")[0].state == "success"
    (tmp_path / "more.csv").write_text("INPUT:image,GOLDEN:result\nhttps://example.com/golden.jpg,cat\n")
    assert add(pool_id, str(tmp_path / "more.csv"))[0].result["created"] == 1
    golden = [row for row in toloka.tasks.values() if row.get("known_solutions")]
    assert [row["known_solutions"][0]["output_values"] for row in golden] == [{"result": "cat"}]


@both_ways
def test_a_refused_task_is_named_and_not_tried_again(pool_id: str, deferrable: bool) -> None:
    task, _ = add(pool_id, [*TASKS, {"input_values": {"picture": "x"}}], retries=2, deferrable=deferrable)
    assert (task.state, task.tries) == ("failed", 1)
    assert "tasks[7] (" in task.error
    assert "picture" in task.error


def test_invalid_tasks_are_skipped_on_request(pool_id: str) -> None:
    task, _ = add(pool_id, [*TASKS, {"input_values": {"picture": "x"}}], skip_invalid=True)
    assert (task.state, task.result["created"], task.result["invalid"]) == ("success", 7, 1)


@both_ways
def test_a_pool_is_opened_once_even_if_it_is_completed_at_once(
    toloka: TolokaEmulator, pool_id: str, deferrable: bool
) -> None:
    add(pool_id)
    with new_dag() as dag:
        TolokaOpenPoolOperator(task_id="task", pool_id=pool_id, poll_interval=0.1, deferrable=deferrable)
    ran = run(dag)
    opening = ran.tasks["task"].result
    assert (ran.state, toloka.operations[opening]["type"]) == ("success", "POOL.OPEN")
    assert toloka.pools[pool_id]["last_close_reason"] == "COMPLETED"
    run_try(dag, ran.dag_run)
    assert posts(toloka).count(f"/pools/{pool_id}/open") == 1


def test_a_training_is_opened(toloka: TolokaEmulator) -> None:
    with new_dag() as dag:
        project = TolokaCreateProjectOperator(task_id="project", project=PROJECT)
        training = TolokaCreateTrainingOperator(task_id="training", project_id=project.output, training=TRAINING_FORM)
        known = [task | {"known_solutions": [{"output_values": {"result": "cat"}}]} for task in TASKS]
        tasks = TolokaAddTasksOperator(task_id="add", pool_id=training.output, tasks=known, poll_interval=0.1)
        tasks >> TolokaOpenTrainingOperator(task_id="open", training_id=training.output, poll_interval=0.1)
    ran = run(dag)
    assert (ran.state, [row["status"] for row in toloka.trainings.values()]) == ("success", ["OPEN"])


def test_an_empty_pool_is_told_of(pool_id: str) -> None:
    task = run_task(TolokaOpenPoolOperator, pool_id=pool_id)
    assert task.state == "failed"
    assert isinstance(task.errors[-1], TolokaConflictError)
    assert "it has no tasks. Add tasks first, with TolokaAddTasksOperator" in task.error


def test_answers_are_exported_and_aggregated(toloka: TolokaEmulator, pool_id: str, tmp_path: Path) -> None:
    add(pool_id)
    run_task(TolokaOpenPoolOperator, pool_id=pool_id, poll_interval=0.1)
    path = f"file://{tmp_path}/out/answers.jsonl"
    export = run_task(TolokaExportAssignmentsOperator, pool_id=pool_id, path=path)
    rows = [json.loads(line) for line in (tmp_path / "out" / "answers.jsonl").read_text().splitlines()]
    assert export.result == {"path": path, "rows": 21, "assignments": len({row["assignment_id"] for row in rows})}
    assert Counter(row["input"]["image"] for row in rows) == dict.fromkeys(ONCE, 3)
    assert {row["output"]["result"] for row in rows} <= {"cat", "dog"}
    arguments: dict[str, Any] = {"pool_id": pool_id, "fields": ["result"], "method": "DAWID_SKENE"}
    plain = run_task(TolokaAggregateOperator, **arguments, poll_interval=0.1)
    assert toloka.operations[plain.result]["type"] == "SOLUTION.AGGREGATE"
    result = run_task(
        TolokaAggregateOperator, **arguments, poll_interval=0.1, path=str(tmp_path / "r.csv"), format="csv"
    )
    assert result.result["rows"] == 7
    assert (tmp_path / "r.csv").read_text().startswith("task_id,pool_id,confidence,INPUT:image,OUTPUT:result\n")


@both_ways
def test_a_retry_returns_to_the_aggregation_that_was_started(
    toloka: TolokaEmulator, pool_id: str, deferrable: bool
) -> None:
    add(pool_id)
    run_task(TolokaOpenPoolOperator, pool_id=pool_id, poll_interval=0.1)
    with new_dag() as dag:
        TolokaAggregateOperator(
            task_id="task", pool_id=pool_id, fields=["result"], method="DAWID_SKENE", poll_interval=0.1,
            deferrable=deferrable,
        )  # fmt: skip
    ran = run(dag)
    run_try(dag, ran.dag_run)
    assert posts(toloka).count("/aggregated-solutions/aggregate-by-pool") == 1


@both_ways
def test_an_opening_that_failed_is_reported_and_not_repeated(
    toloka: TolokaEmulator, pool_id: str, deferrable: bool
) -> None:
    add(pool_id)
    toloka.fail_next("POOL.OPEN", times=5, details={"why": "moon"})
    task, ran = run_logged(TolokaOpenPoolOperator, pool_id=pool_id, poll_interval=0.1, deferrable=deferrable)
    assert isinstance(task.errors[-1], TolokaOperationFailedError)
    assert "moon" in task.error
    assert (posts(toloka).count(f"/pools/{pool_id}/open"), ran.deferrals) == (1, deferrable)


@both_ways
def test_an_aggregation_that_failed_is_reported_and_not_repeated(
    toloka: TolokaEmulator, pool_id: str, deferrable: bool
) -> None:
    add(pool_id)
    run_task(TolokaOpenPoolOperator, pool_id=pool_id, poll_interval=0.1)
    toloka.fail_next("SOLUTION.AGGREGATE", times=5, details={"why": "moon"})
    task, ran = run_logged(
        TolokaAggregateOperator, pool_id=pool_id, fields=["result"], method="DAWID_SKENE", poll_interval=0.1,
        deferrable=deferrable,
    )  # fmt: skip
    assert isinstance(task.errors[-1], TolokaOperationFailedError)
    assert "moon" in task.error
    assert (posts(toloka).count("/aggregated-solutions/aggregate-by-pool"), ran.deferrals) == (1, deferrable)


@both_ways
@pytest.mark.parametrize("toloka", [600], indirect=True, ids=["endless"])
def test_what_does_not_finish_in_time_times_out(toloka: TolokaEmulator, pool_id: str, deferrable: bool) -> None:
    task, _ = add(pool_id, timeout="PT1S", deferrable=deferrable)
    assert isinstance(task.errors[-1], TolokaTimeoutError)
    assert "Timed out (timeout): 1 of 1 operation unfinished" in task.error
    assert posts(toloka) == ["/tasks"]


def test_a_task_links_to_the_pool_and_the_project(toloka: TolokaEmulator, pool_id: str) -> None:
    with new_dag() as dag:
        TolokaAddTasksOperator(task_id="task", pool_id=pool_id, tasks=TASKS, poll_interval=0.1)
    ran = run(dag)
    (ti,) = ran.dag_run.get_task_instances()
    project_id = toloka.pools[pool_id]["project_id"]
    pages = {key: ti.xcom_pull(task_ids="task", key=f"_link_Toloka{key}Link") for key in ("Pool", "Project")}
    assert pages == {
        "Pool": f"{toloka.url}/requester/project/{project_id}/pool/{pool_id}",
        "Project": f"{toloka.url}/requester/project/{project_id}",
    }


@pytest.mark.parametrize(
    ("operator", "fields"),
    [
        (TolokaCreateProjectOperator, {"project"}),
        (TolokaCreateTrainingOperator, {"training"}),
        (TolokaCreatePoolOperator, {"pool_form"}),
        (TolokaAddTasksOperator, {"tasks"}),
        (TolokaExportAssignmentsOperator, {"status"}),
        (TolokaAggregateOperator, {"fields"}),
    ],
)
def test_forms_and_lists_are_shown_as_json(operator: type[BaseOperator], fields: set[str]) -> None:
    assert operator.template_fields_renderers == dict.fromkeys(fields, "json")
    assert fields <= set(operator.template_fields)
