"""Select the stale projects of an account. Pure: no I/O, no Airflow, no clock.

Toloka does not record the last activity. It is approximated by the latest time at which the project, its pools and its
trainings were created, started or stopped.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from airflow_provider_toloka._text import shown
from airflow_provider_toloka.archiving.plan import Snapshot, in_use, is_in_use, told_time
from airflow_provider_toloka.client.models import ACTIVE, ARCHIVED, Operation, Pool, Project, Training
from airflow_provider_toloka.exceptions import TolokaApiError
from airflow_provider_toloka.reporting.words import holdings

_A_DAY = 86_400
_SHOWN = 50


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which projects to select.

    :param project_ids: only these projects; None: all projects of the account.
    :param before: only projects without activity since this time; None: activity does not matter.
    :param name_pattern: only projects whose name matches this glob, such as ``test *``; None: all names.
    :param exclude_project_ids: the projects to leave out.
    """

    project_ids: Collection[str] | None = None
    before: datetime | None = None
    name_pattern: str | None = None
    exclude_project_ids: Collection[str] = ()

    def _matches(self, name: str) -> bool:
        """Return whether a name matches; only ``*`` and ``?`` are special, since names may begin with brackets."""
        return self.name_pattern is None or fnmatchcase(name, self.name_pattern.replace("[", "[[]"))

    def may_name(self, project_id: str) -> bool:
        """Return whether a project may be selected, as far as its id tells."""
        is_listed = self.project_ids is None or project_id in self.project_ids
        return is_listed and project_id not in self.exclude_project_ids

    def leaves_out(self, project: Project) -> str:
        """Return why a project is left out by id or name; empty: it is not."""
        if project.id in self.exclude_project_ids:
            return "it is excluded"
        if not self._matches(project.public_name or ""):
            return f"its name {shown(project.public_name)} does not match {shown(self.name_pattern)}"
        return ""

    def refuses(self, project: Project) -> str:
        """Return why a project is not selected, regardless of its pools and trainings; empty: it may be."""
        if reason := self.leaves_out(project):
            return reason
        if self.before is None or (project.created and project.created < self.before):
            return ""
        return f"it was created at {told_time(project.created)}, not before {told_time(self.before)}"

    def allows(self, item: Pool | Training) -> bool:
        """Return whether a project with this pool or training may be selected."""
        return self.before is None or not is_in_use(item, self.before)

    def reason_against(self, item: Pool | Training) -> str:
        """Return why a project with this pool or training is not selected; empty: it may be."""
        return "" if self.before is None else in_use(item, self.before)


@dataclass
class Candidate:
    """A project that may be selected, with what is known about it so far."""

    project: Project
    last_activity: datetime | None
    pools: list[Pool] = field(default_factory=list)
    trainings: list[Training] = field(default_factory=list)

    def report(self, as_of: datetime) -> dict[str, Any]:
        """Return the project as JSON values, for a reader or the next task.

        :param as_of: the reference time for the idle time.
        """
        days = (as_of - self.last_activity).total_seconds() / _A_DAY if self.last_activity else None
        age = "no activity is known" if days is None else f"no activity for {days:.0f} days"
        held = holdings(len(self.pools), len(self.trainings))
        return {
            "id": self.project.id,
            "name": self.project.public_name,
            "last_activity": self.last_activity.isoformat() if self.last_activity else None,
            "pools": len(self.pools),
            "trainings": len(self.trainings),
            "reason": f"{age}; {held} to archive first" if held else age,
        }


@dataclass
class LeftAlone:
    """An active project that is not selected, for a report.

    :param reason: why it is not selected.
    :param is_left_out: whether the reason is its name or id, and not its activity.
    :param pools: the number of its pools that are not archived.
    :param trainings: the number of its trainings that are not archived.
    """

    project: Project
    last_activity: datetime | None
    reason: str
    is_left_out: bool
    pools: int = 0
    trainings: int = 0

    def see(self, item: Pool | Training) -> None:
        """Add a pool or training."""
        self.last_activity = _later(self.last_activity, item.last_activity)
        if item.status != ARCHIVED:
            is_pool = isinstance(item, Pool)
            self.pools += is_pool
            self.trainings += not is_pool


