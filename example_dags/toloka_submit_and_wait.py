"""Submit the archiving of a Toloka project, and wait for it in a separate task.

Shows: `wait_for_completion=False`, and a sensor that gets the operation's id. The sensor frees its worker slot between
two polls. If the project was archived before, there is no operation to wait for.

Needs: a connection `toloka_default`. The project's id is a parameter of the run.
"""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_toloka.operators.toloka import TolokaArchiveProjectOperator
from airflow_provider_toloka.sensors.toloka import OperationSensor

with DAG(
    dag_id="toloka_submit_and_wait",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    params={"project_id": Param("1002", type="string", description="The id of the project to archive")},
    doc_md=__doc__,
    tags=["toloka"],
) as dag:
    submit = TolokaArchiveProjectOperator(
        task_id="submit",
        project_id="{{ params.project_id }}",
        wait_for_completion=False,
    )
    OperationSensor(
        task_id="wait",
        operation_id=submit.output,
        mode="reschedule",
        poke_interval=5,
        timeout=600,
    )
