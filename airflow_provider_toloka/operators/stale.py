"""Operators that find the stale projects of an account, and archive them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import pendulum
from airflow.providers.common.compat.sdk import BaseOperator, conf

from airflow_provider_toloka._task import (
    failing_at_once,
    first_started,
    operation_trigger,
    operations_of,
    require_positive,
    seconds,
)
from airflow_provider_toloka._text import shown
from airflow_provider_toloka.archiving.batch import Batch, Results
from airflow_provider_toloka.archiving.plan import PoolsRule, check_pools_rule
from airflow_provider_toloka.archiving.scan import search
from airflow_provider_toloka.archiving.selection import Search, Selection, table
from airflow_provider_toloka.client.async_client import AsyncTolokaClient
from airflow_provider_toloka.client.backoff import BEFORE_DEFERRING
from airflow_provider_toloka.client.models import ARCHIVED, Operation
from airflow_provider_toloka.client.parsing import check_id, check_truth
from airflow_provider_toloka.exceptions import TolokaError
from airflow_provider_toloka.hooks.toloka import TolokaHook

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, XComArg

#: Matching takes time with the length of the pattern as well as that of the name.
_LONGEST_PATTERN = 500

T = TypeVar("T")


class _SelectingOperator(BaseOperator):
    """What finding and archiving have in common: which projects of which account."""

    template_fields: Sequence[str] = ("as_of", "name_pattern", "exclude_project_ids", "toloka_conn_id")
    ui_color: str = "#f5d96b"

    def __init__(
        self,
        *,
        inactive_for: timedelta | None,
        as_of: datetime | str | None = None,
        name_pattern: str | None = None,
        exclude_project_ids: Sequence[str] | XComArg = (),
        toloka_conn_id: str = TolokaHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.inactive_for = inactive_for
        self.as_of = as_of
        self.name_pattern = name_pattern
        self.exclude_project_ids = exclude_project_ids
        self.toloka_conn_id = toloka_conn_id

    def _reference_time(self, context: Context) -> datetime:
        """Give the time that projects are stale at: ``as_of``, else the run's logical date, else now."""
        as_of = self.as_of if self.as_of not in (None, "", "None") else context.get("logical_date")
        if isinstance(as_of, str):
            try:
                as_of = pendulum.parse(as_of, strict=True)  # type: ignore[assignment]
            except ValueError:
                as_of = None
            if not isinstance(as_of, datetime):
                raise ValueError(f"as_of should be a time in ISO 8601, but is {shown(self.as_of)}.")
        as_of = as_of or pendulum.now("UTC")
        return as_of if as_of.tzinfo else as_of.replace(tzinfo=pendulum.UTC)

    def _in_loop(self, work: Callable[[AsyncTolokaClient], Coroutine[Any, Any, T]]) -> T:
        """Do asynchronous work with an entered client."""
        # The connection is read here, where nothing is asynchronous yet: that works on every version of Airflow.
        client = TolokaHook(self.toloka_conn_id).async_client()

        async def with_client() -> T:
            async with client:
                return await work(client)

        return asyncio.run(with_client())

    def _selection(self, context: Context, project_ids: Sequence[str] | None) -> Selection:
        if self.inactive_for is not None and not isinstance(self.inactive_for, timedelta):
            raise ValueError(f"inactive_for should be a timedelta, but is {shown(self.inactive_for)}.")
        pattern: Any = self.name_pattern
        if pattern is not None and not (isinstance(pattern, str) and len(pattern) <= _LONGEST_PATTERN):
            raise ValueError(
                f"name_pattern should be a glob such as 'test *', of at most {_LONGEST_PATTERN} characters, "
                f"but is {shown(pattern)}."
            )
        before = None
        if self.inactive_for is not None:
            require_positive("inactive_for", self.inactive_for)
            try:
                before = self._reference_time(context) - self.inactive_for
            except OverflowError:
                raise ValueError(f"inactive_for reaches back too far: {self.inactive_for}.") from None
        return Selection(
            project_ids=None if project_ids is None else _ids("project_ids", project_ids),
            before=before,
            name_pattern=self.name_pattern,
            exclude_project_ids=_ids("exclude_project_ids", self.exclude_project_ids),
        )


