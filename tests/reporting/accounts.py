"""Made-up reports for the tests of this folder."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_toloka.reporting import Outcome, Report, ReportedProject, RunInfo

NOW = datetime(2026, 11, 25, 10, tzinfo=UTC)
NASTY = (
    '<script>alert(1)</script> *stars* _lines_ [text](http://example.com) `code` a|b & "quotes" ~x~\n# head \\ \u202e'
)


def project(
    project_id: str = "1001", outcome: Outcome = Outcome.ARCHIVED, *, idle: float | None = 200, **more: Any
) -> ReportedProject:
    given: dict[str, Any] = {
        "name": f"Project {project_id}",
        "last_activity": None if idle is None else NOW - timedelta(days=idle),
        "url": f"https://platform.toloka.ai/requester/project/{project_id}",
    }
    return ReportedProject(id=project_id, outcome=outcome, **given | more)


def report(*projects: ReportedProject, **more: Any) -> Report:
    given: dict[str, Any] = {
        "environment": "production",
        "account": "Acme",
        "account_id": "77",
        "as_of": NOW,
        "created": NOW,
        "before": NOW - timedelta(days=180),
        "parameters": {"pools": "archive_closed", "name_pattern": None},
        "run": RunInfo(
            dag_id="cleanup",
            run_id="manual__2026-11-25",
            task_id="archive",
            try_number=2,
            url="https://airflow.example.com/dags/cleanup",
            triggered_by="the on-call engineer",
            approved_by="the head of data",
        ),
    }
    return Report(projects=projects, **given | more)
