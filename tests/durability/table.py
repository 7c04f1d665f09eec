"""The table of cases in ``docs/durability.md``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.conftest import ROOT
from tests.durability.cases import TITLES, Case

PAGE = ROOT / "docs" / "durability.md"
BEGIN, END = "<!-- crashes: made by make test-durability -->", "<!-- /crashes -->"


def make(cases: Sequence[Case], outcome: Callable[[str, Case], str], airflows: Sequence[str]) -> str:
    """Write the table.

    :param outcome: tells how a case has ended on a version of Airflow.
    """
    lines = [
        f"| What happens | To | {' | '.join(f'Airflow {airflow}' for airflow in airflows)} |",
        "|---|---|" + "---|" * len(airflows),
    ]
    text = None
    for case in cases:
        first = case.event.text if case.event.text != text else ""
        text = case.event.text
        ends = " | ".join(outcome(airflow, case) for airflow in airflows)
        lines.append(f"| {first} | {TITLES[case.variant]} | {ends} |")
    return "\n".join(lines)


def read() -> str:
    """Read the table that stands there."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()


def write(table: str) -> None:
    """Put a table there."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