class Search:
    """Selects projects while the account's lists are read, and keeps only what it selects.

    Pools and trainings that are read before all projects are known are kept until then.

    :param selection: which projects to select.
    :param keep_others: whether to keep the account's other active projects for a report; default False. This needs all
        pools and trainings, so reading a large account takes longer.
    """

    def __init__(self, selection: Selection, *, keep_others: bool = False) -> None:
        self._selection = selection
        self._keeps_others = keep_others
        #: By id, the active projects that are not selected; empty unless they are kept.
        self.left_alone: dict[str, LeftAlone] = {}
        #: The number of the account's active projects, and how many of them do not match the name pattern.
        self.active = 0
        self.not_matching = 0
        #: The excluded ids that belong to active projects.
        self.excluded: set[str] = set()
        self.candidates: dict[str, Candidate] = {}
        #: When the reading began, by Toloka's clock; None: unknown.
        self.began: datetime | None = None
        #: For requested ids: why a project is not selected, and why others could not be read.
        self.refused: dict[str, str] = {}
        self.unreadable: dict[str, TolokaApiError] = {}
        #: The account's pending and running operations, if they were read.
        self.operations: dict[tuple[str, str], list[Operation]] = {}
        self._early: list[Pool | Training] | None = []

    def see_project(self, project: Project) -> None:
        """Add a project; an archived one counts only if it was requested by id."""
        wanted = self._selection.project_ids
        if project.id not in wanted if wanted is not None else project.status != ACTIVE:
            return
        if project.status == ARCHIVED:
            self.candidates[project.id] = Candidate(project, project.created)
            return
        self.active += 1
        if left_out := self._selection.leaves_out(project):
            if project.id in self._selection.exclude_project_ids:
                self.excluded.add(project.id)
            else:
                self.not_matching += 1
        if not (reason := left_out or self._selection.refuses(project)):
            self.candidates[project.id] = Candidate(project, project.created)
            return
        if wanted is not None:
            self.refused[project.id] = reason
        if self._keeps_others:
            self.left_alone[project.id] = LeftAlone(project, project.created, reason, is_left_out=bool(left_out))

    def may_want(self, json: Mapping[str, Any]) -> bool:
        """Return whether a pool or training in its JSON form may be needed; most of a large account are not."""
        project_id = json.get("project_id")
        return (
            self._early is not None
            or not isinstance(project_id, str)
            or project_id in self.candidates
            or project_id in self.left_alone
        )

    def see_no_more_projects(self) -> None:
        """Note that all projects have been read."""
        early, self._early = self._early or [], None
        for item in early:
            self.see(item)

    def see_operation(self, operation: Operation) -> None:
        """Add a pending or running operation."""
        kind = operation.type.partition(".")[0].lower()
        key = kind, str(operation.parameters.get(f"{kind}_id"))
        self.operations.setdefault(key, []).append(operation)

    def snapshot(self, candidate: Candidate) -> Snapshot:
        """Return the current state of a project."""
        keys = [("project", candidate.project.id)]
        keys += [("pool", pool.id) for pool in candidate.pools]
        keys += [("training", training.id) for training in candidate.trainings]
        return Snapshot(
            project=candidate.project,
            pools=candidate.pools,
            trainings=candidate.trainings,
            operations=[operation for key in keys for operation in self.operations.get(key, ())],
        )

    def see(self, item: Pool | Training) -> None:
        """Add a pool or training."""
        if self._early is not None:
            self._early.append(item)
            return
        candidate = self.candidates.get(item.project_id)
        if candidate is None:
            if other := self.left_alone.get(item.project_id):
                other.see(item)
            return
        if candidate.project.status == ARCHIVED:
            return
        if not self._selection.allows(item):
            self._leave_alone(candidate, item)
            return
        candidate.last_activity = _later(candidate.last_activity, item.last_activity)
        if item.status != ARCHIVED:
            kept = candidate.pools if isinstance(item, Pool) else candidate.trainings
            # Drop timestamps that are no longer needed, to bound memory on accounts with many thousand pools.
            kept.append(replace(item, created=None, last_started=None, last_stopped=None))  # type: ignore[arg-type]

    def _leave_alone(self, candidate: Candidate, item: Pool | Training) -> None:
        """Note that this pool or training prevents its project from being selected."""
        project_id = item.project_id
        del self.candidates[project_id]
        is_requested = self._selection.project_ids is not None
        if not is_requested and not self._keeps_others:
            return  # nobody asks for the reason, and a large account has many
        reason = self._selection.reason_against(item)
        if is_requested:
            self.refused[project_id] = reason
        if self._keeps_others:
            other = LeftAlone(
                candidate.project,
                candidate.last_activity,
                reason,
                is_left_out=False,
                pools=len(candidate.pools),
                trainings=len(candidate.trainings),
            )
            other.see(item)
            self.left_alone[project_id] = other

    def found(self) -> list[Candidate]:
        """Return the selected projects, the longest idle first."""
        return sorted(
            self.candidates.values(),
            key=lambda candidate: (candidate.last_activity is not None, candidate.last_activity, candidate.project.id),
        )


def table(projects: Sequence[Mapping[str, Any]]) -> str:
    """Return projects as the lines of a table.

    :param projects: each with ``id``, ``name`` and ``reason``.
    """
    rows = []
    for project in projects[:_SHOWN]:
        row = f"  {project['id']:>10}  {shown(project['name'] or ''):<42}  "
        rows.append(row + project["reason"].replace("\n", "\n" + " " * len(row)))
    more = [f"  … and {len(projects) - _SHOWN} more"] if len(projects) > _SHOWN else []
    return "\n".join(rows + more)


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return other if one is None or (other is not None and other > one) else one
