"""Find stale Toloka projects, ask a person for approval, and archive them.

Shows: a form with all settings of a clean-up, and Airflow's `ApprovalOperator`. The first task provides its subject and
body, and fails if there are more projects than the limit. The last task reads each project again: projects that have
been used since are left alone.

Needs: a connection `toloka_default`, a running triggerer, Airflow 3.1 or newer, and a person who answers under
"Required Actions". With "Only preview" turned on, which is the default, the run ends with the list, without asking for
approval.
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, Param, task
from airflow.providers.standard.operators.hitl import ApprovalOperator

from airflow_provider_toloka.operators.stale import (
    TolokaArchiveStaleProjectsOperator,
    TolokaFindStaleProjectsOperator,
)

PARAMS = {
    "days": Param(
        180,
        type="integer",
        minimum=1,
        title="Days without activity",
        description="A project is stale when it, its pools and its trainings have not been used for this many days.",
    ),
    "name_pattern": Param(
        "*",
        type="string",
        minLength=1,
        title="Name pattern",
        description="Only projects whose name matches, such as Test *. Only * and ? are special; case-sensitive.",
    ),
    "exclude_project_ids": Param(
        [],
        type="array",
        items={"type": "string"},
        title="Excluded projects",
        description="The ids of projects to leave alone, one per line.",
    ),
    "pools": Param(
        "archive_closed",
        enum=["require_archived", "archive_closed"],
        title="Pools and trainings",
        description="Whether to archive closed pools and trainings first, or not to archive projects that have any.",
    ),
    "max_projects": Param(
        100,
        type="integer",
        minimum=1,
        title="Limit",
        description="If more projects are stale, the run fails without asking for approval, and nothing is changed.",
    ),
    "preview": Param(
        True,
        type="boolean",
        title="Only preview",
        description="Only list the stale projects; do not ask for approval, and change nothing.",
    ),
}

with DAG(
    dag_id="toloka_approved_cleanup",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    params=PARAMS,
    doc_md=__doc__,
    tags=["toloka"],
) as dag:
    # dag.param() passes a list as a list; a template would convert it to text. Airflow 3.1 needs the default again.
    rule: dict[str, Any] = {
        "inactive_for": "{{ params.days }}d",
        **{
            name: dag.param(name, PARAMS[name].value)
            for name in ("name_pattern", "exclude_project_ids", "max_projects")
        },
    }
    find = TolokaFindStaleProjectsOperator(task_id="find_stale_projects", only_ids=True, **rule)

    @task.short_circuit
    def somebody_has_to_approve(project_ids: Any, *, preview: Any) -> bool:
        return bool(project_ids) and not preview

    ask = ApprovalOperator(
        task_id="ask",
        subject="{{ ti.xcom_pull('find_stale_projects', key='approval_subject') }}",
        body="{{ ti.xcom_pull('find_stale_projects', key='approval_body') }}",
    )
    archive = TolokaArchiveStaleProjectsOperator(
        task_id="archive",
        project_ids=find.output,
        pools="{{ params.pools }}",
        deferrable=True,
        retries=2,
        **rule,
    )
    somebody_has_to_approve(find.output, preview=dag.param("preview", PARAMS["preview"].value)) >> ask >> archive
