from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.hooks.toloka import TolokaHook

TOKEN = "AQAD-secret"
Connect: TypeAlias = Callable[..., TolokaHook]


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Make a connection of a URI or of fields, and a hook for it."""

    def connected(told: str | dict[str, Any], name: str = "mine") -> TolokaHook:
        if isinstance(told, dict):
            told = json.dumps({"conn_type": "toloka", "password": TOKEN, **told})
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", told)
        return TolokaHook(name)

    return connected


@pytest.fixture
def emulator(toloka_emulator: TolokaEmulator) -> TolokaEmulator:
    """Fill an account with a bit of everything."""
    project_id = toloka_emulator.add_project("First")["id"]
    toloka_emulator.add_project("Second", status="ARCHIVED")
    training_id = toloka_emulator.add_training(project_id, status="OPEN", id="20")["id"]
    toloka_emulator.add_pool(project_id, id="10", status="OPEN", training_id=training_id)
    toloka_emulator.add_pool(project_id, id="11")
    batch = "5c04458e-63c1-46c1-ba0d-6f0756a5358b"
    toloka_emulator.add_operation("TASK.BATCH_CREATE", id=batch, log=[{"success": True}])
    return toloka_emulator
