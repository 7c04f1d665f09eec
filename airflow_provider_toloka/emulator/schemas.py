"""The forms of the API: ``ProjectFormV1``, ``PoolFormV1``, ``TrainingFormV1``, ``TaskFormV1`` and similar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_toloka.emulator.errors import FieldErrors, field_error
from airflow_provider_toloka.emulator.forms import (
    Anything,
    Field,
    Flag,
    Form,
    Instant,
    Items,
    Number,
    Open,
    Text,
    integer,
)
from airflow_provider_toloka.emulator.values import TYPES

LEAST_REWARD = 0.005
"""The minimum reward for a task suite in dollars, unless it is 0."""

_SECONDS = integer(5, 2_147_483_647)
_OVERLAP = integer(1, 30_000)
_NAME = Text(blank=False)


_COLLECTORS = Items(
    Form(
        required={
            # Toloka creates a collector's uuid: its own client sends none for a new one.
            "collector_config": Form(required={"type": _NAME}, optional={"uuid": Text(), "parameters": Open()}),
            "rules": Items(Form(required={"action": Open(), "conditions": Items(Open())})),
        }
    )
)

_SPEC = Form(
    required={"type": Text(values=TYPES)},
    optional={
        "required": Flag(),
        "hidden": Flag(),
        "allowed_values": Items(Anything()),
        "min_length": integer(0),
        "max_length": integer(0),
        "min_value": Number(),
        "max_value": Number(),
        "min_size": integer(0),
        "max_size": integer(0),
        "current_location": Anything(),
    },
)

PROJECT = Form(
    required={
        "public_name": _NAME,
        "task_spec": Form(
            required={"input_spec": Open(_SPEC), "output_spec": Open(_SPEC)}, optional={"view_spec": Open()}
        ),
        "assignments_issuing_type": Text(values=("AUTOMATED", "MAP_SELECTOR")),
    },
    optional={
        "public_description": Text(),
        "public_instructions": Text(),
        "private_comment": Text(),
        "assignments_issuing_view_config": Open(),
        "quality_control": Form(optional={"configs": _COLLECTORS}),
        "assignments_automerge_enabled": Flag(),
        "max_active_assignments_count": integer(),
        "metadata": Open(),
        "sensitive": Flag(),
        "localization_config": Open(),
    },
)


def _check_reward(pool: Mapping[str, Any], path: str, errors: FieldErrors) -> None:
    if 0 < pool["reward_per_assignment"] < LEAST_REWARD:
        message = f"Value must be 0, or greater or equal to {LEAST_REWARD}"
        errors[f"{path}reward_per_assignment"] = field_error("VALUE_LESS_THAN_MIN", message)


_SUITE_SIZE = integer(0, 500)
_POOL_FIELDS: dict[str, Field] = {
    "private_comment": Text(),
    "public_description": Text(),
    "public_instructions": Text(),
    "may_contain_adult_content": Flag(),
    "auto_close_after_complete_delay_seconds": integer(0, 259_200),
    "dynamic_pricing_config": Form(
        required={"type": Text(values=("SKILL",)), "intervals": Items(Open(), 1, 10_000)},
        optional={"skill_id": Text()},
    ),
    "metadata": Open(),
    "auto_accept_solutions": Flag(),
    "auto_accept_period_day": integer(1, 21),
    "assignments_issuing_config": Form(optional={"issue_task_suites_in_creation_order": Flag()}),
    # A string in the schema, an object in all of its examples and in Toloka's own client.
    "filter": Open(),
    "quality_control": Form(
        optional={
            "captcha_frequency": Text(values=("LOW", "MEDIUM", "HIGH")),
            "checkpoints_config": Open(),
            "configs": _COLLECTORS,
            "training_requirement": Form(
                required={"training_pool_id": Text(), "training_passing_skill_value": integer(0, 100)}
            ),
        }
    ),
    "mixer_config": Form(
        required={
            "golden_tasks_count": _SUITE_SIZE,
            "real_tasks_count": _SUITE_SIZE,
            "training_tasks_count": _SUITE_SIZE,
        },
        optional={
            "force_last_assignment": Flag(),
            "force_last_assignment_delay_seconds": integer(0, 86_400),
            "golden_task_distribution_function": Open(),
            "min_golden_tasks_count": _SUITE_SIZE,
            "min_real_tasks_count": _SUITE_SIZE,
            "min_training_tasks_count": _SUITE_SIZE,
            "mix_tasks_in_creation_order": Flag(),
            "shuffle_tasks_in_task_suite": Flag(),
            "training_task_distribution_function": Open(),
        },
    ),
    "dynamic_overlap_config": Form(
        required={
            "type": Text(values=("BASIC",)),
            "max_overlap": _OVERLAP,
            "min_confidence": Number(0, 1),
            "answer_weight_skill_id": Text(),
            "fields": Items(Form(required={"name": Text()})),
        }
    ),
    "training_config": Form(optional={"training_skill_ttl_days": integer()}),
    "training": Flag(),
    "priority": integer(0, 100),
    "speed_quality_balance": Form(
        optional={
            "type": Text(values=("BEST_CONCURRENT_USERS_BY_QUALITY", "TOP_PERCENTAGE_BY_QUALITY")),
            "count": integer(0, 100),
            "percent": integer(10, 100),
        }
    ),
}

POOL = Form(
    required={
        "project_id": Text(),
        "private_name": _NAME,
        "defaults": Form(
            required={"default_overlap_for_new_task_suites": _OVERLAP},
            optional={"default_overlap_for_new_tasks": _OVERLAP},
        ),
        "reward_per_assignment": Number(0),
        "will_expire": Instant(),
        "assignment_max_duration_seconds": _SECONDS,
    },
    optional=_POOL_FIELDS,
    check=_check_reward,
)

TRAINING = Form(
    required={
        "project_id": Text(),
        "private_name": _NAME,
        "inherited_instructions": Flag(),
        "training_tasks_in_task_suite_count": _SUITE_SIZE,
    },
    optional={
        "public_instructions": Text(),
        "may_contain_adult_content": Flag(),
        "assignment_max_duration_seconds": _SECONDS,
        "mix_tasks_in_creation_order": Flag(),
        "shuffle_tasks_in_task_suite": Flag(),
        "task_suites_required_to_pass": _SUITE_SIZE,
        "retry_training_after_days": integer(1),
        "metadata": Open(),
    },
)

FORMS = {"projects": PROJECT, "pools": POOL, "trainings": TRAINING}
"""The forms that create and update the objects of each kind."""

PRIORITY = Form(optional={"priority": integer(0, 100)})

SKILL = Form(
    required={"name": _NAME},
    optional={
        "public_name": Open(Text()),
        "private_comment": Text(),
        "public_requester_description": Open(Text()),
        "hidden": Flag(),
        "skill_ttl_hours": integer(),
        "deprecated": Flag(),
    },
)

_TASK_CHANGES: dict[str, Field] = {
    "known_solutions": Items(Form(required={"output_values": Open()}, optional={"correctness_weight": Number(0)})),
    "message_on_unknown_solution": Text(),
    "baseline_solutions": Items(Form(required={"output_values": Open()}, optional={"confidence_weight": Number(0)})),
    "overlap": _OVERLAP,
    "infinite_overlap": Flag(),
}

TASK_CHANGE = Form(optional=_TASK_CHANGES)

TASK = Form(
    required={"pool_id": Text(), "input_values": Open()},
    optional={
        "localization_config": Open(),
        "reserved_for": Items(Text(), unique=True),
        "unavailable_for": Items(Text(), unique=True),
        **_TASK_CHANGES,
    },
)

OVERLAP = Form(optional={"overlap": integer(0, 30_000), "infinite_overlap": Flag()})

VERDICT = Form(
    required={"status": Text(values=("ACCEPTED", "REJECTED"))}, optional={"public_comment": Text(longest=2048)}
)


def _check_aggregation(form: Mapping[str, Any], path: str, errors: FieldErrors) -> None:
    if form["type"] == "DAWID_SKENE" and len(form["fields"]) > 1:
        errors[f"{path}fields"] = field_error("ARRAY_SIZE_GREATER_THAN_MAX", "At most 1 item is expected")
    if form["type"] == "WEIGHTED_DYNAMIC_OVERLAP" and "answer_weight_skill_id" not in form:
        message = "Value must be present and not equal to null"
        errors[f"{path}answer_weight_skill_id"] = field_error("VALUE_REQUIRED", message)


AGGREGATION = Form(
    required={
        "type": Text(values=("DAWID_SKENE", "WEIGHTED_DYNAMIC_OVERLAP")),
        "pool_id": Text(),
        "fields": Items(Form(required={"name": Text()}), 1),
    },
    optional={"task_id": Text(), "answer_weight_skill_id": Text()},
    check=_check_aggregation,
)
