"""The hook's calls."""

from __future__ import annotations

import asyncio
import inspect
import pydoc
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from airflow_provider_toloka.client import AsyncTolokaClient, TolokaClient
from airflow_provider_toloka.client.methods import ClientMethods
from airflow_provider_toloka.client.retry import RetryPolicy
from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.exceptions import (
    TolokaAuthenticationError,
    TolokaNotFoundError,
    TolokaOperationFailedError,
)
from airflow_provider_toloka.hooks.toloka import TolokaHook
from tests.hooks.conftest import TOKEN, Connect
from tests.serving import reply, serving

LISTS = ["list_projects", "list_pools", "list_trainings", "list_operations"]


TWINS: list[tuple[str, tuple[str, ...]]] = [
    ("get_requester", ()),
    ("get_project", ("98",)),
    ("get_pool", ("10",)),
    ("get_training", ("20",)),
    ("get_operation", ("5c04458e-63c1-46c1-ba0d-6f0756a5358b",)),
    ("get_operation_log", ("5c04458e-63c1-46c1-ba0d-6f0756a5358b",)),
    ("wait_for_operation", ("5c04458e-63c1-46c1-ba0d-6f0756a5358b",)),
    *((name, ()) for name in LISTS),
]
CHANGES = [
    ("archive_project", "99", None),
    ("close_pool", "10", "POOL.CLOSE"),
    ("archive_pool", "11", "POOL.ARCHIVE"),
    ("close_training", "20", "TRAINING.CLOSE"),
]


async def asked(call: Any) -> Any:
    return [item async for item in call] if isinstance(call, AsyncIterator) else await call


async def called(hook: TolokaHook, name: str, *args: Any) -> Any:
    async with hook.async_client() as client:
        return await asked(getattr(client, name)(*args))


@pytest.mark.parametrize(("name", "args"), TWINS, ids=[name for name, _ in TWINS])
async def test_each_call_and_its_twin_give_the_same(emulator: TolokaEmulator, name: str, args: tuple[str, ...]) -> None:
    with TolokaHook() as hook:
        plain = await asyncio.to_thread(getattr(hook, name), *args)
        if name in LISTS:
            plain = list(plain)
    emulator.clear_requests()
    async with await TolokaHook().read_async_client() as client:
        result = await asked(getattr(client, name)(*args))
    assert result == plain
    assert plain
    assert len(emulator.requests) == 1


@pytest.mark.parametrize(("name", "id_", "type_"), CHANGES)
@pytest.mark.parametrize("is_async", [False, True])
def test_each_change_and_its_twin_do_the_same(
    emulator: TolokaEmulator, name: str, id_: str, type_: str | None, is_async: bool
) -> None:
    with TolokaHook() as hook:
        operation = asyncio.run(called(hook, name, id_)) if is_async else getattr(hook, name)(id_)
    assert (operation and operation.type) == type_
    assert [record.method for record in emulator.requests][3:] == (["POST"] if type_ else [])


@pytest.mark.usefixtures("emulator")
def test_a_training_is_archived_after_its_pools() -> None:
    with TolokaHook() as hook:
        for call, id_ in (("close_pool", "10"), ("archive_pool", "10"), ("close_training", "20")):
            getattr(hook, call)(id_)
        assert asyncio.run(called(hook, "archive_training", "20")).type == "TRAINING.ARCHIVE"
        assert hook.archive_training("20") is None
        hook.archive_pool("11")
        operation = hook.archive_project("98")
    assert operation
    assert operation.type == "PROJECT.ARCHIVE"


def test_every_call_has_its_twin_with_the_same_signature() -> None:
    names = [name for name in vars(ClientMethods) if name.startswith(("get_", "list_", "archive_", "close_", "wait_"))]
    assert len(names) >= 16
    for name in names:
        plain, twin = getattr(ClientMethods, name), getattr(AsyncTolokaClient, name)
        assert twin.__qualname__ == f"AsyncTolokaClient.{name}"
        assert inspect.signature(plain).parameters == inspect.signature(twin).parameters
        returns = str(inspect.signature(twin).return_annotation)
        assert returns.replace("AsyncIterator", "Iterator") == inspect.signature(plain).return_annotation


CALLS = [name for name, _ in inspect.getmembers(TolokaClient, inspect.isfunction) if not name.startswith("_")]


