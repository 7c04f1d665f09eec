"""Archive the Toloka projects that have been idle for half a year, once a month.

Shows: the whole clean-up in one task. It archives closed pools and trainings first. A project with an open pool is not
stale. With `preview` turned on, which is the default here, it only reports what it would do.

Needs: a connection `toloka_default`, and a running triggerer. When the report is correct, turn `preview` off, in the
run's form or here.
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_toloka.operators.stale import TolokaArchiveStaleProjectsOperator

with DAG(
    dag_id="toloka_monthly_cleanup",
    schedule="@monthly",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    params={"preview": Param(True, type="boolean", title="Only preview", description="Only report; change nothing")},
    doc_md=__doc__,
    tags=["toloka"],
) as dag:
    TolokaArchiveStaleProjectsOperator(
        task_id="archive_stale_projects",
        project_ids="all",
        inactive_for=timedelta(days=180),
        exclude_project_ids=["1000"],
        preview="{{ params.preview }}",
        max_projects=100,
        deferrable=True,
        retries=2,
        timeout=timedelta(hours=6),
    )
