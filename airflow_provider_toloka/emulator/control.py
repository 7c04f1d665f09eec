"""What tests steer an emulator by: its options, its faults, and the record of what was asked of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from airflow_provider_toloka.emulator import work
from airflow_provider_toloka.emulator.account import Account
from airflow_provider_toloka.emulator.content import Content
from airflow_provider_toloka.emulator.faults import Fault, Faults
from airflow_provider_toloka.emulator.journal import RequestRecord


class Control(Content):
    """An emulated Toloka, whether it is served or not.

    :param account: what is in it.
    """

    def __init__(self, account: Account) -> None:
        super().__init__(account)
        self._faults = Faults()
        self._journal: list[RequestRecord] = []

    def configure(self, **options: Any) -> None:
        """Change options, also while it runs.

        :param options: ``tolokers``, ``list_lag``, ``keep_metadata``, ``quotas``, ``accounts`` or
            ``archived_project_answer``; see ``Options``.
        :raises ValueError: for one that there is not.
        """
        with self._account.lock:
            now = self._account.settle()
            self._account.options.change(**options)
            for pool in [pool for pool in self._account.tables["pools"] if pool["status"] == "OPEN"]:
                work.go_on(self._account, pool["id"], now)

    @property
    def requests(self) -> list[RequestRecord]:
        """The API requests that have come, oldest first."""
        with self._account.lock:
            return [replace(record) for record in self._journal]

    def clear_requests(self) -> None:
        """Forget the requests that have come."""
        with self._account.lock:
            self._journal.clear()

    def fault(self, rule: str, **what: Any) -> Fault:
        """Let the answers to some requests go wrong.

        :param rule: method and path as under ``/api/v1``, such as ``POST /projects/*/archive``.
        :param what: how: ``times``, ``status``, ``body``, ``headers``, ``carry_out``, ``delay``, ``disconnect``,
            ``hold``; see ``Fault``.
        :returns: the rule in force, to ``wait()`` for a request that meets it, and to ``release()`` what it holds.
        """
        fault = Fault(rule, **what)
        self._faults.add(fault)
        return fault

    @property
    def faults(self) -> list[Fault]:
        """The faults, those that are used up too, until they are cleared."""
        return self._faults.all()

    def clear_faults(self) -> None:
        """Withdraw all faults, and let the held answers go."""
        self._faults.clear()

    def release(self) -> None:
        """Let all held and delayed answers go."""
        self._faults.release()

    def fail_next(self, type: str, times: int = 1, details: dict[str, Any] | None = None) -> None:  # noqa: A002
        """Let the next operations of a type end as ``FAIL``.

        :param type: such as ``PROJECT.ARCHIVE``.
        :param times: how many of them.
        :param details: their field ``details``.
        """
        with self._account.lock:
            self._account.operations.fail_next(type, times, details)

    def finish(self, operation_id: str) -> None:
        """Let an operation that is under way finish now, however long it was to take.

        :param operation_id: its id; one that has finished stays as it is.
        """
        with self._account.lock:
            self._account.operations.finish(operation_id, self._account.settle())