class TolokaFindStaleProjectsOperator(_SelectingOperator):
    """Finds the projects of an account that nobody uses (API: ``GET /projects``, ``/pools``, ``/trainings``).

    A project is stale when it is active, has no open pool or training, and the latest of its own ``created`` and of
    its pools' and trainings' ``created``, ``last_started`` and ``last_stopped`` lies more than ``inactive_for`` before
    the run's reference time. Nothing is changed at Toloka.

    :param inactive_for: how long nothing has happened to the project.
    :param as_of: the reference time, as a datetime or in ISO 8601; default: the run's logical date, else now.
        (templated)
    :param name_pattern: only projects whose name fits this glob, such as ``"test *"``; upper and lower case differ.
        (templated)
    :param exclude_project_ids: ids of projects to leave out. (templated)
    :param only_ids: whether to return only the ids, for ``.expand(project_id=...)``; default False.
    :param toloka_conn_id: the id of the Toloka connection; default ``toloka_default``. (templated)
    """

    def __init__(self, *, inactive_for: timedelta, only_ids: bool = False, **kwargs: Any) -> None:
        super().__init__(inactive_for=inactive_for, **kwargs)
        self.only_ids = only_ids

    def execute(self, context: Context) -> list[dict[str, Any]] | list[str]:
        """Find them.

        :returns: the longest idle first: ``[{id, name, last_activity, pools, trainings, reason}]``, or the ids.
        :raises AirflowFailException: no retry can mend it: a wrong argument, a refused token.
        :raises TolokaApiError: one of its kinds, by meaning.
        """
        with failing_at_once():
            if self.inactive_for is None:
                raise ValueError("inactive_for is missing: say how long a project has to be idle.")
            selection = self._selection(context, None)
            found = self._in_loop(lambda client: search(client, selection)).found()
            reports = [candidate.report(self._reference_time(context)) for candidate in found]
        self.log.info("%d projects are stale.\n%s", len(found), table(reports))
        return [report["id"] for report in reports] if self.only_ids else reports


