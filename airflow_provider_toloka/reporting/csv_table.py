"""The report as CSV: one line a project, safe to open in a spreadsheet. Pure."""

from __future__ import annotations

import csv
import io
from typing import Any

from airflow_provider_toloka.reporting.report import Report, days

COLUMNS = (
    "outcome",
    "id",
    "name",
    "last_activity",
    "idle_days",
    "pools",
    "trainings",
    "reason",
    "remedy",
    "postponed_until",
    "operation_id",
    "finished",
    "try_number",
    "url",
    "account",
    "environment",
    "dag_id",
    "run_id",
)
#: A spreadsheet takes a cell that begins with one of these for a formula, also in its full-width form.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20", "|", "%")


def csv_table(report: Report) -> str:
    """Return the report as CSV with a header line; lines end with CR LF (RFC 4180).

    A text that a spreadsheet would take for a formula gets an apostrophe in front.

    :param report: the report.
    """
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    run = report.run
    for project in report.ordered():
        idle = project.idle(report.as_of)
        cells: dict[str, Any] = project.to_json() | {
            "idle_days": None if idle is None else round(days(idle), 1),
            "account": report.account,
            "environment": report.environment,
            "dag_id": run.dag_id if run else None,
            "run_id": run.run_id if run else None,
        }
        writer.writerow([_safe(cells[column]) for column in COLUMNS])
    return out.getvalue()


def _safe(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.lstrip(" ").startswith(_FORMULA_STARTS) else value
