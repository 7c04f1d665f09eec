"""Check that no error of a task or future is lost; asyncio would log it only later."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def errors_are_retrieved(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    gc.collect(1)
    lost = [record.getMessage() for record in caplog.get_records("call") if record.name == "asyncio"]
    assert [message for message in lost if "never retrieved" in message] == []
