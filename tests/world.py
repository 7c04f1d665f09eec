"""A Toloka without a network, for flows driven by hand, and a task that archives a project of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from airflow_provider_toloka.archiving.plan import PoolsRule, step_of
from airflow_provider_toloka.archiving.project import Progress, retire_project
from airflow_provider_toloka.client.backoff import backing_off
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.client.sansio import Flow, Request, Response, Sleep
from airflow_provider_toloka.emulator import rules
from airflow_provider_toloka.emulator.account import Account
from airflow_provider_toloka.emulator.errors import ApiError
from tests.driving import Answer, Driver, answer, api, ok, page

API = api()


class CutOffError(BaseException):
    """The worker is gone."""


class World:
    """A Toloka without a network: the emulator's account, and the driver of those who ask it.

    :param lag: objects are shown as they were at the last sleep.
    """

    def __init__(self, *, operation_seconds: float = 0, lag: bool = False) -> None:
        self.driver = Driver(self._serve)
        self.account = Account(clock=lambda: self.driver.now, operation_seconds=operation_seconds)
        self.account.add_project(id="1")
        self.lag = lag
        self.refused: list[str] = []
        self.cut_at: int | None = None
        self.cut_before = True
        self._shown: dict[str, list[dict[str, Any]]] = {}
        self._shown_at = -1.0

    def statuses(self) -> dict[str, str]:
        self.account.settle()
        return {
            f"{kind} {row['id']}": row["status"]
            for kind in ("projects", "pools", "trainings")
            for row in self.account.tables[kind]
        }

    def submitted(self) -> Counter[tuple[str, str]]:
        rows = self.account.tables["operations"]
        return Counter((row["type"], str(row["parameters"])) for row in rows if row["type"] != "POOL.OPEN")

    def _serve(self, request: Request) -> Answer:
        is_cut = self.cut_at is not None and len(self.driver.requests) > self.cut_at
        if is_cut and self.cut_before:
            raise CutOffError
        self.account.settle()
        if self.driver.now != self._shown_at or not self.lag:
            self._shown_at = self.driver.now
            for kind in ("pools", "trainings"):  # whatever locked them has an end
                for row in [row for row in self.account.tables[kind] if row["status"] == "LOCKED"]:
                    if self.driver.sleeps:
                        self.account.tables[kind].update(row["id"], status="CLOSED")
            self._shown = {kind: list(table) for kind, table in self.account.tables.items()}
        try:
            response = self._act(request.path) if request.method == "POST" else self._read(request.path, request.query)
        except ApiError as refusal:
            self.refused.append(f"{request.path} {refusal.code}")
            response = answer(refusal.status, refusal.body())
        if is_cut:
            raise CutOffError
        return response

    def _act(self, path: str) -> Response:
        kind, row_id, action = path.split("/")[-3:]
        if kind == "projects":
            view = rules.archive_project(self.account, row_id, "204")
        else:
            view = rules.act(self.account, "pools" if kind == "pools" else "trainings", row_id, action)
        return answer(202, view) if view else answer(204)

    def _read(self, path: str, query: Mapping[str, str]) -> Response:
        kind, *rest = path.removeprefix("/").split("/")
        if rest[1:]:
            return ok([])
        rows = list(self.account.tables[kind]) if kind == "operations" else self._shown[kind]
        if rest:
            return ok(next(row for row in rows if row["id"] == rest[0]))
        filters = {name: value for name, value in query.items() if name in ("status", "project_id")}
        return page(*(row for row in rows if filters.items() <= row.items()))


def retire(rule: PoolsRule, *, keeps: bool = True, stale_before: datetime | None = None) -> Flow[Progress]:
    """Do as a task does: advance as far as possible, wait, and continue.

    :param keeps: whether it keeps the project's state, as a task that stays on its worker can.
    """
    done: Sequence[Operation] = ()
    snapshot = None
    for _ in range(30):
        progress = yield from retire_project(
            API, "1", rule, done, snapshot if keeps else None, stale_before=stale_before
        )
        ids = [one.id for one in progress.operations]
        found = yield from API.waits.poll(ids, intervals=backing_off(1, 1), deadline=None)
        done = list(found.values())
        yield from API.operations.require_success([one for one in done if step_of(one)])
        if progress.is_last:
            return progress
        snapshot = progress.snapshot
        if progress.locked:
            yield Sleep(5)
    raise AssertionError("it does not come to an end")
