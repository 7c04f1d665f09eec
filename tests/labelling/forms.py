"""Forms that Toloka takes, for tests to spoil."""

from __future__ import annotations

from typing import Any

PROJECT: dict[str, Any] = {
    "public_name": "Cats or dogs",
    "public_description": "Say what the picture shows",
    "assignments_issuing_type": "AUTOMATED",
    "task_spec": {
        "input_spec": {"image": {"type": "url", "required": True}},
        "output_spec": {"result": {"type": "string", "allowed_values": ["cat", "dog"]}},
        "view_spec": {"type": "tb", "config": "{}", "settings": {}},
    },
}
POOL: dict[str, Any] = {
    "project_id": "1001",
    "private_name": "Monday",
    "defaults": {"default_overlap_for_new_task_suites": 3, "default_overlap_for_new_tasks": 3},
    "reward_per_assignment": 0.02,
    "will_expire": "2030-12-31T23:59:59",
    "assignment_max_duration_seconds": 600,
    "mixer_config": {"real_tasks_count": 5, "golden_tasks_count": 0, "training_tasks_count": 0},
    "auto_accept_solutions": True,
}
TRAINING: dict[str, Any] = {
    "project_id": "1001",
    "private_name": "Exam",
    "inherited_instructions": True,
    "training_tasks_in_task_suite_count": 3,
}
