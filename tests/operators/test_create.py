"""The operators that create objects: arguments that are checked when the DAG is parsed, and the last line."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.operators.create import (
    TolokaCreatePoolOperator,
    TolokaCreateProjectOperator,
    TolokaCreateTrainingOperator,
)
from tests.labelling.forms import POOL, PROJECT, TRAINING
from tests.running import new_dag, run_logged

CREATE: dict[type[BaseOperator], dict[str, Any]] = {
    TolokaCreateProjectOperator: {"project": PROJECT},
    TolokaCreateTrainingOperator: {"project_id": "1", "training": TRAINING},
    TolokaCreatePoolOperator: {"project_id": "1", "pool_form": POOL},
}


@pytest.mark.parametrize(
    ("operator", "more", "problem"),
    [
        (TolokaCreateProjectOperator, {"project": None}, "project should be a dict"),
        (TolokaCreateProjectOperator, {"project": "None"}, "project should be a dict"),
        (TolokaCreateProjectOperator, {"project": "{"}, "neither JSON nor YAML"),
        (TolokaCreateProjectOperator, {"key": "a b"}, "key should be"),
        (TolokaCreateProjectOperator, {"key": ""}, "key should be"),
        (TolokaCreateTrainingOperator, {"training": []}, "training should be a dict"),
        (TolokaCreateTrainingOperator, {"project_id": ""}, "project_id should be an id"),
        (TolokaCreatePoolOperator, {"pool_form": ""}, "pool_form should be a dict"),
        (TolokaCreatePoolOperator, {"project_id": "10/01"}, "project_id should be an id"),
        (TolokaCreatePoolOperator, {"training_id": "None"}, "training_id should be an id"),
        (TolokaCreatePoolOperator, {"expires_in": 0}, "expires_in should be a duration above 0"),
    ],
)
def test_a_wrong_literal_fails_when_the_dag_is_parsed(
    operator: type[BaseOperator], more: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        operator(task_id="task", **CREATE[operator] | more)


@pytest.mark.parametrize("project", ["form.yaml", "{{ params.form }}", '{"public_name": "{{ params.name }}"}'])
def test_a_form_that_is_read_or_rendered_later_is_accepted(project: str) -> None:
    TolokaCreateProjectOperator(task_id="task", project=project)


def test_arguments_may_come_from_other_tasks() -> None:
    with new_dag():
        other = BaseOperator(task_id="other").output
        given: dict[str, Any] = dict.fromkeys(("project_id", "pool_form", "training_id", "expires_in", "key"), other)
        TolokaCreatePoolOperator(task_id="task", **given)


@pytest.mark.usefixtures("airflow_database")
def test_the_outcome_has_the_number_of_requests(toloka: TolokaEmulator) -> None:
    task, ran = run_logged(TolokaCreateProjectOperator, project=PROJECT)
    assert f"Project {task.result} is ready ({len(toloka.requests)} requests)" in ran.log
