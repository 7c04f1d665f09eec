"""Output of the command line: a progress bar, the histogram of idle time, the table of projects."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import IO, Any, AnyStr

from rich import box
from rich.console import Console, ConsoleRenderable, Group
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from airflow_provider_toloka._text import one_line
from airflow_provider_toloka.reporting import Report, ReportedProject
from airflow_provider_toloka.reporting.histogram import idle_time
from airflow_provider_toloka.reporting.report import days
from airflow_provider_toloka.reporting.words import age, counted, cut, date, holdings

MOST_ROWS = 50
_MOST_BARS = 14
_BAR_WIDTH = 40


def text(console: Console, shown: ConsoleRenderable, **options: Any) -> str:
    """Return what a console would print.

    :param console: knows the width and the colors.
    :param shown: what to print.
    :param options: the options of ``Console.print``.
    """
    with console.capture() as captured:
        console.print(shown, **options)
    return captured.get()


def write(stream: IO[AnyStr], content: AnyStr) -> None:
    """Write to standard output or standard error; discard the rest when the reader, such as ``head``, has exited.

    :param stream: where to write.
    :param content: a text or bytes.
    :raises OSError: another failure, such as a full disk.
    """
    try:
        stream.write(content)
        stream.flush()
    except OSError as error:
        # Python flushes the stream once more at its exit, and would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if not isinstance(error, BrokenPipeError):
            raise


def progress(console: Console) -> Progress:
    """Return a progress bar, which disappears at the end; without a terminal, it shows nothing.

    :param console: where to draw it.
    """
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[told]}"),
        TimeElapsedColumn(),
        # A disabled bar of rich 13 prints an empty line at its end.
        console=console if console.is_terminal else Console(quiet=True),
        transient=True,
        disable=not console.is_terminal,
    )


def histogram(report: Report) -> ConsoleRenderable:
    """Return the account's active projects by idle time, with a line at the threshold.

    :param report: the report.
    """
    drawn = idle_time(report, most_bars=_MOST_BARS)
    if not drawn.highest:
        return Text("No active project with a known activity.")
    label_width = max(len(bar.label) for bar in drawn.bars)
    lines: list[Text] = [Text("Days without activity", style="bold")]
    for place, bar in enumerate(drawn.bars):
        if place == drawn.threshold and report.inactive_for:
            lines.append(Text(f"{'stale':>{label_width}} ┝{'━' * 10} idle for {age(report.inactive_for)} or more"))
        selected, left_alone = _blocks(bar.selected, drawn.highest), _blocks(bar.left_alone, drawn.highest)
        line = Text(f"{bar.label:>{label_width}} │")
        line.append("▒" * selected, style="dark_orange3").append("█" * left_alone, style="grey62")
        lines.append(line.append(f" {bar.count:,}" if bar.count else ""))
    lines.append(Text(f"{'':>{label_width}}  ▒ selected  █ left alone", style="dim"))
    if drawn.unknown:
        lines.append(Text(f"Not drawn: {counted(drawn.unknown, 'project')} without a known activity", style="dim"))
    return Group(*lines)


def table(report: Report, projects: Sequence[ReportedProject], *, most: int = MOST_ROWS) -> ConsoleRenderable:
    """Return the projects as a table, the name last.

    :param report: the report.
    :param projects: the projects to show.
    :param most: the maximum number of rows; default 50.
    """
    drawn = Table(box=box.SIMPLE, pad_edge=False)
    for head in ("Id", "Idle", "Last used", "To archive first", "Name"):
        drawn.add_column(head, no_wrap=head != "Name", justify="right" if head == "Idle" else "left")
    for one in projects[:most]:
        idle = one.idle(report.as_of)
        cells = (
            one.id,
            "not known" if idle is None else f"{days(idle):.0f} d",
            date(one.last_activity) if one.last_activity else "",
            holdings(one.pools, one.trainings),
            cut(one.name or ""),
        )
        # As Text: a name like "[red]" is not markup.
        drawn.add_row(*(Text(one_line(cell)) for cell in cells))
    rest = len(projects) - most
    more = [Text(f"and {rest:,} more: see them all with --html, --csv or --json")] if rest > 0 else []
    return Group(drawn, *more)


def _blocks(count: int, highest: int) -> int:
    return max(1, round(count * _BAR_WIDTH / highest)) if count else 0
