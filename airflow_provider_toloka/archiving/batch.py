"""Archive many projects concurrently, as fast as the account's limit allows.

``project.py`` archives a single project; this module runs many of these flows over one client and one poller.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from airflow_provider_toloka.archiving.openings import Openings
from airflow_provider_toloka.archiving.plan import APPEAL, PoolsRule, Snapshot, step_of
from airflow_provider_toloka.archiving.project import retire_project
from airflow_provider_toloka.archiving.scan import together
from airflow_provider_toloka.archiving.selection import Candidate, Search
from airflow_provider_toloka.archiving.survey import why
from airflow_provider_toloka.client.api.waits import timeout_message
from airflow_provider_toloka.client.async_client import AsyncTolokaClient
from airflow_provider_toloka.client.backoff import quick_first
from airflow_provider_toloka.client.models import ARCHIVED, Operation
from airflow_provider_toloka.client.resources import ARCHIVE_PROJECT
from airflow_provider_toloka.client.waiting import in_time, time_left
from airflow_provider_toloka.exceptions import (
    TolokaAuthenticationError,
    TolokaError,
    TolokaInUseError,
    TolokaPostponedError,
    TolokaTimeoutError,
)
from airflow_provider_toloka.polling.poller import Poller
from airflow_provider_toloka.reporting.log_lines import progress_line
from airflow_provider_toloka.reporting.report import Outcome, ReportedProject

log = logging.getLogger(__name__)

PROJECTS_AT_ONCE = 40
PROGRESS_SECONDS = 5.0
#: Lists of finished operations take at most this share of the requests.
LIST_SHARE = 0.05
#: A search also sees what was opened this long before it.
_MARGIN = timedelta(minutes=1)
#: The outcomes of selected projects that were not archived.
_NOT_ARCHIVED = (Outcome.FAILED, Outcome.POSTPONED, Outcome.IN_USE)


@dataclass
class Results:
    """The outcomes of the projects of a batch, over all deferrals of a try.

    :param ended: by id, the projects whose outcome is known.
    :param submitted: by id, the other projects whose archiving was submitted.
    :param waiting: by id, the operations that the unfinished projects wait for.
    :param transient: the ids of the projects whose failure may be transient.
    """

    ended: dict[str, ReportedProject] = field(default_factory=dict)
    submitted: dict[str, ReportedProject] = field(default_factory=dict)
    waiting: dict[str, list[Operation]] = field(default_factory=dict)
    transient: set[str] = field(default_factory=set)

    def add(self, entry: ReportedProject) -> None:
        """Record an outcome; a project that this task has archived stays archived."""
        if entry.outcome is Outcome.SUBMITTED:
            self.submitted[entry.id] = entry
            return
        known = self.ended.get(entry.id)
        if known is None or known.outcome is not Outcome.ARCHIVED:
            self.ended[entry.id] = entry
        self.submitted.pop(entry.id, None)
        self.waiting.pop(entry.id, None)

    @property
    def entries(self) -> list[ReportedProject]:
        """All entries, for the record."""
        return [*self.ended.values(), *self.submitted.values()]

    def of(self, *outcomes: Outcome) -> list[ReportedProject]:
        """Return the projects with any of these outcomes."""
        return [entry for entry in self.ended.values() if entry.outcome in outcomes]


class Batch:
    """Archives many projects concurrently. A failing project does not stop the others.

    :param client: an entered client.
    :param pools: the rule for the projects' pools and trainings.
    :param poll_interval: seconds between two polls of an operation.
    :param deadline: when to stop, in seconds since the epoch; None: never. Nothing is changed after it.
    :param limit: the argument that sets the deadline, for messages.
    :param patience: seconds to wait for an operation before leaving the project to a later run; None: until the
        deadline.
    :param stale_before: the projects were selected because they had no activity since this time: a project that is in
        use again is left alone; None: activity does not matter.
    :param entry: returns the fields of a project's report entry, to which its outcome is added.
    :param results: collects the outcomes.
    :param progress_seconds: seconds between two lines of progress in the log.
    :param on_progress: called after a line of progress if outcomes were recorded since the last call.
    """

    def __init__(
        self,
        client: AsyncTolokaClient,
        *,
        pools: PoolsRule,
        poll_interval: float,
        deadline: float | None,
        patience: float | None,
        results: Results,
        limit: str = "timeout",
        stale_before: datetime | None = None,
        entry: Callable[[Candidate], Mapping[str, object]] = lambda _: {},
        progress_seconds: float = PROGRESS_SECONDS,
        on_progress: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._pools = pools
        self._poll_interval = poll_interval
        self._deadline = deadline
        self._limit = limit
        self._patience = patience
        self._stale_before = stale_before
        self._entry = entry
        self._progress_seconds = progress_seconds
        self._on_progress = on_progress
        self.results = results
        #: With ``stale_before``: what was opened since the search.
        self._openings: Openings | None = None
        #: By project, the latest operation that archives it.
        self._archiving: dict[str, Operation] = {}
        #: A project takes several calls; projects that have started get their calls before others start.
        self._turns = asyncio.Semaphore(PROJECTS_AT_ONCE)

    async def run(self, found: Search, waited: Mapping[str, Sequence[Operation]] | None = None) -> None:
        """Advance all selected projects as far as possible.

        :param found: the projects in their current state, with the account's running operations.
        :param waited: by project, the operations that were waited for.
        :raises TolokaAuthenticationError: Toloka refuses the token.
        """
        candidates = found.found()
        for _ in found.unreadable:
            self._client.api.observer.project_ended("failed")
        active = sum(candidate.project.status != ARCHIVED for candidate in candidates)
        total = active + len(self.results.waiting) + len(self.results.of(Outcome.ARCHIVED, *_NOT_ARCHIVED))
        ticker = asyncio.create_task(self._log_progress(total))
        try:
            async with Poller(self._client, list_gap=self._list_gap) as poller, AsyncExitStack() as stack:
                if candidates and self._stale_before is not None and found.began is not None:
                    openings = Openings(self._client, found.began - _MARGIN)
                    self._openings = await stack.enter_async_context(openings)
                await together(
                    self._retire(poller, candidate, found.snapshot(candidate), (waited or {}).get(candidate.project.id))
                    for candidate in candidates
                )
        finally:
            ticker.cancel()

    def _list_gap(self) -> float:
        return 1 / (LIST_SHARE * self._client.requests_per_second)

    async def _retire(
        self, poller: Poller, candidate: Candidate, snapshot: Snapshot, waited: Sequence[Operation] | None
    ) -> None:
        """Advance a project as far as possible, and record its outcome."""
        project = snapshot.project

        def note(outcome: Outcome, **more: object) -> None:
            self._note(candidate, outcome, **more)
            if outcome in (Outcome.ARCHIVED, Outcome.FAILED):
                self._client.api.observer.project_ended("archived" if outcome is Outcome.ARCHIVED else "failed")

        if project.status == ARCHIVED:
            # A resumed batch finds its own work done.
            own = next((one for one in waited or () if one.type == ARCHIVE_PROJECT.operation_type), None)
            note(Outcome.ARCHIVED if waited else Outcome.ALREADY_ARCHIVED, **_of_operation(own))
            return
        try:
            last, waiting = await self._advance(poller, candidate, snapshot, waited or ())
        except TolokaAuthenticationError:
            raise
        except TolokaInUseError as error:
            note(Outcome.IN_USE, reason=error.reason)
        except TolokaPostponedError as error:
            until = error.until or datetime.now(UTC) + APPEAL
            note(Outcome.POSTPONED, postponed_until=until.isoformat(), **why(error, project.id))
        except TolokaError as error:
            if not error.is_permanent:
                self.results.transient.add(project.id)
            operation = self._archiving.get(project.id)
            note(Outcome.FAILED, operation_id=operation and operation.id, **why(error, project.id))
            log.debug("Project %s: %s", project.id, error)
        else:
            if waiting is None:
                note(Outcome.ARCHIVED, **_of_operation(last))
            else:
                self.results.waiting[project.id] = waiting

    def _note(self, candidate: Candidate, outcome: Outcome, **more: object) -> None:
        project = candidate.project
        fields = {"id": project.id, "name": project.public_name, **self._entry(candidate)}
        self.results.add(ReportedProject.from_json({**fields, "outcome": outcome, **more}))

    async def _advance(
        self, poller: Poller, candidate: Candidate, snapshot: Snapshot, waited: Sequence[Operation]
    ) -> tuple[Operation | None, list[Operation] | None]:
        """Advance a project as far as possible.

        :returns: the operation that archived it, if any, and what it still waits for; None: it is archived.
        """
        api, project_id = self._client.api, snapshot.project.id
        known: Snapshot | None = snapshot
        seen = list(waited)
        self._note_archiving(candidate, seen)
        locked: Sequence[str] = ()
        while True:
            done = await self._succeeded(seen)
            if last := next((one for one in done if one.type == ARCHIVE_PROJECT.operation_type), None):
                return last, None
            if not time_left(self._deadline, time.time()):
                raise self._timed_out(seen, poller, locked)
            late = partial(self._timed_out, seen, poller, locked)
            async with self._turns:
                step = retire_project(
                    api,
                    project_id,
                    self._pools,
                    done,
                    known,
                    stale_before=self._stale_before,
                    with_news=self._openings.added_to if self._openings else None,
                )
                progress = await self._client.run(in_time(step, self._deadline, late))
            self._note_archiving(candidate, progress.operations)
            seen = await self._wait(poller, progress.operations)
            is_done = all(one.is_finished for one in seen)
            if is_done and progress.is_last:
                await self._succeeded(seen)
                return (seen[-1] if seen else None), None
            if not is_done or progress.locked:
                if not time_left(self._deadline, time.time()):
                    raise self._timed_out(seen, poller, progress.locked)
                if self._patience is not None:
                    await self._succeeded(seen)
                    return None, [one for one in seen if not one.is_finished]
            if progress.locked:
                await asyncio.sleep(min(self._poll_interval, time_left(self._deadline, time.time())))
            known, locked = progress.snapshot, progress.locked

    def _timed_out(self, seen: Sequence[Operation], poller: Poller, locked: Sequence[str]) -> TolokaTimeoutError:
        """Return the error of a project whose deadline has passed."""
        remedy = f"Clear the task to resume, or increase {self._limit}."
        if any(not one.is_finished for one in seen):
            late = timeout_message({one.id: one for one in seen}, poller.trouble, self._limit)
            under_way = [str(step_of(one) or one.type) for one in seen if not one.is_finished]
            reason = "; ".join((f"timed out ({self._limit}): {', '.join(under_way)} not finished", *locked))
            return TolokaTimeoutError("; ".join((late, *locked)), reason=reason, remedy=remedy)
        reason = f"({self._limit}): {'; '.join(locked) or 'the deadline passed before the next change'}"
        return TolokaTimeoutError(f"Timed out {reason}. {remedy}", reason=f"timed out {reason}", remedy=remedy)

    def _note_archiving(self, candidate: Candidate, operations: Sequence[Operation]) -> None:
        for operation in operations:
            if operation.type == ARCHIVE_PROJECT.operation_type:
                self._archiving[candidate.project.id] = operation
                self._note(candidate, Outcome.SUBMITTED, operation_id=operation.id)

    async def _wait(self, poller: Poller, operations: Sequence[Operation]) -> list[Operation]:
        """Wait for the unfinished operations; return all in their latest state."""
        left = [operation for operation in operations if not operation.is_finished]
        if not left:
            return list(operations)
        limits = [one for one in (self._patience, time_left(self._deadline, time.time())) if one is not None]
        seconds = min(limits)
        seen = await poller.wait_for(
            {operation.id: operation.submitted for operation in left},
            intervals=lambda: quick_first(self._poll_interval),
            seconds=None if seconds == float("inf") else seconds,
            on_change=lambda operation: log.debug("Toloka's %s", operation.summary),
        )
        return [seen.get(operation.id) or operation for operation in operations]

    async def _succeeded(self, operations: Sequence[Operation]) -> list[Operation]:
        """Return the finished operations; raise if an operation of archiving has failed."""
        ours = [operation for operation in operations if step_of(operation)]
        await self._client.run(self._client.api.operations.require_success(ours))
        return [operation for operation in operations if operation.is_finished]

    async def _log_progress(self, total: int) -> None:
        started, before = time.monotonic(), len(self.results.of(Outcome.ARCHIVED))
        recorded: list[ReportedProject] = []
        while True:
            await asyncio.sleep(self._progress_seconds)
            done, not_archived = len(self.results.of(Outcome.ARCHIVED)), len(self.results.of(*_NOT_ARCHIVED))
            failed = len(self.results.of(Outcome.FAILED))
            gained = done - before
            left = (time.monotonic() - started) / gained * (total - done - not_archived) if gained > 0 else None
            log.info(progress_line(done=done, total=total, failed=failed, seconds_left=left))
            if (entries := self.results.entries) != recorded:
                recorded = entries
                self._on_progress()


def _of_operation(operation: Operation | None) -> dict[str, object]:
    finished = operation.finished if operation else None
    return {
        "operation_id": operation.id if operation else None,
        "finished": finished.isoformat() if finished else None,
    }
