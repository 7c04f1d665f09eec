"""What a clean-up has done, kept over its tries and pushed as its result: archiving cannot be undone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_toloka import _record
from airflow_provider_toloka._lineage import LineageMixin, toloka_place
from airflow_provider_toloka.archiving.batch import Results
from airflow_provider_toloka.archiving.selection import Search
from airflow_provider_toloka.client.models import ARCHIVED
from airflow_provider_toloka.client.resources import PROJECT
from airflow_provider_toloka.operators._reports import by_outcome
from airflow_provider_toloka.operators._resuming import archived_since, finished_since
from airflow_provider_toloka.operators._selecting import Arguments, SelectingOperator
from airflow_provider_toloka.reporting import Outcome, ReportedProject

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

_SINCE_THE_START = "archived since the run started, by an earlier try or somebody else"


class RecordingOperator(LineageMixin, SelectingOperator):
    """Base of the operator that archives projects: its record and its result.

    :param kwargs: the parameters of ``SelectingOperator``, and those of every operator.
    """

    @contextmanager
    def _recorded(self, context: Context, results: Results) -> Iterator[None]:
        """Keep the record, push the result and write the report, whatever ends the task: archiving cannot be undone."""
        try:
            yield
        except BaseException as error:
            try:
                record = _record.keep(context, results.entries)
                self._push(context, record)
            except Exception as other:  # noqa: BLE001 - the error that ends the task is more important
                self.log.warning("Could not store the record and the result: %s", other)
                record = results.entries
            if not isinstance(error, TaskDeferred):
                self._write_unfinished(context, error, record)
            raise

    def _keep_so_far(self, context: Context, results: Results) -> None:
        """Store the record while the batch runs, in case the task is killed."""
        try:
            _record.keep(context, results.entries)
        except Exception as error:  # noqa: BLE001 - whatever Airflow raises, the batch continues
            self.log.warning("Could not store the record of archived projects; trying again: %s", error)

    def _take_over(self, context: Context, arguments: Arguments, found: Search, results: Results) -> None:
        """Add what earlier tries archived, including what finished after their end; forget their other outcomes."""
        earlier = _record.load(context)
        active = {id_ for id_, one in found.candidates.items() if one.project.status != ARCHIVED}
        left = [one for one in earlier if one.outcome is not Outcome.ARCHIVED and one.id not in active]
        kept = [one for one in earlier if one.outcome is Outcome.ARCHIVED]
        if left:
            kept += self._in_loop(lambda client: finished_since(client, left))
        started: Any = getattr(context.get("dag_run"), "start_date", None)
        if not _record.lasts(context) and context["ti"].try_number > 1 and started:
            name = ReportedProject(id="", outcome=Outcome.ALREADY_ARCHIVED, reason=_SINCE_THE_START)
            others = self._in_loop(
                lambda client: archived_since(
                    client, started, lambda id_: replace(name, id=id_, url=self._web_page(id_))
                )
            )
            kept += [one for one in others if one.id not in active and arguments.selection.may_name(one.id)]
        for entry in kept:
            results.add(entry)
        _record.save(context, kept)

    def _push(self, context: Context, entries: Sequence[ReportedProject]) -> dict[str, list[dict[str, Any]]]:
        ended = by_outcome(entries)
        archived = [one.id for one in entries if one.outcome is Outcome.ARCHIVED]
        if self._source:
            self._add_lineage(outputs=[toloka_place(self._source, PROJECT, id_, change="ALTER") for id_ in archived])
        # A failed task returns nothing, but later tasks may need the result.
        context["ti"].xcom_push(key="return_value", value=ended)
        return ended
