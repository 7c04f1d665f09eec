"""A PostgreSQL of a test's own, from the packages of the system."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from tests.processes import Program, free_port, until

_PLACES = "/usr/lib/postgresql/*/bin"
MISSING = (
    "PostgreSQL is needed, and there is none in PATH or in /usr/lib/postgresql. On Debian: apt-get install postgresql"
)


class Postgres:
    """A server with empty databases, in a temporary folder; nothing of it is kept.

    Its data are never forced to the disk: a crash of the machine is not what is tested.
    """

    def __init__(self) -> None:
        programs = find()
        # It refuses to run as root.
        self._prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self._user = "postgres" if self._prefix else pwd.getpwuid(os.geteuid()).pw_name
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        if self._prefix:
            shutil.chown(self._folder, "postgres")
        self._data = self._folder / "data"
        self._port = free_port()
        self._numbers = itertools.count(1)
        self._run(programs / "initdb", "--auth=trust", "--no-sync", "--encoding=UTF8", "--pgdata", self._data)
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self._port,
            "unix_socket_directories": self._folder,
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_connections": 500,
        }
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        self._command = [*self._prefix, str(programs / "postgres"), "-D", str(self._data), *settings]
        self._client = programs / "psql"
        self.start()

    def start(self) -> None:
        """Start it, with the data that it has."""
        self._server = Program(
            self._command,
            {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
            self._folder / "postgres.log",
        )
        until("PostgreSQL answers", lambda: self._ask("SELECT 1").returncode == 0, 60)

    def shut_down(self) -> None:
        """End it as a restart does: the clients' connections are closed, the data stay."""
        os.kill(int((self._data / "postmaster.pid").read_text().split()[0]), signal.SIGINT)
        until("PostgreSQL has ended", lambda: not self._server.runs, 60)

    def create(self) -> str:
        """Make an empty database.

        :returns: its address, for SQLAlchemy.
        """
        name = f"airflow_{next(self._numbers)}"
        made = self._ask(f"CREATE DATABASE {name}")
        if made.returncode:
            raise OSError(made.stderr)
        return f"postgresql+psycopg2://{self._user}@127.0.0.1:{self._port}/{name}"

    def stop(self) -> None:
        """End it, and remove its folder."""
        self._server.kill_all()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _ask(self, sql: str) -> subprocess.CompletedProcess[str]:
        where = ["-h", "127.0.0.1", "-p", str(self._port), "-U", self._user, "postgres"]
        return subprocess.run([self._client, "-c", sql, *where], capture_output=True, text=True, check=False)

    def _run(self, *command: str | Path) -> None:
        done = subprocess.run(
            [*self._prefix, *map(str, command)], cwd=self._folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise OSError(f"{command[0]}: {done.stderr}")


def find() -> Path:
    """Find the folder of PostgreSQL's programs.

    :raises FileNotFoundError: there is none.
    """
    in_path = shutil.which("postgres")
    folders = [Path(in_path).parent] if in_path else []
    folders += sorted(Path("/").glob(_PLACES.removeprefix("/")), reverse=True)
    for folder in folders:
        if all((folder / program).exists() for program in ("initdb", "postgres", "psql")):
            return folder
    raise FileNotFoundError(MISSING)
