"""Operators that find and archive the stale projects of an account."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, cast

import pendulum
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_toloka import _record
from airflow_provider_toloka._arguments import check_literals, is_nothing, read_count, read_ids, require
from airflow_provider_toloka._durations import Duration, duration, seconds
from airflow_provider_toloka._outlets import describe_outlets
from airflow_provider_toloka._task import ALREADY_DONE, Deadline, failing_at_once, operation_trigger
from airflow_provider_toloka.archiving.batch import Batch, Results
from airflow_provider_toloka.archiving.plan import PoolsRule
from airflow_provider_toloka.archiving.scan import search
from airflow_provider_toloka.archiving.selection import Candidate, Search, Selection
from airflow_provider_toloka.archiving.survey import survey
from airflow_provider_toloka.client.async_client import AsyncTolokaClient
from airflow_provider_toloka.client.backoff import BEFORE_DEFERRING
from airflow_provider_toloka.client.models import ARCHIVED, SUCCESS, Operation
from airflow_provider_toloka.client.parsing import check_truth
from airflow_provider_toloka.client.resources import ARCHIVE_PROJECT
from airflow_provider_toloka.exceptions import TolokaApiError, TolokaError
from airflow_provider_toloka.operators._finding import TolokaFindStaleProjectsOperator
from airflow_provider_toloka.operators._recording import RecordingOperator
from airflow_provider_toloka.operators._reports import seconds_since_start
from airflow_provider_toloka.operators._resuming import carry, resume
from airflow_provider_toloka.operators._rules import OnConflict, read_on_conflict, read_pools
from airflow_provider_toloka.operators._selecting import (
    ALL,
    ANY,
    WHOLE_ACCOUNT,
    Arguments,
    SelectingOperator,
    too_many,
)
from airflow_provider_toloka.operators._waiting import WaitOperator
from airflow_provider_toloka.reporting import Outcome, Report, log_lines
from airflow_provider_toloka.reporting.words import counted

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, XComArg

__all__ = ["TolokaArchiveStaleProjectsOperator", "TolokaFindStaleProjectsOperator"]


class TolokaArchiveStaleProjectsOperator(RecordingOperator, WaitOperator):
    """Archive the stale projects of an account, or a list of projects, with their pools and trainings.

    A failing project does not stop the others; the task fails at the end, after it has written the report. Retries are
    safe: every try starts by reading the current state from Toloka. An archived project can be read, but not restored.

    With ``inactive_for``, a project that has been used since it was selected is left alone: nothing in it is closed,
    whatever ``pools`` says, and it is reported as in use.

    :param project_ids: ids of the projects to archive, or ``"all"`` to search the whole account, which requires
        ``inactive_for``. A value that renders to nothing fails the task. (templated)
    :param inactive_for: how long a project must have been idle: seconds, a timedelta, or a text such as ``"180d"`` or
        ``"P180D"``; ``"any"``: activity does not matter. (templated)
    :param pools: what the task may do to the projects' pools and trainings first: ``"require_archived"``,
        ``"archive_closed"`` or ``"close_and_archive"``, as for ``TolokaArchiveProjectOperator``. (templated)
    :param preview: whether only to report what would be archived, without changes at Toloka. (templated)
    :param max_projects: if more are selected, the task fails before the first change, also in a preview. (templated)
    :param on_conflict: what to do when projects can be archived only in a few days, because a pool has rejected
        answers: ``"fail"`` fails the task at the end, without retries if nothing else failed; ``"skip"`` only reports
        them as postponed.
    :param kwargs: the parameters of ``SelectingOperator`` and ``WaitOperator``, and those of every operator.
    """

    template_fields: Sequence[str] = (
        "project_ids",
        "pools",
        "preview",
        "max_projects",
        *SelectingOperator.template_fields,
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "project_ids": "json",
        **SelectingOperator.template_fields_renderers,
    }

    def __init__(
        self,
        *,
        project_ids: Sequence[str] | Literal["all"] | XComArg,
        inactive_for: Duration | Literal["any"] | XComArg = "any",
        pools: PoolsRule | str = "archive_closed",
        preview: bool | str = False,
        max_projects: int | str = 100,
        on_conflict: OnConflict = "fail",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.project_ids = project_ids
        self.inactive_for = inactive_for
        self.pools = pools
        self.preview = preview
        self.max_projects = max_projects
        self.on_conflict = on_conflict
        check_literals(
            self,
            pools=read_pools,
            max_projects=partial(read_count, "max_projects"),
            on_conflict=read_on_conflict,
            inactive_for=lambda value: value == ANY or duration("inactive_for", value),
            preview=lambda value: is_nothing(value) or check_truth("preview", value),
            project_ids=self._check_project_ids,
        )

    def _check_project_ids(self, value: Any) -> None:
        if value == ALL and self.inactive_for == ANY:
            raise ValueError(WHOLE_ACCOUNT)
        if value != ALL and not is_nothing(value):
            read_ids("project_ids", value)

    def execute(self, context: Context) -> dict[str, list[dict[str, Any]]]:
        """Find and archive the projects.

        :returns: ``{failed, submitted, postponed, archived, would_archive, already_archived, skipped, in_use}``, each a
            list of ``{id, name, reason, ...}`` over all tries; it is pushed as XCom however the task ends.
        :raises AirflowFailException: an invalid argument, too many projects, or permanent errors only.
        :raises TolokaError: some projects could not be archived; the message says which, and why.
        """
        results = Results()
        with failing_at_once(), self._recorded(context, results):
            arguments, deadline = self._read_arguments(context)
            found, report = self._in_loop(lambda client: self._find(client, context, arguments))
            self._log_selection(found, report, arguments.selection)
            active = [one for one in found.candidates.values() if one.project.status != ARCHIVED]
            most = read_count("max_projects", self.max_projects)
            if len(active) > most:
                raise ValueError(too_many(len(active), most))
            own: Collection[str] = {*found.candidates, *found.refused, *found.unreadable}
            if not arguments.is_dry_run:
                for entry in report.of(Outcome.SKIPPED, Outcome.FAILED):
                    results.add(entry)
                results.transient.update(id_ for id_, error in found.unreadable.items() if not error.is_permanent)
                self._take_over(context, arguments, found, results)
                report, own = self._archive(context, arguments, found, deadline, results, {})
        return self._end(context, arguments, report, own, results)

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
        """Continue after the wait on the triggerer.

        :param event: the event of ``OperationTrigger``.
        :returns: what ``execute`` returns.
        :raises AirflowFailException: as ``execute``.
        :raises TolokaError: as ``execute``, or the error that ended the wait.
        """
        results = Results(transient={*event["carry"]["transient"]})
        for entry in _record.load(context):
            results.add(entry)
        with failing_at_once(), self._recorded(context, results):
            arguments, report, own = self._resume(context, event, results)
        return self._end(context, arguments, report, own, results)

    def _resume(
        self, context: Context, event: Mapping[str, Any], results: Results
    ) -> tuple[Arguments, Report, Collection[str]]:
        arguments, _ = self._read_arguments(context)
        deadline = Deadline.from_event(event)
        resumed = resume(event, deadline)
        results.waiting = resumed.waiting
        # Already selected. This task's changes do not make a project less stale; changes by others do.
        selection = Selection(project_ids=list(resumed.ready), before=resumed.before)
        carried = replace(arguments.selection, before=resumed.before)
        arguments = replace(arguments, as_of=resumed.as_of, selection=carried)
        found = self._in_loop(lambda client: search(client, selection, with_operations=True, keep_others=True))
        for entry in survey(found, web_page=self._web_page, try_number=context["ti"].try_number):
            if entry.id in found.refused:
                results.add(replace(entry, outcome=Outcome.IN_USE))
            elif entry.id in found.unreadable:
                results.add(entry)
        results.transient.update(id_ for id_, error in found.unreadable.items() if not error.is_permanent)
        return arguments, *self._archive(context, arguments, found, deadline, results, resumed.ready)

    def _read_arguments(self, context: Context) -> tuple[Arguments, Deadline]:
        """Check all arguments, before the first request."""
        read_pools(self.pools)
        read_on_conflict(self.on_conflict)
        read_count("max_projects", self.max_projects)
        seconds("poll_interval", self.poll_interval)
        arguments = self._selection(context, self.project_ids)
        is_dry_run = check_truth("preview", require("preview", self.preview, ""))
        return replace(arguments, is_dry_run=is_dry_run), Deadline.of_try(self, context, self.timeout)

    def _archive(
        self,
        context: Context,
        arguments: Arguments,
        found: Search,
        deadline: Deadline,
        results: Results,
        waited: Mapping[str, Sequence[Operation]],
    ) -> tuple[Report, Collection[str]]:
        """Archive what can be archived; return the report, and the ids of the task's own projects."""
        try_number = context["ti"].try_number

        def entry(candidate: Candidate) -> Mapping[str, object]:
            return {
                "pools": len(candidate.pools),
                "trainings": len(candidate.trainings),
                "last_activity": candidate.last_activity and candidate.last_activity.isoformat(),
                "url": self._web_page(candidate.project.id),
                "try_number": try_number,
            }

        async def archive(client: AsyncTolokaClient) -> None:
            batch = Batch(
                client,
                pools=cast("PoolsRule", self.pools),
                poll_interval=seconds("poll_interval", self.poll_interval),
                deadline=deadline.at,
                limit=deadline.limit,
                patience=BEFORE_DEFERRING if self.deferrable else None,
                stale_before=arguments.selection.before,
                entry=entry,
                results=results,
                on_progress=lambda: self._keep_so_far(context, results),
            )
            await batch.run(found, waited)

        self._in_loop(archive)
        if results.waiting:
            self._defer(arguments, deadline, results)
        report = self._in_loop(lambda client: self._final_report(client, context, arguments))
        record = _record.keep(context, results.entries)
        return report.updated(record), {entry.id for entry in record}

    async def _find(self, client: AsyncTolokaClient, context: Context, arguments: Arguments) -> tuple[Search, Report]:
        """Select the projects; the report of a preview has the account's other projects, too."""
        is_whole = arguments.is_dry_run and bool(self.report_path)
        found, report = await self._read(client, context, arguments, with_operations=True, keep_others=is_whole)
        if is_whole and arguments.selection.project_ids is not None:
            report = await self._with_others(client, context, arguments, report)
        return found, report

    async def _final_report(self, client: AsyncTolokaClient, context: Context, arguments: Arguments) -> Report:
        """Return the report on the account's current state; only a written report needs the whole account."""
        report = self._report or replace(self._bare_report(context, arguments.as_of), before=arguments.selection.before)
        report = replace(report, created=pendulum.now("UTC"), projects=())
        if report.account_id is None:
            try:
                requester = await client.get_requester()
            except TolokaApiError as error:
                self.log.warning("The report does not name the account, which could not be read: %s", error)
            else:
                report = replace(report, account=requester.name, account_id=requester.id)
        return await self._with_others(client, context, arguments, report) if self.report_path else report

    def _defer(self, arguments: Arguments, deadline: Deadline, results: Results) -> NoReturn:
        operations = [operation for waiting in results.waiting.values() for operation in waiting]
        self.log.info(
            "Waiting for %s of %s", counted(len(operations), "operation"), counted(len(results.waiting), "project")
        )
        trigger = operation_trigger(
            self.toloka_conn_id,
            operations,
            groups={id_: [one.id for one in waiting] for id_, waiting in results.waiting.items()},
            poll_interval=seconds("poll_interval", self.poll_interval),
            deadline=deadline,
            carry=carry(arguments, results),
        )
        self.defer(trigger=trigger, method_name="execute_complete", timeout=deadline.for_deferral)

    def _end(
        self,
        context: Context,
        arguments: Arguments,
        report: Report,
        own: Collection[str],
        results: Results,
    ) -> dict[str, list[dict[str, Any]]]:
        """End the task; the written report has the account's other projects, too, but the log and the result do not.

        :param own: the ids of the projects that the task selected, or was asked for.
        """
        whole, report = report, replace(report, projects=tuple(one for one in report.projects if one.id in own))
        failures = [] if arguments.is_dry_run else report.of(Outcome.FAILED)
        if self.on_conflict == "fail" and not arguments.is_dry_run:
            failures += report.of(Outcome.POSTPONED)
        # The error lists the failures.
        self._log_rows(replace(report, projects=tuple(one for one in report.projects if one not in failures)))
        ended = self._push(context, report.projects)
        self._write(context, whole)
        done = [
            Operation(id=one.operation_id, type=ARCHIVE_PROJECT.operation_type, status=SUCCESS, finished=one.finished)
            for one in report.of(Outcome.ARCHIVED)
            if one.operation_id
        ]
        describe_outlets(self, context, done, "preview" if arguments.is_dry_run else ALREADY_DONE)
        seconds_taken = seconds_since_start(context)
        outcome = log_lines.last_line(report.projects, dry_run=arguments.is_dry_run, seconds=seconds_taken)
        self.log.info("%s (%s)", outcome, counted(self._requests, "request"))
        if failures:
            message = log_lines.failure(failures, of=len(report.selected), rest=self._rest)
            if results.transient.intersection(one.id for one in failures):
                raise TolokaError(message)
            raise AirflowFailException(message)
        return ended
