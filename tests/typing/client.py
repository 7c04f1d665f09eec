from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any, assert_type

import requests

from airflow_provider_toloka.client import AsyncTolokaClient, Observer, RetryPolicy, Settings, TolokaClient
from airflow_provider_toloka.client.models import Operation, Pool, Project, Requester, Training
from airflow_provider_toloka.exceptions import TolokaApiError, TolokaError, TolokaOperationFailedError


def clients() -> None:
    assert_type(TolokaClient.from_token("token", environment="sandbox", retries=0), TolokaClient)
    assert_type(AsyncTolokaClient.from_token("token", url="https://toloka.dev"), AsyncTolokaClient)
    settings = Settings(token="token", ca_bundle="/etc/ssl/company.pem")
    assert_type(TolokaClient(settings, retry=RetryPolicy(retries=3)), TolokaClient)
    assert_type(AsyncTolokaClient(settings, observer=Observer()), AsyncTolokaClient)
    with TolokaClient(settings) as client:
        assert_type(client, TolokaClient)
        assert_type(client.session, requests.Session)
        assert_type(client.requests_sent, int)


def calls(client: TolokaClient) -> None:
    assert_type(client.get_requester(), Requester)
    assert_type(client.get_project("1"), Project)
    assert_type(client.get_pool("1"), Pool)
    assert_type(client.get_training("1"), Training)
    assert_type(client.get_operation("1"), Operation)
    assert_type(client.get_operation_log("1"), list[dict[str, Any]])
    assert_type(client.list_projects(status="ACTIVE"), Iterator[Project])
    assert_type(client.list_pools(project_id="1"), Iterator[Pool])
    assert_type(client.list_trainings(), Iterator[Training])
    assert_type(client.list_operations(), Iterator[Operation])
    assert_type(client.archive_project("1"), Operation | None)
    assert_type(client.close_pool("1"), Operation | None)
    assert_type(client.archive_pool("1"), Operation | None)
    assert_type(client.close_training("1"), Operation | None)
    assert_type(client.archive_training("1"), Operation | None)
    assert_type(client.wait_for_operation("1", poll_interval=1, timeout=None), Operation)
    client.get_project(project_id=["1"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def calls_that_do_not_block(token: str) -> None:
    async with AsyncTolokaClient.from_token(token) as client:
        assert_type(client, AsyncTolokaClient)
        assert_type(client.requests_sent, int)
        assert_type(await client.get_requester(), Requester)
        assert_type(await client.get_project("1"), Project)
        assert_type(await client.get_pool("1"), Pool)
        assert_type(await client.get_training("1"), Training)
        assert_type(await client.get_operation("1"), Operation)
        assert_type(await client.get_operation_log("1"), list[dict[str, Any]])
        assert_type(client.list_projects(status="ACTIVE"), AsyncIterator[Project])
        assert_type(client.list_pools(project_id="1"), AsyncIterator[Pool])
        assert_type(client.list_trainings(), AsyncIterator[Training])
        assert_type(client.list_operations(), AsyncIterator[Operation])
        assert_type(await client.archive_project("1"), Operation | None)
        assert_type(await client.close_pool("1"), Operation | None)
        assert_type(await client.archive_pool("1"), Operation | None)
        assert_type(await client.close_training("1"), Operation | None)
        assert_type(await client.archive_training("1"), Operation | None)
        assert_type(await client.wait_for_operation("1"), Operation)


def models(project: Project, pool: Pool, operation: Operation) -> None:
    assert_type(project.id, str)
    assert_type(project.public_name, str | None)
    assert_type(project.created, datetime | None)
    assert_type(pool.training_id, str | None)
    assert_type(pool.last_activity, datetime | None)
    assert_type(operation.is_finished, bool)
    assert_type(operation.progress, float | None)
    assert_type(hash(operation), int)
    assert_type(Project.from_json({"id": "1", "status": "ACTIVE"}), Project)
    project.status = "ARCHIVED"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def errors(error: TolokaApiError, failed: TolokaOperationFailedError) -> None:
    assert_type(error.is_transient, bool)
    assert_type(error.status, int | None)
    assert_type(error.code, str | None)
    assert_type(error.retry_after, float | None)
    assert_type(failed.operation, Operation)
    base: TolokaError = error
    assert_type(str(base), str)
