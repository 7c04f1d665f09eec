"""Render a report, and the subject and body of an approval, as Markdown with escaped names. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from airflow_provider_toloka._text import one_line
from airflow_provider_toloka.reporting.facts import account_of, facts, title_of, web_address
from airflow_provider_toloka.reporting.report import Outcome, Report, ReportedProject, days
from airflow_provider_toloka.reporting.words import age, counted, date, flat, holdings, moment

#: The number of rows for an approver; the rest is in the report.
APPROVAL_ROWS = 30
_NO_RETURN = "An archived project can be read, but not restored."
_ACTIVE_CHARACTERS = re.compile(r"([\\`*_{}\[\]()<>#+\-!|~&$:@])")
_ACTIVE_IN_ADDRESSES = re.compile(r"[\s()<>\[\]|\\\"'`]")


def escaped(text: str) -> str:
    """Escape a text, so that Markdown shows exactly this text on one line, also in a table.

    :param text: any text, such as a project's name.
    """
    return _ACTIVE_CHARACTERS.sub(r"\\\1", one_line(text))


def approval_subject(report: Report) -> str:
    """Return the question for an approver as plain text, with the number, account and environment.

    :param report: what would be archived.
    """
    return f"Archive {counted(len(_asked(report)), 'project')} of {account_of(report)}?"


def approval_body(report: Report, *, most: int = APPROVAL_ROWS, rest: str = "") -> str:
    """Return the text for an approver as Markdown: a table of the projects, the longest idle first.

    :param report: what would be archived.
    :param most: the highest number of rows; default 30.
    :param rest: where all projects are listed, such as an address; default: not shown.
    """
    asked = _asked(report)
    if not asked:
        return f"No project of {escaped(account_of(report))} would be archived."
    held = holdings(sum(one.pools for one in asked), sum(one.trainings for one in asked))
    rule = f" idle for more than {age(report.inactive_for)}" if report.inactive_for else ""
    lines = [
        f"{counted(len(asked), 'project')}{rule}{f', with {held}' if held else ''}. {_NO_RETURN}",
        "",
        *_table(
            ("Id", "Name", "Last used", "Pools"),
            ((_linked(one), escaped(one.name or ""), _day(one.last_activity), _held(one)) for one in asked[:most]),
        ),
    ]
    if len(asked) > most:
        lines += ["", f"and {len(asked) - most:,} more" + (f": see {_place(rest)}" if rest else "") + "."]
    elif rest:
        lines += ["", f"All details: {_place(rest)}."]
    return "\n".join(lines) + "\n"


def markdown(report: Report) -> str:
    """Return the whole report as a Markdown page.

    :param report: the report.
    """
    lines = [f"# {escaped(title_of(report))}", ""]
    lines += [f"- {escaped(name)}: {escaped(value)}" for name, value in facts(report)]
    for outcome, count in report.counts.items():
        label = outcome.label
        lines += ["", f"## {label[0].upper()}{label[1:]}: {counted(count, 'project')}", ""]
        projects = [one for one in report.ordered() if one.outcome is outcome]
        lines += _table(
            ("Id", "Name", "Last used", "Idle days", "Pools", "Why", "What to do", "Finished", "Operation", "Try"),
            (_row(report, one) for one in projects),
        )
    return "\n".join(lines) + "\n"


def _asked(report: Report) -> list[ReportedProject]:
    return [one for one in report.ordered() if one.outcome is Outcome.WOULD_ARCHIVE]


def _row(report: Report, project: ReportedProject) -> Sequence[str]:
    idle = project.idle(report.as_of)
    reason = flat(project.reason)
    if project.postponed_until:
        reason = f"until {date(project.postponed_until)}" + (f": {reason}" if reason else "")
    return (
        _linked(project),
        escaped(project.name or ""),
        _day(project.last_activity),
        "" if idle is None else f"{days(idle):.0f}",
        _held(project),
        escaped(reason),
        escaped(flat(project.remedy)),
        escaped(moment(project.finished)) if project.finished else "",
        escaped(project.operation_id or ""),
        "" if project.try_number is None else str(project.try_number),
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


def _linked(project: ReportedProject) -> str:
    return f"[{escaped(project.id)}]({_address(project.url)})" if web_address(project.url) else escaped(project.id)


def _address(url: str | None) -> str:
    return _ACTIVE_IN_ADDRESSES.sub(lambda found: f"%{ord(found[0]):02X}", url or "")


def _place(rest: str) -> str:
    return f"[the report]({_address(rest)})" if web_address(rest) else escaped(rest)


def _day(time: datetime | None) -> str:
    return date(time) if time else "not known"


def _held(project: ReportedProject) -> str:
    return holdings(project.pools, project.trainings) or "0"
