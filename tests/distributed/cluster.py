"""An Airflow as it is spread over machines: CeleryExecutor over Redis, several schedulers, triggerers and workers."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import ROOT
from tests.durability.airflow_processes import Airflow, Task
from tests.durability.postgres import Postgres
from tests.processes import Program, free_port, until

PROGRAMS = ROOT / ".venv" / "bin"
DAGS = Path(__file__).parent / "dags"

_FERNET_KEY = "YSBrZXkgb2YgdGhlIHRlc3RzLCAzMiBieXRlcy4uLi4="
_TRIGGERER = "triggerer --skip-serve-logs"


@dataclass(frozen=True)
class Size:
    """How many there are of each part that there may be several of."""

    schedulers: int = 2
    triggerers: int = 2
    workers: int = 2


class Redis:
    """A test's own Redis, which keeps its data when it is killed.

    :param folder: an empty folder for its data.
    """

    def __init__(self, folder: Path) -> None:
        if shutil.which("redis-server") is None:
            raise FileNotFoundError("Redis is needed, and is not in PATH. On Debian: apt-get install redis-server")
        self._folder = folder
        self._port = free_port()
        self.start()

    @property
    def url(self) -> str:
        """Its address, for Celery."""
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Start it, with the data that it has."""
        options = {"port": self._port, "bind": "127.0.0.1", "dir": self._folder, "save": "", "appendonly": "yes"}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        environment = {"PATH": os.environ.get("PATH", os.defpath)}
        self._server = Program(["redis-server", *words], environment, self._folder / "redis.log")
        until("Redis answers", self._answers, 60)

    def kill(self) -> None:
        """Kill it."""
        self._server.kill_all()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._port), 5) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


