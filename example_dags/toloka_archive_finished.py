"""Archive a Toloka project when its last open pool has closed.

Shows: event-driven scheduling. A watcher on the triggerer reports closed pools. Each event starts a run, which reads
the pool's project, and archives it if none of its pools is open.

Needs: a connection `toloka_default`, a running triggerer, and Airflow 3.0 or newer. Once you unpause the DAG, it
archives without asking, and an archived project cannot be restored.
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset, task
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_toloka.client.models import OPEN
from airflow_provider_toloka.hooks.toloka import TolokaHook
from airflow_provider_toloka.operators.toloka import TolokaArchiveProjectOperator

if AIRFLOW_V_3_0_PLUS:
    from airflow.sdk import AssetWatcher

    from airflow_provider_toloka.triggers.events import OperationFinishedTrigger

    # Airflow leaves the later ones of simultaneous events to the next run; with repeat_last, they need not wait.
    trigger = OperationFinishedTrigger(operation_types=["POOL.CLOSE"], poll_interval=10, repeat_last=True)
    pool_closed = Asset(
        "toloka_pool_closed",
        uri="toloka://toloka.dev/pools/closed",
        watchers=[AssetWatcher(name="toloka_pool_closed", trigger=trigger)],
    )

    with DAG(
        dag_id="toloka_archive_finished",
        schedule=[pool_closed],
        start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
        catchup=False,
        is_paused_upon_creation=True,
        doc_md=__doc__,
        tags=["toloka"],
    ) as dag:

        @task
        def projects_without_an_open_pool(triggering_asset_events: Any = None) -> list[str]:
            """Read the projects of the closed pools."""
            pool_ids = {event.extra["payload"]["pool_id"] for event in triggering_asset_events[pool_closed]}
            with TolokaHook() as hook:
                project_ids = {hook.get_pool(pool_id).project_id for pool_id in pool_ids}
                return sorted(id_ for id_ in project_ids if not any(hook.list_pools(project_id=id_, status=OPEN)))

        TolokaArchiveProjectOperator.partial(task_id="archive", pools="archive_closed", retries=2).expand(
            project_id=projects_without_an_open_pool()
        )
