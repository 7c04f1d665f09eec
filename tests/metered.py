"""A program whose metrics are read: a task, a batch of projects, and a wait of Airflow's own triggerer.

``python -m tests.metered PROJECT_ID OPERATION_ID LOG``; the Toloka connection is in the variable ``CONNECTION``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

_CONNECTION = os.environ.pop("CONNECTION")

import tests.conftest  # noqa: E402, F401 - a home of its own for Airflow, before anything imports that

os.environ["AIRFLOW_CONN_TOLOKA_DEFAULT"] = _CONNECTION


def main(project_id: str, operation_id: str, log: Path) -> None:
    """Run the task and the batch, then let a triggerer wait for the operation."""
    from airflow.utils.db import initdb

    from airflow_provider_toloka.operators.stale import TolokaArchiveStaleProjectsOperator
    from airflow_provider_toloka.operators.toloka import TolokaArchiveProjectOperator
    from tests.running import run_task

    initdb()
    archived = run_task(TolokaArchiveProjectOperator, project_id=project_id, poll_interval=0.1, deferrable=False)
    assert archived.state == "success", archived
    failed = run_task(TolokaArchiveStaleProjectsOperator, project_ids=["404"], deferrable=False)
    assert failed.state == "failed", failed
    wait_on_triggerer(operation_id, log)


def wait_on_triggerer(operation_id: str, log: Path) -> None:
    """Let a triggerer wait for an operation."""
    from airflow.models.trigger import Trigger
    from airflow.utils.session import create_session

    from airflow_provider_toloka.sensors.toloka import OperationSensor
    from airflow_provider_toloka.triggers.toloka import OperationTrigger
    from tests.processes import Program, until
    from tests.running import run_logged

    # A task instance to wait for, as a worker leaves it behind.
    _, run = run_logged(OperationSensor, operation_id="already done", deferrable=True)

    def task_instance(session: Any) -> Any:
        return run.dag_run.get_task_instance("task", session=session)

    trigger = OperationTrigger(toloka_conn_id="toloka_default", operation_ids=[operation_id], poll_interval=0.2)
    with create_session() as session:
        row = Trigger.from_object(trigger)
        session.add(row)
        session.flush()
        ti = task_instance(session)
        ti.trigger_id, ti.state, ti.next_method = row.id, "deferred", "execute_complete"
        session.merge(ti)

    def is_resumed() -> bool:
        with create_session() as session:
            return bool(task_instance(session).state != "deferred")

    triggerer = Program([Path(sys.executable).parent / "airflow", "triggerer"], dict(os.environ), log)
    try:
        until(f"the trigger's event; see {log}", is_resumed, seconds=120)
    finally:
        triggerer.end()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
