"""Airflow on several machines: whatever is busy, slow or away, each object is archived once, and nothing is lost."""

from __future__ import annotations

import pytest

from tests.distributed import conftest
from tests.distributed.conftest import Results
from tests.distributed.scene import Case
from tests.tables import Table

TABLE = Table("docs/distributed.md", "cluster", "test-distributed")
FAILED = "**failed**"


@pytest.mark.parametrize("case", conftest.CASES, ids=lambda case: case.name)
def test_all_ends_well(case: Case, results: Results) -> None:
    assert results.of(case)


def test_the_table_in_the_documentation(results: Results) -> None:
    if not results.are_complete():
        pytest.skip("the table is made of all cases")
    made = ["| What happens | How it ended |", "|---|---|"]
    made += [f"| {case.text} | {_outcome(results, case)} |" for case in conftest.ALL]
    TABLE.write("\n".join(made))
    written = TABLE.read().splitlines()
    assert not any(FAILED in line for line in written)
    # What was measured differs from run to run.
    assert [line.split("|")[1] for line in written] == [line.split("|")[1] for line in made]


def _outcome(results: Results, case: Case) -> str:
    try:
        return results.of(case)
    except Exception as error:  # noqa: BLE001 - whatever it is, it stands in the table
        return f"{FAILED}: {str(error).partition(chr(10))[0]}"
