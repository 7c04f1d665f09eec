"""Validate forms of projects, pools, trainings and tasks before they are sent. Pure.

API: ``ProjectFormV1``, ``PoolFormV1``, ``TrainingFormV1``, ``TaskFormV1``. Where Toloka's own client differs from the
API's description, both forms are accepted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from airflow_provider_toloka.client.stamps import METADATA_FIELD
from airflow_provider_toloka.labelling.checks import (
    Anything,
    Choice,
    Form,
    Id,
    ListOf,
    MapOf,
    Number,
    Report,
    Text,
    Time,
    Truth,
)

Kind: TypeAlias = Literal["project", "pool", "training"]

#: API: "The minimum payment".
LEAST_REWARD = 0.005
_SHOWN = 20

_TEXT, _ID, _TRUTH, _OBJECT = Text(), Id(), Truth(), MapOf(value=Anything())
_OVERLAP = Number(minimum=1, maximum=30_000, whole=True)
_IN_SUITE = Number(minimum=0, maximum=500, whole=True)
_PERCENT = Number(minimum=0, maximum=100, whole=True)
_SECONDS = Number(minimum=5, maximum=2**31 - 1, whole=True)
_COUNT = Number(minimum=1, whole=True)

_FIELD_SPEC = Form(
    required={"type": _TEXT},
    optional={
        "required": _TRUTH,
        "hidden": _TRUTH,
        "allowed_values": ListOf(item=Anything()),
        "pattern": _TEXT,
        "min_length": Number(minimum=0, whole=True),
        "max_length": Number(minimum=0, whole=True),
        "min_value": Number(),
        "max_value": Number(),
        "min_size": Number(minimum=0, whole=True),
        "max_size": Number(minimum=0, whole=True),
        "current_location": Anything(),
    },
)
_RULES = ListOf(
    item=Form(
        required={"collector_config": _OBJECT, "rules": ListOf(item=_OBJECT)},
    )
)

PROJECT = Form(
    required={
        "public_name": _TEXT,
        "task_spec": Form(
            required={"input_spec": MapOf(value=_FIELD_SPEC), "output_spec": MapOf(value=_FIELD_SPEC)},
            optional={"view_spec": _OBJECT},
        ),
        "assignments_issuing_type": Choice(("AUTOMATED", "MAP_SELECTOR")),
    },
    optional={
        "public_description": _TEXT,
        "public_instructions": _TEXT,
        "private_comment": _TEXT,
        "assignments_issuing_view_config": Form(
            optional={
                "title_template": _TEXT,
                "description_template": _TEXT,
                "map_provider": Choice(("GOOGLE", "YANDEX")),
            }
        ),
        "quality_control": Form(optional={"configs": _RULES}),
        "assignments_automerge_enabled": _TRUTH,
        "max_active_assignments_count": Number(whole=True),
        "metadata": _OBJECT,
        "sensitive": _TRUTH,
        "localization_config": _OBJECT,
    },
)

POOL = Form(
    required={
        "project_id": _ID,
        "private_name": _TEXT,
        "defaults": Form(
            required={"default_overlap_for_new_task_suites": _OVERLAP},
            optional={"default_overlap_for_new_tasks": _OVERLAP},
        ),
        "reward_per_assignment": Number(minimum=0),
        "will_expire": Time(),
        "assignment_max_duration_seconds": _SECONDS,
    },
    optional={
        "private_comment": _TEXT,
        "public_description": _TEXT,
        "public_instructions": _TEXT,
        "may_contain_adult_content": _TRUTH,
        "auto_close_after_complete_delay_seconds": Number(minimum=0, maximum=259_200, whole=True),
        "dynamic_pricing_config": Form(
            required={"type": Choice(("SKILL",)), "intervals": ListOf(item=_OBJECT, at_most=10_000)},
            optional={"skill_id": _ID},
        ),
        "metadata": _OBJECT,
        "auto_accept_solutions": _TRUTH,
        "auto_accept_period_day": Number(minimum=1, maximum=21, whole=True),
        "assignments_issuing_config": Form(optional={"issue_task_suites_in_creation_order": _TRUTH}),
        # A text in the description, an object in its examples and in Toloka's own client.
        "filter": Anything(),
        "quality_control": Form(
            optional={
                "captcha_frequency": Choice(("LOW", "MEDIUM", "HIGH")),
                "checkpoints_config": _OBJECT,
                "configs": _RULES,
                "training_requirement": Form(
                    required={"training_pool_id": _ID, "training_passing_skill_value": _PERCENT}
                ),
            }
        ),
        "mixer_config": Form(
            required={
                "real_tasks_count": _IN_SUITE,
                "golden_tasks_count": _IN_SUITE,
                "training_tasks_count": _IN_SUITE,
            },
            optional={
                "force_last_assignment": _TRUTH,
                "force_last_assignment_delay_seconds": Number(minimum=0, maximum=86_400, whole=True),
                "golden_task_distribution_function": _OBJECT,
                "training_task_distribution_function": _OBJECT,
                "min_real_tasks_count": _IN_SUITE,
                "min_golden_tasks_count": _IN_SUITE,
                "min_training_tasks_count": _IN_SUITE,
                "mix_tasks_in_creation_order": _TRUTH,
                "shuffle_tasks_in_task_suite": _TRUTH,
            },
        ),
        "dynamic_overlap_config": Form(
            required={
                "type": Choice(("BASIC",)),
                "max_overlap": _OVERLAP,
                "min_confidence": Number(minimum=0, maximum=1),
                "answer_weight_skill_id": _ID,
                "fields": ListOf(item=Form(required={"name": _TEXT})),
            }
        ),
        "training_config": Form(optional={"training_skill_ttl_days": Number(whole=True)}),
        "training": _TRUTH,
        "type": _TEXT,
        "priority": _PERCENT,
        "speed_quality_balance": Form(
            required={"type": Choice(("BEST_CONCURRENT_USERS_BY_QUALITY", "TOP_PERCENTAGE_BY_QUALITY"))},
            optional={"count": _PERCENT, "percent": Number(minimum=10, maximum=100, whole=True)},
        ),
    },
)

TRAINING = Form(
    required={
        "project_id": _ID,
        "private_name": _TEXT,
        "inherited_instructions": _TRUTH,
        "training_tasks_in_task_suite_count": _IN_SUITE,
    },
    optional={
        "public_instructions": _TEXT,
        "may_contain_adult_content": _TRUTH,
        "assignment_max_duration_seconds": _SECONDS,
        "mix_tasks_in_creation_order": _TRUTH,
        "shuffle_tasks_in_task_suite": _TRUTH,
        "task_suites_required_to_pass": _IN_SUITE,
        "retry_training_after_days": _COUNT,
        "metadata": _OBJECT,
    },
)

_KNOWN_SOLUTION = Form(
    required={"output_values": _OBJECT}, optional={"correctness_weight": Number(minimum=0, maximum=1)}
)
_BASELINE_SOLUTION = Form(
    required={"output_values": _OBJECT}, optional={"confidence_weight": Number(minimum=0, maximum=1)}
)
TASK = Form(
    required={"input_values": _OBJECT},
    optional={
        "pool_id": _ID,
        "known_solutions": ListOf(item=_KNOWN_SOLUTION),
        "message_on_unknown_solution": _TEXT,
        "baseline_solutions": ListOf(item=_BASELINE_SOLUTION),
        "localization_config": _OBJECT,
        "overlap": _OVERLAP,
        "infinite_overlap": _TRUTH,
        "reserved_for": ListOf(item=_ID),
        "unavailable_for": ListOf(item=_ID),
    },
)

_FORMS: Mapping[Kind, Form] = {"project": PROJECT, "pool": POOL, "training": TRAINING}


@dataclass(frozen=True)
class Checked:
    """A valid form.

    :param form: its JSON.
    :param warnings: warnings about it, one sentence each.
    """

    form: dict[str, Any]
    warnings: tuple[str, ...] = ()


def check_form(kind: Kind, form: object) -> Checked:
    """Validate the form of a project, a pool or a training.

    :param kind: the kind of the form.
    :param form: the form.
    :returns: the form to send: ids as texts, times in UTC.
    :raises ValueError: a required field is missing, or a value is invalid; the message lists all problems with their
        paths, such as ``pool.defaults.default_overlap_for_new_task_suites``.
    """
    report = Report()
    read = _FORMS[kind].read(kind, form, report)
    if isinstance(read, dict):
        if METADATA_FIELD in (read.get("metadata") or {}):
            report.problems.append(
                f"{kind}.metadata.{METADATA_FIELD} is reserved for this package's key; use another name"
            )
        if kind == "pool":
            _check_traps(read, report)
    if report.problems:
        raise ValueError(_told(f"The form of the {kind} is invalid", report.problems))
    return Checked(read, tuple(report.warnings))


def check_task(task: object, path: str) -> dict[str, Any]:
    """Validate the form of a task.

    :param task: the form.
    :param path: its name in messages, such as ``tasks[3]``.
    :returns: the form to send.
    :raises ValueError: a required field is missing, or a value is invalid.
    """
    # Most tasks are this simple, and there may be millions.
    if type(task) is dict and len(task) == 1 and type(task.get("input_values")) is dict:
        return task
    report = Report()
    read = TASK.read(path, task, report)
    if report.problems:
        hint = ""
        if isinstance(task, Mapping) and "input_values" not in task:
            hint = " Put the fields of a task into input_values, as {'input_values': {'image': 'https://…'}}."
        raise ValueError(_told("A task is invalid", report.problems) + hint)
    return dict(read)


def _check_traps(pool: Mapping[str, Any], report: Report) -> None:
    reward = pool.get("reward_per_assignment")
    if isinstance(reward, (int, float)) and 0 < reward < LEAST_REWARD:
        report.problems.append(
            f"pool.reward_per_assignment is {reward}, but Toloka's minimum is {LEAST_REWARD}; "
            "0 is for control and training tasks only"
        )
    if reward == 0:
        report.warnings.append("pool.reward_per_assignment is 0: the pool accepts only control and training tasks")
    if pool.get("mixer_config") is None:
        report.warnings.append(
            "pool.mixer_config is missing: Toloka does not put uploaded tasks into suites, and cannot open the pool"
        )


def _told(summary: str, problems: list[str]) -> str:
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return f"{summary}: {'; '.join(problems[:_SHOWN])}{more}."
