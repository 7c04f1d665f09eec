"""Tasks that succeed, wait and fail in every way, over each of the connections named in the environment."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, BaseOperator, Context

from airflow_provider_toloka.exceptions import TolokaError
from airflow_provider_toloka.hooks.toloka import TolokaHook
from airflow_provider_toloka.operators.stale import TolokaArchiveStaleProjectsOperator, TolokaFindStaleProjectsOperator
from airflow_provider_toloka.operators.toloka import TolokaArchiveProjectOperator
from airflow_provider_toloka.sensors.toloka import OperationSensor

CONNECTIONS = os.environ["TESTED_CONNECTIONS"].split(",")


class TellEverything(BaseOperator):
    """Logs whatever a careless author could log, and fails with a chain of errors."""

    template_fields = ("toloka_conn_id",)

    def __init__(self, *, toloka_conn_id: str, **kwargs: object) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.toloka_conn_id = toloka_conn_id

    def execute(self, context: Context) -> None:
        """Log, and fail."""
        with TolokaHook(self.toloka_conn_id) as hook:
            session = hook.get_conn()
            for one in (hook, hook.api, hook.api.settings, hook.api.settings.headers, session, session.headers):
                self.log.info("%r %s", one, one)
            self.log.info("%r", session.auth)
            context["ti"].xcom_push(key="told", value=f"{hook.api.settings} {hook.test_connection()}")
            try:
                hook.get_project("404404")
            except TolokaError as error:
                raise RuntimeError(f"{error!r} {error.args}") from error


def add_tasks(name: str, ways: dict[str, bool]) -> None:
    """Add the tasks over one connection."""
    for way, deferrable in ways.items():
        more: Any = {"toloka_conn_id": name, "deferrable": deferrable}
        good = TolokaArchiveProjectOperator(
            task_id=f"{name}_good_{way}", project_id="{{ 1001 }}", poll_interval=0.5, **more
        )
        OperationSensor(task_id=f"{name}_sensor_{way}", operation_id=good.output, poke_interval=1, **more)
        OperationSensor(task_id=f"{name}_missing_{way}", operation_id="404", poke_interval=1, timeout=20, **more)
        # It is answered with an echo of the connection's own header.
        TolokaArchiveProjectOperator(
            task_id=f"{name}_echo_{way}", project_id=f"{9000 + CONNECTIONS.index(name)}", **more
        )
    # It waits until the test has read the rows of triggers.
    OperationSensor(
        task_id=f"{name}_waits", operation_id="a1", toloka_conn_id=name, deferrable=True, poke_interval=1, timeout=3600
    )
    TellEverything(task_id=f"{name}_tell", toloka_conn_id=name)


def add_others(name: str) -> None:
    """Add what one connection is enough for."""
    more: Any = {"toloka_conn_id": name, "deferrable": True}
    TolokaArchiveProjectOperator(task_id="conflict", project_id="1005", **more)
    OperationSensor(task_id="page", operation_id=f"e{CONNECTIONS.index(name)}", poke_interval=1, timeout=5, **more)
    TolokaArchiveStaleProjectsOperator(task_id="stale", project_ids=["1003"], preview=True, **more)
    TolokaFindStaleProjectsOperator(task_id="find", inactive_for=timedelta(days=1), toloka_conn_id=name)


with DAG(
    "leaks", schedule="@once", start_date=pendulum.datetime(2026, 1, 1, tz="UTC"), default_args={"retries": 0}
) as dag:
    first, *others = CONNECTIONS
    add_tasks(first, {"sync": False, "deferrable": True})
    add_others(first)
    for other in others:
        add_tasks(other, {"deferrable": True})
