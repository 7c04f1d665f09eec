"""A clean-up that runs in a process of its own, so that a test can kill it.

``python -m tests.operators.killed DAG_ID``; the environment, with the metadata database, is the caller's.
"""

from __future__ import annotations

import sys

from airflow.providers.common.compat.sdk import DAG
from airflow.utils.session import create_session
from sqlalchemy import text

from airflow_provider_toloka.operators.stale import TolokaArchiveStaleProjectsOperator
from tests.running import run


def cleanup(dag_id: str) -> DAG:
    """Make a DAG that archives two projects of the account "stale".

    :param dag_id: its id.
    """
    with DAG(dag_id, schedule=None) as dag:
        TolokaArchiveStaleProjectsOperator(
            task_id="task", project_ids=["985", "990"], poll_interval=0.2, deferrable=False
        )
    return dag


def recorded(dag_id: str) -> str:
    """Return what Airflow has stored for the tasks of a DAG."""
    with create_session() as session:
        rows = session.execute(text("SELECT value FROM task_state_store WHERE dag_id = :dag_id"), {"dag_id": dag_id})
        return " ".join(str(row.value) for row in rows)


if __name__ == "__main__":
    run(cleanup(sys.argv[1]))
