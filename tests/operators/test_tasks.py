"""TolokaAddTasksOperator, as a task of real DAG runs against the emulator."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_toloka._task import Deadline
from airflow_provider_toloka.client import TolokaClient
from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.exceptions import TolokaTimeoutError
from airflow_provider_toloka.labelling.chunks import Chunk, Limits, chunks_of
from airflow_provider_toloka.operators._labelling import WaitingOperator
from airflow_provider_toloka.operators.tasks import TolokaAddTasksOperator
from tests.labelling.forms import POOL, PROJECT
from tests.running import new_dag, posts, run, run_logged

pytestmark = pytest.mark.usefixtures("airflow_database")

OLD, NEW = "AQAD-old-token", "AQAD-new-token"
TASKS = [{"input_values": {"image": f"https://example.com/{number}.jpg"}} for number in range(7)]


@pytest.fixture
def toloka(monkeypatch: pytest.MonkeyPatch) -> Iterator[TolokaEmulator]:
    with TolokaEmulator(tokens=(OLD, NEW), operation_seconds=0.3, quotas=False) as emulator:
        connect(monkeypatch, emulator, OLD)
        yield emulator


def connect(monkeypatch: pytest.MonkeyPatch, toloka: TolokaEmulator, token: str, **more: Any) -> None:
    connection = {**toloka.connection, "password": token, "extra": {"retries": 1}, **more}
    monkeypatch.setenv("AIRFLOW_CONN_TOLOKA_DEFAULT", json.dumps(connection))


@pytest.fixture
def pool_id(toloka: TolokaEmulator) -> str:
    with TolokaClient.from_token(OLD, url=toloka.url, allow_http=True) as client:
        project = client.create_project(PROJECT, key="p")
        pool = client.create_pool({**POOL, "project_id": project.id}, key="pool")
    toloka.clear_requests()
    return pool.id


def add(pool_id: str, tasks: Any = TASKS, **more: Any) -> Any:
    return run_logged(TolokaAddTasksOperator, **{"pool_id": pool_id, "tasks": tasks, "poll_interval": 0.1} | more)


ONCE = {task["input_values"]["image"]: 1 for task in TASKS}


def inputs(toloka: TolokaEmulator) -> Counter[str]:
    return Counter(row["input_values"]["image"] for row in toloka.tasks.values())


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Put each task into a chunk of its own; return the numbers of the chunks that were read."""
    numbers: list[int] = []

    def single(tasks: Any, pool_id: str) -> Iterator[Chunk]:
        for chunk in chunks_of(tasks, pool_id, Limits(items=1)):
            numbers.append(chunk.number)
            yield chunk

    monkeypatch.setattr("airflow_provider_toloka.operators.tasks.chunks_of", single)
    return numbers


def test_nothing_is_read_or_sent_after_the_deadline(toloka: TolokaEmulator, pool_id: str, read: list[int]) -> None:
    toloka.fault("POST /tasks", times=None, delay=0.7)
    task, _ = add(pool_id, timeout=1)
    assert isinstance(task.errors[-1], TolokaTimeoutError)
    assert task.error == (
        "Timed out (timeout): the tasks from chunk 2 on are not uploaded. Clear the task to resume waiting, or "
        "increase timeout."
    )
    assert (posts(toloka), read) == (["/tasks"] * 2, [0, 1, 2])


@pytest.mark.usefixtures("read")
def test_a_later_try_uploads_the_rest(toloka: TolokaEmulator, pool_id: str) -> None:
    toloka.fault("POST /tasks", times=2, delay=2)
    task, _ = add(pool_id, timeout=4, retries=1)
    assert (task.state, task.tries, inputs(toloka)) == ("success", 2, ONCE)
    assert posts(toloka) == ["/tasks"] * 7


@pytest.mark.parametrize("carry_out", [False, True], ids=["lost", "carried out"])
def test_a_request_is_not_repeated_after_the_deadline(toloka: TolokaEmulator, pool_id: str, carry_out: bool) -> None:
    toloka.fault("POST /tasks", status=503, headers={"Retry-After": "2"}, carry_out=carry_out)
    task, _ = add(pool_id, timeout=1)
    assert "Timed out (timeout): the tasks from chunk 0 on are not uploaded" in task.error
    assert posts(toloka) == ["/tasks"]


@pytest.mark.parametrize("carry_out", [False, True], ids=["lost", "carried out"])
def test_a_later_try_finds_what_was_sent_before_the_deadline(
    toloka: TolokaEmulator, pool_id: str, carry_out: bool
) -> None:
    toloka.fault("POST /tasks", status=503, headers={"Retry-After": "2"}, carry_out=carry_out)
    task, _ = add(pool_id, timeout=1, retries=1)
    assert (task.state, task.tries, inputs(toloka)) == ("success", 2, ONCE)
    assert len(posts(toloka)) == 2 - carry_out


