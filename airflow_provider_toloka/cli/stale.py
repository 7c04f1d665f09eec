"""``stale``: show an account's stale projects, and write reports. Sends read requests only."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from io import TextIOWrapper

from rich.console import Console, Group
from rich.text import Text

from airflow_provider_toloka._arguments import read_id, read_pattern
from airflow_provider_toloka._durations import parse_age
from airflow_provider_toloka._text import shown
from airflow_provider_toloka.archiving.scan import search
from airflow_provider_toloka.archiving.selection import Search, Selection
from airflow_provider_toloka.archiving.survey import survey
from airflow_provider_toloka.cli import terminal
from airflow_provider_toloka.cli.exit_codes import FOUND, NOT_READ, NOT_WRITTEN, OK, REFUSED, WRONG_USE
from airflow_provider_toloka.client import AsyncTolokaClient, Settings
from airflow_provider_toloka.client.resources import PROJECT
from airflow_provider_toloka.exceptions import TolokaAuthenticationError, TolokaError, TolokaPermissionError
from airflow_provider_toloka.reporting import Report, check_report_path, log_lines, render, why_unusable, write_report
from airflow_provider_toloka.reporting.words import counted, flat, holdings

#: A pipe has no width; this one keeps each row on one line.
_PIPE_WIDTH = 160


def run(options: argparse.Namespace) -> int:
    """Run the command, and return its exit code.

    :param options: the parsed command line.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names may not fit the terminal's encoding
    messages = Console(stderr=True, highlight=False)
    try:
        inactive_for = parse_age(options.inactive_for)
        paths, pattern, excluded = _paths(options), _pattern(options), _excluded(options)
        settings = _settings(options, os.environ)
    except ValueError as error:
        return _fail(messages, str(error), WRONG_USE)
    for path in paths:
        if reason := why_unusable(path):
            return _fail(messages, f"Could not write {path}: {reason}", NOT_WRITTEN)
    as_of = datetime.now(UTC)
    selection = Selection(before=as_of - inactive_for, name_pattern=pattern, exclude_project_ids=excluded)
    try:
        report, found = asyncio.run(_read(settings, selection, as_of, messages))
    except TolokaError as error:
        is_refused = isinstance(error, (TolokaAuthenticationError, TolokaPermissionError))
        return _fail(messages, _of_environment(str(error), options), REFUSED if is_refused else NOT_READ)
    except ValueError as error:  # a certificate bundle or a proxy of the environment that cannot be used
        return _fail(messages, str(error), WRONG_USE)
    for line in log_lines.selection_warnings(
        projects=found.active,
        not_matching=found.not_matching,
        name_pattern=pattern,
        excluded=len(found.excluded),
        unknown_exclusions=[id_ for id_ in excluded if id_ not in found.excluded],
        exclusions="--exclude",
    ):
        _say(messages, f"Warning: {line}", "yellow")
    if not _write(report, paths, messages, as_json=options.json):
        return NOT_WRITTEN
    return FOUND if options.exit_code and report.selected else OK


async def _read(settings: Settings, selection: Selection, as_of: datetime, messages: Console) -> tuple[Report, Search]:
    with terminal.progress(messages) as progress:
        task = progress.add_task("Reading the account", total=None, told="")

        def on_page(found: Search) -> None:
            told = f"{counted(found.active, 'project')}, {counted(client.requests_sent, 'request')}"
            progress.update(task, told=told)

        async with AsyncTolokaClient(settings) as client:
            requester = await client.get_requester()
            found = await search(client, selection, keep_others=True, on_page=on_page)
    report = Report(
        account=requester.name,
        account_id=requester.id,
        environment=settings.environment if settings.environment != "custom" else settings.site,
        as_of=as_of,
        before=selection.before,
        created=datetime.now(UTC),
        dry_run=True,
        parameters={
            "name_pattern": selection.name_pattern,
            "exclude_project_ids": ", ".join(selection.exclude_project_ids) or None,
        },
        projects=survey(found, web_page=partial(PROJECT.page_at, settings.site)),
    )
    return report, found


