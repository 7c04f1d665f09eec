"""Archive a list of Toloka projects, one mapped task per project.

Shows: `.partial(...).expand(project_id=...)`. Each project has its own task, log, retries and result.

Needs: a connection `toloka_default`. The ids are a parameter of the run.
"""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import Context, Param, dag, get_current_context, task

from airflow_provider_toloka.operators.toloka import TolokaArchiveProjectOperator


@dag(
    dag_id="toloka_mapped",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    params={
        "project_ids": Param(
            ["1003", "1006"],
            type="array",
            items={"type": "string"},
            description="The ids of the projects to archive",
        )
    },
    doc_md=__doc__,
    tags=["toloka"],
)
def toloka_mapped() -> None:
    @task
    def project_ids() -> list[str]:
        context: Context = get_current_context()
        return list(context["params"]["project_ids"])

    TolokaArchiveProjectOperator.partial(task_id="archive").expand(project_id=project_ids())


toloka_mapped()
