"""A program whose lineage is read: tasks of all kinds, under the OpenLineage provider.

``python -m tests.traced FOLDER POOL_ID`` writes what each task returned into ``FOLDER/results.json``; the Toloka
connection is in the variable ``CONNECTION``.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

_CONNECTION = os.environ.pop("CONNECTION")

import tests.conftest  # noqa: E402, F401 - a home of its own for Airflow, before anything imports that

os.environ["AIRFLOW_CONN_TOLOKA_DEFAULT"] = _CONNECTION


def main(folder: Path, pool_id: str) -> None:
    """Run the tasks, each under the name that it has in the events."""
    from airflow.utils.db import initdb

    from airflow_provider_toloka.operators.answers import TolokaAggregateOperator, TolokaExportAssignmentsOperator
    from airflow_provider_toloka.operators.create import TolokaCreateProjectOperator
    from airflow_provider_toloka.operators.open import TolokaOpenPoolOperator
    from airflow_provider_toloka.operators.stale import TolokaArchiveStaleProjectsOperator
    from airflow_provider_toloka.operators.tasks import TolokaAddTasksOperator
    from airflow_provider_toloka.operators.toloka import TolokaArchiveProjectOperator
    from tests.labelling.forms import PROJECT
    from tests.running import new_dag, run

    initdb()
    results = {}

    def end(name: str, operator: Any, **arguments: Any) -> None:
        with new_dag() as dag:
            operator(task_id=name, **arguments)
        results[name] = run(dag).tasks[name].result

    quick = {"poll_interval": 0.1}
    deferred: Any = type("Deferred", (TolokaArchiveProjectOperator,), {"before_deferring": 0.0})
    end("archive_fails", TolokaArchiveProjectOperator, project_id="1001", **quick)
    end("archive", TolokaArchiveProjectOperator, project_id="1001", **quick)
    end("archive_deferred", deferred, project_id="1002", deferrable=True, pools="close_and_archive", **quick)
    end("archive_many", TolokaArchiveStaleProjectsOperator, project_ids=["1003", "404"], **quick)
    end("create", TolokaCreateProjectOperator, project=PROJECT)
    end("add", TolokaAddTasksOperator, pool_id=pool_id, tasks=str(folder / "tasks.jsonl"), **quick)
    end("open", TolokaOpenPoolOperator, pool_id=pool_id, **quick)
    end("export", TolokaExportAssignmentsOperator, pool_id=pool_id, path=str(folder / "answers.jsonl"))
    method: dict[str, Any] = {"fields": ["result"], "method": "DAWID_SKENE"}
    end("aggregate", TolokaAggregateOperator, pool_id=pool_id, path=f"file://{folder}/result.jsonl", **method, **quick)
    (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
