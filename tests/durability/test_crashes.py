"""Whatever dies, and whenever: at Toloka all ends as it was wanted, and nothing is submitted twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.durability.cases import Case, all_cases
from tests.durability.conftest import AIRFLOWS


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: case.id)
@pytest.mark.parametrize("airflow", AIRFLOWS)
def test_all_ends_well(airflow: str, case: Case, outcome: Callable[[str, Case], str]) -> None:
    assert outcome(airflow, case)
