"""The general facts of a report, for every format. Pure; all texts are plain, and have to be escaped."""

from __future__ import annotations

from airflow_provider_toloka._text import one_line
from airflow_provider_toloka.reporting.report import Report
from airflow_provider_toloka.reporting.words import age, flat, moment


def facts(report: Report) -> list[tuple[str, str]]:
    """Return the general facts of a report as plain text: names and values.

    :param report: the report.
    """
    run = report.run
    told: list[tuple[str, object]] = [
        ("Account", " ".join(filter(None, (report.account, f"({report.account_id})" if report.account_id else "")))),
        ("Environment", report.environment),
        ("Ended with an error", flat(report.error)),
        ("Mode", "preview: nothing was changed" if report.dry_run else ""),
        ("Stale when idle since before", moment(report.before) if report.before else ""),
        ("Threshold", age(report.inactive_for) if report.inactive_for else ""),
        ("Reference time", moment(report.as_of)),
        ("Report created", moment(report.created)),
    ]
    if run:
        index = run.map_index is not None and run.map_index >= 0
        told += [
            ("DAG run", f"{run.dag_id}, {run.run_id}"),
            ("Task", run.task_id + (f" [{run.map_index}]" if index else "")),
            ("Tries", run.try_number or ""),
            ("Triggered by", run.triggered_by or ""),
            ("Approved by", run.approved_by or ""),
        ]
    told += [(f"Parameter {name}", "not set" if value is None else value) for name, value in report.parameters.items()]
    return [(name, str(value)) for name, value in told if value not in ("", None)]


def title_of(report: Report) -> str:
    """Return the report's title, as plain text.

    :param report: the report.
    """
    return f"{'Preview: stale' if report.dry_run else 'Stale'} projects of {account_of(report)}"


def account_of(report: Report) -> str:
    """Return the account and its environment, such as ``account 'Acme' (production)``.

    :param report: the report.
    """
    name = one_line(report.account) if report.account else report.account_id
    return f"account '{name}' ({report.environment})" if name else f"an account ({report.environment})"


def web_address(url: str | None) -> str:
    """Return an address if it is a web address, else an empty text: reports link to web pages only.

    :param url: an address; None: none.
    """
    return url if url and url.startswith(("https://", "http://")) else ""