@pytest.mark.usefixtures("read")
def test_a_resumed_task_may_find_all_done_after_the_deadline(pool_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WaitingOperator, "before_deferring", 0.0)
    monkeypatch.setattr(Deadline, "from_event", lambda _: Deadline(1.0))
    task, ran = add(pool_id, deferrable=True)
    assert (task.state, task.result["created"], ran.deferrals) == ("success", 7, 1), task.errors


def test_a_token_that_is_replaced_during_the_task_costs_no_try(
    toloka: TolokaEmulator, pool_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = toloka.fault("POST /tasks", hold="after")

    def rotate() -> None:
        submit.wait(60)
        connect(monkeypatch, toloka, NEW)
        toloka.fault("GET /operations/*", status=401)
        submit.release()

    rotation = threading.Thread(target=rotate)
    rotation.start()
    task, ran = add(pool_id, retries=1)
    rotation.join()
    assert (task.state, task.tries, task.result["created"]) == ("success", 1, 7), task.errors
    assert NEW in os.environ["AIRFLOW_CONN_TOLOKA_DEFAULT"]
    assert posts(toloka) == ["/tasks"]
    assert [record.status for record in toloka.requests].count(401) == 1
    assert OLD not in ran.log
    assert NEW not in ran.log


def test_the_outcome_has_the_number_of_requests(toloka: TolokaEmulator, pool_id: str) -> None:
    _, ran = add(pool_id)
    assert f"Tasks added to pool {pool_id}: 7; invalid: 0 ({len(toloka.requests)} requests)" in ran.log


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"pool_id": "10/01"}, "pool_id should be an id"),
    ({"tasks": None}, "tasks is empty"),
    ({"tasks": ""}, "tasks is empty"),
    ({"tasks": "None"}, "tasks is empty"),
    ({"tasks": 5}, "tasks should be a list of dicts"),
    ({"tasks": "[{'input_values': {}}]"}, "render_template_as_native_obj"),
    ({"tasks": {"input_values": {}}}, "tasks should be a list of dicts"),
    ({"tasks": "s3://bucket/tasks.txt"}, "ends in .jsonl"),
    ({"key": "bad key!"}, "key should be 1 to 100 letters"),
]


SWITCHES = ["allow_defaults", "skip_invalid"]
NOT_TRUTHS = ["no", "", None, 1]


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("value", NOT_TRUTHS)
def test_a_switch_that_is_no_truth_value_fails_when_the_dag_is_parsed(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} is .* it should be true or false"):
        TolokaAddTasksOperator(task_id="task", pool_id="1", tasks=TASKS, **{name: value})


@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_is_checked_before_the_first_request(toloka: TolokaEmulator, name: str) -> None:
    with new_dag() as dag:
        setattr(TolokaAddTasksOperator(task_id="task", pool_id="1", tasks=TASKS, retries=2), name, "no")
    task = run(dag).tasks["task"]
    assert (task.state, task.tries, f"{name} is 'no'" in task.error) == ("failed", 1, True), task.error
    assert toloka.requests == []


def test_a_switch_may_be_a_text(pool_id: str) -> None:
    tasks = [*TASKS, {"input_values": {"picture": "no such field"}}]
    task, _ = add(pool_id, tasks, skip_invalid="False")
    assert "refuses 1 tasks" in task.error
    task, _ = add(pool_id, tasks, skip_invalid="True", allow_defaults="true")
    assert (task.result["created"], task.result["invalid"]) == (7, 1)


@pytest.mark.parametrize(("more", "problem"), WRONG)
def test_a_wrong_literal_fails_when_the_dag_is_parsed(more: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        TolokaAddTasksOperator(task_id="task", **{"pool_id": "1", "tasks": TASKS} | more)


@pytest.mark.parametrize(("more", "problem"), [*WRONG, ({"tasks": [*TASKS, {"x": 1}]}, "tasks[7].input_values is req")])
def test_a_wrong_value_fails_before_the_first_request(
    toloka: TolokaEmulator, more: dict[str, Any], problem: str
) -> None:
    arguments = {"pool_id": "998", "tasks": TASKS} | more
    # Native rendering would make a list of a text that looks like one.
    with new_dag(render_native=not isinstance(arguments["tasks"], str), params=arguments) as dag:
        rendered: Any = {name: f"{{{{ params.{name} }}}}" for name in arguments}
        TolokaAddTasksOperator(task_id="task", retries=2, **rendered)
    task = run(dag).tasks["task"]
    assert (task.state, task.tries, problem in task.error) == ("failed", 1, True), task.error
    assert toloka.requests == []


@pytest.mark.parametrize("tasks", ["{{ params.path }}", "s3://bucket/tasks.JSONL", "s3://bucket/tasks.csv", []])
def test_a_literal_that_may_be_right_is_accepted(tasks: Any) -> None:
    TolokaAddTasksOperator(task_id="task", pool_id="https://platform.toloka.ai/requester/pool/7", tasks=tasks)
