"""Assets of the scheme ``toloka``, and what the events of a task's outlets carry."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from airflow.providers.common.compat.assets import Asset
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.operators.stale import TolokaArchiveStaleProjectsOperator
from airflow_provider_toloka.operators.toloka import TolokaArchiveProjectOperator
from airflow_provider_toloka.sensors.toloka import OperationSensor
from tests.running import Run, run_logged


@pytest.mark.parametrize(
    ("written", "sanitised"),
    [
        ("toloka://toloka.dev/projects/1001", "toloka://toloka.dev/projects/1001"),
        ("TOLOKA://Toloka.dev/pools/2004/", "toloka://toloka.dev/pools/2004"),
        ("toloka://toloka.dev/pools/completed", "toloka://toloka.dev/pools/completed"),
        ("toloka://127.0.0.1:8765/trainings/t-1?a=b#c", "toloka://127.0.0.1:8765/trainings/t-1"),
    ],
)
def test_the_uri_of_an_object_is_sanitised(written: str, sanitised: str) -> None:
    assert Asset(written).uri == sanitised


@pytest.mark.parametrize("uri", ["toloka://toloka.dev", "toloka://toloka.dev/", "toloka:///pools/2004"])
def test_a_uri_without_host_or_path_is_refused_with_examples(uri: str) -> None:
    message = r"needs a host and a path.*toloka://toloka.dev/pools/2004"
    # Airflow 2 warns, unless it is told to be strict.
    with pytest.raises(ValueError, match=message) if AIRFLOW_V_3_0_PLUS else pytest.warns(UserWarning, match=message):
        Asset(uri)


PROJECT = Asset("toloka://toloka.dev/projects/1001")


@pytest.fixture
def stored_asset(airflow_database: None) -> None:  # noqa: ARG001 - it has to be there
    """Let Airflow 2 know the asset, which it learns from a DAG that stands in a file."""
    from airflow.utils.session import create_session

    if not AIRFLOW_V_3_0_PLUS:
        models = import_module("airflow.models.dataset")
        with create_session() as session:
            if not session.query(models.DatasetModel).filter_by(uri=PROJECT.uri).count():
                session.add(models.DatasetModel(uri=PROJECT.uri))


def extra_of(run: Run) -> dict[str, Any]:
    """Return the extra of a run's event."""
    from airflow.utils.session import create_session

    models = import_module("airflow.models.asset" if AIRFLOW_V_3_0_PLUS else "airflow.models.dataset")
    event = models.AssetEvent if AIRFLOW_V_3_0_PLUS else models.DatasetEvent
    with create_session() as session:
        (found,) = session.query(event).filter_by(source_run_id=run.dag_run.run_id)
        extra: dict[str, Any] = found.extra
        return extra


@pytest.mark.usefixtures("stored_asset")
@pytest.mark.parametrize("deferrable", [False, True], indirect=True)
def test_the_event_of_an_outlet_carries_the_operation(toloka: TolokaEmulator, deferrable: bool) -> None:
    arguments = {"project_id": "1001", "poll_interval": 0.1, "deferrable": deferrable, "outlets": [PROJECT]}
    task, run = run_logged(TolokaArchiveProjectOperator, **arguments)
    finished = task.operation["finished"]
    assert extra_of(run) == {"operation_id": task.result, "status": "SUCCESS", "finished": finished}
    assert toloka.operations[task.result]["status"] == "SUCCESS"


@pytest.mark.usefixtures("stored_asset", "toloka")
def test_the_event_says_that_nothing_was_to_be_done() -> None:
    arguments = {"project_id": "1001", "poll_interval": 0.1, "outlets": [PROJECT]}
    run_logged(TolokaArchiveProjectOperator, **arguments)
    _, run = run_logged(TolokaArchiveProjectOperator, **arguments)
    assert extra_of(run) == {"status": "already done"}


@pytest.mark.usefixtures("stored_asset", "toloka")
def test_the_event_says_that_the_project_is_postponed() -> None:
    arguments = {"project_id": "1007", "pools": "archive_closed", "on_conflict": "skip", "outlets": [PROJECT]}
    _, run = run_logged(TolokaArchiveProjectOperator, **arguments)
    assert extra_of(run) == {"status": "postponed"}


@pytest.mark.usefixtures("stored_asset")
def test_the_event_of_a_sensor_carries_all_its_operations(toloka: TolokaEmulator) -> None:
    ids = [toloka.add_operation("POOL.OPEN", status="RUNNING", finishes_in=seconds)["id"] for seconds in (0.1, 0.5)]
    _, run = run_logged(OperationSensor, operation_id=ids, poke_interval=0.2, outlets=[PROJECT])
    extra = extra_of(run)
    assert (extra["operation_ids"], extra["status"]) == (ids, "SUCCESS")


@pytest.mark.usefixtures("stored_asset", "toloka")
def test_the_event_of_a_batch_carries_what_was_archived() -> None:
    arguments: dict[str, Any] = {"project_ids": ["1001", "1002"], "pools": "close_and_archive", "poll_interval": 0.1}
    task, run = run_logged(TolokaArchiveStaleProjectsOperator, **arguments, outlets=[PROJECT])
    extra = extra_of(run)
    assert set(extra["operation_ids"]) == {one["operation_id"] for one in task.result["archived"]}
    assert extra["finished"] == max(one["finished"] for one in task.result["archived"])
