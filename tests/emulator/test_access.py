from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_toloka.emulator import DEFAULT_TOKEN, TolokaEmulator
from tests.emulator.conftest import Client, Clock, Connect, error_of

KEY = "abcdefghijklmnopqrstuv.middle.end"

PROJECT = {
    "public_name": "Cats",
    "task_spec": {"input_spec": {}, "output_spec": {}},
    "assignments_issuing_type": "AUTOMATED",
}
POOL = {
    "private_name": "Main",
    "defaults": {"default_overlap_for_new_task_suites": 1},
    "reward_per_assignment": 0.05,
    "will_expire": "2030-01-01",
    "assignment_max_duration_seconds": 60,
}
TRAINING = {"private_name": "First", "inherited_instructions": True, "training_tasks_in_task_suite_count": 3}


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (f"OAuth {DEFAULT_TOKEN}", 200),
        (f"ApiKey {KEY}", 200),
        (f"OAuth {KEY}", 401),
        (f"ApiKey {DEFAULT_TOKEN}", 401),
        (f"Bearer {DEFAULT_TOKEN}", 401),
        (DEFAULT_TOKEN, 401),
        ("OAuth other", 401),
        ("OAuth short.key.end", 401),
        (None, 401),
    ],
)
def test_who_may_come_in(connect: Connect, header: str | None, status: int) -> None:
    with TolokaEmulator(tokens=(DEFAULT_TOKEN, KEY)) as toloka:
        client = connect(toloka)
        client.session.headers["Authorization"] = header or ""
        if header is None:
            del client.session.headers["Authorization"]
        answer = client.get("/requester")
        assert answer.status_code == status
        if status == 401:
            error_of(answer, 401, "AUTHENTICATION_ERROR")
        else:
            assert set(answer.json()) == {"id", "balance", "public_name", "company"}


def test_too_many_requests_in_a_second(clock: Clock, connect: Connect) -> None:
    with TolokaEmulator(clock=clock, requests_per_second=3) as toloka:
        client = connect(toloka)
        assert [client.get("/requester").status_code for _ in range(3)] == [200] * 3
        answer = client.get("/requester")
        error_of(answer, 429, "TOO_MANY_REQUESTS")
        assert answer.headers["Retry-After"] == "1"
        clock.advance(1)
        assert client.get("/requester").status_code == 200


def test_quotas_of_creating(toloka: TolokaEmulator, client: Client, clock: Clock) -> None:
    for _ in range(150):
        toloka.add_project()
    for minute in range(5):
        assert [client.post("/projects", json=PROJECT).status_code for _ in range(20)] == [201] * 20, minute
        answer = client.post("/projects", json=PROJECT)
        body = error_of(answer, 429, "TOO_MANY_REQUESTS")
        assert body["payload"] == {"interval": "MIN"}
        assert "Retry-After" not in answer.headers
        clock.advance(60)
    body = error_of(client.post("/projects", json=PROJECT), 429, "TOO_MANY_REQUESTS")
    assert body["payload"] == {"interval": "DAY"}
    project = next(iter(toloka.projects))
    assert client.post("/trainings", json=TRAINING | {"project_id": project}).status_code == 201
    clock.advance(24 * 60 * 60)
    assert client.post("/projects", json=PROJECT).status_code == 201


def test_creating(client: Client) -> None:
    answer = client.post("/projects", json=PROJECT | {"private_comment": "mine", "status": "ARCHIVED", "id": "7"})
    assert answer.status_code == 201
    project = answer.json()
    assert (project["status"], project["private_comment"]) == ("ACTIVE", "mine")
    assert project["created"] == "2023-11-14T22:13:20"
    assert client.get(f"/projects/{project['id']}").json() == project
    training = client.post("/trainings", json=TRAINING | {"project_id": project["id"]}).json()
    required = {"training_requirement": {"training_pool_id": training["id"], "training_passing_skill_value": 90}}
    form = POOL | {"project_id": project["id"], "quality_control": required}
    pool = client.post("/pools", json=form).json()
    assert (pool["status"], pool["private_name"]) == ("CLOSED", "Main")
    assert pool["id"] != training["id"]
    error_of(client.post(f"/trainings/{training['id']}/archive"), 409, "TRAINING_ARCHIVE_CONFLICT")


@pytest.mark.parametrize(
    ("path", "form", "wrong"),
    [
        ("/projects", {}, {"public_name", "task_spec", "assignments_issuing_type"}),
        ("/projects", PROJECT | {"public_name": ""}, {"public_name"}),
        ("/projects", PROJECT | {"task_spec": "none", "private_comment": 3}, {"task_spec", "private_comment"}),
        ("/pools", {}, {"project_id", *POOL}),
        ("/pools", POOL | {"project_id": "12345"}, {"project_id"}),
        (
            "/pools",
            POOL | {"project_id": 12345, "reward_per_assignment": True},
            {"project_id", "reward_per_assignment"},
        ),
        ("/trainings", {}, {"project_id", *TRAINING}),
    ],
)
def test_forms_that_lack_something(client: Client, path: str, form: dict[str, Any], wrong: set[str]) -> None:
    body = error_of(client.post(path, json=form), 400, "VALIDATION_ERROR")
    assert set(body["payload"]) == wrong
    assert all(set(what) == {"code", "message"} for what in body["payload"].values())


def test_forms_that_are_none(toloka: TolokaEmulator, client: Client) -> None:
    json_type = {"Content-Type": "application/json"}
    error_of(client.post("/projects", data=b"{", headers=json_type), 400, "VALIDATION_ERROR")
    error_of(client.post("/projects", data=b"[]", headers=json_type), 400, "VALIDATION_ERROR")
    error_of(client.post("/projects", data={"public_name": "x"}), 415, "UNSUPPORTED_MEDIA_TYPE")
    project = toloka.add_project(status="ARCHIVED")["id"]
    answer = client.post("/pools", json=POOL | {"project_id": project})
    error_of(answer, 409, "PROJECT_INAPPROPRIATE_STATUS")


def test_odd_values_do_no_harm(client: Client) -> None:
    for value in ("__import__('os')", "\u0000", "\U0001f600" * 500, "1e3", "²"):
        assert client.get("/projects", id_gt=value).status_code == 400
        assert client.get("/pools", project_id=value).json() == {"items": [], "has_more": False}
    project = client.post("/projects", json=PROJECT | {"public_name": "<b>Кошки</b> {0}"}).json()
    assert project["public_name"] == "<b>Кошки</b> {0}"
    body = POOL | {"project_id": project["id"], "quality_control": {"training_requirement": [1]}}
    error_of(client.post("/pools", json=body), 400, "VALIDATION_ERROR")
