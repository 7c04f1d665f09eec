"""Render a report as CSV: one row per project, safe to open in a spreadsheet. Pure."""

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
#: Spreadsheets treat cells that start with one of these, also in full-width form, as formulas.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20", "|", "%")


def csv_table(report: Report) -> str:
    """Return the report as CSV with a header line; lines end with CR LF (RFC 4180).

    Text that a spreadsheet would treat as a formula is prefixed with an apostrophe.

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
