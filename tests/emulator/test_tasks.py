from __future__ import annotations

import uuid
from typing import Any

import pytest

from airflow_provider_toloka.emulator import TolokaEmulator
from tests.emulator.conftest import Client, Clock, Connect, error_of
from tests.emulator.forms import PROJECT, TRAINING, image, items, make_pool

ASYNC = {"async_mode": "true", "allow_defaults": "true"}


def test_one_task(client: Client) -> None:
    pool = make_pool(client)
    answer = client.post("/tasks", json=items(pool, 1, overlap=5)[0])
    assert answer.status_code == 201
    task = answer.json()
    assert (task["pool_id"], task["input_values"]) == (pool, image(0))
    assert (task["overlap"], task["remaining_overlap"], task["infinite_overlap"]) == (5, 5, False)
    assert task["id"].startswith(f"{int(pool):010x}--")
    assert client.get(f"/tasks/{task['id']}").json() == task
    assert client.get("/tasks", pool_id=pool).json() == {"items": [task], "has_more": False}


def test_several_tasks_at_once(client: Client) -> None:
    pool = make_pool(client)
    sent = items(pool, 3)
    sent[1]["input_values"] = {"note": "too long"}
    body = error_of(client.post("/tasks", json=sent, params={"allow_defaults": "true"}), 400, "VALIDATION_ERROR")
    codes = {field: what["code"] for field, what in body["payload"]["1"].items()}
    assert list(body["payload"]) == ["1"]
    assert codes == {"input_values.image": "VALUE_REQUIRED", "input_values.note": "STRING_LENGTH_GREATER_THAN_MAX"}
    assert client.ids("/tasks", pool_id=pool) == []
    switches = {"allow_defaults": "true", "skip_invalid_items": "true"}
    made = client.post("/tasks", json=sent, params=switches).json()
    assert {place: task["input_values"] for place, task in made["items"].items()} == {"0": image(0), "2": image(2)}
    assert made["validation_errors"].keys() == {"1"}
    assert client.ids("/tasks", pool_id=pool) == [made["items"][place]["id"] for place in ("0", "2")]


def test_overlap_is_the_tasks_own_or_the_pools(client: Client) -> None:
    pool = make_pool(client)
    body = error_of(client.post("/tasks", json=items(pool, 1)), 400, "VALIDATION_ERROR")
    assert body["payload"]["0"]["overlap"]["code"] == "VALUE_REQUIRED"
    known = [{"output_values": {"result": "cat"}}]
    sent = [
        *items(pool, 1),
        *items(pool, 1, overlap=7),
        *items(pool, 1, infinite_overlap=True),
        *items(pool, 1, known_solutions=known),
    ]
    made = client.post("/tasks", json=sent, params={"allow_defaults": "true"}).json()["items"]
    assert [made[str(place)].get("overlap") for place in range(4)] == [2, 7, None, None]
    assert [made[str(place)]["infinite_overlap"] for place in range(4)] == [False, False, True, True]


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"input_values": {"image": "no address"}}, {"input_values.image": "INVALID_URL_SYNTAX"}),
        ({"input_values": {"image": 5}}, {"input_values.image": "STRING_EXPECTED"}),
        ({"input_values": {"image": "https://x.y/", "extra": 1}}, {"input_values.extra": "VALUE_NOT_ALLOWED"}),
        ({"input_values": None}, {"input_values": "VALUE_REQUIRED"}),
        ({"pool_id": "12345"}, {"pool_id": "ENTITY_DOES_NOT_EXIST"}),
        ({"overlap": 30_001}, {"overlap": "VALUE_GREATER_THAN_MAX"}),
        (
            {"known_solutions": [{"output_values": {"result": "bird"}}]},
            {"known_solutions.0.output_values.result": "VALUE_NOT_ALLOWED"},
        ),
        ({"reserved_for": ["a", "a"]}, {"reserved_for": "DUPLICATE_VALUE_IN_ARRAY"}),
    ],
)
def test_what_a_task_has_to_be(client: Client, changes: dict[str, Any], wrong: dict[str, str]) -> None:
    pool = make_pool(client)
    answer = client.post("/tasks", json=items(pool, 1, overlap=1)[0] | changes)
    body = error_of(answer, 400, "VALIDATION_ERROR")
    assert {field: what["code"] for field, what in body["payload"].items()} == wrong


