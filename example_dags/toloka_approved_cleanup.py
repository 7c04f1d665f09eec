"""Find stale Toloka projects, ask a person, and archive them when the person approves.

Shows: a form for everything that a clean-up can be tuned by, and Airflow's `ApprovalOperator`. The first task hands on
a subject and a body for it, and fails before anybody is asked if there are more projects than the limit. The last task
looks at each project again: one that has been used since is left alone.

Needs: a connection `toloka_default`, Airflow 3.1 or newer, and somebody who answers under "Required Actions". With
"Only preview" turned on, which is the default, the run ends with the list, and nobody is asked.
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
        description="A project is stale when nobody has used it, its pools or its trainings for so many days.",
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
        description="The ids of projects to leave alone, one a line.",
    ),
    "pools": Param(
        "archive_closed",
        enum=["require_archived", "archive_closed"],
        title="Pools and trainings",
        description="Whether closed pools and trainings are archived first, or a project that has any is not archived.",
    ),
    "max_projects": Param(
        100,
        type="integer",
        minimum=1,
        title="Limit",
        description="If more projects are stale, the run fails before anybody is asked, and nothing is changed.",
    ),
    "preview": Param(
        True,
        type="boolean",
        title="Only preview",
        description="List the stale projects; ask nobody, and change nothing.",
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
    # dag.param() hands on a value as it is, a list as a list; a template would make a text of it.
    rule: dict[str, Any] = {
        "inactive_for": "{{ params.days }}d",
        "name_pattern": dag.param("name_pattern"),
        "exclude_project_ids": dag.param("exclude_project_ids"),
        "max_projects": dag.param("max_projects"),
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
    somebody_has_to_approve(find.output, preview=dag.param("preview")) >> ask >> archive
