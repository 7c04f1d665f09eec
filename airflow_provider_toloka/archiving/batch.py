"""Many projects at once: archive what was selected, at the speed of the account's limit.

What is done to one project stands in ``retiring.py``; here many go side by side over one client and one poller.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_toloka.archiving.plan import PoolsRule, Snapshot, step_of
from airflow_provider_toloka.archiving.project import retire_project
from airflow_provider_toloka.archiving.scan import together
from airflow_provider_toloka.archiving.selection import Search
from airflow_provider_toloka.client.api.waits import timeout_message
from airflow_provider_toloka.client.async_client import AsyncTolokaClient
from airflow_provider_toloka.client.backoff import quick_first
from airflow_provider_toloka.client.models import ARCHIVED, Operation
from airflow_provider_toloka.exceptions import (
    TolokaAuthenticationError,
    TolokaError,
    TolokaTimeoutError,
)
from airflow_provider_toloka.polling.poller import Poller

log = logging.getLogger(__name__)

PROJECTS_AT_ONCE = 40
PROGRESS_SECONDS = 5.0
#: The lists of finished operations, which a worker waits for, take at most this part of the requests.
LIST_SHARE = 0.05
_ARCHIVED = "archived, with all it held"


@dataclass
class Results:
    """What became of the projects of a batch.

    :param archived: those that this batch has archived.
    :param already_archived: those that were archived before.
    :param skipped: those that were not selected, or only looked at.
    :param failed: those that could not be archived.
    :param waiting: by id, for those that are under way, the operations that they wait for.
    """

    archived: list[dict[str, Any]] = field(default_factory=list)
    already_archived: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)
    waiting: dict[str, list[Operation]] = field(default_factory=dict)

    def to_json(self) -> dict[str, list[dict[str, Any]]]:
        """Give what has ended, as JSON values."""
        return {
            "archived": self.archived,
            "already_archived": self.already_archived,
            "skipped": self.skipped,
            "failed": self.failed,
        }

    @property
    def ended(self) -> int:
        """How many projects are done with."""
        return len(self.archived) + len(self.already_archived) + len(self.failed)


class Batch:
    """Archives many projects side by side. One that fails does not stop the others.

    :param client: an entered client.
    :param pools: what may be done to the projects' pools and trainings.
    :param poll_interval: seconds between two looks at an operation.
    :param deadline: when to give up waiting, in seconds since the epoch.
    :param patience: how many seconds to wait for an operation before leaving the project to a later run; None: until
        the deadline.
    :param results: where to put what becomes of the projects.
    """

    def __init__(
        self,
        client: AsyncTolokaClient,
        *,
        pools: PoolsRule,
        poll_interval: float,
        deadline: float,
        patience: float | None,
        results: Results,
    ) -> None:
        self._client = client
        self._pools = pools
        self._poll_interval = poll_interval
        self._deadline = deadline
        self._patience = patience
        self.results = results
        #: Each project is brought on by several calls: so those that have begun get on before others begin.
        self._turns = asyncio.Semaphore(PROJECTS_AT_ONCE)

    async def run(self, found: Search, waited: Mapping[str, Sequence[Operation]] | None = None) -> None:
        """Bring all selected projects as far as it goes.

        :param found: the projects as they stand, with what runs on the account.
        :param waited: by project, the operations that were waited for.
        :raises TolokaAuthenticationError: the token is refused; nothing more can be done.
        """
        candidates = found.found()
        started = time.monotonic()
        sent = self._client.requests_sent
        ticker = asyncio.create_task(self._tell_progress(len(candidates), started))
        try:
            async with Poller(
                self._client, list_gap=lambda: 1 / (LIST_SHARE * self._client.requests_per_second)
            ) as poller:
                await together(
                    self._retire(poller, found.snapshot(candidate), (waited or {}).get(candidate.project.id, ()))
                    for candidate in candidates
                )
        finally:
            ticker.cancel()
        seconds = time.monotonic() - started
        log.info(
            "%d of %d projects are done with, %d failed; %d requests in %.1f s",
            self.results.ended,
            len(candidates),
            len(self.results.failed),
            self._client.requests_sent - sent,
            seconds,
        )

    def _list_gap(self) -> float:
        return 1 / (LIST_SHARE * self._client.requests_per_second)

    async def _retire(self, poller: Poller, snapshot: Snapshot, waited: Sequence[Operation]) -> None:
        project = snapshot.project
        entry = {"id": project.id, "name": project.public_name}
        if project.status == ARCHIVED:
            # A batch that comes back finds its own work done.
            if waited:
                self.results.archived.append({**entry, "reason": _ARCHIVED})
            else:
                self.results.already_archived.append({**entry, "reason": "it was archived before"})
            return
        try:
            left = await self._advance(poller, snapshot, waited)
        except TolokaAuthenticationError:
            raise
        except TolokaError as error:
            self.results.failed.append({**entry, "reason": str(error)})
        else:
            if left is None:
                self.results.archived.append({**entry, "reason": _ARCHIVED})
            else:
                self.results.waiting[project.id] = left

    async def _advance(self, poller: Poller, snapshot: Snapshot, waited: Sequence[Operation]) -> list[Operation] | None:
        """Bring one project as far as it goes; give what it still waits for, None when it is archived."""
        project_id = snapshot.project.id
        known: Snapshot | None = snapshot
        done = await self._succeeded(waited)
        while True:
            async with self._turns:
                progress = await self._client.run(
                    retire_project(self._client.api, project_id, self._pools, done, known)
                )
            seen = await self._wait(poller, progress.operations)
            done = await self._succeeded(seen)
            if len(done) == len(seen) and progress.is_last:
                return None
            if len(done) < len(seen) or progress.locked:
                if time.time() >= self._deadline:
                    late = timeout_message({operation.id: operation for operation in seen}, poller.trouble)
                    raise TolokaTimeoutError("; ".join((late, *progress.locked)))
                if self._patience is not None:
                    return [operation for operation in seen if not operation.is_finished]
            if progress.locked:
                await asyncio.sleep(min(self._poll_interval, max(0.0, self._deadline - time.time())))
            known = progress.snapshot

    async def _wait(self, poller: Poller, operations: Sequence[Operation]) -> list[Operation]:
        """Wait for those that have not finished; give all as they stand then."""
        left = [operation for operation in operations if not operation.is_finished]
        if not left:
            return list(operations)
        seconds = self._deadline - time.time()
        seen = await poller.wait_for(
            {operation.id: operation.submitted for operation in left},
            intervals=lambda: quick_first(self._poll_interval),
            seconds=seconds if self._patience is None else min(seconds, self._patience),
            on_change=lambda operation: log.debug("Toloka's %s", operation.summary),
        )
        return [seen.get(operation.id) or operation for operation in operations]

    async def _succeeded(self, operations: Sequence[Operation]) -> list[Operation]:
        """Give those that have succeeded; raise if one of this task's kinds has failed."""
        await self._client.run(
            self._client.api.operations.require_success([operation for operation in operations if step_of(operation)])
        )
        return [operation for operation in operations if operation.is_finished]

    async def _tell_progress(self, total: int, started: float) -> None:
        sent = self._client.requests_sent
        while True:
            await asyncio.sleep(PROGRESS_SECONDS)
            seconds = time.monotonic() - started
            ended = self.results.ended
            left = f"about {seconds / ended * (total - ended):.0f} s left" if ended else "time left not known yet"
            log.info(
                "%d of %d projects are done with, %d failed; %.0f requests per second; %s",
                ended,
                total,
                len(self.results.failed),
                (self._client.requests_sent - sent) / seconds,
                left,
            )
