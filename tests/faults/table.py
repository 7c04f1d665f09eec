"""The table of what came of each fault, in ``docs/durability.md``."""

from __future__ import annotations

from collections.abc import Mapping

from tests.faults.catalog import FAULTS
from tests.tables import Table

FAULTS_MET = Table("docs/durability.md", "faults", "test-faults")

#: By heading, the columns of its measurements.
HEADINGS: dict[str, tuple[str, ...]] = {
    "hook reads": ("hook, a read", "async hook, a read"),
    "hook changes": ("hook, a change", "async hook, a change"),
    "operator": ("operator", "deferrable operator"),
    "sensor, trigger": ("sensor", "deferrable sensor", "trigger"),
    "hook or operator, and it stays": ("hook, a read, it stays", "async hook, a read, it stays", "operator, it stays"),
    "a wait, and it stays": (
        "deferrable operator, it stays",
        "sensor, it stays",
        "deferrable sensor, it stays",
        "trigger, it stays",
    ),
}


def render(outcomes: Mapping[tuple[str, str], str]) -> str:
    """Write the table.

    :param outcomes: in a few words, by column and fault.
    """
    lines = []
    group = None
    for fault in FAULTS:
        if fault.group != group:
            group = fault.group
            lines += ["", f"### {group}", "", f"| | {' | '.join(HEADINGS)} |", f"|---|{'---|' * len(HEADINGS)}"]
        cells = [
            _cell({column: outcomes[column, fault.name] for column in columns if (column, fault.name) in outcomes})
            for columns in HEADINGS.values()
        ]
        lines.append(f"| {fault.name} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _cell(told: Mapping[str, str]) -> str:
    different = set(told.values())
    if len(different) <= 1:
        return next(iter(different), "-")
    return "; ".join(f"{column.removesuffix(', it stays').split(',')[0]}: {what}" for column, what in told.items())


def differences(outcomes: Mapping[tuple[str, str], str]) -> list[str]:
    """Return the differences from the page."""
    there = set(FAULTS_MET.read().splitlines())
    return [line for line in render(outcomes).splitlines() if line not in there]
