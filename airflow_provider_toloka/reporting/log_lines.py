"""The lines of a task's log: the rule first, one line per project, the outcome last. Pure functions that return text.

Addresses and request ids are in the report, in the result, and in the log at DEBUG only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from airflow_provider_toloka._text import one_line, shown
from airflow_provider_toloka.reporting.report import Outcome, Report, ReportedProject
from airflow_provider_toloka.reporting.words import age, brief, counted, cut, date, duration, holdings

MOST_ROWS = 50
#: From this many rows on, the table is folded into a group of the log.
GROUPED_ROWS = 15
_LONGEST_REASON = 100
_WIDEST_REASON = 60
_NAMED_IDS = 10


def account_line(
    *,
    account: str | None,
    environment: str,
    projects: int,
    selected: int,
    before: datetime | None = None,
    inactive_for: timedelta | None = None,
    name_pattern: str | None = None,
) -> str:
    """Return the first line: the account, and how many projects are selected.

    :param account: the account's name; None: unknown.
    :param environment: such as ``production``.
    :param projects: the number of the account's active projects, or of the requested ones.
    :param selected: how many of them are selected.
    :param before: the time since which they have been idle; default None: activity does not matter.
    :param inactive_for: the same as a duration; default None.
    :param name_pattern: the glob that their names match; default None: all names.
    """
    who = f"Account {shown(account)} ({environment})" if account else f"Account ({environment})"
    if before is None:
        rule = f"{selected:,} selected"
    else:
        rule = f"{selected:,} idle since before {date(before)}" + (f" ({age(inactive_for)})" if inactive_for else "")
    if name_pattern is not None:
        rule += f", with a name that matches {shown(name_pattern)}"
    return f"{who}: {counted(projects, 'project')}, {rule}"


def first_line(report: Report) -> str:
    """Return the first line of a report's log, such as ``Account 'Acme' (production): 40 projects, 13 idle ...``.

    :param report: the report; its entries are the account's projects, and ``name_pattern`` is one of its parameters.
    """
    return account_line(
        account=report.account,
        environment=report.environment,
        projects=sum(1 for project in report.projects if project.outcome is not Outcome.ALREADY_ARCHIVED),
        selected=len(report.selected),
        before=report.before,
        inactive_for=report.inactive_for,
        name_pattern=report.parameters.get("name_pattern"),
    )


def last_line(projects: Iterable[ReportedProject], *, dry_run: bool = False, seconds: float | None = None) -> str:
    """Return the last line: the outcome.

    :param projects: the entries of the task's own projects.
    :param dry_run: whether the task was a preview; default False.
    :param seconds: the duration of the task, shown for a single project; default None.
    """
    by_outcome: dict[Outcome, list[ReportedProject]] = {outcome: [] for outcome in Outcome}
    for project in projects:
        by_outcome[project.outcome].append(project)
    archived = by_outcome[Outcome.ARCHIVED]
    others = [
        *_counted(by_outcome[Outcome.FAILED], "failed"),
        *_counted(by_outcome[Outcome.SUBMITTED], "being archived"),
        *_postponed(by_outcome[Outcome.POSTPONED]),
        *_counted(by_outcome[Outcome.IN_USE], "in use, left alone"),
    ]
    would, already = by_outcome[Outcome.WOULD_ARCHIVE], by_outcome[Outcome.ALREADY_ARCHIVED]
    if dry_run or would:
        return "; ".join([preview_line(would), *others])
    if len(archived) == 1:
        return "; ".join([archived_line(archived[0].id, archived[0].name, seconds=seconds), *others])
    if not archived and not others:
        if len(already) == 1:
            return already_line(already[0].id, already[0].name)
        return f"Archived 0 projects: {f'{len(already):,} are archived already' if already else 'none was selected'}"
    held = holdings(sum(one.pools for one in archived), sum(one.trainings for one in archived))
    told = f"Archived {counted(len(archived), 'project')}" + (f" with {held}" if held else "")
    return "; ".join([told, *others])


def archived_line(project_id: str, name: str | None, *, seconds: float | None = None) -> str:
    """Return the outcome for one project: ``Archived project 1001 'Cats or dogs' in 13 s``.

    :param project_id: the project's id.
    :param name: its name; None: not known.
    :param seconds: the duration; default None: not shown.
    """
    return f"Archived {_project(project_id, name)}" + ("" if seconds is None else f" in {duration(seconds)}")


def already_line(project_id: str, name: str | None) -> str:
    """Return the outcome for one project that was archived before this task.

    :param project_id: the project's id.
    :param name: its name; None: not known.
    """
    told = _project(project_id, name)
    return f"{told[0].upper()}{told[1:]} is archived already"


def preview_line(projects: Collection[ReportedProject]) -> str:
    """Return the outcome of a preview: ``DRY RUN: 13 projects would be archived, with ...; nothing was changed``.

    :param projects: the projects that would be archived.
    """
    held = holdings(sum(one.pools for one in projects), sum(one.trainings for one in projects))
    return (
        f"DRY RUN: {counted(len(projects), 'project')} would be archived{f', with {held}' if held else ''}; "
        "nothing was changed"
    )


def progress_line(*, done: int, total: int, failed: int = 0, seconds_left: float | None = None) -> str:
    """Return the progress of a batch, over all deferrals: ``Archived 11 of 25 projects; 1 failed; about 40 s left``.

    :param done: the number of archived projects.
    :param total: the number of selected projects.
    :param failed: the number of failed projects; default 0.
    :param seconds_left: an estimate; default None: unknown.
    """
    told = [f"Archived {done:,} of {counted(total, 'project')}"]
    if failed:
        told.append(f"{failed:,} failed")
    if seconds_left is not None:
        told.append(f"about {duration(seconds_left)} left")
    return "; ".join(told)


def rows(
    projects: Iterable[ReportedProject], *, most: int = MOST_ROWS, rest: str = "the report", has_title: bool = False
) -> list[str]:
    """Return one line per project: id, outcome, reason, and the name last, because it may be truncated.

    :param projects: the entries, in the order of the lines.
    :param most: the highest number of rows; default 50.
    :param rest: where to find the other rows, for the last line; default ``the report``.
    :param has_title: whether a title above the lines names their outcome; default False.
    """
    every = list(projects)
    shown_ones = every[:most]
    table = [(one.id, _what(one, has_title=has_title), _reason(one)) for one in shown_ones]
    widths = [max((len(row[column]) for row in table), default=0) for column in range(3)]
    # A long reason must not push all names out of view.
    widths[2] = min(widths[2], _WIDEST_REASON)
    lines = []
    for one, cells in zip(shown_ones, table, strict=True):
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True) if width]
        lines.append("  ".join([*padded, cut(one.name or "")]).rstrip())
    if len(every) > most:
        lines.append(f"and {len(every) - most:,} more: see {rest}")
    return lines


def grouped(title: str, lines: Sequence[str], *, at_least: int = GROUPED_ROWS) -> list[str]:
    """Return lines below a title, folded into a group of Airflow's log when there are many.

    :param title: the title.
    :param lines: the lines.
    :param at_least: from how many lines on they are folded; default 15.
    """
    if len(lines) < at_least:
        return [title, *lines]
    return [f"::group::{title}", *lines, "::endgroup::"]


def failure(projects: Sequence[ReportedProject], *, of: int, most: int = MOST_ROWS, rest: str = "the report") -> str:
    """Return the message of a task that could not archive some projects; each remedy is shown once, on its own line.

    :param projects: the failed projects.
    :param of: the number of selected projects.
    :param most: the highest number of rows; default 50.
    :param rest: where to find the other rows; default ``the report``.
    """
    lines = [f"{len(projects):,} of {counted(of, 'project')} could not be archived:"]
    lines += [f"  {row}" for row in rows(projects, most=most, rest=rest)]
    lines += [f"  {line}" for line in dict.fromkeys(brief(one.remedy) for one in projects if one.remedy)]
    lines.append("Fix the causes and clear the task; archived projects are not touched again.")
    return "\n".join(lines)


def selection_warnings(
    *,
    projects: int,
    not_matching: int = 0,
    name_pattern: str | None = None,
    excluded: int = 0,
    unknown_exclusions: Sequence[str] = (),
    exclusions: str = "exclude_project_ids",
    is_listed: bool = False,
) -> list[str]:
    """Return warnings about a name pattern without matches, and about exclusions without effect.

    :param projects: the number of the account's active projects.
    :param not_matching: how many of them do not match the pattern; default 0.
    :param name_pattern: the pattern; default None: no pattern.
    :param excluded: how many were excluded by id before; default 0.
    :param unknown_exclusions: the excluded ids that exclude nothing; default: none.
    :param exclusions: what the user calls the excluded ids; default ``exclude_project_ids``.
    :param is_listed: whether projects are selected from a list of ids; default False.
    """
    warnings = []
    if name_pattern is not None and not_matching and not_matching + excluded >= projects:
        do_not = "does not" if not_matching == 1 else "do not"
        others = f", {excluded:,} {'is' if excluded == 1 else 'are'} excluded" if excluded else ""
        warnings.append(
            f"0 of {counted(projects, 'project')}: {not_matching:,} {do_not} match {shown(name_pattern)} "
            f"(a glob, case-sensitive){others}"
        )
    if unknown_exclusions:
        named = ", ".join(unknown_exclusions[:_NAMED_IDS])
        more = len(unknown_exclusions) - _NAMED_IDS
        is_one = len(unknown_exclusions) == 1
        what = "is not an active project" if is_one else "are not active projects"
        where = f"{'is' if is_one else 'are'} not in project_ids" if is_listed else f"{what} of this account"
        warnings.append(f"{exclusions}: {named}{f' and {more:,} more' if more > 0 else ''} {where}")
    return warnings


def _counted(projects: Sequence[ReportedProject], what: str) -> list[str]:
    return [f"{len(projects):,} {what}"] if projects else []


def _postponed(projects: Sequence[ReportedProject]) -> list[str]:
    if not projects:
        return []
    dates = sorted({date(one.postponed_until) for one in projects if one.postponed_until})
    until = f" to {dates[0]}" if len(dates) == 1 else f", the first to {dates[0]}" if dates else ""
    return [f"{len(projects):,} postponed{until}"]


def _what(project: ReportedProject, *, has_title: bool) -> str:
    if project.outcome is Outcome.POSTPONED and project.postponed_until:
        return f"{'' if has_title else 'postponed '}to {date(project.postponed_until)}"
    return "" if has_title else project.outcome.label


def _reason(project: ReportedProject) -> str:
    told = cut(brief(project.reason), _LONGEST_REASON)
    return "" if told == project.outcome.label else told


def _project(project_id: str, name: str | None) -> str:
    return f"project {one_line(project_id)}" + (f" {shown(cut(name))}" if name else "")
