"""A report as data: the outcome of each project, merged over a task's tries, to and from plain JSON. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Self

FORMAT = 1
_A_DAY = 86_400


class Outcome(StrEnum):
    """The outcome of a project; members are in the order of a report."""

    FAILED = "failed"
    SUBMITTED = "submitted"
    POSTPONED = "postponed"
    ARCHIVED = "archived"
    WOULD_ARCHIVE = "would_archive"
    ALREADY_ARCHIVED = "already_archived"
    SKIPPED = "skipped"
    IN_USE = "in_use"

    @property
    def label(self) -> str:
        """The outcome in words."""
        return _LABELS[self]


_LABELS = {
    Outcome.FAILED: "failed",
    Outcome.SUBMITTED: "being archived",
    Outcome.POSTPONED: "postponed",
    Outcome.ARCHIVED: "archived",
    Outcome.WOULD_ARCHIVE: "would be archived",
    Outcome.ALREADY_ARCHIVED: "archived already",
    Outcome.SKIPPED: "left alone",
    Outcome.IN_USE: "in use",
}
_RANKS = {outcome: rank for rank, outcome in enumerate(Outcome)}
#: The outcomes of projects that were selected for archiving.
SELECTED = frozenset({Outcome.FAILED, Outcome.SUBMITTED, Outcome.POSTPONED, Outcome.ARCHIVED, Outcome.WOULD_ARCHIVE})


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportedProject:
    """One project of a report.

    :param id: the project's id.
    :param outcome: its outcome.
    :param name: its public name; default None: unknown.
    :param reason: why, in a few words and without the project's name; default: empty.
    :param remedy: what to do about it; default: empty.
    :param error: the whole message of the error, with Toloka's code and request id; default: empty.
    :param last_activity: when it was last used; default None: unknown.
    :param pools: the number of its pools that were not archived before; default 0.
    :param trainings: the number of its trainings that were not archived before; default 0.
    :param url: its page on Toloka's site; default None: no link.
    :param operation_id: the operation that archived it, or failed to; default None.
    :param finished: when that operation finished; default None.
    :param postponed_until: when it can be archived; default None: unknown, or not postponed.
    :param try_number: the task's try in which this happened; default None.
    """

    id: str
    outcome: Outcome
    name: str | None = None
    reason: str = ""
    remedy: str = ""
    error: str = ""
    last_activity: datetime | None = None
    pools: int = 0
    trainings: int = 0
    url: str | None = None
    operation_id: str | None = None
    finished: datetime | None = None
    postponed_until: datetime | None = None
    try_number: int | None = None

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> Self:
        """Create it from the JSON of ``to_json``; unknown keys are ignored, missing ones get their default."""
        known = {name: json[name] for name in _FIELDS if json.get(name) is not None}
        known |= {name: _read_time(known[name]) for name in _TIMES & known.keys()}
        return cls(**known | {"id": str(json["id"]), "outcome": Outcome(json["outcome"])})

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        json = {name: getattr(self, name) for name in _FIELDS}
        return json | {"outcome": self.outcome.value} | {name: _time(json[name]) for name in _TIMES}

    def idle(self, as_of: datetime) -> timedelta | None:
        """Return how long the project has been idle; None: unknown.

        :param as_of: the reference time.
        """
        return None if self.last_activity is None else max(timedelta(), _between(self.last_activity, as_of))

    @property
    def is_selected(self) -> bool:
        """Whether the project was selected for archiving."""
        return self.outcome in SELECTED


_FIELDS = tuple(one.name for one in fields(ReportedProject))
_TIMES = {"last_activity", "finished", "postponed_until"}


@dataclass(frozen=True, kw_only=True, slots=True)
class RunInfo:
    """The Airflow task that created the report.

    :param dag_id: its DAG.
    :param run_id: the DAG run.
    :param task_id: the task.
    :param try_number: the last try in the report; default None: unknown.
    :param map_index: the index of a mapped task; default None: not mapped.
    :param url: the page of the task instance; default None.
    :param triggered_by: who triggered the run, if Airflow knows; default None.
    :param approved_by: who approved it, if Airflow knows; default None.
    """

    dag_id: str
    run_id: str
    task_id: str
    try_number: int | None = None
    map_index: int | None = None
    url: str | None = None
    triggered_by: str | None = None
    approved_by: str | None = None

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> Self:
        """Make it from the JSON of ``to_json``."""
        return cls(**{one.name: json.get(one.name) for one in fields(cls)})  # type: ignore[arg-type]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


@dataclass(frozen=True, kw_only=True)
class Report:
    """The projects that were found on an account, and their outcomes.

    :param environment: ``production``, ``sandbox``, or the host of another server.
    :param as_of: the reference time for idle times.
    :param created: when the report was created.
    :param account: the account's name; default None: unknown.
    :param account_id: the account's id; default None: unknown.
    :param before: projects without activity since this time are stale; default None: activity does not matter.
    :param dry_run: whether this is a preview; default False.
    :param parameters: the task's parameters, as JSON values; default: none.
    :param run: the Airflow task that created it; default None: created outside Airflow.
    :param error: the error that ended the task; default: empty.
    :param projects: the projects of the account; at most one entry for each id.
    """

    environment: str
    as_of: datetime
    created: datetime
    account: str | None = None
    account_id: str | None = None
    before: datetime | None = None
    dry_run: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)
    run: RunInfo | None = None
    error: str = ""
    projects: tuple[ReportedProject, ...] = ()

    @property
    def inactive_for(self) -> timedelta | None:
        """The threshold: how long a stale project has been idle; None: activity does not matter."""
        return None if self.before is None else _between(self.before, self.as_of)

    @property
    def counts(self) -> dict[Outcome, int]:
        """The number of projects by outcome, without outcomes that no project has."""
        found = Counter(project.outcome for project in self.projects)
        return {outcome: found[outcome] for outcome in Outcome if found[outcome]}

    def of(self, *outcomes: Outcome) -> list[ReportedProject]:
        """Return the projects with any of these outcomes, in the report's order.

        :param outcomes: the outcomes to return.
        """
        return [project for project in self.projects if project.outcome in outcomes]

    @property
    def selected(self) -> list[ReportedProject]:
        """The projects that were selected for archiving."""
        return [project for project in self.projects if project.is_selected]

    def ordered(self) -> list[ReportedProject]:
        """Return the projects in the order of a report: failures first, then the longest idle."""
        return sorted(self.projects, key=lambda one: (_RANKS[one.outcome], _time(one.last_activity) or "", one.id))

    def updated(self, projects: Iterable[ReportedProject]) -> Report:
        """Return the report with newer entries, each of which replaces the one with its id.

        Values that a newer entry does not have (name, activity, counts, link) are kept from the older one.

        :param projects: the newer entries.
        """
        entries = {project.id: project for project in self.projects}
        for project in projects:
            older = entries.get(project.id)
            entries[project.id] = project if older is None else _merged(older, project)
        return replace(self, projects=tuple(entries.values()))

    def after(self, earlier: Iterable[ReportedProject]) -> Report:
        """Return the report merged with the record of the task's earlier tries.

        This try's entry wins, but a project that an earlier try archived stays "archived", with that try's operation.

        :param earlier: the entries of the earlier tries.
        """
        before = replace(self, projects=()).updated(earlier)
        return before.updated(self.projects)

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> Self:
        """Make it from the JSON of ``to_json``.

        :raises ValueError: the JSON has another format.
        """
        if json.get("format") != FORMAT:
            raise ValueError(f"The report has format {json.get('format')!r}; this version reads format {FORMAT}.")
        account = json.get("account") or {}
        return cls(
            environment=json["environment"],
            as_of=datetime.fromisoformat(json["as_of"]),
            created=datetime.fromisoformat(json["created"]),
            account=account.get("name"),
            account_id=account.get("id"),
            before=_read_time(json.get("before")),
            dry_run=bool(json.get("dry_run")),
            parameters=json.get("parameters") or {},
            run=RunInfo.from_json(json["run"]) if json.get("run") else None,
            error=json.get("error") or "",
            projects=tuple(ReportedProject.from_json(one) for one in json["projects"]),
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values: the format is described in ``docs/reports.md``."""
        return {
            "format": FORMAT,
            "created": _time(self.created),
            "account": {"id": self.account_id, "name": self.account},
            "environment": self.environment,
            "dry_run": self.dry_run,
            "as_of": _time(self.as_of),
            "before": _time(self.before),
            "parameters": dict(self.parameters),
            "run": self.run.to_json() if self.run else None,
            "error": self.error,
            "counts": {outcome.value: count for outcome, count in self.counts.items()},
            "projects": [project.to_json() for project in self.ordered()],
        }


def days(idle: timedelta) -> float:
    """Return a duration in days.

    :param idle: the duration.
    """
    return idle.total_seconds() / _A_DAY


def _between(earlier: datetime, later: datetime) -> timedelta:
    # The difference of pendulum's times is its own interval class, which cannot be divided like a timedelta.
    return timedelta(seconds=(later - earlier).total_seconds())


def _merged(older: ReportedProject, newer: ReportedProject) -> ReportedProject:
    if older.outcome is Outcome.ARCHIVED and newer.outcome is not Outcome.ARCHIVED:
        # Archiving cannot be undone: later observations (an old list, "already archived") do not change the outcome.
        return older
    kept: dict[str, Any] = {
        name: getattr(older, name)
        for name in ("name", "last_activity", "url", "operation_id", "finished")
        if getattr(newer, name) is None
    }
    if not newer.pools and not newer.trainings:
        kept |= {"pools": older.pools, "trainings": older.trainings}
    return replace(newer, **kept)


def _time(time: datetime | None) -> str | None:
    return time.astimezone(UTC).isoformat() if time else None


def _read_time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
