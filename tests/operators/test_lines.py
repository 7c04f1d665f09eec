"""The log lines of the operators that change one object."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.operators._lines import work_of


def operation(type_: str, **parameters: Any) -> Operation:
    return Operation(id="1", type=type_, status="RUNNING", parameters=parameters)


@pytest.mark.parametrize(
    ("operations", "told"),
    [
        ([operation("PROJECT.ARCHIVE", project_id="1")], "archive project 1"),
        (
            [operation("POOL.OPEN", pool_id=2), operation("TRAINING.CLOSE", training_id="3")],
            "open pool 2; close training 3",
        ),
        ([operation("POOL.OPEN")], "POOL.OPEN"),
        ([operation("TASK.BATCH_CREATE"), operation("TASK.BATCH_CREATE", pool_id="2")], "TASK.BATCH_CREATE"),
        ([operation("SOLUTION.AGGREGATE", pool_id="2")], "SOLUTION.AGGREGATE"),
    ],
)
def test_what_operations_do_is_said_without_their_ids(operations: list[Operation], told: str) -> None:
    assert work_of(operations) == told
