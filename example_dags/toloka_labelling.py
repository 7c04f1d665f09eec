"""Label images: from creating a Toloka project to a file of aggregated answers and an archived project.

Shows: the whole life of a project, deferrable. Tasks can be killed, retried and cleared until the run has ended: the
run creates one project and one pool, adds each task once and opens the pool once.

Needs: a connection `toloka_default`, and a running triggerer. Tolokers are paid: 0.02 US dollars per five images
for each of three Tolokers. The images and the folder for the answers are parameters of the run.
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, Context, Param, get_current_context, task

from airflow_provider_toloka.operators.answers import TolokaAggregateOperator, TolokaExportAssignmentsOperator
from airflow_provider_toloka.operators.create import TolokaCreatePoolOperator, TolokaCreateProjectOperator
from airflow_provider_toloka.operators.open import TolokaOpenPoolOperator
from airflow_provider_toloka.operators.tasks import TolokaAddTasksOperator
from airflow_provider_toloka.operators.toloka import TolokaArchiveProjectOperator
from airflow_provider_toloka.sensors.pool import TolokaPoolSensor

PROJECT = {
    "public_name": "Cats and dogs",
    "public_description": "Look at a picture and say which animal it shows.",
    "public_instructions": "Choose <b>cat</b> or <b>dog</b>. If there is neither, choose <b>other</b>.",
    "assignments_issuing_type": "AUTOMATED",
    "task_spec": {
        "input_spec": {"image": {"type": "url", "required": True}},
        "output_spec": {"result": {"type": "string", "required": True, "allowed_values": ["cat", "dog", "other"]}},
        "view_spec": {
            "type": "classic",
            # Toloka's own braces: without "raw", Jinja would render them.
            "markup": "{% raw %}{{img src=image width='100%'}}"
            "{{field type='radio' name='result' value='cat' label='Cat'}}"
            "{{field type='radio' name='result' value='dog' label='Dog'}}"
            "{{field type='radio' name='result' value='other' label='Other'}}{% endraw %}",
            "settings": {},
        },
    },
}
POOL = {
    "private_name": "Images",
    "reward_per_assignment": 0.02,
    "assignment_max_duration_seconds": 600,
    "defaults": {"default_overlap_for_new_task_suites": 3, "default_overlap_for_new_tasks": 3},
    "mixer_config": {"real_tasks_count": 5, "golden_tasks_count": 0, "training_tasks_count": 0},
    "auto_accept_solutions": True,
}
IMAGES = [f"https://example.com/images/{number}.jpg" for number in range(1, 13)]
FILE = "{{ params.folder }}/pool-{{ ti.xcom_pull(task_ids='create_pool') }}"

with DAG(
    dag_id="toloka_labelling",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    default_args={"retries": 3},
    params={
        "images": Param(IMAGES, type="array", items={"type": "string"}, description="The addresses of the images"),
        "folder": Param("file:///tmp/toloka", type="string", description="The folder for the answers: a path or a URI"),
    },
    doc_md=__doc__,
    tags=["toloka"],
) as dag:

    @task
    def list_tasks() -> list[dict[str, Any]]:
        """Return the tasks, always in the same order, so that a retry finds what is uploaded."""
        context: Context = get_current_context()
        return [{"input_values": {"image": image}} for image in sorted(context["params"]["images"])]

    project = TolokaCreateProjectOperator(task_id="create_project", project=PROJECT)
    pool = TolokaCreatePoolOperator(task_id="create_pool", project_id=project.output, pool_form=POOL, expires_in="14d")
    add = TolokaAddTasksOperator(task_id="add_tasks", pool_id=pool.output, tasks=list_tasks(), deferrable=True)
    start = TolokaOpenPoolOperator(task_id="open_pool", pool_id=pool.output, deferrable=True)
    wait = TolokaPoolSensor(task_id="wait", pool_id=pool.output, deferrable=True, poke_interval=60)
    export = TolokaExportAssignmentsOperator(
        task_id="export_answers", pool_id=pool.output, path=f"{FILE}-answers.csv", format="csv"
    )
    aggregate = TolokaAggregateOperator(
        task_id="aggregate",
        pool_id=pool.output,
        fields=["result"],
        method="DAWID_SKENE",
        path=f"{FILE}-result.jsonl",
        deferrable=True,
    )
    archive = TolokaArchiveProjectOperator(
        task_id="archive_project", project_id=project.output, pools="archive_closed", deferrable=True
    )
    add >> start >> wait >> [export, aggregate] >> archive
