"""Common parts of the operators for stale projects: the selection and the report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import pendulum
from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_toloka._arguments import read_ids, read_pattern, read_time, require
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

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, XComArg

ANY = "any"
ALL = "all"

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
    :param toloka_conn_id: the id of the Toloka connection. (templated)
    :param kwargs: the parameters of every operator.
    """

    template_fields: Sequence[str] = (
        "inactive_for",
        "as_of",
        "name_pattern",
        "exclude_project_ids",
        "report_path",
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
        as_of: datetime | str | XComArg = "logical_date",
        name_pattern: str | XComArg = "*",
        exclude_project_ids: Sequence[str] | XComArg = (),
        report_path: Any = None,
        toloka_conn_id: str = "toloka_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.as_of = as_of
        self.name_pattern = name_pattern
        self.exclude_project_ids = exclude_project_ids
        self.report_path = report_path
        self.toloka_conn_id = toloka_conn_id
        #: The namespace of the task's Toloka, for lineage.
        self._source = ""
        #: The number of requests that the task has sent.
        self._requests = 0

    def _in_loop(self, work: Callable[[AsyncTolokaClient], Coroutine[Any, Any, T]]) -> T:
        """Run asynchronous work with an entered client."""
        # The connection is read synchronously, which works on every version of Airflow.
        client = TolokaHook(self.toloka_conn_id).async_client()
        self._source = source_of(client.api.settings)

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
        given: Any = self.as_of
        if given == "logical_date":
            given = context.get("logical_date") or now
        as_of = read_time("as_of", given)
        if as_of > now + CLOCKS_APART:
            raise ValueError(
                f"as_of is later than now: {as_of.isoformat()}. At that time, every project would be stale."
            )
        return as_of

    def _selection(self, context: Context, project_ids: Any) -> Arguments:
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
        if project_ids != ALL:
            ids = read_ids("project_ids", project_ids, f'To search the whole account, set it to "{ALL}".')
        elif before is None:
            raise ValueError(
                f'inactive_for="{ANY}" with project_ids="{ALL}" would archive the whole account, and nothing was '
                "changed. Set how long a project must have been idle, such as inactive_for=timedelta(days=365)."
            )
        excluded = read_ids("exclude_project_ids", self.exclude_project_ids, "To exclude nothing, leave it out.")
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
        requester = await client.get_requester()
        found = await search(client, arguments.selection, **options)
        settings = client.api.settings
        ti: Any = context["ti"]
        parameters = {
            name: str(value)
            for name in ("project_ids", "inactive_for", "name_pattern", "exclude_project_ids", "pools", "max_projects")
            if (value := getattr(self, name, None)) not in (None, (), "*")
        }
        run = RunInfo(
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            task_id=ti.task_id,
            try_number=ti.try_number,
            map_index=ti.map_index if ti.map_index >= 0 else None,
            url=getattr(ti, "log_url", None),
            triggered_by=getattr(context.get("dag_run"), "triggering_user_name", None),
            approved_by=self._approver(context),
        )
        report = Report(
            account=requester.name,
            account_id=requester.id,
            environment=settings.environment if settings.environment != "custom" else settings.site,
            as_of=arguments.as_of,
            before=arguments.selection.before,
            created=pendulum.now("UTC"),
            dry_run=arguments.is_dry_run,
            parameters=parameters,
            run=run,
            projects=survey(found, web_page=partial(PROJECT.page_at, settings.site), try_number=ti.try_number),
        )
        push_account_link(context, settings.site)
        return found, report

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
        total = found.active if selection.project_ids is None else len(selection.project_ids)
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
        unknown = [] if selection.project_ids is not None else sorted({*selection.exclude_project_ids} - found.excluded)
        for warning in log_lines.selection_warnings(
            projects=found.active,
            not_matching=found.not_matching,
            name_pattern=selection.name_pattern,
            excluded=len(found.excluded),
            unknown_exclusions=unknown,
        ):
            self.log.warning(warning)

    def _log_rows(self, report: Report) -> None:
        for outcome in Outcome:
            if entries := report.of(outcome):
                for line in log_lines.grouped(outcome.label.capitalize(), log_lines.rows(entries)):
                    self.log.info(line)

    def _write(self, context: Context, report: Report) -> None:
        """Write the report, if there is a path."""
        if not check_report_path(self.report_path):
            push_report_link(context, "")
            return
        where = write_report(report, self.report_path)
        self.log.info("Report: %s", where)
        context["ti"].xcom_push(key="report", value=str(where))
        push_report_link(context, str(where))


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