@pytest.mark.parametrize(
    ("spec", "good", "bad", "code"),
    [
        ({"type": "boolean"}, True, "true", "BOOLEAN_EXPECTED"),
        ({"type": "integer", "max_value": 3}, 3, 4, "VALUE_GREATER_THAN_MAX"),
        ({"type": "integer"}, 0, True, "INTEGER_EXPECTED"),
        ({"type": "float", "min_value": 0.5}, 1, 0.4, "VALUE_LESS_THAN_MIN"),
        ({"type": "string", "min_length": 2}, "ab", "a", "STRING_LENGTH_LESS_THAN_MIN"),
        ({"type": "coordinates"}, "53.910236, 27.531110", "here", "INVALID_COORDINATES_SYNTAX"),
        ({"type": "json"}, {"a": [1]}, "text", "JSON_EXPECTED"),
        ({"type": "array_string", "max_size": 2}, ["a"], ["a", "b", "c"], "ARRAY_SIZE_GREATER_THAN_MAX"),
        ({"type": "array_integer", "min_size": 1}, [1], [], "ARRAY_SIZE_LESS_THAN_MIN"),
        ({"type": "array_url"}, ["https://x.y/"], "https://x.y/", "ARRAY_EXPECTED"),
        ({"type": "array_float"}, [0.5], ["x"], "FLOAT_EXPECTED"),
    ],
)
def test_types_of_fields(
    toloka: TolokaEmulator, client: Client, spec: dict[str, Any], good: Any, bad: Any, code: str
) -> None:
    form = PROJECT | {"task_spec": {"input_spec": {"x": spec}, "output_spec": {}}}
    pool = toloka.add_pool(client.post("/projects", json=form).json()["id"])["id"]
    task = {"pool_id": pool, "overlap": 1}
    assert client.post("/tasks", json=task | {"input_values": {"x": good}}).status_code == 201
    body = error_of(client.post("/tasks", json=task | {"input_values": {"x": bad}}), 400, "VALIDATION_ERROR")
    assert body["payload"]["input_values.x"]["code"] == code


def test_tasks_by_an_operation(clock: Clock, connect: Connect) -> None:
    with TolokaEmulator(clock=clock, operation_seconds=10) as toloka:
        client = connect(toloka)
        pool = make_pool(client)
        operation_id = str(uuid.uuid4())
        sent = items(pool, 3, __item_idx="9")
        answer = client.post("/tasks", json=sent, params=ASYNC | {"operation_id": operation_id})
        assert answer.status_code == 201
        operation = answer.json()
        assert (operation["id"], operation["type"]) == (operation_id, "TASK.BATCH_CREATE")
        assert operation["parameters"] == {"allow_defaults": True, "skip_invalid_items": False, "open_pool": False}
        assert (operation["status"], client.ids("/tasks", pool_id=pool)) == ("PENDING", [])
        again = client.post("/tasks", json=sent, params=ASYNC | {"operation_id": operation_id})
        error_of(again, 409, "OPERATION_ALREADY_EXISTS")
        clock.advance(10)
        operation = client.get(f"/operations/{operation_id}").json()
        assert operation["status"] == "SUCCESS"
        counts = {"total_count": 3, "valid_count": 3, "not_valid_count": 0, "success_count": 3, "failed_count": 0}
        assert operation["details"] == counts
        log = client.get(f"/operations/{operation_id}/log").json()
        assert [entry["output"]["task_id"] for entry in log] == client.ids("/tasks", pool_id=pool)
        assert [entry["input"] for entry in log] == sent
        assert {(entry["type"], entry["success"]) for entry in log} == {("TASK_CREATE", True)}
        again = client.post("/tasks", json=sent, params=ASYNC | {"operation_id": operation_id})
        error_of(again, 409, "OPERATION_ALREADY_EXISTS")
        assert len(client.ids("/tasks", pool_id=pool)) == 3


