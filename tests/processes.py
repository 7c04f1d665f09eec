"""Programs of a test, each in its own session, so that its child processes can be ended with it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import psutil

T = TypeVar("T")

#: How long anything may take before a test gives up; it costs time only when something is broken.
PATIENCE = 240.0


def until(what: str, look: Callable[[], T], seconds: float = PATIENCE, pause: float = 0.1) -> T:
    """Poll until there is a result.

    :param what: what is waited for, for the error.
    :param look: gives something that is true when it has come.
    :param pause: seconds between two polls.
    :raises TimeoutError: it does not come.
    """
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not in {seconds:.0f} seconds")
        time.sleep(pause)
    return seen


def free_port() -> int:
    """Return a free port of this machine."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


class Program:
    """A running program.

    :param command: what to run.
    :param environment: all of its environment.
    :param log: where its output is added to.
    """

    def __init__(self, command: Sequence[str | Path], environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                command,
                env=environment,
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._popen.pid

    @property
    def runs(self) -> bool:
        """Whether the program itself has not ended."""
        return self._popen.poll() is None

    def kill(self) -> None:
        """Kill only the program; its child processes continue."""
        self._popen.kill()
        self._popen.wait()

    def end(self) -> None:
        """Ask the program to end, and kill what is left of it and of all that it has started."""
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(15)
        self.kill_all()

    def signal_all(self, number: int) -> None:
        """Send a signal to the program and all that it has started, such as SIGSTOP and SIGCONT."""
        for pid in _members(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill_all(self) -> None:
        """Kill the program and all that it has started, as when a machine dies."""
        while members := list(_members(self.pid)):
            for pid in members:
                kill(pid)
            time.sleep(0.02)
        self._popen.wait()


def kill(pid: int) -> None:
    """Send SIGKILL to a process; ignore one that has already exited."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def has_ended(pid: int) -> bool:
    """Return whether a process has exited."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _members(session: int) -> Iterator[int]:
    # A process group would not do: Airflow gives its tasks groups of their own.
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == session and not has_ended(pid):
                yield pid
        except ProcessLookupError:
            continue
