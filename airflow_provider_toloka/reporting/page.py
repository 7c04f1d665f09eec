"""Render a report as a self-contained HTML page, which loads nothing and runs only its own script. Pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from functools import cache
from html import escape
from importlib.resources import files

from airflow_provider_toloka._text import one_line
from airflow_provider_toloka.reporting.chart import chart
from airflow_provider_toloka.reporting.facts import facts, title_of, web_address
from airflow_provider_toloka.reporting.report import Outcome, Report, ReportedProject, days
from airflow_provider_toloka.reporting.words import counted, date, flat, holdings, moment

#: A sign next to each outcome, for readers without colour.
_SIGNS = {
    Outcome.FAILED: "✗",
    Outcome.SUBMITTED: "…",
    Outcome.POSTPONED: "→",
    Outcome.ARCHIVED: "✓",
    Outcome.WOULD_ARCHIVE: "○",
    Outcome.ALREADY_ARCHIVED: "•",
    Outcome.SKIPPED: "-",
    Outcome.IN_USE: "▶",
}
#: The headers of the table's columns, and whether they contain numbers.
_COLUMNS = (
    ("Outcome", False),
    ("Id", False),
    ("Name", False),
    ("Last used", False),
    ("Idle days", True),
    ("Pools", True),
    ("Trainings", True),
    ("Reason and remedy", False),
    ("Finished (UTC)", False),
)


def page(report: Report) -> str:
    """Return the report as an HTML page.

    :param report: the report.
    """
    style, script = _asset("report.css"), _asset("report.js")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    return "".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n',
            f"<title>{_text(title_of(report))}</title>\n<style>{style}</style>\n</head>\n<body>\n",
            f"<header>\n<h1>{_text(title_of(report))}</h1>\n{_mode(report)}</header>\n<main>\n",
            _summary(report),
            '<section aria-labelledby="idle"><h2 id="idle">Active projects by idle time</h2>\n',
            f"{chart(report)}</section>\n",
            _table(report),
            _facts(report),
            f"</main>\n<script>{script}</script>\n</body>\n</html>\n",
        ]
    )


def _mode(report: Report) -> str:
    told = f"As of {moment(report.as_of)}."
    if report.dry_run:
        told += " A preview: nothing was changed."
    return f"<p>{_text(told)} An archived project can be read, but not restored.</p>\n"


def _summary(report: Report) -> str:
    items = []
    for outcome, count in report.counts.items():
        projects = report.of(outcome)
        held = ""
        if outcome in (Outcome.ARCHIVED, Outcome.WOULD_ARCHIVE):
            held = holdings(sum(one.pools for one in projects), sum(one.trainings for one in projects))
        items.append(
            f'<li class="{outcome}"><b>{count:,}</b> {_outcome(outcome)}'
            + (f"<small>with {held}</small>" if held else "")
            + "</li>"
        )
    return f'<ul class="summary" aria-label="Summary">{"".join(items) or "<li>No project was found.</li>"}</ul>\n'


def _facts(report: Report) -> str:
    items = "".join(f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in facts(report))
    link = web_address(report.run.url) if report.run else ""
    more = f"<p>{_link(link, 'Open the task in Airflow')}</p>" if link else ""
    return f'<section aria-labelledby="about"><h2 id="about">About this report</h2>\n<dl>{items}</dl>{more}</section>\n'


def _table(report: Report) -> str:
    options = "".join(
        f'<option value="{outcome}">{outcome.label} ({count:,})</option>' for outcome, count in report.counts.items()
    )
    columns = _COLUMNS if _has_finished(report) else _COLUMNS[:-1]
    heads = "".join(f'<th scope="col"{" data-number" if is_number else ""}>{name}</th>' for name, is_number in columns)
    total = counted(len(report.projects), "project")
    return (
        '<section aria-labelledby="projects"><h2 id="projects">Projects</h2>\n'
        # The script shows the controls, which do not work without it.
        '<form id="controls" hidden><label>Search <input type="search" id="search"></label> '
        f'<label>Outcome <select id="outcome"><option value="">all</option>{options}</select></label> '
        f'<output id="shown" aria-live="polite">{total}</output></form>\n'
        f'<table id="table"><thead><tr>{heads}</tr></thead>\n<tbody>\n{"".join(_rows(report))}</tbody></table>\n'
        '<p id="more" hidden><button type="button" id="next"></button></p>\n'
        "</section>\n"
    )


def _has_finished(report: Report) -> bool:
    return any(one.finished or one.operation_id for one in report.projects)


def _rows(report: Report) -> Iterator[str]:
    has_finished = _has_finished(report)
    for one in report.ordered():
        idle = one.idle(report.as_of)
        link = web_address(one.url)
        cells = [
            _outcome(one.outcome),
            _link(link, one.id) if link else _text(one.id),
            f"<bdi>{_text(one.name or '')}</bdi>",
            date(one.last_activity) if one.last_activity else "not known",
            "" if idle is None else f"{days(idle):.0f}",
            str(one.pools),
            str(one.trainings),
            _why(one),
            *([_finished(one)] if has_finished else []),
        ]
        yield f'<tr class="{one.outcome}"><td>{"<td>".join(cells)}\n'


def _why(project: ReportedProject) -> str:
    until = f"until {date(project.postponed_until)}" if project.postponed_until else ""
    told = [_text(": ".join(filter(None, (until, flat(project.reason)))))]
    told += [f"<strong>{_text(flat(project.remedy))}</strong>"] if project.remedy else []
    return "<br>".join(filter(None, told))


def _finished(project: ReportedProject) -> str:
    told = [
        moment(project.finished).removesuffix(" UTC") if project.finished else "",
        f"<code>{_text(project.operation_id)}</code>" if project.operation_id else "",
        f"try {project.try_number}" if project.try_number and project.operation_id else "",
    ]
    return "<br>".join(filter(None, told))


def _outcome(outcome: Outcome) -> str:
    return f'<span class="outcome"><span aria-hidden="true">{_SIGNS[outcome]}</span> {outcome.label}</span>'


def _link(address: str, text: str) -> str:
    return f'<a href="{escape(address)}" rel="noopener noreferrer" target="_blank">{_text(text)}</a>'


def _text(text: str) -> str:
    return escape(one_line(text))


@cache
def _asset(name: str) -> str:
    return (files("airflow_provider_toloka.reporting") / "assets" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