class TolokaArchiveStaleProjectsOperator(_SelectingOperator):
    """Finds the stale projects of an account, or takes a list of ids, and archives them with all they hold.

    One project's failure does not stop the others; the task fails at the end if any failed. It may be retried: it looks
    again, and does what is missing. An archived project can be read, but not be brought back.

    :param inactive_for: how long nothing has happened to a project: see ``TolokaFindStaleProjectsOperator``.
        None: whatever its activity; then ``project_ids`` is needed.
    :param project_ids: ids of the projects to archive; None: search the whole account. With ``inactive_for`` as well,
        those that are not stale (any more) are skipped. (templated)
    :param pools: what may be done to the projects' pools and trainings: see ``TolokaArchiveProjectOperator``;
        default ``"archive_closed"``.
    :param as_of: the reference time, as a datetime or in ISO 8601; default: the run's logical date, else now.
        (templated)
    :param name_pattern: only projects whose name fits this glob, such as ``"test *"``; upper and lower case differ.
        (templated)
    :param exclude_project_ids: ids of projects to leave out. (templated)
    :param dry_run: whether only to report what would happen, default False: nothing is changed at Toloka. (templated)
    :param max_projects: if more are selected, default 100, the task fails before the first change.
    :param deferrable: whether to wait on the triggerer, without a worker slot; default: Airflow's setting
        ``[operators] default_deferrable``. What finishes while the worker looks is not deferred at all.
    :param poll_interval: seconds between two looks at an operation, default 5; the first ones come more quickly.
    :param timeout: how long the waits may take as a whole: seconds or a timedelta, default an hour. It counts over all
        tries; on Airflow 3.0 to 3.2, which tell a task nothing of its former tries, over each.
    :param toloka_conn_id: the id of the Toloka connection; default ``toloka_default``. (templated)
    """

    template_fields: Sequence[str] = ("project_ids", "is_dry_run", *_SelectingOperator.template_fields)

    def __init__(
        self,
        *,
        inactive_for: timedelta | None = None,
        project_ids: Sequence[str] | XComArg | None = None,
        pools: PoolsRule = "archive_closed",
        dry_run: bool | str = False,
        max_projects: int = 100,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float = 5.0,
        timeout: float | timedelta = 3600.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(inactive_for=inactive_for, **kwargs)
        self.project_ids = project_ids
        self.pools = pools
        # Airflow's own operators have a method of the parameter's name.
        self.is_dry_run = dry_run
        self.max_projects = max_projects
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.timeout = timeout

    def execute(self, context: Context) -> dict[str, list[dict[str, Any]]]:
        """Find and archive them.

        :returns: ``{archived, already_archived, skipped, failed}``, each a list of ``{id, name, reason}``; it is
            pushed as XCom also when the task fails in the end.
        :raises AirflowFailException: no retry can mend it: a wrong argument, a refused token, too many projects.
        :raises TolokaError: some projects could not be archived; the message says which, and why.
        """
        with failing_at_once():
            check_pools_rule(self.pools)
            for name in ("poll_interval", "timeout"):
                require_positive(name, getattr(self, name))
            if type(self.max_projects) is not int or self.max_projects < 1:
                raise ValueError(f"max_projects should be a whole number above 0, but is {shown(self.max_projects)}.")
            if self.inactive_for is None and self.project_ids is None:
                raise ValueError("Say which projects to archive: give inactive_for, or project_ids, or both.")
            selection = self._selection(context, self.project_ids)  # type: ignore[arg-type]  # rendered by now
            dry_run = check_truth("dry_run", self.is_dry_run)
            deadline = first_started(context) + seconds(self.timeout)
            results = Results()
            found = self._in_loop(lambda client: self._select(client, selection, results))
            if dry_run:
                as_of = self._reference_time(context)
                for candidate in found.found():
                    report = candidate.report(as_of)
                    results.skipped.append({**report, "reason": f"dry run: would be archived; {report['reason']}"})
                return self._end(context, results)
        return self._archive(context, found, deadline, results, {})

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
        """Go on where the wait on the triggerer ended.

        :param event: the event of ``OperationTrigger``.
        :returns: what ``execute`` returns.
        :raises AirflowFailException: as ``execute``, or the wait met what no waiting mends.
        :raises TolokaError: as ``execute``.
        """
        operations = operations_of(event)
        carry = event["carry"]
        waited = {
            project_id: [operation for id_ in ids if (operation := operations.get(id_))]
            for project_id, ids in carry["waiting"].items()
        }
        results = Results(**carry["results"])
        # Chosen before: what was done to a project since does not make it any less stale.
        selection = Selection(project_ids=list(waited))
        with failing_at_once():
            found = self._in_loop(lambda client: self._select(client, selection, results))
        return self._archive(context, found, event["deadline"], results, waited)

    async def _select(self, client: AsyncTolokaClient, selection: Selection, results: Results) -> Search:
        found = await search(client, selection, with_operations=True)
        results.skipped += [{"id": id_, "name": None, "reason": reason} for id_, reason in found.refused.items()]
        results.failed += [{"id": id_, "name": None, "reason": reason} for id_, reason in found.missing.items()]
        active = [candidate for candidate in found.candidates.values() if candidate.project.status != ARCHIVED]
        if len(active) > self.max_projects:
            raise ValueError(
                f"{len(active)} projects are selected, and max_projects is {self.max_projects}: nothing was changed. "
                f"TolokaFindStaleProjectsOperator shows them; to archive all, set max_projects={len(active)} or more."
            )
        return found

    def _archive(
        self,
        context: Context,
        found: Search,
        deadline: float,
        results: Results,
        waited: Mapping[str, Sequence[Operation]],
    ) -> dict[str, list[dict[str, Any]]]:
        async def archive(client: AsyncTolokaClient) -> None:
            batch = Batch(
                client,
                pools=self.pools,
                poll_interval=self.poll_interval,
                deadline=deadline,
                patience=BEFORE_DEFERRING if self.deferrable else None,
                results=results,
            )
            await batch.run(found, waited)

        with failing_at_once():
            self._in_loop(archive)
        if results.waiting:
            self._defer(deadline, results)
        return self._end(context, results)

    def _defer(self, deadline: float, results: Results) -> NoReturn:
        operations = [operation for waiting in results.waiting.values() for operation in waiting]
        self.log.info("%d projects wait for %d operations", len(results.waiting), len(operations))
        trigger = operation_trigger(
            self.toloka_conn_id,
            operations,
            poll_interval=self.poll_interval,
            deadline=deadline,
            fail_fast=False,
            carry={
                "waiting": {id_: [operation.id for operation in ones] for id_, ones in results.waiting.items()},
                "results": results.to_json(),
            },
        )
        self.defer(trigger=trigger, method_name="execute_complete")

    def _end(self, context: Context, results: Results) -> dict[str, list[dict[str, Any]]]:
        ended = results.to_json()
        if not any(ended.values()):
            self.log.info("No project is selected: there is nothing to do.")
        for outcome, projects in ended.items():
            if projects:
                self.log.info("%s: %d projects\n%s", outcome, len(projects), table(projects))
        if results.failed:
            # A failed task returns nothing; who comes after it may want to know all the same.
            context["ti"].xcom_push(key="return_value", value=ended)
            total = sum(len(projects) for projects in ended.values())
            raise TolokaError(
                f"{len(results.failed)} of {total} projects could not be archived. Run the task again when the reasons "
                f"have gone; what is archived stays so.\n{table(results.failed)}"
            )
        return ended


def _ids(name: str, given: Any) -> list[str]:
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise ValueError(f"{name} should be a list of ids, but is {shown(given)}.")
    return [check_id(name, id_) for id_ in given]