@pytest.mark.parametrize(("skip", "status", "made"), [("false", "FAIL", 0), ("true", "SUCCESS", 1)])
def test_invalid_tasks_in_an_operation(client: Client, skip: str, status: str, made: int) -> None:
    pool = make_pool(client)
    sent = [*items(pool, 1), {"pool_id": pool, "input_values": {}}]
    operation = client.post("/tasks", json=sent, params=ASYNC | {"skip_invalid_items": skip}).json()
    counts = {"total_count": 2, "valid_count": 1, "not_valid_count": 1, "success_count": made, "failed_count": 2 - made}
    assert (operation["status"], operation["details"]) == (status, counts)
    assert len(client.ids("/tasks", pool_id=pool)) == made
    refused = client.get(f"/operations/{operation['id']}/log").json()[-1]
    assert (refused["type"], refused["success"], refused["input"]) == ("TASK_VALIDATE", False, sent[1])
    assert refused["output"]["input_values.image"]["code"] == "VALUE_REQUIRED"


def test_an_operation_of_which_nothing_is_valid_fails(client: Client) -> None:
    pool = make_pool(client)
    sent = [{"pool_id": pool, "input_values": {}}]
    operation = client.post("/tasks", json=sent, params=ASYNC | {"skip_invalid_items": "true"}).json()
    assert (operation["status"], operation["details"]["success_count"]) == ("FAIL", 0)


def test_a_failed_operation_creates_nothing(toloka: TolokaEmulator, client: Client) -> None:
    pool = make_pool(client)
    toloka.fail_next("TASK.BATCH_CREATE", details={"success_count": 0})
    operation = client.post("/tasks", json=items(pool, 2), params=ASYNC).json()
    assert operation["status"] == "FAIL"
    assert client.ids("/tasks", pool_id=pool) == []


def test_tasks_may_open_their_pool(client: Client) -> None:
    pool, other = make_pool(client), make_pool(client)
    operation = client.post("/tasks", json=items(pool, 1), params=ASYNC | {"open_pool": "true"}).json()
    assert client.get(f"/pools/{pool}").json()["status"] == "OPEN"
    log = client.get(f"/operations/{operation['id']}/log").json()
    assert [entry["type"] for entry in log] == ["TASK_CREATE", "POOL_OPEN"]
    client.post("/tasks", json=items(other, 1, overlap=1)[0], params={"open_pool": "true"})
    assert client.get(f"/pools/{other}").json()["status"] == "OPEN"


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ({"async_mode": "1"}, {"async_mode": "BOOLEAN_EXPECTED"}),
        ({"async": "true"}, {"async": "VALUE_NOT_ALLOWED"}),
        ({"async_mode": "true", "operation_id": "mine"}, {"operation_id": "UUID_EXPECTED"}),
    ],
)
def test_parameters_of_creating(client: Client, query: dict[str, str], wrong: dict[str, str]) -> None:
    body = error_of(client.post("/tasks", json=[], params=query), 400, "VALIDATION_ERROR")
    assert {name: what["code"] for name, what in body["payload"].items()} == wrong


def test_limits_of_a_request(client: Client) -> None:
    pool = make_pool(client)
    many = items(pool, 5001)
    error_of(client.post("/tasks", json=many, params={"allow_defaults": "true"}), 413, "PAYLOAD_TOO_LARGE")
    assert client.post("/tasks", json=many, params=ASYNC).json()["status"] == "SUCCESS"
    long = [{"pool_id": pool, "input_values": {"image": f"https://example.com/{'x' * 500_000}"}}] * 2
    assert client.post("/tasks", json=long, params=ASYNC).status_code == 201
    error_of(client.post("/tasks", json=[*long, long[0]], params=ASYNC), 413, "PAYLOAD_TOO_LARGE")
    known = [{"output_values": {"result": "x" * 4_194_305}}]
    answer = client.post("/tasks", json=items(pool, 1, known_solutions=known), params=ASYNC)
    error_of(answer, 413, "PAYLOAD_TOO_LARGE")


