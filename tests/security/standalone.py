"""All components of an Airflow, as ``airflow standalone`` runs them, on SQLite and at log level DEBUG."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import requests
from cryptography.fernet import Fernet

from tests.processes import Program, free_port, kill, until

_PROGRAMS = Path(sys.executable).parent


class Standalone:
    """A running Airflow.

    :param home: an empty folder.
    :param dags: the folder of the DAG files.
    :param environment: what they need, such as connections.
    """

    def __init__(self, home: Path, dags: Path, environment: Mapping[str, str]) -> None:
        self.home = home
        self.log = home / "standalone.log"
        self.fernet_key = Fernet.generate_key().decode()
        self.port = str(free_port())
        self.environment = {
            "PATH": os.pathsep.join([str(_PROGRAMS), os.environ.get("PATH", os.defpath)]),
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__FERNET_KEY": self.fernet_key,
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__WEBSERVER__WORKERS": "1",
            # On a busy machine, a part may be late with a sign of life.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "1200",
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
            "AIRFLOW__TRIGGERER__RUNNER_HEALTH_CHECK_THRESHOLD": "1200",
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "1200",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://localhost:{self.port}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": self.port,
            "AIRFLOW__API__BASE_URL": f"http://localhost:{self.port}",
            "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
            "AIRFLOW__WEBSERVER__WEB_SERVER_PORT": self.port,
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
            "AIRFLOW__LOGGING__FAB_LOGGING_LEVEL": "DEBUG",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "3600",
            **environment,
        }

    def command(self, *arguments: str) -> str:
        """Run a command of Airflow; give what it says."""
        ran = subprocess.run(
            [_PROGRAMS / "airflow", *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=600,
        )
        if ran.returncode:
            raise RuntimeError(f"airflow {arguments[0]} {arguments[1]}: {ran.stdout}")
        return ran.stdout

    def unpause(self) -> None:
        """Let the DAGs run, as soon as all parts are there: a task that comes too early fails."""

        def is_healthy() -> bool:
            with contextlib.suppress(requests.RequestException):
                is_new = not (self.home / "webserver_config.py").exists()
                path = "api/v2/monitor/health" if is_new else "health"
                parts = requests.get(f"http://127.0.0.1:{self.port}/{path}", timeout=10).json()
                return all(parts[part]["status"] == "healthy" for part in ("scheduler", "triggerer"))
            return False

        until("Airflow is healthy", is_healthy)
        until("there are DAGs", lambda: bool(self.rows("SELECT dag_id FROM dag")))
        self.rows("UPDATE dag SET is_paused = 0")

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run it; leave none of its processes."""
        program = Program([_PROGRAMS / "airflow", "standalone"], self.environment, self.log)
        try:
            yield
        finally:
            program.end()
            # Airflow gives some of its tasks sessions of their own; the folder that they were started in they keep.
            for process in psutil.process_iter(["cwd"]):
                if process.info["cwd"] == str(self.home):
                    kill(process.pid)

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Ask the metadata database."""
        with contextlib.closing(sqlite3.connect(self.home / "airflow.db", timeout=60)) as database, database:
            return database.execute(query).fetchall()

    def tables(self) -> dict[str, list[tuple[object, ...]]]:
        """Return all rows of all tables."""
        names = self.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {str(name): self.rows(f'SELECT * FROM "{name}"') for (name,) in names}  # noqa: S608
