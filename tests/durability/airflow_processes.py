"""An Airflow of real processes on this machine, with PostgreSQL: start it, inspect it, and use it as a person does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg2
import requests

from tests.conftest import ROOT
from tests.processes import Program, free_port, until

DAGS = Path(__file__).parent / "dags"

#: What a crash is noticed by: heartbeats that do not come. In seconds; by default they are minutes. A scheduler or a
#: triggerer that is late does no harm where there is only one; a task that is late on a busy machine is ended.
LOST_AFTER = 20
TASK_LOST_AFTER = 60
_BOTH = {
    "CORE__DAGS_FOLDER": str(DAGS),
    "CORE__LOAD_EXAMPLES": "False",
    "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "CORE__EXECUTOR": "LocalExecutor",
    "CORE__PARALLELISM": "32",
    "CORE__DEFAULT_POOL_TASK_SLOT_COUNT": "256",
    "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "SCHEDULER__JOB_HEARTBEAT_SEC": "2",
    "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": f"{LOST_AFTER}",
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "5",
    "TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": f"{LOST_AFTER}",
    "LOGGING__LOGGING_LEVEL": "INFO",
}
_NEW = {
    "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
    "API__HOST": "127.0.0.1",
    "API__WORKERS": "1",
    # The first answers come late, from a server that has just started.
    "WORKERS__EXECUTION_API_TIMEOUT": "60",
    "API_AUTH__JWT_SECRET": "a secret of the tests, long enough for its kind of signature: 0123456789 0123456789",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "2",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": f"{TASK_LOST_AFTER}",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
}
_OLD = {
    "API__AUTH_BACKENDS": "airflow.api.auth.backend.default",
    "WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
    "WEBSERVER__WORKERS": "1",
    "WEBSERVER__SECRET_KEY": "a secret of the tests",
    "SCHEDULER__LOCAL_TASK_JOB_HEARTBEAT_SEC": "2",
    "SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": f"{TASK_LOST_AFTER}",
    # Airflow 2.11 fails a task as often as it notices the crash, even its next try: so not before the first has passed.
    "SCHEDULER__ZOMBIE_DETECTION_INTERVAL": "20",
    "SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "60",
}


@dataclass(frozen=True)
class Task:
    """The state of a task and its run in the metadata database."""

    run_state: str | None
    state: str | None
    try_number: int
    pid: int | None
    trigger_id: int | None


class Airflow:
    """An Airflow of one version.

    :param programs: the folder with the program ``airflow``: the version is what is installed there.
    :param home: an empty folder.
    :param database: the address of an empty database.
    :param environment: what its DAGs and connections need.
    """

    def __init__(self, programs: Path, home: Path, database: str, environment: Mapping[str, str]) -> None:
        self._programs = programs
        self._home = home
        ports = {name: str(free_port()) for name in ("web", "worker logs", "triggerer logs")}
        version = subprocess.run(
            [programs / "python", "-c", "from importlib.metadata import version; print(version('apache-airflow'))"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        self.is_new = version.startswith("3.")
        self.version = ".".join(version.split(".")[:2])
        url = f"http://127.0.0.1:{ports['web']}"
        self._api = f"{url}/api/{'v2' if self.is_new else 'v1'}"
        settings = {
            **_BOTH,
            **(_NEW if self.is_new else _OLD),
            "DATABASE__SQL_ALCHEMY_CONN": database,
            "API__PORT": ports["web"],
            "WEBSERVER__WEB_SERVER_PORT": ports["web"],
            "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
            "LOGGING__WORKER_LOG_SERVER_PORT": ports["worker logs"],
            "LOGGING__TRIGGER_LOG_SERVER_PORT": ports["triggerer logs"],
        }
        self._environment = {
            "PATH": os.pathsep.join([str(programs), os.environ.get("PATH", os.defpath)]),
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "AIRFLOW_HOME": str(home),
            # The DAGs import modules of the tests.
            "PYTHONPATH": str(ROOT),
            **{f"AIRFLOW__{name}": value for name, value in settings.items()},
            **environment,
        }
        self._address = database.replace("+psycopg2", "")
        self.connect()
        self._parts: dict[str, Program] = {}
        self._starting = threading.Lock()
        self._is_stopped = False
        self._session = requests.Session()

    def connect(self) -> None:
        """Connect to the metadata database, for the first time or after it was restarted."""
        self._database = psycopg2.connect(self._address)
        self._database.autocommit = True

    def start(self) -> None:
        """Start all parts, and wait until they know the DAGs."""
        self.migrate()
        for part in ("api-server" if self.is_new else "webserver", "scheduler", "triggerer"):
            self.start_part(part)
        if self.is_new:
            self.start_part("dag-processor")
        self.await_ready()

    def migrate(self) -> None:
        """Make the metadata database."""
        if not self.is_new:
            (self._home / "webserver_config.py").write_text("AUTH_ROLE_PUBLIC = 'Admin'\nWTF_CSRF_ENABLED = False\n")
        self.start_part("db migrate")
        until("the database is made", lambda: not self._parts["db migrate"].runs)
        del self._parts["db migrate"]

    def await_ready(self) -> None:
        """Wait until all parts give signs of life, and know the DAGs."""
        until(f"Airflow {self.version} is ready", self._is_ready)

    def start_part(self, part: str, name: str | None = None) -> None:
        """Start a part of Airflow.

        :param part: such as ``scheduler``, or another command of Airflow's.
        :param name: under which it is known here; default: the part's.
        """
        name = name or part
        with self._starting:
            if self._is_stopped:
                raise RuntimeError("the tests are over")
            command = [str(self._programs / "airflow"), *part.split()]
            self._parts[name] = Program(command, self._environment, self._home / f"{name}.log")

    def has(self, name: str) -> bool:
        """Return whether a component was started, and not killed with all its processes."""
        return name in self._parts

    def kill(self, name: str) -> None:
        """Kill a part, but not the tasks that it has started.

        Its child processes have inherited its connections to the database. A transaction that was open would stay open
        with its locks, and the next scheduler skips locked rows. The database ends these connections, as when a machine
        is gone.
        """
        part = self._parts[name]
        ports = [connection.laddr.port for connection in psutil.Process(part.pid).net_connections()]
        part.kill()
        with self._database.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE client_port = ANY(%s)", [ports]
            )

    def kill_all(self, name: str) -> None:
        """Kill a part and all processes of it, as when its machine dies."""
        self._parts.pop(name).kill_all()

    def stop(self) -> None:
        """End all that was started."""
        with self._starting:
            self._is_stopped = True
        self._database.close()
        self._session.close()
        with ThreadPoolExecutor() as pool:
            list(pool.map(Program.kill_all, self._parts.values()))

    # What can be seen

    def tasks(self) -> dict[tuple[str, str, str, int], Task]:
        """Return all tasks by DAG, run, task id and map index."""
        with self._database.cursor() as cursor:
            cursor.execute(
                "SELECT dag_id, run_id, task_id, map_index, dag_run.state, task.state, try_number, pid, trigger_id "
                "FROM task_instance task JOIN dag_run USING (dag_id, run_id)"
            )
            return {(row[0], row[1], row[2], row[3]): Task(*row[4:]) for row in cursor.fetchall()}

    def log(self, dag_id: str, run_id: str, task_id: str = "task") -> str:
        """Return what a task without map index has logged, in all tries."""
        folder = self._home / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}" / f"task_id={task_id}"
        return "\n".join(path.read_text() for path in sorted(folder.glob("attempt=*")))

    def errors_about(self, run_id: str) -> str:
        """Return the errors about a run in the logs of the schedulers."""
        return "\n".join(
            line
            for path in sorted(self._home.glob("*scheduler.log"))
            for line in path.read_text().splitlines()
            if "error" in line.lower() and re.search(rf"\b{run_id}\b", line)
        )

    def await_triggerers(self, count: int) -> None:
        """Wait until this many triggerers are healthy."""

        def alive() -> bool:
            with self._database.cursor() as cursor:
                cursor.execute(
                    "SELECT count(*) FROM job WHERE job_type = 'TriggererJob' AND state = 'running' "
                    "AND latest_heartbeat > now() - interval '10 seconds'"
                )
                return bool(cursor.fetchone()[0] >= count)

        until(f"{count} triggerers run", alive)

    # What a person does

    def trigger(self, dag_id: str, run_id: str, conf: Mapping[str, Any]) -> None:
        """Start a run."""
        given: dict[str, Any] = {"dag_run_id": run_id, "conf": conf}
        if self.is_new:
            given["logical_date"] = None
        self._ask("POST", f"/dags/{dag_id}/dagRuns", given)

    def clear(self, dag_id: str, run_id: str, task_id: str = "task") -> None:
        """Clear a task of a run."""
        given = {"dry_run": False, "only_failed": False, "dag_run_id": run_id, "reset_dag_runs": True}
        self._ask("POST", f"/dags/{dag_id}/clearTaskInstances", {**given, "task_ids": [task_id]})

    def mark_failed(self, dag_id: str, run_id: str) -> None:
        """Mark the task of a run as failed."""
        given = {"new_state": "failed"} if self.is_new else {"new_state": "failed", "dry_run": False}
        self._ask("PATCH", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/task", given)

    def pause(self, dag_id: str, *, is_paused: bool) -> None:
        """Pause or unpause a DAG."""
        self._ask("PATCH", f"/dags/{dag_id}", {"is_paused": is_paused})

    def _ask(self, method: str, path: str, given: Any = None) -> Any:
        answer = self._session.request(method, self._api + path, json=given, timeout=120)
        if not answer.ok:
            raise OSError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json()

    def _is_ready(self) -> bool:
        for name, part in self._parts.items():
            if not part.runs:
                raise OSError(f"Airflow's {name} has ended:\n{part.log.read_text()[-3000:]}")
        with self._database.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM serialized_dag")
            known = cursor.fetchone()[0]
        try:
            health = self._session.get(self._api.replace("/v2", "/v2/monitor") + "/health", timeout=20).json()
        except (OSError, json.JSONDecodeError):
            return False
        return known > 0 and all(health[part]["status"] == "healthy" for part in ("scheduler", "triggerer"))
