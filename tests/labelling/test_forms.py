from __future__ import annotations

import copy
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_toloka.labelling.forms import Kind, check_form, check_task
from tests.labelling.forms import POOL, PROJECT, TRAINING

FORMS: dict[Kind, dict[str, Any]] = {"project": PROJECT, "pool": POOL, "training": TRAINING}
_GONE = object()


def spoilt(form: dict[str, Any], path: str, value: object = _GONE) -> dict[str, Any]:
    made = copy.deepcopy(form)
    *parents, last = path.split(".")
    inner = made
    for name in parents:
        inner = inner.setdefault(name, {})
    if value is _GONE:
        del inner[last]
    else:
        inner[last] = value
    return made


@pytest.mark.parametrize("kind", FORMS)
def test_a_good_form_passes_as_it_is(kind: Kind) -> None:
    checked = check_form(kind, FORMS[kind])
    expected = {**FORMS[kind], "will_expire": "2030-12-31T23:59:59.000"} if kind == "pool" else FORMS[kind]
    assert checked.form == expected
    assert checked.warnings == ()


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("project", "public_name"),
        ("project", "task_spec"),
        ("project", "task_spec.input_spec"),
        ("project", "task_spec.output_spec"),
        ("project", "task_spec.input_spec.image.type"),
        ("project", "assignments_issuing_type"),
        ("pool", "project_id"),
        ("pool", "private_name"),
        ("pool", "defaults"),
        ("pool", "defaults.default_overlap_for_new_task_suites"),
        ("pool", "reward_per_assignment"),
        ("pool", "will_expire"),
        ("pool", "assignment_max_duration_seconds"),
        ("pool", "mixer_config.real_tasks_count"),
        ("pool", "mixer_config.golden_tasks_count"),
        ("pool", "mixer_config.training_tasks_count"),
        ("training", "project_id"),
        ("training", "private_name"),
        ("training", "inherited_instructions"),
        ("training", "training_tasks_in_task_suite_count"),
    ],
)
def test_what_is_required_is_asked_for_by_its_path(kind: Kind, path: str) -> None:
    for form in (spoilt(FORMS[kind], path), spoilt(FORMS[kind], path, None)):
        with pytest.raises(ValueError, match=rf"The form of the {kind} is invalid: {kind}\.{path} is required"):
            check_form(kind, form)


@pytest.mark.parametrize(
    ("kind", "path", "value", "expected"),
    [
        ("project", "public_name", 3, "a text"),
        ("project", "assignments_issuing_type", "AUTO", "one of AUTOMATED, MAP_SELECTOR"),
        ("project", "task_spec", [], "an object"),
        ("project", "quality_control.configs", {}, "a list"),
        ("project", "sensitive", "yes", "true or false"),
        ("pool", "defaults.default_overlap_for_new_task_suites", 0, "a whole number from 1 to 30,000"),
        ("pool", "defaults.default_overlap_for_new_tasks", 30_001, "a whole number from 1 to 30,000"),
        ("pool", "defaults.default_overlap_for_new_tasks", 1.5, "a whole number from 1 to 30,000"),
        ("pool", "defaults.default_overlap_for_new_tasks", True, "a whole number from 1 to 30,000"),
        ("pool", "reward_per_assignment", "0.02", "a number of at least 0"),
        ("pool", "reward_per_assignment", -1, "a number of at least 0"),
        ("pool", "reward_per_assignment", float("nan"), "a number of at least 0"),
        ("pool", "assignment_max_duration_seconds", 4, "a whole number from 5 to 2,147,483,647"),
        ("pool", "will_expire", "tomorrow", "a time such as"),
        ("pool", "will_expire", 7, "a time such as"),
        ("pool", "auto_accept_period_day", 22, "a whole number from 1 to 21"),
        ("pool", "auto_close_after_complete_delay_seconds", 259_201, "a whole number from 0 to 259,200"),
        ("pool", "priority", 101, "a whole number from 0 to 100"),
        ("pool", "project_id", "None", "an id"),
        ("pool", "project_id", "", "an id"),
        ("pool", "mixer_config.real_tasks_count", 501, "a whole number from 0 to 500"),
        ("training", "inherited_instructions", "true", "true or false"),
        ("training", "training_tasks_in_task_suite_count", 501, "a whole number from 0 to 500"),
        ("training", "retry_training_after_days", 0, "a whole number of at least 1"),
        ("training", "metadata", [], "an object"),
    ],
)
def test_a_wrong_value_is_told_of_with_its_path(kind: Kind, path: str, value: object, expected: str) -> None:
    with pytest.raises(ValueError, match=rf"{kind}\.{path} should be {expected}"):
        check_form(kind, spoilt(FORMS[kind], path, value))


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("form", [None, "", [], 3])
def test_a_form_is_an_object(kind: Kind, form: object) -> None:
    with pytest.raises(ValueError, match=rf"{kind} should be an object"):
        check_form(kind, form)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"pool\.private_name is required; pool\.priority should be"):
        check_form("pool", spoilt(spoilt(POOL, "priority", -1), "private_name"))


