"""Find stale Toloka projects, and archive each in its own mapped task.

Shows: `only_ids=True` and `.expand(project_id=...)`: every project has its own log, retries and result in the grid. For
hundreds of projects, `TolokaArchiveStaleProjectsOperator` does the same in one task, and faster.

Needs: a connection `toloka_default`, and a running triggerer.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_toloka.operators.stale import TolokaFindStaleProjectsOperator
from airflow_provider_toloka.operators.toloka import TolokaArchiveProjectOperator

with DAG(
    dag_id="toloka_mapped_cleanup",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    doc_md=__doc__,
    tags=["toloka"],
) as dag:
    find = TolokaFindStaleProjectsOperator(
        task_id="find_stale_projects",
        inactive_for=timedelta(days=180),
        name_pattern="Forgotten*",
        only_ids=True,
    )
    TolokaArchiveProjectOperator.partial(
        task_id="archive",
        pools="archive_closed",
        deferrable=True,
        retries=2,
        max_active_tis_per_dag=16,
    ).expand(project_id=find.output)
