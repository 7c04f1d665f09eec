"""Write the answers of a Toloka pool to a file whenever a pool is complete.

Shows: event-driven scheduling. A watcher on the triggerer reports closed pools. Each event starts a run, with one
mapped task per pool.

Needs: a connection `toloka_default`, a running triggerer, and Airflow 3.0 or newer. The folder is a parameter of the
run.
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset, Param, task
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_toloka.operators.answers import TolokaExportAssignmentsOperator

if AIRFLOW_V_3_0_PLUS:
    from airflow.sdk import AssetWatcher

    from airflow_provider_toloka.triggers.pools import PoolClosedTrigger

    # Airflow leaves the later ones of simultaneous events to the next run; with repeat_last, they need not wait.
    trigger = PoolClosedTrigger(reasons=["COMPLETED"], repeat_last=True)
    pool_completed = Asset(
        "toloka_pool_completed",
        uri="toloka://toloka.dev/pools/completed",
        watchers=[AssetWatcher(name="toloka_pool_completed", trigger=trigger)],
    )

    with DAG(
        dag_id="toloka_collect_answers",
        schedule=[pool_completed],
        start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
        catchup=False,
        is_paused_upon_creation=True,
        params={"folder": Param("file:///tmp/toloka", type="string", description="A path or a URI")},
        doc_md=__doc__,
        tags=["toloka"],
    ) as dag:

        @task
        def files(folder: str, triggering_asset_events: Any = None) -> list[dict[str, str]]:
            """Return the complete pools, and a file for each."""
            pool_ids = {event.extra["payload"]["pool_id"] for event in triggering_asset_events[pool_completed]}
            return [{"pool_id": id_, "path": f"{folder}/pool-{id_}.jsonl"} for id_ in sorted(pool_ids)]

        TolokaExportAssignmentsOperator.partial(task_id="export_answers", retries=3).expand_kwargs(
            files("{{ params.folder }}")
        )
