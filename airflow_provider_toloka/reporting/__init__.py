"""Reports on the projects of an account and their outcomes, log lines, and texts for approvals.

Pure: no HTTP and no Airflow (``write_report`` loads Airflow's object storage when it is given a URI). Use in an
operator::

    from airflow_provider_toloka.reporting import Outcome, Report, ReportedProject, RunInfo, check_report_path
    from airflow_provider_toloka.reporting import log_lines, survey, write_report

    check_report_path(self.report_path)                # before anything is changed: ValueError lists the extensions

    report = Report(
        account=requester.name, account_id=requester.id, environment=settings.environment,
        as_of=as_of, before=selection.before, created=now, dry_run=dry_run,
        parameters={"name_pattern": self.name_pattern, "pools": self.pools},
        run=RunInfo(dag_id=..., run_id=..., task_id=..., try_number=ti.try_number, url=ti.log_url),
        # With search(..., keep_others=True), the report has all active projects of the account.
        projects=survey(found, web_page=partial(PROJECT.page_at, settings.site), try_number=ti.try_number),
    )
    self.log.info(log_lines.first_line(report))        # Account 'Acme' (production): 40 projects, 13 idle since ...

    # When projects have ended:
    report = report.updated([ReportedProject(
        id="1001", outcome=Outcome.ARCHIVED, operation_id=operation.id, finished=operation.finished, try_number=2,
    )])
    # Earlier tries (entries stored as ``[entry.to_json() for entry in report.projects]``):
    report = report.after(ReportedProject.from_json(entry) for entry in kept)

    for line in log_lines.grouped("Failed", log_lines.rows(report.of(Outcome.FAILED))):
        self.log.info(line)
    self.log.info(log_lines.last_line(report.projects))   # Archived 11 projects with 25 pools; 2 postponed to ...
    where = write_report(report, self.report_path)        # a local file, a URI, or an ObjectStoragePath

For an approval: ``approval_subject(report)`` and ``approval_body(report, rest=where)``.
"""

from __future__ import annotations

from airflow_provider_toloka.reporting.collecting import survey
from airflow_provider_toloka.reporting.markdown import approval_body, approval_subject
from airflow_provider_toloka.reporting.report import Outcome, Report, ReportedProject, RunInfo
from airflow_provider_toloka.reporting.writing import check_report_path, render, write_report

__all__ = [
    "Outcome",
    "Report",
    "ReportedProject",
    "RunInfo",
    "approval_body",
    "approval_subject",
    "check_report_path",
    "render",
    "survey",
    "write_report",
]
