"""The DAGs that run on the cluster. A run's conf says on which account, and what is archived."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_toloka.operators.stale import TolokaArchiveStaleProjectsOperator
from airflow_provider_toloka.operators.toloka import TolokaArchiveProjectOperator
from tests.durability.dags.labelling_dag import label

CONNECTION: dict[str, Any] = {"toloka_conn_id": "{{ dag_run.conf['connection'] }}", "poll_interval": 2}
STALE: dict[str, Any] = {
    **CONNECTION,
    "project_ids": "all",
    "inactive_for": timedelta(days=180),
    "name_pattern": "{{ dag_run.conf['pattern'] }}",
    "max_projects": 1000,
}


def new_dag(dag_id: str, retry_delay: timedelta = timedelta(seconds=2)) -> DAG:
    """Make a DAG whose runs may run at once, and whose tasks are retried."""
    return DAG(
        dag_id,
        schedule=None,
        max_active_runs=200,
        max_active_tasks=200,
        default_args={"retries": 5, "retry_delay": retry_delay},
    )


for dag_id in ("archive_one", "archive_two", "archive_three"):
    with new_dag(dag_id) as dag:
        TolokaArchiveProjectOperator(
            task_id="task",
            project_id="{{ dag_run.conf['project_id'] }}",
            pools="close_and_archive",
            deferrable=True,
            **CONNECTION,
        )
    globals()[dag_id] = dag

# The broker may be away for longer than a few quick tries last.
with new_dag("archive_patiently", timedelta(seconds=30)) as archive_patiently:
    TolokaArchiveProjectOperator(
        task_id="task",
        project_id="{{ dag_run.conf['project_id'] }}",
        pools="archive_closed",
        deferrable=True,
        **CONNECTION,
    )

with new_dag("archive_mapped") as archive_mapped:

    @task
    def projects(**context: Any) -> list[str]:
        """Return the projects that the run is for."""
        ids: list[str] = context["dag_run"].conf["project_ids"]
        return ids

    TolokaArchiveProjectOperator.partial(
        task_id="task", pools="archive_closed", deferrable=True, max_active_tis_per_dag=200, **CONNECTION
    ).expand(project_id=projects())

with new_dag("clean_up") as clean_up:
    TolokaArchiveStaleProjectsOperator(task_id="task", deferrable=True, **STALE)

with new_dag("clean_up_closing") as clean_up_closing:
    TolokaArchiveStaleProjectsOperator(task_id="task", pools="close_and_archive", deferrable=True, **STALE)

with new_dag("clean_up_on_worker") as clean_up_on_worker:
    TolokaArchiveStaleProjectsOperator(task_id="task", deferrable=False, **STALE)

labelling = label({"retries": 5, "retry_delay": timedelta(seconds=2)})
