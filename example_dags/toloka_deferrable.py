"""Close and archive the pools and trainings of a Toloka project, then the project, without occupying a worker slot.

Shows: `pools="close_and_archive"`, which stops paid work on open pools, and `deferrable=True`: waits run on the
triggerer. Archived objects cannot be restored, so the operator never closes or archives more than `pools` allows.

Needs: a connection `toloka_default`, and a running triggerer. The project's id is a parameter of the run.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_toloka.operators.toloka import TolokaArchiveProjectOperator

with DAG(
    dag_id="toloka_deferrable",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    params={"project_id": Param("1004", type="string", description="The id of the project to archive")},
    doc_md=__doc__,
    tags=["toloka"],
) as dag:
    TolokaArchiveProjectOperator(
        task_id="archive_with_pools",
        project_id="{{ params.project_id }}",
        pools="close_and_archive",
        deferrable=True,
        retries=2,
        poll_interval=5,
        timeout=timedelta(hours=1),
    )
