"""TolokaAddTasksOperator, as a task of real DAG runs against the emulator."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_toloka.client import TolokaClient
from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.operators.tasks import TolokaAddTasksOperator
from tests.labelling.forms import POOL, PROJECT
from tests.running import posts, run_logged

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
