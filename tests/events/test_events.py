"""When a pool closes at Toloka, a real triggerer reports it, and a real scheduler starts the DAG."""

from __future__ import annotations

import json

import pytest

from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.hooks.toloka import TolokaHook
from tests.events.conftest import DAG, Airflow
from tests.processes import until


@pytest.fixture(autouse=True)
def connection(toloka: TolokaEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Close pools at Toloka without Airflow."""
    monkeypatch.setenv("AIRFLOW_CONN_TOLOKA_DEFAULT", json.dumps(toloka.connection))


def close(pool_id: str) -> None:
    with TolokaHook() as hook:
        assert hook.close_pool(pool_id)


def watches(toloka: TolokaEmulator) -> bool:
    return any(request.path == "/operations" for request in toloka.requests)


def test_a_project_is_archived_when_its_last_pool_has_closed(airflow: Airflow, toloka: TolokaEmulator) -> None:
    project = toloka.add_project("Cats or dogs")["id"]
    first, last = (toloka.add_pool(project, status="OPEN")["id"] for _ in range(2))
    airflow.ask("PATCH", f"/dags/{DAG}", json={"is_paused": False}).raise_for_status()
    until("the trigger watches", lambda: watches(toloka))

    close(first)
    until("a run looks at the project", lambda: airflow.runs() == ["success"])
    assert toloka.projects[project]["status"] == "ACTIVE"
    assert toloka.pools[last]["status"] == "OPEN"

    close(last)
    until("the project is archived", lambda: toloka.projects[project]["status"] == "ARCHIVED")
    until("the run has ended", lambda: airflow.runs() == ["success", "success"])
    assert {toloka.pools[first]["status"], toloka.pools[last]["status"]} == {"ARCHIVED"}


def test_a_pool_that_closes_while_the_triggerer_is_down_is_not_missed(airflow: Airflow, toloka: TolokaEmulator) -> None:
    airflow.kill("triggerer")
    project = toloka.add_project("Cars or trucks")["id"]
    close(toloka.add_pool(project, status="OPEN")["id"])
    airflow.start_part("triggerer")
    until("the project is archived", lambda: toloka.projects[project]["status"] == "ARCHIVED")
    archived = [one for one in toloka.operations.values() if one["type"] == "PROJECT.ARCHIVE"]
    assert len(archived) == 2
