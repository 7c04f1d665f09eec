from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_toloka.client.work import Assignment
from airflow_provider_toloka.labelling.answers import rows_of

ASSIGNMENT: dict[str, Any] = {
    "id": "a1",
    "status": "ACCEPTED",
    "user_id": "u1",
    "pool_id": "2001",
    "task_suite_id": "s1",
    "tasks": [
        {"id": "t1", "input_values": {"image": "x"}},
        {"id": "t2", "input_values": {"image": "y"}, "known_solutions": [{"output_values": {"result": "dog"}}]},
    ],
    "solutions": [{"output_values": {"result": "cat"}}, {"output_values": {"result": "dog"}}],
    "created": "2026-11-01T10:00:00",
    "submitted": "2026-11-01T10:01:00.5",
    "accepted": "2026-11-01T10:02:00",
}


def test_each_task_has_a_row_with_its_own_answer() -> None:
    rows = list(rows_of(Assignment.from_json(ASSIGNMENT)))
    assert [(row["task_id"], row["input"], row["output"], row["golden"]) for row in rows] == [
        ("t1", {"image": "x"}, {"result": "cat"}, None),
        ("t2", {"image": "y"}, {"result": "dog"}, {"result": "dog"}),
    ]
    assert {(row["assignment_id"], row["user_id"], row["pool_id"], row["task_suite_id"]) for row in rows} == {
        ("a1", "u1", "2001", "s1")
    }
    assert rows[0]["submitted"] == "2026-11-01T10:01:00.500000+00:00"
    assert rows[0]["rejected"] is None


def test_golden_tasks_are_left_out_on_request_and_answers_stay_with_their_tasks() -> None:
    first = {**ASSIGNMENT, "tasks": ASSIGNMENT["tasks"][::-1], "solutions": ASSIGNMENT["solutions"][::-1]}
    assert [(row["task_id"], row["output"]) for row in rows_of(Assignment.from_json(first), without_golden=True)] == [
        ("t1", {"result": "cat"})
    ]


@pytest.mark.parametrize("solutions", [None, []])
def test_what_was_not_answered_has_no_output(solutions: object) -> None:
    rows = list(rows_of(Assignment.from_json({**ASSIGNMENT, "status": "SKIPPED", "solutions": solutions})))
    assert [(row["task_id"], row["output"]) for row in rows] == [("t1", None), ("t2", None)]
