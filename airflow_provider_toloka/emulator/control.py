"""The controls of an emulator for tests: options, faults, and the recorded requests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from airflow_provider_toloka.emulator import work
from airflow_provider_toloka.emulator.account import Account
from airflow_provider_toloka.emulator.content import Content
from airflow_provider_toloka.emulator.faults import Fault, Faults
from airflow_provider_toloka.emulator.journal import RequestRecord


class Control(Content):
    """An emulated Toloka, served or not.

    :param account: its account.
    """

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self._faults = Faults()
        self._journal: list[RequestRecord] = []

    def configure(self, **options: Any) -> None:
        """Change options, also while the emulator is running.

        :param options: ``tolokers``, ``list_lag``, ``keep_metadata``, ``quotas``, ``accounts`` or
            ``archived_project_answer``; see ``Options``.
        :raises ValueError: there is no such option.
        """
        with self._account.lock:
            now = self._account.settle()
            self._account.options.change(**options)
            for pool in [pool for pool in self._account.tables["pools"] if pool["status"] == "OPEN"]:
                work.go_on(self._account, pool["id"], now)

    @property
    def requests(self) -> list[RequestRecord]:
        """The API requests received, oldest first."""
        with self._account.lock:
            return [replace(record) for record in self._journal]

    def clear_requests(self) -> None:
        """Clear the recorded requests."""
        with self._account.lock:
            self._journal.clear()

    def fault(self, rule: str, **what: Any) -> Fault:
        """Add a fault for matching requests.

        :param rule: method and path as under ``/api/v1``, such as ``POST /projects/*/archive``.
        :param what: the fault: ``times``, ``status``, ``body``, ``headers``, ``carry_out``, ``delay``, ``disconnect``,
            ``hold``; see ``Fault``.
        :returns: the fault, to ``wait()`` for a matching request, and to ``release()`` held ones.
        """
        fault = Fault(rule, **what)
        self._faults.add(fault)
        return fault

    @property
    def faults(self) -> list[Fault]:
        """The faults, including used-up ones, until they are cleared."""
        return self._faults.all()

    def clear_faults(self) -> None:
        """Remove all faults, and release held responses."""
        self._faults.clear()

    def release(self) -> None:
        """Release all held and delayed responses."""
        self._faults.release()

    def fail_next(self, type: str, times: int = 1, details: dict[str, Any] | None = None) -> None:  # noqa: A002
        """Let the next operations of a type end as ``FAIL``.

        :param type: such as ``PROJECT.ARCHIVE``.
        :param times: the number of operations.
        :param details: the value of their field ``details``.
        """
        with self._account.lock:
            self._account.operations.fail_next(type, times, details)

    def finish(self, operation_id: str) -> None:
        """Finish an operation now, even one that would never end.

        :param operation_id: its id; a finished operation is not changed.
        """
        with self._account.lock:
            self._account.operations.finish(operation_id, self._account.settle())
