"""Forms and helpers that several tests of the emulator send."""

from __future__ import annotations

from typing import Any

from airflow_provider_toloka.emulator import TolokaEmulator
from tests.emulator.conftest import Client

SPEC: dict[str, Any] = {
    "input_spec": {"image": {"type": "url"}, "note": {"type": "string", "required": False, "max_length": 5}},
    "output_spec": {"result": {"type": "string", "allowed_values": ["cat", "dog"]}},
}
PROJECT: dict[str, Any] = {"public_name": "Cats", "task_spec": SPEC, "assignments_issuing_type": "AUTOMATED"}
MIXER = {"real_tasks_count": 2, "golden_tasks_count": 0, "training_tasks_count": 0}
POOL: dict[str, Any] = {
    "private_name": "Main",
    "defaults": {"default_overlap_for_new_task_suites": 2, "default_overlap_for_new_tasks": 2},
    "reward_per_assignment": 0.05,
    "will_expire": "2030-01-01T00:00:00",
    "assignment_max_duration_seconds": 60,
    "mixer_config": MIXER,
}
TRAINING: dict[str, Any] = {
    "private_name": "First",
    "inherited_instructions": True,
    "training_tasks_in_task_suite_count": 3,
}


def image(number: int) -> dict[str, str]:
    return {"image": f"https://example.com/{number}.jpg"}


def items(pool_id: str, count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"pool_id": pool_id, "input_values": image(number)} | more for number in range(count)]


def make_pool(client: Client, **changes: Any) -> str:
    """Create a project and a pool in it by requests."""
    project = client.post("/projects", json=PROJECT).json()["id"]
    answer = client.post("/pools", json=POOL | {"project_id": project} | changes)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def filled_pool(toloka: TolokaEmulator, tasks: int = 4, **fields: Any) -> str:
    """Add a pool with tasks to be done by two each."""
    form = {name: POOL[name] for name in ("defaults", "mixer_config", "assignment_max_duration_seconds")}
    pool = str(toloka.add_pool(toloka.add_project()["id"], **form | fields)["id"])
    toloka.add_tasks(pool, map(image, range(tasks)))
    return pool
