"""Find stale Toloka projects, ask a person, and archive them when the person approves.

Shows: the list that the first task returns, shown to the person by Airflow's `ApprovalOperator`, and handed on to the
last task. That looks at each project again: one that has been used since is skipped.

Needs: a connection `toloka_default`, Airflow 3.1 or newer, and somebody who answers under "Required Actions".
"""

from __future__ import annotations

from datetime import timedelta

import pendulum
from airflow.providers.common.compat.sdk import DAG
from airflow.providers.standard.operators.hitl import ApprovalOperator

from airflow_provider_toloka.operators.stale import (
    TolokaArchiveStaleProjectsOperator,
    TolokaFindStaleProjectsOperator,
)

IDLE = timedelta(days=180)
IDS = "{{ ti.xcom_pull('find_stale_projects') | map(attribute='id') | list }}"

with DAG(
    dag_id="toloka_approved_cleanup",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    render_template_as_native_obj=True,
    doc_md=__doc__,
    tags=["toloka"],
) as dag:
    find = TolokaFindStaleProjectsOperator(task_id="find_stale_projects", inactive_for=IDLE, max_projects=100)
    ask = ApprovalOperator(
        task_id="ask",
        subject="{{ ti.xcom_pull('find_stale_projects', key='approval_subject') }}",
        body="{{ ti.xcom_pull('find_stale_projects', key='approval_body') }}",
    )
    archive = TolokaArchiveStaleProjectsOperator(
        task_id="archive",
        project_ids=IDS,
        inactive_for=IDLE,
        deferrable=True,
        retries=2,
    )
    find >> ask >> archive
