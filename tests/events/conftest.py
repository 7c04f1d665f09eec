"""An Airflow of real processes on this machine, with one example DAG and a Toloka."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_toloka.emulator import TolokaEmulator
from tests.conftest import ROOT
from tests.processes import Program, free_port, until

DAG = "toloka_archive_finished"
PARTS = ("api-server", "scheduler", "dag-processor", "triggerer")


class Airflow:
    """Airflow's parts, each a process with its own children.

    :param home: an empty folder.
    :param toloka: where the connection ``toloka_default`` leads.
    """

    def __init__(self, home: Path, toloka: TolokaEmulator) -> None:
        self.home = home
        self.program = Path(sys.executable).with_name("airflow")
        self.parts: dict[str, Program] = {}
        port = str(free_port())
        self.api = f"http://127.0.0.1:{port}"
        dags = home / "dags"
        dags.mkdir()
        shutil.copy(ROOT / "example_dags" / f"{DAG}.py", dags)
        self.environment = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "HOME": str(home),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW_CONN_TOLOKA_DEFAULT": json.dumps(toloka.connection),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.api}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": port,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": "made-up" * 10,
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            # A triggerer that was killed is taken for dead so soon: its triggers go to the next one.
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
        }

    def start(self) -> None:
        """Start all parts, and wait until the DAG is known."""
        subprocess.run([self.program, "db", "migrate"], env=self.environment, capture_output=True, check=True)
        for part in PARTS:
            self.start_part(part)
        until("the DAG is known", lambda: self.get(f"/dags/{DAG}"))

    def start_part(self, part: str) -> None:
        self.parts[part] = Program([self.program, part], self.environment, self.home / f"{part}.log")

    def kill(self, part: str) -> None:
        """Kill a part with all that it has started, as when its machine dies."""
        self.parts.pop(part).kill_all()

    def stop(self) -> None:
        for part in list(self.parts):
            self.kill(part)

    def ask(self, method: str, path: str, **more: Any) -> Any:
        token = requests.get(f"{self.api}/auth/token", timeout=60).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        return requests.request(method, f"{self.api}/api/v2{path}", headers=headers, timeout=60, **more)

    def get(self, path: str) -> Any:
        """Read from the REST API; None: it does not answer, or not yet with that."""
        try:
            answer = self.ask("GET", path)
        except requests.RequestException:
            return None
        return answer.json() if answer.ok else None

    def runs(self) -> list[str]:
        """Return the states of the DAG's runs, the oldest first."""
        found = self.get(f"/dags/{DAG}/dagRuns?order_by=id") or {"dag_runs": []}
        return [run["state"] for run in found["dag_runs"]]


@pytest.fixture(scope="module")
def toloka() -> Iterator[TolokaEmulator]:
    with TolokaEmulator(operation_seconds=0.3) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def airflow(toloka: TolokaEmulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    running = Airflow(tmp_path_factory.mktemp("airflow"), toloka)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        for log in running.home.glob("*.log"):  # pytest shows it where a test has failed
            print(f"--- {log.name}\n{log.read_text()[-20_000:]}")  # noqa: T201