def test_lists_of_tasks(toloka: TolokaEmulator, client: Client) -> None:
    pool = toloka.add_pool(toloka.add_project()["id"])["id"]
    body = error_of(client.get("/tasks"), 400, "VALIDATION_ERROR")
    assert body["payload"]["pool_id"]["code"] == "VALUE_REQUIRED"
    made = [task["id"] for task in toloka.add_tasks(pool, map(image, range(5)))]
    once = toloka.add_tasks(pool, [image(9)], overlap=3)[0]["id"]
    assert client.ids("/tasks", pool_id=pool) == [*made, once]
    assert client.ids("/tasks", pool_id=pool, id_gt=made[1], id_lte=made[3]) == made[2:4]
    assert client.ids("/tasks", pool_id=pool, overlap=3) == [once]
    assert client.ids("/tasks", pool_id=pool, overlap_lt=3) == made
    assert client.ids("/tasks", pool_id=pool, sort="-created,-id") == [once, *reversed(made)]
    assert client.ids("/tasks", pool_id="12345") == []


def test_changing_the_overlap(toloka: TolokaEmulator, client: Client) -> None:
    pool = toloka.add_pool(toloka.add_project()["id"])["id"]
    task = toloka.add_tasks(pool, [image(1)], overlap=3, remaining_overlap=1)[0]["id"]
    changed = client.patch(f"/tasks/{task}", json={"overlap": 4}).json()
    assert (changed["overlap"], changed["remaining_overlap"]) == (4, 2)
    error_of(client.patch(f"/tasks/{task}", json={"overlap": 1}), 400, "VALIDATION_ERROR")
    changed = client.patch(f"/tasks/{task}/set-overlap-or-min", json={"overlap": 0}).json()
    assert (changed["overlap"], changed["remaining_overlap"]) == (2, 0)
    changed = client.patch(f"/tasks/{task}", json={"infinite_overlap": True}).json()
    assert changed["infinite_overlap"]
    assert "overlap" not in changed
    changed = client.patch(f"/tasks/{task}", json={"message_on_unknown_solution": "Look again"}).json()
    assert (changed["message_on_unknown_solution"], changed["infinite_overlap"]) == ("Look again", True)
    client.patch(f"/tasks/{task}", json={"overlap": 5}, params={"open_pool": "true"})
    assert client.get(f"/pools/{pool}").json()["status"] == "OPEN"
    error_of(client.patch(f"/tasks/{task}", json={}, params={"open": "true"}), 400, "VALIDATION_ERROR")


def test_tasks_of_a_training(client: Client, toloka: TolokaEmulator) -> None:
    project = toloka.add_project()["id"]
    training = client.post("/trainings", json=TRAINING | {"project_id": project}).json()["id"]
    known = {"known_solutions": [{"output_values": {"result": "cat"}}], "message_on_unknown_solution": "A cat"}
    made = client.post("/tasks", json=items(training, 2, **known), params={"allow_defaults": "true"})
    assert made.status_code == 201
    assert len(client.ids("/tasks", pool_id=training)) == 2
    assert client.post(f"/trainings/{training}/open").status_code == 202


def test_a_free_pool_takes_control_tasks_only(client: Client) -> None:
    pool = make_pool(client, reward_per_assignment=0)
    body = error_of(client.post("/tasks", json=items(pool, 1, overlap=1)[0]), 400, "VALIDATION_ERROR")
    assert list(body["payload"]) == ["known_solutions"]
    known = [{"output_values": {"result": "cat"}}]
    assert client.post("/tasks", json=items(pool, 1, overlap=1, known_solutions=known)[0]).status_code == 201


def test_an_archived_pool_takes_no_tasks(toloka: TolokaEmulator, client: Client) -> None:
    pool = toloka.add_pool(toloka.add_project()["id"], status="ARCHIVED")["id"]
    body = error_of(client.post("/tasks", json=items(pool, 1, overlap=1)[0]), 400, "VALIDATION_ERROR")
    assert list(body["payload"]) == ["pool_id"]
