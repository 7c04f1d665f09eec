"""Whatever dies, and whenever: at Toloka all ends as it was wanted, and nothing is submitted twice."""

from __future__ import annotations

import pytest

from tests.durability import table
from tests.durability.cases import Case, all_cases
from tests.durability.conftest import AIRFLOWS, Outcomes

INSTALLED = [version for version, programs in AIRFLOWS.items() if (programs / "airflow").exists()]


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.id)
@pytest.mark.parametrize("airflow", INSTALLED)
def test_all_ends_well(airflow: str, case: Case, outcomes: Outcomes) -> None:
    assert outcomes.of(airflow, case)


def test_the_table_in_the_documentation(outcomes: Outcomes) -> None:
    cases = all_cases()
    if not outcomes.are_complete(AIRFLOWS, cases):
        pytest.skip("the table is made of all cases, on all versions of Airflow")
    made = table.make(cases, outcomes.of, list(AIRFLOWS))
    table.CRASHES.write(made)
    assert table.CRASHES.read() == made, "make test-durability WRITE_TABLES=1 writes it anew"
