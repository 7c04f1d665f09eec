"""What the tests of the triggers share: their log, patience, and how often a connection is read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_toloka.hooks.toloka import TolokaHook
from tests.retrieved import errors_are_retrieved

__all__ = ["errors_are_retrieved", "logged", "reads", "until"]


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Return everything that was logged; Airflow 3 prints a trigger's log, and Airflow 2 logs it as usual."""
    printed: list[str] = []

    def text() -> str:
        printed.append(capsys.readouterr().out)
        return caplog.text + "".join(printed)

    return text


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the ids of the connections that were read, in their order."""
    ids: list[str] = []
    read = TolokaHook.read_async_client

    async def note(hook: TolokaHook) -> Any:
        ids.append(hook.toloka_conn_id)
        return await read(hook)

    monkeypatch.setattr(TolokaHook, "read_async_client", note)
    return ids


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - it is not told when another side has come so far
            await asyncio.sleep(0.02)