def _write(report: Report, paths: Sequence[str], messages: Console, *, as_json: bool) -> bool:
    """Print a report and write its files; a failure does not prevent the others. Return whether all was written."""
    failures = []
    try:
        if as_json:
            terminal.write(sys.stdout.buffer, render(report, ".json"))
        else:
            out = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
            terminal.write(sys.stdout, terminal.text(out, _shown(report)))
    except OSError as error:
        failures.append(f"Could not write to standard output: {error}")
    for path in paths:
        try:
            where = write_report(report, path)
        except Exception as error:  # noqa: BLE001 - object storages raise exceptions of their own
            failures.append(f"Could not write {path}: {_reason(error)}")
        else:
            _say(messages, f"Report: {where}")
    for failure in failures:
        _fail(messages, failure, NOT_WRITTEN)
    return not failures


def _shown(report: Report) -> Group:
    parts = [Text(log_lines.first_line(report), style="bold"), Text(), terminal.histogram(report)]
    selected = [one for one in report.ordered() if one.is_selected]
    if selected:
        parts.append(terminal.table(report, selected))
    held = holdings(sum(one.pools for one in selected), sum(one.trainings for one in selected))
    is_one = len(selected) == 1
    last = (
        f"{counted(len(selected), 'project')} {'is' if is_one else 'are'} stale{f', with {held}' if held else ''}; "
        "nothing was changed"
    )
    return Group(*parts, Text(last))


def _settings(options: argparse.Namespace, environment: Mapping[str, str]) -> Settings:
    if options.conn_id:
        return _settings_of_connection(options.conn_id)
    token = environment.get("TOLOKA_TOKEN", "")
    if not token.strip():
        raise ValueError("Set TOLOKA_TOKEN to an API token, or name an Airflow connection with --conn-id.")
    try:
        return Settings.from_connection(
            password=token,
            host=environment.get("TOLOKA_URL") or None,
            extra={"environment": options.environment or "production"},
        )
    except ValueError as error:
        raise ValueError(_of_environment(str(error), options)) from None


def _of_environment(message: str, options: argparse.Namespace) -> str:
    """Return an error's message with the names of environment variables instead of connection fields."""
    if options.conn_id:
        return message
    for field, variable in (("API token", "TOLOKA_TOKEN"), ("host", "TOLOKA_URL")):
        message = re.sub(rf"[Tt]he connection's {field}", variable, message)
    return message


def _settings_of_connection(conn_id: str) -> Settings:
    # Imported here: everything else works without Airflow's database and configuration.
    from airflow_provider_toloka.hooks.toloka import TolokaHook

    try:
        return TolokaHook(conn_id).api.settings
    except ValueError:  # the connection's settings; the message says which
        raise
    except Exception as error:  # noqa: BLE001 - Airflow's database and secrets backends raise exceptions of their own
        raise ValueError(f"Could not read the Airflow connection {conn_id!r}: {_reason(error)}") from None


def _paths(options: argparse.Namespace) -> list[str]:
    paths = []
    for name in ("html", "csv"):
        path = getattr(options, name)
        if path is None:
            continue
        if check_report_path(path) != f".{name}":
            raise ValueError(f"--{name} should name a file that ends with .{name}, but is {path!r}.")
        paths.append(path)
    return paths


def _pattern(options: argparse.Namespace) -> str | None:
    pattern = options.name_pattern
    if pattern is None:
        return None
    if not pattern.strip():
        raise ValueError(f"--name-pattern is empty ({shown(pattern)}). To list projects of any name, leave it out.")
    return read_pattern("--name-pattern", pattern)


def _excluded(options: argparse.Namespace) -> list[str]:
    ids = []
    for value in options.exclude:
        try:
            ids.append(read_id(PROJECT, value))
        except ValueError:
            told = f"--exclude should be the id of a project, or the address of its page, but is {shown(value)}."
            raise ValueError(told) from None
    return ids


def _reason(error: Exception) -> str:
    return flat(str(error)) or type(error).__name__


def _say(messages: Console, line: str, style: str = "") -> None:
    with contextlib.suppress(OSError):  # nobody is left to tell
        terminal.write(messages.file, terminal.text(messages, Text(line, style=style), soft_wrap=True))


def _fail(messages: Console, reason: str, code: int) -> int:
    _say(messages, f"Error: {reason}", "red")
    return code
