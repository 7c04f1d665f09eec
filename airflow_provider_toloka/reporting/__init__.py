"""Reports on the projects of an account and their outcomes, log lines, and texts for approvals.

Pure: no HTTP and no Airflow; ``write_report`` loads Airflow's object storage when it is given a URI.
"""

from __future__ import annotations

from airflow_provider_toloka.reporting.markdown import approval_body, approval_subject
from airflow_provider_toloka.reporting.report import Outcome, Report, ReportedProject, RunInfo
from airflow_provider_toloka.reporting.writing import check_report_path, render, why_unusable, write_report

__all__ = [
    "Outcome",
    "Report",
    "ReportedProject",
    "RunInfo",
    "approval_body",
    "approval_subject",
    "check_report_path",
    "render",
    "why_unusable",
    "write_report",
]
