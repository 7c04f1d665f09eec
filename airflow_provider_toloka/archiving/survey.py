"""Convert the result of a search to the entries of a report. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from airflow_provider_toloka.archiving.selection import Candidate, LeftAlone, Search
from airflow_provider_toloka.client.models import ARCHIVED, Project
from airflow_provider_toloka.exceptions import TolokaError
from airflow_provider_toloka.reporting.report import Outcome, ReportedProject


def survey(
    found: Search, *, web_page: Callable[[str], str] | None = None, try_number: int | None = None
) -> tuple[ReportedProject, ...]:
    """Return an entry for each project of a search: those that would be archived, and those that are left alone.

    :param found: a complete search. With ``keep_others=True``, it contains the account's other active projects, too.
    :param web_page: returns the page of a project by its id; default None: no links.
    :param try_number: the task's try; default None.
    """

    def entry(known: Candidate | LeftAlone, outcome: Outcome, reason: str = "") -> ReportedProject:
        project: Project = known.project
        pools, trainings = known.pools, known.trainings
        return ReportedProject(
            id=project.id,
            name=project.public_name,
            outcome=outcome,
            reason=reason,
            last_activity=None if project.status == ARCHIVED else known.last_activity,
            pools=pools if isinstance(pools, int) else len(pools),
            trainings=trainings if isinstance(trainings, int) else len(trainings),
            url=web_page(project.id) if web_page else None,
            try_number=try_number,
        )

    def bare(project_id: str, outcome: Outcome, **why: str) -> ReportedProject:
        url = web_page(project_id) if web_page else None
        return ReportedProject(id=project_id, outcome=outcome, url=url, try_number=try_number, **why)  # type: ignore[arg-type]

    return (
        *(
            entry(one, Outcome.ALREADY_ARCHIVED if one.project.status == ARCHIVED else Outcome.WOULD_ARCHIVE)
            for one in found.found()
        ),
        *(
            entry(one, Outcome.SKIPPED if one.is_left_out or id_ in found.refused else Outcome.IN_USE, one.reason)
            for id_, one in found.left_alone.items()
        ),
        *(
            bare(id_, Outcome.SKIPPED, reason=reason)
            for id_, reason in found.refused.items()
            if id_ not in found.left_alone
        ),
        *(bare(id_, Outcome.FAILED, **why(error, id_)) for id_, error in found.unreadable.items()),
    )


def why(error: TolokaError, project_id: str) -> dict[str, str]:
    """Return the reason, the remedy and the whole message of a project's error, for its entry.

    :param error: the error.
    :param project_id: the project's id, which the reason does not repeat.
    """
    reason = re.sub(rf"^(?:read|archive) project {re.escape(project_id)}: ", "", error.reason)
    return {"reason": reason or str(error), "remedy": error.remedy, "error": str(error)}
