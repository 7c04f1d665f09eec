"""The account that clean-ups are tried on."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from airflow_provider_toloka.emulator import TolokaEmulator


@pytest.fixture
def stale(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[TolokaEmulator]:
    """Run a Toloka with the account "stale"; an operation takes 0.2 seconds, or as long as parametrized."""
    with TolokaEmulator("stale", operation_seconds=getattr(request, "param", 0.2)) as emulator:
        connection = emulator.connection | {"extra": {"retries": 1}}
        monkeypatch.setenv("AIRFLOW_CONN_TOLOKA_DEFAULT", json.dumps(connection))
        yield emulator
