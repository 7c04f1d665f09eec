"""Count the pools of each active Toloka project, with the hook in a TaskFlow task.

Shows: `TolokaHook` and its lists, which are read page by page during iteration. Changes nothing.

Needs: a connection `toloka_default`.
"""

from __future__ import annotations

import logging
from collections import Counter

import pendulum
from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_toloka.hooks.toloka import TolokaHook

log = logging.getLogger(__name__)


@dag(
    dag_id="toloka_hook",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    doc_md=__doc__,
    tags=["toloka"],
)
def toloka_hook() -> None:
    @task
    def count_pools() -> dict[str, dict[str, int]]:
        with TolokaHook("toloka_default") as hook:
            return {
                f"{project.id} {project.public_name}": Counter(
                    pool.status for pool in hook.list_pools(project_id=project.id)
                )
                for project in hook.list_projects(status="ACTIVE")
            }

    @task
    def report(counts: dict[str, dict[str, int]]) -> None:
        for project_id, statuses in counts.items():
            log.info("Project %s: %s", project_id, statuses or "no pools")

    report(count_pools())  # type: ignore[arg-type]  # Airflow's decorator does not say that it takes what a task gives


toloka_hook()
