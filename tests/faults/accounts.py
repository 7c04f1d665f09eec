"""One Toloka for each fault, and the way to it that the fault spoils."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from email.utils import formatdate
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.emulator.faults import Fault as Rule
from tests.certificates import Authority
from tests.faults.catalog import SOON, Fault
from tests.faults.misbehaving import Gateway

#: How many seconds ahead a header with the date ``SOON`` is.
AHEAD = 45.0

ANY = "* /**"
LOOK = "GET /operations/*"
READ = "GET /projects/*"
ARCHIVE = "POST /projects/*/archive"


class Account:
    """A Toloka with one project, which can be reached but for the fault.

    :param fault: what goes wrong on the way to it.
    :param connection_id: of the Airflow connection that leads there.
    """

    def __init__(self, fault: Fault, connection_id: str, authority: Authority) -> None:
        self.fault = fault
        self.connection_id = connection_id
        # An operation that takes a moment has to be waited for.
        self.toloka = TolokaEmulator(operation_seconds=0.3)
        self.project_id: str = self.toloka.add_project()["id"]
        self._authority = authority
        self._gateway: Gateway | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Account:
        self._stack.enter_context(self.toloka)
        url = self.toloka.url
        if callable(self.fault.what):
            tls = self._authority.tls(self.fault.tls) if self.fault.tls else None
            self._gateway = self._stack.enter_context(Gateway(self.toloka, self.fault.what, tls))
            url = self._gateway.url
        parts = urlsplit(url)
        os.environ[f"AIRFLOW_CONN_{self.connection_id.upper()}"] = json.dumps(
            {
                "conn_type": "toloka",
                "schema": parts.scheme,
                "host": parts.hostname,
                "port": parts.port,
                "password": self.toloka.token,
                "extra": {"timeout": self.fault.timeout, "retries": self.fault.retries},
            }
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def spoil(self, rule: str, times: int | None) -> None:
        """Let the fault be met.

        :param rule: by which requests.
        :param times: by how many of them; None: by all.
        """
        if self._gateway is None:
            assert not callable(self.fault.what)
            self.toloka.fault(rule, times=times, **_dated(self.fault.what))
        elif self.fault.is_away and times is None:
            self._gateway.close()
        else:
            self._gateway.rules.add(Rule(rule, times=times))

    def mend(self) -> None:
        """Let the fault be gone."""
        if self._gateway is None:
            self.toloka.clear_faults()
        elif self.fault.is_away:
            self._gateway.open()

    def add_operation(self, seconds: float) -> str:
        """Let an operation run that is no project's.

        :param seconds: how long.
        """
        operation: str = self.toloka.add_operation("TASK.BATCH_CREATE", status="RUNNING", finishes_in=seconds)["id"]
        return operation

    @property
    def archivings(self) -> int:
        """How many operations were submitted to archive the project."""
        return sum(operation["type"] == "PROJECT.ARCHIVE" for operation in self.toloka.operations.values())

    @property
    def is_archived(self) -> bool:
        return bool(self.toloka.projects[self.project_id]["status"] == "ARCHIVED")


@contextmanager
def accounts(faults: list[Fault], authority: Authority) -> Iterator[list[Account]]:
    """Return an account for each fault.

    :param faults: the faults.
    :param authority: makes the certificates of those that need one.
    """
    with ExitStack() as stack:
        yield [
            stack.enter_context(Account(fault, f"toloka_{number}", authority)) for number, fault in enumerate(faults)
        ]


def _dated(what: Mapping[str, Any]) -> dict[str, Any]:
    headers = {
        name: formatdate(time.time() + AHEAD, usegmt=True) if value == SOON else value
        for name, value in what.get("headers", {}).items()
    }
    return {**what, **({"headers": headers} if headers else {})}
