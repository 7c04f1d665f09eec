"""Each example DAG, run by Airflow to its end, against the emulator."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import ROOT

if TYPE_CHECKING:
    from airflow_provider_toloka.emulator import TolokaEmulator

pytestmark = pytest.mark.usefixtures("airflow_database")


def run(name: str, **params: Any) -> dict[str, str]:
    """Run an example DAG; give the states of its tasks."""
    path = ROOT / "example_dags" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    dag = next(value for value in vars(module).values() if getattr(value, "dag_id", None) == name)
    dag_run = dag.test(run_conf=params)
    assert str(dag_run.state) == "success"
    return {ti.task_id: str(ti.state) for ti in dag_run.get_task_instances()}
