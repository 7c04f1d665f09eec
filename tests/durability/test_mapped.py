"""Many mapped tasks at once: they wait without slots, and none fails because its operation is quick."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from tests.durability.airflow_processes import Airflow
from tests.durability.conftest import AIRFLOWS
from tests.durability.postgres import Postgres
from tests.durability.toloka_process import TolokaProcess
from tests.processes import until

TASKS = 200
#: So many tasks can run at once: far fewer than there are to wait.
SLOTS = 8
SECONDS = 600
IDS = [str(number) for number in range(1000, 1000 + TASKS)]
BESIDE = "999"


#: Seconds that an operation takes: about as long as a task needs to defer.
QUICK = 6
QUICK_RUNS = 10
QUICK_IDS = [str(number) for number in range(2000, 2000 + 20 * QUICK_RUNS)]


@pytest.fixture
def toloka(tmp_path: Path) -> TolokaProcess:
    return TolokaProcess(tmp_path, {"projects": [{"id": id_} for id_ in (*IDS, BESIDE)]})


@pytest.fixture
def quick_toloka(tmp_path: Path) -> TolokaProcess:
    return TolokaProcess(tmp_path, {"projects": [{"id": id_} for id_ in QUICK_IDS]}, operation_seconds=QUICK)


def test_two_hundred_mapped_tasks_wait_without_slots(postgres: Postgres, toloka: TolokaProcess, tmp_path: Path) -> None:
    environment = {
        "AIRFLOW_CONN_TOLOKA_DEFAULT": toloka.connection("mapped"),
        "AIRFLOW__CORE__PARALLELISM": str(SLOTS),
        "DURABILITY_PROJECTS": json.dumps(IDS),
    }
    airflow = Airflow(AIRFLOWS["3.3"], tmp_path, postgres.create(), environment)

    def states(dag_id: str) -> Counter[str | None]:
        return Counter(task.state for key, task in airflow.tasks().items() if key[0] == dag_id)

    def finish(*project_ids: str) -> None:
        operations = toloka.state()["operations"]
        toloka.finish([one["id"] for one in operations if one["parameters"]["project_id"] in project_ids])

    try:
        airflow.start()
        airflow.trigger("two_hundred", "all", {})
        until("all wait", lambda: states("two_hundred") == {"deferred": TASKS}, SECONDS)

        # All have submitted, none holds a slot: another task, which waits on a worker, runs to its end.
        airflow.trigger("beside", "one", {"project_id": BESIDE})

        def beside_ends() -> bool:
            finish(BESIDE)
            return states("beside") == {"success": 1}

        until("the other task has run", beside_ends)
        assert states("two_hundred") == {"deferred": TASKS}

        finish(*IDS)
        until("all have ended", lambda: not states("two_hundred").keys() - {"success", "failed"}, SECONDS)
        assert states("two_hundred") == {"success": TASKS}
        state = toloka.state()
        assert {project["status"] for project in state["projects"]} == {"ARCHIVED"}
        assert Counter(one["parameters"]["project_id"] for one in state["operations"]) == Counter([*IDS, BESIDE])
    finally:
        airflow.stop()
        toloka.stop()


def test_no_task_fails_because_its_operation_is_quick(
    postgres: Postgres, quick_toloka: TolokaProcess, tmp_path: Path
) -> None:
    """Apache Airflow's issue 67287, with the intervals of its defaults."""
    environment = {
        "AIRFLOW_CONN_TOLOKA_DEFAULT": quick_toloka.connection("mapped"),
        "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "5",
        "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "5",
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "5",
    }
    airflow = Airflow(AIRFLOWS["3.3"], tmp_path, postgres.create(), environment)

    def states(dag_id: str) -> Counter[str | None]:
        return Counter(task.state for key, task in airflow.tasks().items() if key[0] == dag_id)

    def have_ended(dag_id: str) -> bool:
        return bool(states(dag_id)) and not states(dag_id).keys() - {"success", "failed"}

    try:
        airflow.start()
        for number in range(QUICK_RUNS):
            dag_id = f"quick_{number}"
            airflow.trigger(dag_id, "all", {})
            until(f"{dag_id} has ended", partial(have_ended, dag_id), SECONDS)
            assert states(dag_id) == {"success": 20}
    finally:
        airflow.stop()
        quick_toloka.stop()