def test_an_unknown_field_is_passed_on_with_a_warning() -> None:
    checked = check_form("pool", spoilt(POOL, "defaults.overlap", 3))
    assert checked.form["defaults"]["overlap"] == 3
    assert [warning.split(" is not")[0] for warning in checked.warnings] == ["pool.defaults.overlap"]


def test_nothing_is_changed_in_the_users_form() -> None:
    form = spoilt(POOL, "project_id", 1001)
    before = copy.deepcopy(form)
    assert check_form("pool", form).form["project_id"] == "1001"
    assert form == before


@pytest.mark.parametrize(
    "time",
    [
        "2030-01-01T00:00:00",
        "2030-01-01T03:00:00+03:00",
        "2030-01-01T00:00:00Z",
        "2030-01-01",
        date(2030, 1, 1),
        datetime(2030, 1, 1),  # noqa: DTZ001 - as YAML reads it
        datetime(2030, 1, 1, tzinfo=UTC),
        datetime(2030, 1, 1, 3, tzinfo=timezone(timedelta(hours=3))),
    ],
)
def test_a_time_is_sent_in_utc(time: object) -> None:
    assert check_form("pool", spoilt(POOL, "will_expire", time)).form["will_expire"] == "2030-01-01T00:00:00.000"


def test_a_reward_below_the_least_is_refused() -> None:
    with pytest.raises(ValueError, match=r"pool\.reward_per_assignment is 0\.004, but Toloka's minimum is 0\.005"):
        check_form("pool", spoilt(POOL, "reward_per_assignment", 0.004))
    assert check_form("pool", spoilt(POOL, "reward_per_assignment", 0.005)).warnings == ()


def test_a_reward_of_nothing_is_warned_of() -> None:
    (warning,) = check_form("pool", spoilt(POOL, "reward_per_assignment", 0)).warnings
    assert "only control and training tasks" in warning


def test_a_pool_without_mixer_config_is_warned_of() -> None:
    (warning,) = check_form("pool", spoilt(POOL, "mixer_config")).warnings
    assert "pool.mixer_config is missing" in warning


@pytest.mark.parametrize("kind", FORMS)
def test_the_keys_own_field_is_refused(kind: Kind) -> None:
    with pytest.raises(ValueError, match=rf"{kind}\.metadata\.airflow"):
        check_form(kind, spoilt(FORMS[kind], "metadata.airflow", ["x"]))


@pytest.mark.parametrize(
    ("task", "problem"),
    [
        ({"image": "u"}, r"tasks\[7\]\.input_values is required.*into input_values"),
        ({"input_values": "u"}, r"tasks\[7\]\.input_values should be an object"),
        ({"input_values": {}, "overlap": 0}, r"tasks\[7\]\.overlap should be a whole number from 1 to 30,000"),
        (
            {"input_values": {}, "known_solutions": [{"output_values": {}}, {}]},
            r"tasks\[7\]\.known_solutions\[1\]\.output_values is required",
        ),
        ("u", r"tasks\[7\] should be an object"),
    ],
)
def test_a_wrong_task_is_told_of_with_its_number(task: object, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        check_task(task, "tasks[7]")


@pytest.mark.parametrize("extra", [{}, {"overlap": 3}, {"known_solutions": [{"output_values": {"result": "cat"}}]}])
def test_a_good_task_passes_as_it_is(extra: dict[str, Any]) -> None:
    task = {"input_values": {"image": "u"}, **extra}
    assert check_task(task, "tasks[0]") == task
