"""Which projects of an account are stale. Pure: no I/O, no Airflow, no clock.

Toloka has no "last activity": it is the latest of the times at which the project, its pools and its trainings were
created, started or stopped.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from airflow_provider_toloka.archiving import Snapshot, describe
from airflow_provider_toloka.models import ACTIVE, ARCHIVED, OPEN, Operation, Pool, Project, Training

_A_DAY = 86_400


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which projects to select.

    :param project_ids: only these; None: all of the account.
    :param before: only those without any activity since this time; None: whatever their activity.
    :param name_pattern: only those whose name fits this glob, such as ``test *``; None: whatever their name.
    :param exclude_project_ids: none of these.
    """

    project_ids: Collection[str] | None = None
    before: datetime | None = None
    name_pattern: str | None = None
    exclude_project_ids: Collection[str] = ()

    def refuses(self, project: Project) -> str:
        """Say why a project is not selected, whatever its pools and trainings; empty: it may be."""
        if project.id in self.exclude_project_ids:
            return "it is excluded"
        if self.name_pattern is not None and not fnmatchcase(project.public_name or "", self.name_pattern):
            return f"its name {project.public_name!r} does not fit {self.name_pattern!r}"
        if self.before is None:
            return ""
        if project.created is None:
            return "Toloka does not tell when it was created"
        return _too_young("it was created", project.created, self.before)

    def refuses_for(self, item: Pool | Training) -> str:
        """Say why a project with this pool or training is not selected; empty: it may be."""
        if self.before is None:
            return ""
        if item.status == OPEN:
            return f"{describe(item)} is open"
        latest = max((time for time in (item.created, item.last_started, item.last_stopped) if time), default=None)
        return _too_young(f"{describe(item)} was last in use", latest, self.before)


@dataclass
class Candidate:
    """A project that may be selected, and what is known of it so far."""

    project: Project
    last_activity: datetime | None
    pools: list[Pool] = field(default_factory=list)
    trainings: list[Training] = field(default_factory=list)

    def snapshot(self, operations: Sequence[Operation] = ()) -> Snapshot:
        """Give how the project stands.

        :param operations: those that are pending or running on the project, its pools and its trainings.
        """
        return Snapshot(project=self.project, pools=self.pools, trainings=self.trainings, operations=operations)

    def report(self, as_of: datetime) -> dict[str, Any]:
        """Give the project as a JSON value for a person or a next task.

        :param as_of: the time that the age is told for.
        """
        days = (as_of - self.last_activity).total_seconds() / _A_DAY if self.last_activity else None
        age = "no activity is known" if days is None else f"no activity for {days:.0f} days"
        left = len(self.pools) + len(self.trainings)
        return {
            "id": self.project.id,
            "name": self.project.public_name,
            "last_activity": self.last_activity.isoformat() if self.last_activity else None,
            "pools": len(self.pools),
            "trainings": len(self.trainings),
            "reason": f"{age}; {left} pools and trainings to archive first" if left else age,
        }


class Search:
    """Selects projects while the lists of an account go by, keeping nothing of what it does not select.

    Projects go in first, then pools and trainings in any order.

    :param selection: which projects to select.
    """

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self.candidates: dict[str, Candidate] = {}
        #: Of the projects that were asked for by id: why each is not selected, and which there are not.
        self.refused: dict[str, str] = {}
        self.missing: dict[str, str] = {}

    def see_project(self, project: Project) -> None:
        """Take a project into account; archived ones only when they are asked for by id."""
        wanted = self._selection.project_ids
        if project.id not in wanted if wanted is not None else project.status != ACTIVE:
            return
        if project.status != ARCHIVED and (reason := self._selection.refuses(project)):
            self._refuse(project.id, reason)
        else:
            self.candidates[project.id] = Candidate(project, project.created)

    def see(self, item: Pool | Training) -> None:
        """Take a pool or a training into account."""
        candidate = self.candidates.get(item.project_id)
        if candidate is None or candidate.project.status == ARCHIVED:
            return
        if reason := self._selection.refuses_for(item):
            del self.candidates[item.project_id]
            self._refuse(item.project_id, reason)
            return
        times = (candidate.last_activity, item.created, item.last_started, item.last_stopped)
        candidate.last_activity = max((time for time in times if time), default=None)
        if item.status != ARCHIVED:
            kept = candidate.pools if isinstance(item, Pool) else candidate.trainings
            # Its times have served: without them, an account of many thousand pools fits into little memory.
            kept.append(replace(item, created=None, last_started=None, last_stopped=None))  # type: ignore[arg-type]

    def found(self) -> list[Candidate]:
        """Give the selected projects, the longest idle first."""
        return sorted(
            self.candidates.values(),
            key=lambda candidate: (candidate.last_activity is not None, candidate.last_activity, candidate.project.id),
        )

    def _refuse(self, project_id: str, reason: str) -> None:
        if self._selection.project_ids is not None:
            self.refused[project_id] = reason


def _too_young(what: str, time: datetime | None, before: datetime) -> str:
    if time is None or time < before:
        return ""
    return f"{what} at {time:%Y-%m-%d %H:%M:%S} UTC, not before {before:%Y-%m-%d %H:%M:%S} UTC"
