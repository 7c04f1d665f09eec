"""From what a search found on an account to the entries of a report. Pure."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_toloka.archiving.selection import Candidate, Search
from airflow_provider_toloka.client.models import ARCHIVED
from airflow_provider_toloka.reporting.report import Outcome, ReportedProject


def survey(
    found: Search, *, web_page: Callable[[str], str] | None = None, try_number: int | None = None
) -> tuple[ReportedProject, ...]:
    """Return an entry for each project that a search knows: what would be archived, and what is left alone.

    :param found: the search, when all has been read.
    :param web_page: gives the page of a project by its id; default None: no links.
    :param try_number: the task's try; default None.
    """

    def entry(candidate: Candidate) -> ReportedProject:
        project = candidate.project
        is_archived = project.status == ARCHIVED
        return ReportedProject(
            id=project.id,
            name=project.public_name,
            outcome=Outcome.ALREADY_ARCHIVED if is_archived else Outcome.WOULD_ARCHIVE,
            last_activity=None if is_archived else candidate.last_activity,
            pools=len(candidate.pools),
            trainings=len(candidate.trainings),
            url=web_page(project.id) if web_page else None,
            try_number=try_number,
        )

    def other(project_id: str, outcome: Outcome, reason: str) -> ReportedProject:
        url = web_page(project_id) if web_page else None
        return ReportedProject(id=project_id, outcome=outcome, reason=reason, url=url, try_number=try_number)

    return (
        *(entry(candidate) for candidate in found.found()),
        *(other(id_, Outcome.SKIPPED, reason) for id_, reason in found.refused.items()),
        *(other(id_, Outcome.FAILED, reason) for id_, reason in found.missing.items()),
    )
