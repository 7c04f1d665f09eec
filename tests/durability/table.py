"""The table of cases in ``docs/durability.md``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.durability.cases import TITLES, Case
from tests.tables import Table

CRASHES = Table("docs/durability.md", "crashes", "test-durability")


def make(cases: Sequence[Case], outcome: Callable[[str, Case], str], airflows: Sequence[str]) -> str:
    """Write the table.

    :param outcome: returns the result of a case on a version of Airflow.
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
