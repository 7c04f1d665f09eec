"""Run ``airflow standalone`` with the example DAGs, in a separate folder."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

START_SECONDS = 300
STOP_SECONDS = 20


class StandaloneAirflow:
    """Airflow's scheduler, triggerer, DAG processor and web server, on one port of this machine.

    :param home: the folder for everything that it writes.
    :param port: the port of the web server.
    :param settings: further environment variables of Airflow.
    """

    def __init__(self, home: Path, port: int, **settings: str) -> None:
        self.home = home
        self.log = home / "standalone.log"
        self.url = f"http://localhost:{port}"
        self._port = port
        self._passwords = home / "passwords.json"
        self._process: subprocess.Popen[bytes] | None = None
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
        self._environment = inherited | {
            # `airflow standalone` starts the other components by the name `airflow`.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "example_dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self._passwords),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__BASE_URL": self.url,
            # Two Airflows on one machine would read each other's logs.
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            **settings,
        }

    @property
    def password(self) -> str:
        """The password of the user ``admin``; known after the start."""
        return str(json.loads(self._passwords.read_text())["admin"])

    def cli(self, *arguments: str) -> str:
        """Run an Airflow command; return its output.

        :raises OSError: it fails.
        """
        run = subprocess.run(
            ["airflow", *arguments], env=self._environment, capture_output=True, text=True, check=False
        )
        if run.returncode:
            raise OSError(f"airflow {' '.join(arguments[:2])}: {run.stdout}{run.stderr}")
        return run.stdout

    def prepare(self, connection: dict[str, Any]) -> None:
        """Create the database, and store the connection ``toloka_default`` in it, where the UI shows it.

        :param connection: the connection's fields.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        self.cli("db", "migrate")
        file = self.home / "connections.json"
        file.write_text(json.dumps({"toloka_default": connection}))
        self.cli("connections", "import", "--overwrite", str(file))

    def start(self) -> bool:
        """Start, and wait until the scheduler and the triggerer are healthy; return whether they are."""
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                ["airflow", "standalone"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        health_page = f"http://localhost:{self._port}/api/v2/monitor/health"
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            time.sleep(1)
            try:
                with urllib.request.urlopen(health_page, timeout=5) as answer:
                    health = json.load(answer)
            except (OSError, ValueError):
                continue
            if all(health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "triggerer")):
                return True
        return False

    def wait(self) -> int:
        """Wait until it exits; return its exit status."""
        return self._process.wait() if self._process else 0

    def stop(self) -> None:
        """End all its processes, which are one group."""
        if self._process is None:
            return
        for number, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, 5)):
            deadline = time.monotonic() + seconds
            try:
                os.killpg(self._process.pid, number)
                while time.monotonic() < deadline:
                    self._process.poll()
                    os.killpg(self._process.pid, 0)
                    time.sleep(0.2)
            except ProcessLookupError:
                return


def free_port() -> int:
    """Return a free port of this machine."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
