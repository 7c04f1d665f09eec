"""The report of the operators for stale projects: what is logged and written, in every ending."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import pendulum
from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_toloka._arguments import check_literals, note_given, read_optional
from airflow_provider_toloka._text import shown
from airflow_provider_toloka.links.toloka import ACCOUNT_LINK, REPORT_LINK, push_report_link
from airflow_provider_toloka.reporting import (
    Outcome,
    Report,
    ReportedProject,
    RunInfo,
    check_report_path,
    log_lines,
    why_unusable,
    write_report,
)
from airflow_provider_toloka.reporting.words import age

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

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


class ReportingOperator(BaseOperator):
    """Base of the operators that report on projects.

    :param report_path: where to write a report: a path, a URI or an ``ObjectStoragePath`` that ends in ``.html``,
        ``.csv``, ``.json`` or ``.md``; None: no report. (templated)
    :param report_url: the web address where people can read the report, for the task's link "Report"; None: no link.
        (templated)
    :param kwargs: the parameters of every operator.
    """

    template_fields: Sequence[str] = ("report_path", "report_url")
    operator_extra_links: Sequence[Any] = (ACCOUNT_LINK, REPORT_LINK)
    ui_color: str = "#f5d96b"

    def __init__(self, *, report_path: Any = None, report_url: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Airflow renders texts and ObjectStoragePaths, but no other paths.
        self.report_path = str(report_path) if isinstance(report_path, PurePath) else report_path
        self.report_url = report_url
        note_given(self, report_path=report_path or None, report_url=report_url)
        check_literals(self, report_path=check_report_path)
        #: The connection's environment; empty: the connection was not read yet.
        self._environment = ""
        #: The last report on what was read.
        self._report: Report | None = None

    def _check_report(self) -> None:
        """Check the arguments, and forget the report of an earlier try in this process."""
        self._report = None
        for name in ("report_path", "report_url"):
            read_optional(self, name, "For no report, leave it out, or set it to an empty text.")
        check_report_path(self.report_path)
        if reason := why_unusable(self.report_path or ""):
            raise ValueError(
                f"report_path is {shown(str(self.report_path))}, and nothing was changed: {reason}. Set it to a path, "
                "or to a URI of a storage that this worker can write to; report_url is where people read it."
            )

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


def by_outcome(entries: Sequence[ReportedProject]) -> dict[str, list[dict[str, Any]]]:
    """Return entries as JSON values, by outcome.

    :param entries: the entries of all tries.
    """
    ended: dict[str, list[dict[str, Any]]] = {outcome.value: [] for outcome in Outcome}
    for one in entries:
        json = {name: value for name, value in one.to_json().items() if value not in (None, "")}
        ended[one.outcome.value].append({"name": None, "reason": one.outcome.label, **json})
    return ended
