"""Archive one Toloka project, and wait until it is archived.

Shows: the operator. By default, all pools of the project have to be archived already; the task fails, and lists them,
if one is not. To archive them too, trigger the DAG again with another choice for pools and trainings.

Needs: a connection `toloka_default`. The project's id and the rule for its pools are parameters of the run.
"""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_toloka.operators.toloka import TolokaArchiveProjectOperator

with DAG(
    dag_id="toloka_archive_project",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    params={
        "project_id": Param("1001", type="string", description="The id of the project to archive"),
        "pools": Param(
            "require_archived",
            enum=["require_archived", "archive_closed", "close_and_archive"],
            title="Pools and trainings",
            description="Which pools and trainings of the project to archive first; closing stops paid work",
        ),
    },
    doc_md=__doc__,
    tags=["toloka"],
) as dag:
    TolokaArchiveProjectOperator(task_id="archive", project_id="{{ params.project_id }}", pools="{{ params.pools }}")
