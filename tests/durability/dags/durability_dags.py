"""The DAGs whose runs are disturbed: one for each way to wait. A run's conf says which case it is.

Each case has its own connection with its name, so that the emulator can identify its requests.
"""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import Any, NoReturn

import requests
from airflow.providers.common.compat.sdk import DAG, BaseHook

from airflow_provider_toloka.operators.stale import TolokaArchiveStaleProjectsOperator
from airflow_provider_toloka.operators.toloka import TolokaArchiveProjectOperator
from airflow_provider_toloka.sensors.toloka import OperationSensor
from tests.durability.dags.labelling_dag import label


class _StoppedBeforeDeferral:
    """Asks the emulator for ``/deferring`` before it defers: a test can hold the answer back, and the task with it."""

    toloka_conn_id: str

    def defer(self, **kwargs: Any) -> NoReturn:
        connection = BaseHook.get_connection(self.toloka_conn_id)
        requests.get(
            f"{connection.host}:{connection.port}/api/v1/deferring",
            headers={"X-Act-Under-Account-ID": connection.extra_dejson["act_under_account_id"]},
            timeout=600,
        )
        super().defer(**kwargs)  # type: ignore[misc]
        raise AssertionError


class ArchiveProject(_StoppedBeforeDeferral, TolokaArchiveProjectOperator):
    """Archives a project."""


class ArchiveStaleProjects(_StoppedBeforeDeferral, TolokaArchiveStaleProjectsOperator):
    """Archives the stale projects whose names begin as the case's."""


class Sensor(_StoppedBeforeDeferral, OperationSensor):
    """Waits for an operation."""


_CONN = {"toloka_conn_id": "{{ dag_run.conf['case'] }}"}
_PROJECT = {"project_id": "{{ dag_run.conf['project_id'] }}", "poll_interval": 0.5}
_WITH_POOLS = {**_PROJECT, "pools": "close_and_archive"}
_STALE = {
    "project_ids": "all",
    "name_pattern": "{{ dag_run.conf['case'] }} *",
    "inactive_for": timedelta(days=180),
    "poll_interval": 0.5,
}
_SENSOR = {"operation_id": "{{ dag_run.conf['operation_id'] }}", "poke_interval": 1}

_RETRIED: dict[str, Any] = {"retries": 5, "retry_delay": timedelta(0)}

VARIANTS: dict[str, tuple[type, dict[str, Any]]] = {
    "archive_wait": (ArchiveProject, {**_PROJECT, "deferrable": False}),
    "archive_deferrable": (ArchiveProject, {**_PROJECT, "deferrable": True}),
    "pools_wait": (ArchiveProject, {**_WITH_POOLS, "deferrable": False}),
    "pools_deferrable": (ArchiveProject, {**_WITH_POOLS, "deferrable": True}),
    "cleanup_wait": (ArchiveStaleProjects, {**_STALE, "deferrable": False}),
    "cleanup_deferrable": (ArchiveStaleProjects, {**_STALE, "deferrable": True}),
    "sensor_poke": (Sensor, {**_SENSOR, "mode": "poke"}),
    "sensor_reschedule": (Sensor, {**_SENSOR, "mode": "reschedule"}),
    "sensor_deferrable": (Sensor, {**_SENSOR, "deferrable": True}),
}

for _variant, (_operator, _arguments) in VARIANTS.items():
    # A second DAG of each kind is there to be paused.
    for _dag_id in (_variant, f"{_variant}_paused"):
        with DAG(
            _dag_id,
            schedule=None,
            max_active_runs=200,
            max_active_tasks=200,
            default_args=_RETRIED,
        ) as _dag:
            _operator(task_id="task", **_CONN, **_arguments)
        globals()[_dag_id] = _dag

labelling = label(_RETRIED)

with DAG("two_hundred", schedule=None, max_active_tasks=200) as two_hundred:
    TolokaArchiveProjectOperator.partial(task_id="archive", deferrable=True, max_active_tis_per_dag=200).expand(
        project_id=json.loads(os.environ.get("DURABILITY_PROJECTS", "[]"))
    )

# No retries: Airflow fails a task whose trigger fires before the scheduler has seen the worker leave.
for _run in range(10):
    with DAG(f"quick_{_run}", schedule=None, max_active_tasks=20) as _dag:
        TolokaArchiveProjectOperator.partial(task_id="archive", deferrable=True, poll_interval=1).expand(
            project_id=[str(2000 + 20 * _run + number) for number in range(20)]
        )
    globals()[f"quick_{_run}"] = _dag

with DAG("beside", schedule=None) as beside:
    TolokaArchiveProjectOperator(task_id="archive", project_id="{{ dag_run.conf['project_id'] }}")
