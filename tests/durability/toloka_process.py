"""The emulator in a separate process, which can be killed and restarted with its state."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import requests

from airflow_provider_toloka.emulator import DEFAULT_TOKEN
from tests.processes import Program, free_port, until

#: No operation finishes by itself: the tests say when.
NEVER = 1_000_000


class TolokaProcess:
    """An emulated Toloka in a separate process.

    :param folder: where it keeps its state and its log.
    :param state: what is in the account.
    :param port: default: a free one.
    :param operation_seconds: how long an operation takes, such as ``5`` or ``2-6``; default: until a test finishes it.
    :param requests_per_second: the limit of the account; default: none.
    :param tolokers: how many simulated Tolokers work on open pools, and complete an empty one at once.
    :param clock: by how many seconds its clock is ahead; this takes the program ``faketime``.
    """

    def __init__(
        self,
        folder: Path,
        state: Mapping[str, Any],
        *,
        port: int | None = None,
        operation_seconds: float | str = NEVER,
        requests_per_second: int = 0,
        clock: int = 0,
        tolokers: int = 0,
    ) -> None:
        self._folder = folder
        self._port = port or free_port()
        self._limits = {
            "operation-seconds": operation_seconds,
            "requests-per-second": requests_per_second,
            "tolokers": tolokers,
        }
        # Clocks that only measure how long something takes stay right: otherwise, waits end at once, or never.
        self._clock = ["faketime", "--exclude-monotonic", "-f", f"{clock:+d}s"] if clock else []
        self._state = folder / "toloka.json"
        self._state.write_text(json.dumps(state))
        self.start()

    def start(self) -> None:
        """Start it, with the state that it had."""
        options = {"port": self._port, "state": self._state, **self._limits}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self._program = Program(
            [
                *self._clock,
                sys.executable,
                "-m",
                "airflow_provider_toloka.emulator",
                "--admin",
                "--any-account",
                # A request that arrives late, after the project was archived, should leave no trace.
                "--archived-project-answer=204",
                "--no-quotas",
                *words,
            ],
            {"PATH": os.environ.get("PATH", os.defpath)},
            self._folder / "toloka.log",
        )
        until("the emulator answers", self._answers, 60)

    def kill(self) -> None:
        """Kill it; its state is kept as it was just before.

        What its clients were about to change then would be lost: at that time, none of them may be about to.
        """
        self._state.write_text(json.dumps(self.state()))
        self._program.kill_all()

    def stop(self) -> None:
        """End it."""
        self._program.kill_all()

    def connection(self, account: str) -> str:
        """Return an Airflow connection as JSON, whose requests are identified by an account's id."""
        return connection(self._port, account)

    def journal(self) -> list[dict[str, Any]]:
        """Return all requests since the start: method, path, status, account and time."""
        made: list[dict[str, Any]] = self._ask("GET", "/admin/requests").json()
        return made

    def state(self) -> dict[str, list[dict[str, Any]]]:
        """Return the content of the account."""
        state: dict[str, list[dict[str, Any]]] = self._ask("GET", "/admin/state").json()
        return state

    def arrived(self) -> Counter[str]:
        """Return the number of requests that each fault has affected, by its id."""
        return Counter({fault["id"]: fault["arrived"] for fault in self._ask("GET", "/admin/faults").json()})

    def answers(self, account: str) -> list[int | None]:
        """Return the statuses of the responses to an account's requests; None: no response yet."""
        return [request["status"] for request in self.journal() if request["account"] == account]

    def fault(self, rule: str, account: str | None = None, **what: Any) -> str:
        """Let the answers to some requests of an account, or of all, go wrong; give the fault's id."""
        return str(self._ask("POST", "/admin/faults", {"rule": rule, "account": account, **what}).json()["id"])

    def release(self, faults: Sequence[str]) -> None:
        """Let go what these faults hold."""
        self._ask("POST", "/admin/release", {"ids": list(faults)})

    def finish(self, operations: Sequence[str]) -> None:
        """Let operations finish now."""
        self._ask("POST", "/admin/finish", {"ids": list(operations)})

    def change(self, path: str, given: Any = None) -> dict[str, Any]:
        """Change something at Toloka, as a person does who uses it beside Airflow; give the answer."""
        answer: dict[str, Any] = self._ask("POST", f"/api/v1{path}", given).json()
        return answer

    def _ask(self, method: str, path: str, given: Any = None) -> requests.Response:
        headers = {"Authorization": f"OAuth {DEFAULT_TOKEN}"}
        answer = requests.request(
            method, f"http://127.0.0.1:{self._port}{path}", json=given, headers=headers, timeout=60
        )
        answer.raise_for_status()
        return answer

    def _answers(self) -> bool:
        try:
            self.arrived()
        except requests.ConnectionError:
            return False
        return True


def objects_of(operation: Mapping[str, Any]) -> set[str]:
    """Return the ids in an operation: of its object, and of the pools that it adds tasks to."""
    items = [*operation.get("items", ()), *(entry.get("input", {}) for entry in operation.get("log", ()))]
    pool_ids = {item["pool_id"] for item in items if "pool_id" in item}
    return pool_ids | {value for value in operation["parameters"].values() if isinstance(value, str)}


def submitted(operations: Sequence[Mapping[str, Any]], objects: Sequence[str]) -> Counter[str]:
    """Count the operations on some objects, such as ``POOL.CLOSE 2001``, no matter who submitted them."""
    return Counter(
        f"{operation['type']} {object_id}"
        for operation in operations
        for object_id in objects_of(operation).intersection(objects)
    )


def connection(port: int, account: str, **extra: Any) -> str:
    """Return an Airflow connection, in JSON, to an emulator.

    :param port: where it listens, or will.
    :param account: identifies its requests.
    :param extra: further settings of the connection.
    """
    return json.dumps(
        {
            "conn_type": "toloka",
            "host": "http://127.0.0.1",
            "port": port,
            "password": DEFAULT_TOKEN,
            "extra": {"act_under_account_id": account, **extra},
        }
    )
