"""Common parts of the operators for stale projects: the selection and the report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import pendulum
from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_toloka._arguments import (
    check_literals,
    is_nothing,
    note_given,
    read_ids,
    read_optional,
    read_pattern,
    read_time,
    require,
)
from airflow_provider_toloka._durations import Duration, duration
from airflow_provider_toloka._lineage import source_of
from airflow_provider_toloka.archiving.scan import search
from airflow_provider_toloka.archiving.selection import Search, Selection
from airflow_provider_toloka.archiving.survey import survey
from airflow_provider_toloka.client.async_client import AsyncTolokaClient
from airflow_provider_toloka.client.clock import CLOCKS_APART
from airflow_provider_toloka.client.models import ARCHIVED
from airflow_provider_toloka.client.resources import PROJECT
from airflow_provider_toloka.hooks.toloka import TolokaHook
from airflow_provider_toloka.links.toloka import ACCOUNT_LINK, REPORT_LINK, push_account_link, push_report_link
from airflow_provider_toloka.reporting import (
    Outcome,
    Report,
    ReportedProject,
    RunInfo,
    check_report_path,
    log_lines,
    write_report,
)
from airflow_provider_toloka.reporting.words import age

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, XComArg

ANY = "any"
ALL = "all"
LOGICAL_DATE = "logical_date"
WHOLE_ACCOUNT = (
    f'inactive_for="{ANY}" with project_ids="{ALL}" would archive the whole account, and nothing was '
    "changed. Set how long a project must have been idle, such as inactive_for=timedelta(days=365)."
)
#: Without a report, the log has this many projects of each outcome.
_MOST_ROWS = 1_000
#: The parameters that a report names.
_PARAMETERS = (
    "project_ids",
    "inactive_for",
    "as_of",
    "name_pattern",
    "exclude_project_ids",
    "pools",
    "max_projects",
    "on_conflict",
    "timeout",
    "toloka_conn_id",
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Arguments:
    """The checked arguments of a selecting operator."""

    selection: Selection
    as_of: datetime
    is_dry_run: bool = False


class SelectingOperator(BaseOperator):
    """Base of the operators that find and archive stale projects: the selection and the report.

    :param as_of: the reference time, as a datetime or in ISO 8601, not later than now; ``"logical_date"``: the run's
        logical date, else now. (templated)
    :param name_pattern: only projects whose name matches this glob, such as ``"test *"``. Only ``*`` and ``?`` are
        special, and case matters. (templated)
    :param exclude_project_ids: ids of projects to leave out. (templated)
    :param report_path: where to write a report: a path, a URI or an ``ObjectStoragePath`` that ends in ``.html``,
        ``.csv``, ``.json`` or ``.md``; None: no report. (templated)
    :param report_url: the web address where people can read the report, for the task's link "Report"; None: no link.
        (templated)
    :param toloka_conn_id: the id of the Toloka connection. (templated)
    :param kwargs: the parameters of every operator.
    """

    template_fields: Sequence[str] = (
        "inactive_for",
        "as_of",
        "name_pattern",
        "exclude_project_ids",
        "report_path",
        "report_url",
        "toloka_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"exclude_project_ids": "json"}
    operator_extra_links: Sequence[Any] = (ACCOUNT_LINK, REPORT_LINK)
    ui_color: str = "#f5d96b"
    #: Set by the subclasses.
    inactive_for: Duration | XComArg

    def __init__(
        self,
        *,
        as_of: datetime | str | XComArg = LOGICAL_DATE,
        name_pattern: str | XComArg = "*",
        exclude_project_ids: Sequence[str] | XComArg = (),
        report_path: Any = None,
        report_url: str | None = None,
        toloka_conn_id: str = "toloka_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.as_of = as_of
        self.name_pattern = name_pattern
        self.exclude_project_ids = exclude_project_ids
        # Airflow renders texts and ObjectStoragePaths, but no other paths.
        self.report_path = str(report_path) if isinstance(report_path, PurePath) else report_path
        self.report_url = report_url
        self.toloka_conn_id = toloka_conn_id
        note_given(self, report_path=report_path or None, report_url=report_url)
        check_literals(
            self,
            as_of=lambda value: value == LOGICAL_DATE or is_nothing(value) or read_time("as_of", value),
            name_pattern=lambda value: is_nothing(value) or read_pattern("name_pattern", value),
            exclude_project_ids=lambda value: is_nothing(value) or read_ids("exclude_project_ids", value),
            report_path=check_report_path,
        )
        #: The connection's environment and the namespace of its Toloka, for the report and for lineage.
        self._environment = ""
        self._source = ""
        #: Returns the page of a project by its id.
        self._web_page: Callable[[str], str] = str
        #: The last report on what was read.
        self._report: Report | None = None
        #: The number of requests that the task has sent.
        self._requests = 0

    def _in_loop(self, work: Callable[[AsyncTolokaClient], Coroutine[Any, Any, T]]) -> T:
        """Run asynchronous work with an entered client."""
        # The connection is read synchronously, which works on every version of Airflow.
        client = TolokaHook(self.toloka_conn_id).async_client()
        settings = client.api.settings
        self._source = source_of(settings)
        self._web_page = partial(PROJECT.page_at, settings.site)
        self._environment = settings.environment if settings.environment != "custom" else settings.site

        async def with_client() -> T:
            async with client:
                try:
                    return await work(client)
                finally:
                    self._requests += client.requests_sent

        return run_in_loop(with_client())

    def _reference_time(self, context: Context) -> datetime:
        """Return the reference time."""
        now = pendulum.now("UTC")
        given: Any = require("as_of", self.as_of, f'For the run\'s own date, set it to "{LOGICAL_DATE}".')
        if given == LOGICAL_DATE:
            given = context.get("logical_date") or now
        as_of = read_time("as_of", given)
        if as_of > now + CLOCKS_APART:
            raise ValueError(
                f"as_of is later than now: {as_of.isoformat()}. At that time, every project would be stale."
            )
        return as_of

    def _selection(self, context: Context, project_ids: Any) -> Arguments:
        self._report = None
        for name in ("report_path", "report_url"):
            read_optional(self, name, "For no report, leave it out, or set it to an empty text.")
        check_report_path(self.report_path)
        as_of = self._reference_time(context)
        require("inactive_for", self.inactive_for, f'To select projects whatever their activity, set it to "{ANY}".')
        before = None
        if self.inactive_for != ANY:
            try:
                before = as_of - duration("inactive_for", self.inactive_for)
            except OverflowError:
                raise ValueError(f"inactive_for is too long: {self.inactive_for}.") from None
        pattern = read_pattern("name_pattern", self.name_pattern)
        ids = None
        if require("project_ids", project_ids, f'To search the whole account, set it to "{ALL}".') != ALL:
            ids = read_ids("project_ids", project_ids, f'To search the whole account, set it to "{ALL}".')
            ids = list(dict.fromkeys(ids))
        elif before is None:
            raise ValueError(WHOLE_ACCOUNT)
        excluded = read_ids("exclude_project_ids", self.exclude_project_ids, "To exclude nothing, leave it out.")
        if not excluded and not isinstance(self.exclude_project_ids, (list, tuple)):
            # The results of mapped tasks, which were skipped, failed or returned nothing.
            raise ValueError(
                "exclude_project_ids has no ids, and nothing was changed. If it comes from mapped tasks, check that "
                "they ran and returned ids. To exclude nothing, leave it out."
            )
        selection = Selection(
            project_ids=ids,
            before=before,
            name_pattern=None if pattern == "*" else pattern,
            exclude_project_ids=excluded,
        )
        return Arguments(selection, as_of)

    async def _read(
        self, client: AsyncTolokaClient, context: Context, arguments: Arguments, **options: Any
    ) -> tuple[Search, Report]:
        """Search the account; return what was found, and the report on it."""
        bare = replace(
            self._bare_report(context, arguments.as_of), before=arguments.selection.before, dry_run=arguments.is_dry_run
        )
        self._report = bare
        requester = await client.get_requester()
        push_account_link(context, client.api.settings.site)
        found = await search(client, arguments.selection, **options)
        projects = survey(found, web_page=self._web_page, try_number=context["ti"].try_number)
        self._report = replace(bare, account=requester.name, account_id=requester.id, projects=projects)
        return found, self._report

    def _bare_report(self, context: Context, as_of: datetime) -> Report:
        """Return a report on the task without account and projects."""
        ti: Any = context["ti"]
        return Report(
            environment=self._environment,
            as_of=as_of,
            created=pendulum.now("UTC"),
            parameters={
                name: age(value) if isinstance(value, timedelta) else str(value)
                for name in _PARAMETERS
                if (value := getattr(self, name, None)) not in (None, (), "*")
            },
            run=RunInfo(
                dag_id=ti.dag_id,
                run_id=ti.run_id,
                task_id=ti.task_id,
                try_number=ti.try_number,
                map_index=ti.map_index if ti.map_index >= 0 else None,
                url=getattr(ti, "log_url", None),
                triggered_by=getattr(context.get("dag_run"), "triggering_user_name", None),
                approved_by=self._approver(context),
            ),
        )

    def _approver(self, context: Context) -> str | None:
        """Return who answered an ``ApprovalOperator`` directly upstream of this task, for the report."""
        upstream = sorted(self.upstream_task_ids)
        if not self.report_path or not upstream:
            return None
        for answer in context["ti"].xcom_pull(task_ids=upstream) or ():
            if isinstance(answer, Mapping) and (user := answer.get("responded_by_user")):
                return str(user["name"])
        return None

    def _log_selection(self, found: Search, report: Report, selection: Selection) -> None:
        listed = selection.project_ids
        total = found.active if listed is None else len(listed)
        selected = sum(one.project.status != ARCHIVED for one in found.candidates.values())
        self.log.info(
            log_lines.account_line(
                account=report.account,
                environment=report.environment,
                projects=total,
                selected=selected,
                before=report.before,
                inactive_for=report.inactive_for,
                name_pattern=selection.name_pattern,
            )
        )
        unknown = sorted({*selection.exclude_project_ids} - (found.excluded if listed is None else {*listed}))
        for warning in log_lines.selection_warnings(
            projects=found.active,
            not_matching=found.not_matching,
            name_pattern=selection.name_pattern,
            excluded=len(found.excluded),
            unknown_exclusions=unknown,
            is_listed=listed is not None,
        ):
            self.log.warning(warning)

    @property
    def _rest(self) -> str:
        """Where the projects are that a long list leaves out."""
        return str(self.report_path or "the XCom return_value")

    def _log_rows(self, report: Report) -> None:
        for outcome in Outcome:
            if entries := report.of(outcome):
                self._log_group(outcome.label.capitalize(), entries)

    def _log_group(self, title: str, entries: Sequence[ReportedProject]) -> None:
        most = log_lines.MOST_ROWS if self.report_path else _MOST_ROWS
        for line in log_lines.grouped(title, log_lines.rows(entries, most=most, rest=self._rest, has_title=True)):
            self.log.info(line)

    def _write(self, context: Context, report: Report) -> None:
        """Write the report, if there is a path."""
        if not check_report_path(self.report_path):
            push_report_link(context, "")
            return
        where = write_report(report, self.report_path)
        self.log.info("Report: %s", where)
        context["ti"].xcom_push(key="report", value=str(where))
        push_report_link(context, self.report_url or "")

    @contextmanager
    def _reporting_errors(self, context: Context) -> Iterator[None]:
        """Write the report also when the task ends with an error."""
        try:
            yield
        except Exception as error:
            self._write_unfinished(context, error)
            raise

    def _write_unfinished(self, context: Context, error: BaseException, record: Sequence[ReportedProject] = ()) -> None:
        """Write the report of a task that ends with an error, unless it ends before it has read the connection."""
        if not self._environment:
            return
        report = self._report or self._bare_report(context, pendulum.now("UTC"))
        try:
            self._write(context, replace(report.updated(record), error=str(error)))
        except Exception as other:  # noqa: BLE001 - the error that ends the task is more important
            self.log.warning("Could not write the report: %s", other)


def seconds_since_start(context: Context) -> float | None:
    """Return the seconds since the try started; None: unknown.

    :param context: the task's context.
    """
    started: Any = getattr(context["ti"], "start_date", None)
    return (datetime.now(UTC) - started).total_seconds() if isinstance(started, datetime) else None


def too_many(selected: int, most: int) -> str:
    """Return the message of a task that would archive too many projects.

    :param selected: the number of selected projects.
    :param most: the maximum.
    """
    return (
        f"{selected} projects are selected, and max_projects is {most}: nothing was changed. "
        f"TolokaFindStaleProjectsOperator lists them; to archive all, set max_projects={selected} or more."
    )


def by_outcome(entries: Sequence[ReportedProject]) -> dict[str, list[dict[str, Any]]]:
    """Return entries as JSON values, by outcome.

    :param entries: the entries of all tries.
    """
    ended: dict[str, list[dict[str, Any]]] = {outcome.value: [] for outcome in Outcome}
    for one in entries:
        json = {name: value for name, value in one.to_json().items() if value not in (None, "")}
        ended[one.outcome.value].append({"name": None, "reason": one.outcome.label, **json})
    return ended


def run_in_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run asynchronous work to its end, also if an event loop is already running, as in a notebook.

    :param work: the coroutine.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
