"""Set up Airflow in a separate folder, with the example DAGs, before anything imports it."""

from __future__ import annotations

import functools
import json
import os
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_toloka.emulator import TolokaEmulator

ROOT = Path(__file__).parent.parent

_HOME = tempfile.TemporaryDirectory(prefix="airflow-home-")
_NO_FILES = Path(_HOME.name, "no-files")
_NO_FILES.mkdir()
# Airflow 3 reads the whole bundle of a DAG each time it is tested. The DAGs of tests/running.py stand in no file, and
# so have a bundle of their own, which is empty.
_LOCAL = "airflow.dag_processing.bundles.local.LocalDagBundle"
_BUNDLES = [
    {"name": "dags-folder", "classpath": _LOCAL, "kwargs": {}},
    {"name": "tests", "classpath": _LOCAL, "kwargs": {"path": str(_NO_FILES)}},
]
os.environ.update(
    AIRFLOW_HOME=_HOME.name,
    AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST=json.dumps(_BUNDLES),
    AIRFLOW__CORE__DAGS_FOLDER=str(ROOT / "example_dags"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__UNIT_TEST_MODE="False",
)
for _name in [name for name in os.environ if name.startswith("AIRFLOW_CONN_")]:
    del os.environ[_name]


if find_spec("hypothesis"):
    # The duration of an example depends on the machine; pytest-timeout limits the whole test.
    _settings: Any = import_module("hypothesis").settings
    _settings.register_profile("any machine", deadline=None)
    _settings.load_profile("any machine")

#: Folders whose first test starts a whole Airflow, and how long one of their tests may take, with that, in seconds.
WHOLE_AIRFLOW = {"distributed", "durability", "e2e", "events", "security"}
WHOLE_AIRFLOW_TIMEOUT = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Set a longer timeout than setup.cfg's for tests that start a whole Airflow."""
    for item in items:
        if WHOLE_AIRFLOW.intersection(item.path.relative_to(ROOT).parts):
            item.add_marker(pytest.mark.timeout(WHOLE_AIRFLOW_TIMEOUT))


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """A metadata database, for whatever runs a DAG."""
    from airflow.utils.db import initdb

    initdb()
    if find_spec("airflow.sdk") and find_spec("airflow.sdk.execution_time"):
        supervisor: Any = import_module("airflow.sdk.execution_time.supervisor")
        # Airflow 3.0 and 3.1 make their API anew for each task of dag.test(), which takes seconds; newer ones keep it.
        supervisor.in_process_api_server = functools.cache(supervisor.in_process_api_server)


@pytest.fixture(autouse=True)
def _no_account_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin each test as a new process does, because an emulator may have the address of an earlier test's."""
    monkeypatch.setattr("airflow_provider_toloka.client.state._states", {})


@pytest.fixture(autouse=True)
def _no_scheduler_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let triggers fire at once: ``dag.test()`` has no scheduler that would have to see that the worker has left."""
    for module in ("_settling", "_task", "sensors.toloka", "sensors.pool"):
        monkeypatch.setattr(f"airflow_provider_toloka.{module}.settling_seconds", lambda: 0.0)


@pytest.fixture
def toloka(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[TolokaEmulator]:
    """Run a Toloka with the account "demo", and let the connection ``toloka_default`` lead to it.

    An operation takes 0.3 seconds; with ``parametrize(..., indirect=True)``, so long as it says.
    """
    from airflow_provider_toloka.emulator import TolokaEmulator

    with TolokaEmulator("demo", operation_seconds=getattr(request, "param", 0.3)) as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_TOLOKA_DEFAULT", json.dumps(emulator.connection | {"extra": {"retries": 1}}))
        yield emulator


@pytest.fixture
def deferrable(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> bool:
    """Set whether a task defers, after one poll, because the tests' operations are quick."""
    monkeypatch.setattr("airflow_provider_toloka.operators._changing.TolokaChangeOperator.before_deferring", 0.0)
    return bool(request.param)