@pytest.mark.parametrize("name", CALLS)
def test_help_and_tracebacks_tell_the_truth_about_a_call(name: str) -> None:
    of_client, of_hook = getattr(TolokaClient, name), getattr(TolokaHook, name)
    owner = next(cls for cls in TolokaHook.__mro__ if name in vars(cls))
    assert of_hook.__qualname__ == f"{owner.__name__}.{name}"
    assert of_hook.__code__.co_name == name
    assert inspect.signature(of_hook) == inspect.signature(of_client)
    assert f"{name}(self" in pydoc.plain(pydoc.render_doc(of_hook))
    assert "Flow" not in str(inspect.signature(of_hook).return_annotation)


async def test_calls_of_the_twin_need_its_connections() -> None:
    client = AsyncTolokaClient.from_token("AQAD-made-up")
    with pytest.raises(RuntimeError, match="async with"):
        await client.get_requester()


def test_a_page_is_read_when_it_is_come_to(emulator: TolokaEmulator) -> None:
    for _ in range(600):
        emulator.add_project()
    with TolokaHook() as hook:
        items = hook.list_projects()
        assert emulator.requests == []
        for _ in range(300):
            next(items)
        assert len(emulator.requests) == 1
        next(items)
        assert len(emulator.requests) == 2
        assert len(list(items)) == 602 - 301
    assert len(emulator.requests) == 3


async def test_a_page_of_the_twin_is_read_when_it_is_come_to(emulator: TolokaEmulator) -> None:
    for _ in range(300):
        emulator.add_project()
    async with TolokaHook().async_client() as client:
        items = client.list_projects()
        assert emulator.requests == []
        for _ in range(300):
            await anext(items)
        assert len(emulator.requests) == 1
        assert len([item async for item in items]) == 2
    assert len(emulator.requests) == 2


def test_filters_reach_toloka_and_wrong_ones_do_not(emulator: TolokaEmulator) -> None:
    with TolokaHook() as hook:
        assert [project.id for project in hook.list_projects(status="ARCHIVED")] == ["99"]
        assert list(hook.list_projects(created_gte=datetime(2100, 1, 1, tzinfo=UTC))) == []
        emulator.clear_requests()
        with pytest.raises(ValueError, match=r"has no filter state"):
            hook.list_projects(state="ARCHIVED")
    assert emulator.requests == []


def test_errors_come_as_they_are_meant(connect: Connect, emulator: TolokaEmulator) -> None:
    operation_id = emulator.add_operation("POOL.OPEN", status="FAIL", id="f" * 24)["id"]
    with TolokaHook() as hook:
        with pytest.raises(TolokaNotFoundError, match=r"Could not read project 404 at Toloka .*DOES_NOT_EXIST"):
            hook.get_project("404")
        with pytest.raises(TolokaOperationFailedError, match=r"ended as FAIL"):
            hook.wait_for_operation(operation_id)
        with pytest.raises(ValueError, match=r"^project_id should be an id"):
            hook.get_project("1/../2")
    with connect({**emulator.connection, "password": TOKEN}) as stranger, pytest.raises(TolokaAuthenticationError):
        stranger.get_project("98")


@pytest.mark.parametrize("is_async", [False, True])
def test_a_failed_request_is_sent_again_as_the_policy_says(emulator: TolokaEmulator, is_async: bool) -> None:
    emulator.fault("GET /projects/98", status=503, times=2)
    policy = RetryPolicy(retries=2, jitter=lambda _: 0.0)
    with TolokaHook(retry_policy=policy) as hook:
        project = asyncio.run(called(hook, "get_project", "98")) if is_async else hook.get_project("98")
        assert project.public_name == "First"
    assert [record.status for record in emulator.requests] == [503, 503, 200]


def test_within_the_hook_connections_are_kept(connect: Connect) -> None:
    ports = []

    def record(handler: BaseHTTPRequestHandler) -> None:
        ports.append(handler.client_address[1])
        reply(handler, b'{"id": "1"}')

    async def thrice() -> None:
        async with connect({"host": url}).async_client() as client:
            for _ in range(3):
                await client.get_requester()

    with serving(record) as url:
        with connect({"host": url}) as hook:
            for _ in range(3):
                hook.get_requester()
        asyncio.run(thrice())
    assert len(ports) == 6
    assert (len(set(ports[:3])), len(set(ports[3:]))) == (1, 1)


def test_a_closed_hook_can_be_used_again(emulator: TolokaEmulator) -> None:
    hook = TolokaHook()
    for _ in range(2):
        with hook:
            hook.get_requester()
        hook.close()
    assert len(emulator.requests) == 2
