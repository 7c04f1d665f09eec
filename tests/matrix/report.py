"""Report the wheel's results on each Airflow and Python: ``python -m tests.matrix.report``, after nox."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.tables import Table

MATRIX = Table("README.md", "versions", "test-matrix")
ROWS = {"lowest": "the lowest version of each dependency", "newest": "the newest of all, pre-releases too"}
MAY_FAIL = "newest"


@dataclass(frozen=True)
class Pair:
    """One Airflow on one Python, and how it went."""

    airflow: str
    python: str
    outcome: str
    seconds: float

    @classmethod
    def from_nox(cls, session: dict[str, Any]) -> Pair:
        """Read a session of nox's report; its name is "airflow-3.3.2-python-3.13"."""
        _, airflow, _, python = session["name"].split("-")
        outcome = {"success": "passed", "skipped": f"not run: no Python {python}"}.get(session["result"], "failed")
        return cls(airflow, python, outcome, session["duration"])

    @property
    def is_bad(self) -> bool:
        """Whether something has to be fixed."""
        return self.outcome == "failed" and self.airflow != MAY_FAIL

    def __str__(self) -> str:
        allowed = ", as it may" if self.outcome == "failed" and not self.is_bad else ""
        return f"Airflow {self.airflow}, Python {self.python}: {self.outcome}{allowed} ({self.seconds:.0f} s)"


def table(pairs: Iterable[Pair]) -> str:
    """Return the README's table: a row for each Airflow, a column for each Python."""
    outcomes = {(pair.airflow, pair.python): pair.outcome for pair in pairs}
    airflows = list(dict.fromkeys(airflow for airflow, _ in outcomes))
    pythons = sorted({python for _, python in outcomes})
    lines = [["Airflow", *(f"Python {python}" for python in pythons)], ["---"] * (len(pythons) + 1)]
    lines += [
        [ROWS.get(airflow, airflow), *(outcomes.get((airflow, python), "") for python in pythons)]
        for airflow in airflows
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main(report: Path) -> int:
    """Report the results; with ``WRITE_TABLES=1``, write the README's table.

    :param report: the file that ``nox --report`` has written.
    :returns: the exit status; 0: nothing has to be fixed.
    """
    pairs = [Pair.from_nox(session) for session in json.loads(report.read_text())["sessions"]]
    print("", "The wheel:", *pairs, sep="\n")
    MATRIX.write(table(pairs))
    return int(any(pair.is_bad for pair in pairs))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
