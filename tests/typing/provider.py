from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any, assert_type

import requests
from airflow.providers.common.compat.sdk import BaseHook, BaseOperator, Context
from airflow.triggers.base import TriggerEvent

from airflow_provider_toloka.client import AsyncTolokaClient, RetryPolicy, TolokaClient
from airflow_provider_toloka.client.models import Operation, Project, Requester
from airflow_provider_toloka.hooks.toloka import TolokaHook
from airflow_provider_toloka.operators.stale import TolokaArchiveStaleProjectsOperator, TolokaFindStaleProjectsOperator
from airflow_provider_toloka.operators.toloka import (
    TolokaArchivePoolOperator,
    TolokaArchiveProjectOperator,
    TolokaArchiveTrainingOperator,
    TolokaClosePoolOperator,
    TolokaCloseTrainingOperator,
)
from airflow_provider_toloka.sensors.toloka import OperationSensor
from airflow_provider_toloka.triggers.events import OperationFinishedTrigger
from airflow_provider_toloka.triggers.toloka import OperationTrigger


def hook() -> None:
    with TolokaHook("toloka_default", retry_policy=RetryPolicy(retries=0)) as used:
        assert_type(used, TolokaHook)
        base: list[BaseHook] = [used]
        assert base
        assert_type(used.client, TolokaClient)
        assert_type(used.get_conn(), requests.Session)
        assert_type(used.test_connection(), tuple[bool, str])
        assert_type(used.get_requester(), Requester)
        assert_type(used.get_project("1"), Project)
        assert_type(used.list_projects(status="ACTIVE"), Iterator[Project])
        assert_type(used.archive_project("1"), Operation | None)
        assert_type(used.wait_for_operation("1"), Operation)
    TolokaHook(conn_id="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def hook_that_does_not_block() -> None:
    assert_type(TolokaHook().async_client(), AsyncTolokaClient)
    async with await TolokaHook().read_async_client() as client:
        assert_type(client, AsyncTolokaClient)
        assert_type(await client.get_project("1"), Project)


def operators(context: Context) -> None:
    archive = TolokaArchiveProjectOperator(
        task_id="a", project_id="1", pools="archive_closed", poll_interval=timedelta(seconds=5), timeout=None
    )
    assert_type(archive.execute(context), str)
    of_pools: list[BaseOperator] = [
        archive,
        TolokaClosePoolOperator(task_id="b", pool_id="1", deferrable=True),
        TolokaArchivePoolOperator(task_id="c", pool_id="1", wait_for_completion=False),
        TolokaCloseTrainingOperator(task_id="d", training_id="1", timeout=60),
        TolokaArchiveTrainingOperator(task_id="e", training_id=archive.output),
    ]
    assert of_pools
    found = TolokaFindStaleProjectsOperator(task_id="f", inactive_for=timedelta(days=90), name_pattern="[DRAFT] *")
    assert_type(found.execute(context), list[dict[str, Any]] | list[str])
    stale = TolokaArchiveStaleProjectsOperator(task_id="g", project_ids=["1"], inactive_for=timedelta(days=90))
    assert_type(stale.execute(context), dict[str, list[dict[str, Any]]])
    TolokaArchiveProjectOperator(task_id="h", project_id="1", pools=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    TolokaArchiveProjectOperator(task_id="i")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def sensor() -> None:
    sensors: list[BaseOperator] = [
        OperationSensor(task_id="a", operation_id=["1", "2"], deferrable=True, poke_interval=10)
    ]
    assert sensors


def triggers() -> None:
    wait = OperationTrigger(toloka_conn_id="toloka_default", operation_ids=["1"])
    assert_type(wait.serialize(), tuple[str, dict[str, Any]])
    assert_type(wait.run(), AsyncIterator[TriggerEvent])
    event = OperationFinishedTrigger(operation_types=["POOL.CLOSE"])
    assert_type(event.run(), AsyncIterator[TriggerEvent])
