"""A DAG that labels data. A run's conf says on which account, and what: see ``tests/durability/labelling.py``."""

from __future__ import annotations

import os
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_toloka.operators.answers import TolokaAggregateOperator, TolokaExportAssignmentsOperator
from airflow_provider_toloka.operators.create import TolokaCreatePoolOperator, TolokaCreateProjectOperator
from airflow_provider_toloka.operators.open import TolokaOpenPoolOperator
from airflow_provider_toloka.operators.tasks import TolokaAddTasksOperator
from airflow_provider_toloka.operators.toloka import TolokaArchiveProjectOperator
from airflow_provider_toloka.sensors.pool import TolokaPoolSensor

_WAITING: dict[str, Any] = {"poll_interval": 0.5, "deferrable": True}
_PROJECT_FORM = {
    "public_name": "{{ dag_run.conf['project_name'] }}",
    "public_description": "Cats and dogs",
    "public_instructions": "Choose the animal.",
    "assignments_issuing_type": "AUTOMATED",
    "task_spec": {
        "input_spec": {"image": {"type": "url"}},
        "output_spec": {"result": {"type": "string", "allowed_values": ["cat", "dog"]}},
        "view_spec": {"type": "classic", "markup": "<b>cat or dog?</b>", "settings": {}},
    },
}
_POOL_FORM = {
    "private_name": "Images",
    "reward_per_assignment": 0.02,
    "assignment_max_duration_seconds": 600,
    "auto_close_after_complete_delay_seconds": "{{ dag_run.conf['closes_after'] }}",
    "defaults": {"default_overlap_for_new_task_suites": 2, "default_overlap_for_new_tasks": 2},
    "mixer_config": {"real_tasks_count": 3, "golden_tasks_count": 0, "training_tasks_count": 0},
    "auto_accept_solutions": True,
}


def label(default_args: dict[str, Any]) -> DAG:
    """Return a DAG that goes from creating a project to a file of answers and an archived project."""
    with DAG(
        "labelling",
        schedule=None,
        max_active_runs=200,
        max_active_tasks=200,
        default_args={**default_args, "toloka_conn_id": "{{ dag_run.conf['case'] }}"},
        render_template_as_native_obj=True,
    ) as dag:
        project = TolokaCreateProjectOperator(task_id="create_project", project=_PROJECT_FORM)
        pool = TolokaCreatePoolOperator(
            task_id="create_pool", project_id=project.output, pool_form=_POOL_FORM, expires_in="1d"
        )
        tasks = "{{ dag_run.conf['tasks'] }}"
        add = TolokaAddTasksOperator(task_id="add_tasks", pool_id=pool.output, tasks=tasks, **_WAITING)
        start = TolokaOpenPoolOperator(task_id="open_pool", pool_id=pool.output, **_WAITING)
        wait = TolokaPoolSensor(task_id="wait", pool_id=pool.output, deferrable=True, poke_interval=1)
        file = f"{os.environ['AIRFLOW_HOME']}/{{{{ dag_run.conf['case'] }}}}"
        export = TolokaExportAssignmentsOperator(
            task_id="export_answers", pool_id=pool.output, path=f"{file}-answers.jsonl"
        )
        aggregate = TolokaAggregateOperator(
            task_id="aggregate",
            pool_id=pool.output,
            fields=["result"],
            method="DAWID_SKENE",
            path=f"{file}-result.jsonl",
            **_WAITING,
        )
        archive = TolokaArchiveProjectOperator(
            task_id="archive_project", project_id=project.output, pools="archive_closed", **_WAITING
        )
        add >> start >> wait >> export >> aggregate >> archive
    return dag
