"""Clean up a Toloka account once a month, and mail or post the report after success and after failure.

Shows: `report_path`, which is written after success and failure, and other providers' notifiers as callbacks.

Needs: a connection `toloka_default`, a running triggerer, and at least one of
- `apache-airflow-providers-smtp`, a connection `smtp_default`, and the addresses in the variable `toloka_mail_to`;
- `apache-airflow-providers-slack`, and a connection `slackwebhook_default`.
Without them, the DAG sends no notifications. Set `TOLOKA_REPORTS` to a place that the readers can open, such as
`s3://aws_default@bucket/reports`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_toloka.operators.stale import TolokaArchiveStaleProjectsOperator

REPORTS = os.environ.get("TOLOKA_REPORTS", f"{tempfile.gettempdir()}/toloka-reports")

REPORT = "{{ ti.xcom_pull(task_ids=ti.task_id, key='report') or 'not written' }}"
COUNTS = (
    "{% for outcome, projects in (ti.xcom_pull(task_ids=ti.task_id) or {}).items() if projects %}"
    "{{ outcome }}: {{ projects | length }}{{ ', ' if not loop.last }}"
    "{% endfor %}"
)


def notifiers(outcome: str) -> list[Callable[..., Any]]:
    """Return notifiers of a task's outcome, for the installed providers."""
    subject = f"Toloka clean-up {outcome} ({{{{ run_id }}}})"
    found: list[Callable[..., Any]] = []
    try:
        from airflow.providers.smtp.notifications.smtp import SmtpNotifier
    except ImportError:
        pass
    else:
        found.append(
            SmtpNotifier(
                from_email="airflow@example.com",
                to="{{ var.value.get('toloka_mail_to', 'data-team@example.com') }}",
                subject=subject,
                html_content=f"<p>{COUNTS}</p><p>Report: {REPORT}</p>",
            )
        )
    try:
        from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        pass
    else:
        found.append(SlackWebhookNotifier(text=f"{subject}\n{COUNTS}\nReport: {REPORT}"))
    return found


with DAG(
    dag_id="toloka_notify",
    schedule="@monthly",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    params={"preview": Param(True, type="boolean", title="Only preview", description="Only report; change nothing")},
    doc_md=__doc__,
    tags=["toloka"],
) as dag:
    TolokaArchiveStaleProjectsOperator(
        task_id="archive_stale_projects",
        project_ids="all",
        inactive_for=timedelta(days=180),
        preview="{{ params.preview }}",
        report_path=f"{REPORTS}/{{{{ run_id }}}}.html",
        on_conflict="skip",
        deferrable=True,
        retries=2,
        on_success_callback=notifiers("succeeded"),
        on_failure_callback=notifiers("failed"),
    )
