"""Objects from the API's JSON, whole, minimal and damaged."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_provider_toloka.client.models import Operation, Pool, Training
from airflow_provider_toloka.client.parsing import InvalidModelError
from airflow_provider_toloka.client.work import AggregatedSolution, Assignment, Skill, Task


def at(day: int) -> datetime:
    return datetime(2026, 11, day, 7, 50, 14, 210_000, tzinfo=UTC)


def text_at(day: int) -> str:
    return at(day).replace(tzinfo=None).isoformat()


SOLUTION = {"output_values": {"result": "cat"}}
TASK = {"id": "t1", "input_values": {"image": "https://example.com/1.jpg"}}

#: By class: the whole JSON, the object, and the fields that it needs.
WHOLE: dict[Any, tuple[dict[str, Any], Any, tuple[str, ...]]] = {
    Task: (
        {**TASK, "pool_id": "7", "known_solutions": [SOLUTION], "overlap": 3, "created": text_at(1)},
        Task(
            id="t1",
            pool_id="7",
            input_values=TASK["input_values"],  # type: ignore[arg-type]
            known_solutions=(SOLUTION,),
            overlap=3,
            created=at(1),
        ),
        ("id", "pool_id"),
    ),
    Assignment: (
        {
            "id": "a1",
            "status": "REJECTED",
            "pool_id": "7",
            "task_suite_id": "s1",
            "user_id": "u1",
            "reward": 0.02,
            "tasks": [TASK],
            "solutions": [SOLUTION],
            "public_comment": "these are cats",
            "created": text_at(1),
            "submitted": text_at(2),
            "accepted": text_at(3),
            "rejected": text_at(4),
            "skipped": text_at(5),
            "expired": text_at(6),
        },
        Assignment(
            id="a1",
            status="REJECTED",
            pool_id="7",
            task_suite_id="s1",
            user_id="u1",
            reward=0.02,
            tasks=(TASK,),
            solutions=(SOLUTION,),
            public_comment="these are cats",
            created=at(1),
            submitted=at(2),
            accepted=at(3),
            rejected=at(4),
            skipped=at(5),
            expired=at(6),
        ),
        ("id", "status"),
    ),
    AggregatedSolution: (
        {"task_id": "t1", "pool_id": "7", "output_values": {"result": "cat"}, "confidence": 0.9},
        AggregatedSolution(task_id="t1", pool_id="7", output_values={"result": "cat"}, confidence=0.9),
        ("task_id",),
    ),
    Skill: (
        {"id": "5", "name": "Knows dogs", "created": text_at(1)},
        Skill(id="5", name="Knows dogs", created=at(1)),
        ("id",),
    ),
    Operation: (
        {
            "id": "op1",
            "type": "POOL.CLOSE",
            "status": "RUNNING",
            "submitted": text_at(1),
            "started": text_at(2),
            "finished": text_at(3),
            "progress": 50.5,
            "parameters": {"pool_id": "7"},
            "details": {"count": 1},
        },
        Operation(
            id="op1",
            type="POOL.CLOSE",
            status="RUNNING",
            submitted=at(1),
            started=at(2),
            finished=at(3),
            progress=50.5,
            parameters={"pool_id": "7"},
            details={"count": 1},
        ),
        ("id", "type", "status"),
    ),
    Training: (
        {
            "id": "8",
            "project_id": "1",
            "status": "CLOSED",
            "private_name": "Exam",
            "created": text_at(1),
            "last_started": text_at(2),
            "last_stopped": text_at(3),
            "last_close_reason": "MANUAL",
        },
        Training(
            id="8",
            project_id="1",
            status="CLOSED",
            private_name="Exam",
            created=at(1),
            last_started=at(2),
            last_stopped=at(3),
            last_close_reason="MANUAL",
        ),
        ("id", "project_id", "status"),
    ),
}
MODELS = list(WHOLE)


@pytest.mark.parametrize("model", MODELS)
def test_every_field_is_read(model: Any) -> None:
    json, expected, _ = WHOLE[model]
    assert model.from_json(json | {"whatever": "comes"}) == expected


@pytest.mark.parametrize("model", MODELS)
def test_only_what_it_needs_has_to_be_there(model: Any) -> None:
    json, expected, needed = WHOLE[model]
    smallest = model.from_json({name: json[name] for name in needed})
    assert [getattr(smallest, name) for name in needed] == [getattr(expected, name) for name in needed]
    for name in json.keys() - set(needed):
        assert not getattr(smallest, name)
        assert model.from_json({one: json[one] for one in needed} | {name: None}) == smallest


@pytest.mark.parametrize("model", MODELS)
def test_a_damaged_field_is_named(model: Any) -> None:
    json, _, needed = WHOLE[model]
    for name in json:
        with pytest.raises(InvalidModelError) as raised:
            model.from_json(json | {name: [3.5]})
        assert raised.value.field == name
    for name in needed:
        with pytest.raises(InvalidModelError) as raised:
            model.from_json({one: json[one] for one in json if one != name})
        assert raised.value.field == name


def test_an_operation_survives_an_xcom() -> None:
    operation = WHOLE[Operation][1]
    assert Operation.from_json(operation.to_json()) == operation


def test_a_pool_is_a_training_that_may_require_one() -> None:
    json, training, _ = WHOLE[Training]
    pool = Pool.from_json(json | {"quality_control": {"training_requirement": {"training_pool_id": "9"}}})
    assert {name: getattr(pool, name) for name in json} == {name: getattr(training, name) for name in json}
    assert pool.training_id == "9"


@pytest.mark.parametrize(
    ("times", "latest"),
    [({}, None), ({"created": at(1)}, 1), ({"last_started": at(2)}, 2), ({"created": at(3), "last_stopped": at(2)}, 3)],
)
def test_the_last_activity_is_the_latest_time(times: dict[str, Any], latest: int | None) -> None:
    pool = Pool(id="7", project_id="1", status="CLOSED", **times)
    assert pool.last_activity == (latest and at(latest))


@pytest.mark.parametrize("solutions", [[SOLUTION, SOLUTION], [SOLUTION] * 3])
def test_answers_that_do_not_fit_their_tasks_are_damaged(solutions: list[Any]) -> None:
    json = {"id": "a1", "status": "SUBMITTED", "tasks": [TASK], "solutions": solutions}
    with pytest.raises(
        InvalidModelError, match=rf"'solutions' should be one answer for each of 1 tasks, but is {len(solutions)}"
    ):
        Assignment.from_json(json)


@pytest.mark.parametrize("value", ["text", {"a": 1}, [1], [{}, "text"]])
def test_lists_of_objects_are_nothing_else(value: Any) -> None:
    with pytest.raises(InvalidModelError, match="'tasks' should be a list of objects, but is"):
        Assignment.from_json({"id": "a1", "status": "SUBMITTED", "tasks": value})