class Cluster(Airflow):
    """A running Airflow with CeleryExecutor; nothing of it is kept.

    :param size: how many schedulers, triggerers and workers it has.
    :param environment: what its DAGs and connections need.
    """

    def __init__(self, size: Size, environment: Mapping[str, str]) -> None:
        self._size = size
        self.folder = Path(tempfile.mkdtemp(prefix="distributed-"))
        (self.folder / "redis").mkdir()
        self.redis = Redis(self.folder / "redis")
        self.postgres = Postgres()
        database = self.postgres.create()
        secret = "a secret that all parts share, long enough for its kind of signature: 0123456789 0123456789"
        settings = {
            "CORE__DAGS_FOLDER": str(DAGS),
            "CORE__EXECUTOR": "CeleryExecutor",
            "CORE__PARALLELISM": "64",
            "CORE__FERNET_KEY": _FERNET_KEY,
            "API__SECRET_KEY": secret,
            "API_AUTH__JWT_SECRET": secret,
            "CELERY__BROKER_URL": self.redis.url,
            # Without a driver, SQLAlchemy 2.1 looks for psycopg 3, and the components exit without a message.
            "CELERY__RESULT_BACKEND": f"db+{database}",
            "CELERY__WORKER_CONCURRENCY": "8",
            "CELERY__SYNC_PARALLELISM": "1",
        }
        more = {f"AIRFLOW__{name}": value for name, value in settings.items()}
        super().__init__(PROGRAMS, self.folder, database, {**more, "C_FORCE_ROOT": "1", **environment})

    def start(self) -> None:
        """Start all parts, and wait until they know the DAGs."""
        self.migrate()
        # One after the other, so that it is known which of the database's jobs is whose.
        for number, name in enumerate(self.triggerers, 1):
            self.start_part(_TRIGGERER, name)
            self.await_triggerers(number)
        self.start_part("api-server")
        self.start_part("dag-processor")
        for number in range(1, self._size.schedulers + 1):
            self.start_part("scheduler", f"scheduler {number}")
        for name in self.workers:
            self.start_worker(name)
        self.await_ready()
        for name in self.workers:
            self.await_worker(name)

    @property
    def workers(self) -> tuple[str, ...]:
        """The names of the workers."""
        return tuple(f"worker {number}" for number in range(1, self._size.workers + 1))

    @property
    def triggerers(self) -> tuple[str, ...]:
        """The names of the triggerers."""
        return tuple(f"triggerer {number}" for number in range(1, self._size.triggerers + 1))

    def start_worker(self, name: str) -> None:
        """Start a worker, for the first time or after it was killed."""
        (self.folder / f"{name}.log").unlink(missing_ok=True)
        self.start_part(f"celery worker --skip-serve-logs -H {name.replace(' ', '')}@%h", name)

    def await_worker(self, name: str) -> None:
        """Wait until a worker takes tasks."""
        until(f"{name} is ready", lambda: " ready." in self.part_log(name))

    def part_log(self, name: str) -> str:
        """Return a component's log."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def worker_of(self, pid: int) -> str:
        """Return the worker of a task's process."""
        session = os.getsid(pid)
        return next(name for name in self.workers if self._parts[name].pid == session)

    def pause_part(self, name: str) -> None:
        """Stop all processes of a part, as when its machine sleeps."""
        self._parts[name].signal_all(signal.SIGSTOP)

    def continue_part(self, name: str) -> None:
        """Let them continue."""
        self._parts[name].signal_all(signal.SIGCONT)

    def restart_postgres(self, seconds: float) -> list[str]:
        """Restart the metadata database, and what of Airflow has ended of it, as a supervisor does.

        :param seconds: how long it is away.
        :returns: the parts that were started again.
        """
        self.postgres.shut_down()
        time.sleep(seconds)
        self.postgres.start()
        self.connect()
        restarted: list[str] = []

        def is_healthy() -> bool:
            restarted.extend(self._restart_ended())
            return self._all_give_signs_of_life()

        until("Airflow is healthy again", is_healthy)
        return restarted

    def tasks_of(self, *run_ids: str) -> list[Task]:
        """Return the tasks of some runs, without those that only create map indexes."""
        return [task for (_, run_id, _, _), task in sorted(self.tasks().items()) if run_id in run_ids]

    def triggers(self) -> dict[int, str | None]:
        """Return the triggerer of each trigger; None: not yet assigned."""
        with self._database.cursor() as cursor:
            cursor.execute("SELECT id FROM job WHERE job_type = 'TriggererJob' ORDER BY id")
            names = dict(zip((row[0] for row in cursor.fetchall()), self.triggerers, strict=False))
            cursor.execute("SELECT id, triggerer_id FROM trigger")
            return {id_: names.get(owner) for id_, owner in cursor.fetchall()}

    def logs(self, run_id: str) -> str:
        """Return what the tasks of a run have logged, in all tries."""
        paths = sorted(self.folder.glob(f"logs/dag_id=*/run_id={run_id}/**/attempt=*"))
        return "\n".join(path.read_text(errors="replace") for path in paths)

    def result(self, dag_id: str, run_id: str) -> Any:
        """Return what the task of a run has returned."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/task/xcomEntries/return_value?deserialize=true"
        return self._ask("GET", path)["value"]

    def stop(self) -> None:
        """End all that was started, and remove all that it has written."""
        for name in self.triggerers:
            if name in self._parts:
                self.continue_part(name)
        super().stop()
        self.redis.kill()
        self.postgres.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _restart_ended(self) -> list[str]:
        ended = [name for name, part in self._parts.items() if not part.runs]
        for name in ended:
            self._parts.pop(name).kill_all()
            part = name.rstrip(" 0123456789")
            if part == "worker":
                self.start_worker(name)
            else:
                self.start_part(_TRIGGERER if part == "triggerer" else part, name)
        return ended

    def _all_give_signs_of_life(self) -> bool:
        with self._database.cursor() as cursor:
            cursor.execute(
                "SELECT job_type, count(*) FROM job WHERE state = 'running' "
                "AND latest_heartbeat > now() - interval '10 seconds' GROUP BY job_type"
            )
            alive = dict(cursor.fetchall())
        wanted = {"SchedulerJob": self._size.schedulers, "TriggererJob": self._size.triggerers}
        return all(alive.get(job, 0) >= count for job, count in wanted.items())
