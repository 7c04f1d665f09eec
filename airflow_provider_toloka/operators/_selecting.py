"""Common parts of the operators for stale projects: the selection and the report."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import pendulum

from airflow_provider_toloka._arguments import (
    check_literals,
    is_nothing,
    read_ids,
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
from airflow_provider_toloka.exceptions import TolokaApiError
from airflow_provider_toloka.hooks.toloka import TolokaHook
from airflow_provider_toloka.links.toloka import push_account_link
from airflow_provider_toloka.operators._reports import ReportingOperator
from airflow_provider_toloka.reporting import (
    Outcome,
    Report,
    log_lines,
)

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, XComArg

ANY = "any"
ALL = "all"
LOGICAL_DATE = "logical_date"
WHOLE_ACCOUNT = (
    f'inactive_for="{ANY}" with project_ids="{ALL}" would archive the whole account, and nothing was '
    "changed. Set how long a project must have been idle, such as inactive_for=timedelta(days=365)."
)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Arguments:
    """The checked arguments of a selecting operator."""

    selection: Selection
    as_of: datetime
    is_dry_run: bool = False


class SelectingOperator(ReportingOperator):
    """Base of the operators that find and archive stale projects: the selection.

    :param as_of: the reference time, as a datetime or in ISO 8601, not later than now; ``"logical_date"``: the run's
        logical date, else now. (templated)
    :param name_pattern: only projects whose name matches this glob, such as ``"test *"``. Only ``*`` and ``?`` are
        special, and case matters. (templated)
    :param exclude_project_ids: ids of projects to leave out. (templated)
    :param toloka_conn_id: the id of the Toloka connection. (templated)
    :param kwargs: the parameters of ``ReportingOperator``, and those of every operator.
    """

    template_fields: Sequence[str] = (
        "inactive_for",
        "as_of",
        "name_pattern",
        "exclude_project_ids",
        *ReportingOperator.template_fields,
        "toloka_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"exclude_project_ids": "json"}
    #: Set by the subclasses.
    inactive_for: Duration | XComArg

    def __init__(
        self,
        *,
        as_of: datetime | str | XComArg = LOGICAL_DATE,
        name_pattern: str | XComArg = "*",
        exclude_project_ids: Sequence[str] | XComArg = (),
        toloka_conn_id: str = "toloka_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.as_of = as_of
        self.name_pattern = name_pattern
        self.exclude_project_ids = exclude_project_ids
        self.toloka_conn_id = toloka_conn_id
        check_literals(
            self,
            as_of=lambda value: value == LOGICAL_DATE or is_nothing(value) or read_time("as_of", value),
            name_pattern=lambda value: is_nothing(value) or read_pattern("name_pattern", value),
            exclude_project_ids=lambda value: is_nothing(value) or read_ids("exclude_project_ids", value),
        )
        #: The namespace of the connection's Toloka, for lineage.
        self._source = ""
        #: Returns the page of a project by its id.
        self._web_page: Callable[[str], str] = str
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
        self._check_report()
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

    async def _with_others(
        self, client: AsyncTolokaClient, context: Context, arguments: Arguments, report: Report
    ) -> Report:
        """Add the account's other active projects to a report."""
        everything = replace(arguments.selection, project_ids=None)
        try:
            found = await search(client, everything, keep_others=True)
        except TolokaApiError as error:
            self.log.warning("The report omits the projects that were left alone, which could not be read: %s", error)
            return report
        known = {one.id for one in report.projects}
        is_listed = arguments.selection.project_ids is not None
        return report.updated(
            replace(one, outcome=Outcome.SKIPPED, reason="not in project_ids")
            if is_listed and one.outcome is Outcome.WOULD_ARCHIVE
            else one
            for one in survey(found, web_page=self._web_page, try_number=context["ti"].try_number)
            if one.id not in known
        )

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


def too_many(selected: int, most: int) -> str:
    """Return the message of a task that would archive too many projects.

    :param selected: the number of selected projects.
    :param most: the maximum.
    """
    return (
        f"{selected} projects are selected, and max_projects is {most}: nothing was changed. "
        f"TolokaFindStaleProjectsOperator lists them; to archive all, set max_projects={selected} or more."
    )


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
