"""Operators that find and archive the stale projects of an account."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, cast

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_toloka import _record
from airflow_provider_toloka._arguments import check_literals, read_count, require
from airflow_provider_toloka._durations import Duration, duration, seconds
from airflow_provider_toloka._lineage import LineageMixin, toloka_place
from airflow_provider_toloka._outlets import describe_outlets
from airflow_provider_toloka._task import ALREADY_DONE, Deadline, failing_at_once, operation_trigger
from airflow_provider_toloka.archiving.batch import Batch, Results
from airflow_provider_toloka.archiving.plan import PoolsRule
from airflow_provider_toloka.archiving.scan import search
from airflow_provider_toloka.archiving.selection import Candidate, Search, Selection
from airflow_provider_toloka.client.async_client import AsyncTolokaClient
from airflow_provider_toloka.client.backoff import BEFORE_DEFERRING
from airflow_provider_toloka.client.models import ARCHIVED, SUCCESS, Operation
from airflow_provider_toloka.client.parsing import check_truth
from airflow_provider_toloka.client.resources import ARCHIVE_PROJECT, PROJECT
from airflow_provider_toloka.exceptions import TolokaApiError, TolokaError
from airflow_provider_toloka.operators._finding import TolokaFindStaleProjectsOperator
from airflow_provider_toloka.operators._resuming import carry, finished_since, resume
from airflow_provider_toloka.operators._rules import OnConflict, read_on_conflict, read_pools
from airflow_provider_toloka.operators._selecting import ANY, Arguments, SelectingOperator, by_outcome, too_many
from airflow_provider_toloka.operators._waiting import WaitOperator
from airflow_provider_toloka.reporting import Outcome, Report, ReportedProject, log_lines

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, XComArg

__all__ = ["TolokaArchiveStaleProjectsOperator", "TolokaFindStaleProjectsOperator"]


class TolokaArchiveStaleProjectsOperator(LineageMixin, SelectingOperator, WaitOperator):
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
        )

    def execute(self, context: Context) -> dict[str, list[dict[str, Any]]]:
        """Find and archive the projects.

        :returns: ``{archived, already_archived, would_archive, skipped, in_use, postponed, failed}``, each a list of
            ``{id, name, reason, ...}`` over all tries; it is pushed as XCom however the task ends.
        :raises AirflowFailException: an invalid argument, too many projects, or permanent errors only.
        :raises TolokaError: some projects could not be archived; the message says which, and why.
        """
        with failing_at_once():
            arguments, deadline = self._read_arguments(context)
            keep_others = arguments.is_dry_run and bool(self.report_path)
            found, report = self._in_loop(
                lambda client: self._read(client, context, arguments, with_operations=True, keep_others=keep_others)
            )
            self._log_selection(found, report, arguments.selection)
            active = [one for one in found.candidates.values() if one.project.status != ARCHIVED]
            most = read_count("max_projects", self.max_projects)
            if len(active) > most:
                raise ValueError(too_many(len(active), most))
        if arguments.is_dry_run:
            return self._end(context, arguments, report, {*found.candidates, *found.refused, *found.missing})
        results = Results()
        for entry in report.of(Outcome.SKIPPED, Outcome.FAILED):
            results.add(entry)
        with self._recorded(context, results):
            self._forget_failures(context, found, results)
            return self._archive(context, arguments, found, deadline, results, {})

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
        """Continue after the wait on the triggerer.

        :param event: the event of ``OperationTrigger``.
        :returns: what ``execute`` returns.
        :raises AirflowFailException: as ``execute``.
        :raises TolokaError: as ``execute``, or the error that ended the wait.
        """
        ended = {entry.id: entry for entry in _record.load(context)}
        results = Results(ended=ended, transient={*event["carry"]["transient"]})
        with self._recorded(context, results):
            return self._resume(context, event, results)

    def _resume(self, context: Context, event: Mapping[str, Any], results: Results) -> dict[str, list[dict[str, Any]]]:
        with failing_at_once():
            arguments, _ = self._read_arguments(context)
            deadline = Deadline.from_event(event)
            resumed = resume(event, deadline)
            results.waiting = resumed.waiting
            # Already selected. This task's changes do not make a project less stale; changes by others do.
            selection = Selection(project_ids=list(resumed.ready), before=resumed.before)
            carried = replace(arguments.selection, before=resumed.before)
            arguments = replace(arguments, as_of=resumed.as_of, selection=carried)
            found = self._in_loop(lambda client: search(client, selection, with_operations=True))
        for project_id, reason in found.refused.items():
            results.add(ReportedProject(id=project_id, outcome=Outcome.IN_USE, reason=reason))
        for project_id, reason in found.missing.items():
            results.add(ReportedProject(id=project_id, outcome=Outcome.FAILED, reason=reason))
        return self._archive(context, arguments, found, deadline, results, resumed.ready)

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
    ) -> dict[str, list[dict[str, Any]]]:
        try_number = context["ti"].try_number

        def entry(candidate: Candidate) -> Mapping[str, object]:
            return {
                "pools": len(candidate.pools),
                "trainings": len(candidate.trainings),
                "last_activity": candidate.last_activity and candidate.last_activity.isoformat(),
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

        with failing_at_once():
            self._in_loop(archive)
        if results.waiting:
            self._defer(arguments, deadline, results)
        with failing_at_once():
            report = self._in_loop(lambda client: self._final_report(client, context, arguments))
        record = _record.keep(context, results.ended.values())
        return self._end(context, arguments, report.updated(record), {entry.id for entry in record}, results)

    @contextmanager
    def _recorded(self, context: Context, results: Results) -> Iterator[None]:
        """Keep the record and push the result, whatever ends the task or defers it: archiving cannot be undone."""
        try:
            yield
        except BaseException:
            self._push(context, _record.keep(context, results.ended.values()))
            raise

    def _keep_so_far(self, context: Context, results: Results) -> None:
        """Store the record while the batch runs, in case the task is killed."""
        try:
            _record.keep(context, results.ended.values())
        except Exception as error:  # noqa: BLE001 - whatever Airflow raises, the batch continues
            self.log.warning("Could not store the record of archived projects; trying again: %s", error)

    def _forget_failures(self, context: Context, found: Search, results: Results) -> None:
        """Keep only what earlier tries archived, including what finished after their end."""
        earlier = _record.load(context)
        unfinished = [one for one in earlier if one.outcome is not Outcome.ARCHIVED]
        if unfinished:
            left = [one for one in unfinished if one.id not in found.candidates]
            for entry in self._in_loop(lambda client: finished_since(client, left)):
                results.add(entry)
            _record.save(context, [one for one in earlier if one.outcome is Outcome.ARCHIVED])

    async def _final_report(self, client: AsyncTolokaClient, context: Context, arguments: Arguments) -> Report:
        """Return the report on the account's current state; only a written report needs the whole account."""
        nothing = replace(arguments, selection=replace(arguments.selection, project_ids=[]))
        if not self.report_path:
            return (await self._read(client, context, nothing))[1]
        try:
            return (await self._read(client, context, arguments, keep_others=True))[1]
        except TolokaApiError as error:
            self.log.warning("The report omits the projects that were left alone, which could not be read: %s", error)
            return (await self._read(client, context, nothing))[1]

    def _defer(self, arguments: Arguments, deadline: Deadline, results: Results) -> NoReturn:
        operations = [operation for waiting in results.waiting.values() for operation in waiting]
        self.log.info("%d projects wait for %d operations", len(results.waiting), len(operations))
        carried = carry(arguments, results)
        trigger = operation_trigger(
            self.toloka_conn_id,
            operations,
            groups=carried["waiting"],
            poll_interval=seconds("poll_interval", self.poll_interval),
            deadline=deadline,
            carry=carried,
        )
        self.defer(trigger=trigger, method_name="execute_complete", timeout=deadline.for_deferral)

    def _push(self, context: Context, entries: Sequence[ReportedProject]) -> dict[str, list[dict[str, Any]]]:
        ended = by_outcome(entries)
        archived = [one.id for one in entries if one.outcome is Outcome.ARCHIVED]
        self._add_lineage(outputs=[toloka_place(self._source, PROJECT, id_, change="ALTER") for id_ in archived])
        # A failed task returns nothing, but later tasks may need the result.
        context["ti"].xcom_push(key="return_value", value=ended)
        return ended

    def _end(
        self,
        context: Context,
        arguments: Arguments,
        report: Report,
        own: Collection[str],
        results: Results | None = None,
    ) -> dict[str, list[dict[str, Any]]]:
        """End the task; the written report has the account's other projects, too, but the log and the result do not.

        :param own: the ids of the projects that the task selected, or was asked for.
        """
        whole, report = report, replace(report, projects=tuple(one for one in report.projects if one.id in own))
        self._log_rows(report)
        ended = self._push(context, report.projects)
        self._write(context, whole)
        done = [
            Operation(id=one.operation_id, type=ARCHIVE_PROJECT.operation_type, status=SUCCESS, finished=one.finished)
            for one in report.of(Outcome.ARCHIVED)
            if one.operation_id
        ]
        describe_outlets(self, context, done, "preview" if arguments.is_dry_run else ALREADY_DONE)
        self.log.info("%s (%s)", log_lines.last_line(report.projects), f"{self._requests:,} requests")
        failures = report.of(Outcome.FAILED)
        if self.on_conflict == "fail":
            failures += report.of(Outcome.POSTPONED)
        if failures and not arguments.is_dry_run:
            message = log_lines.failure(failures, of=len(report.selected))
            if results is not None and results.transient.intersection(one.id for one in failures):
                raise TolokaError(message)
            raise AirflowFailException(message)
        return ended
