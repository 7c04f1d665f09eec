from __future__ import annotations

from typing import Any, Literal

import pytest

from airflow_provider_toloka.emulator import TolokaEmulator
from tests.emulator.conftest import Client, Clock, Connect, error_of

DAY = 24 * 60 * 60


def test_the_whole_way_to_an_archived_project(toloka: TolokaEmulator, client: Client) -> None:
    project = toloka.add_project()["id"]
    training = toloka.add_training(project, status="OPEN")["id"]
    pool = toloka.add_pool(project, status="OPEN", training_id=training)["id"]
    error_of(client.post(f"/projects/{project}/archive"), 409, "UNARCHIVED_POOLS_CONFLICT")
    for kind, row_id in (("pools", pool), ("trainings", training)):
        for action, status in (("close", "CLOSED"), ("archive", "ARCHIVED")):
            answer = client.post(f"/{kind}/{row_id}/{action}")
            assert answer.status_code == 202
            assert answer.json()["type"] == f"{kind[:-1].upper()}.{action.upper()}"
            assert answer.json()["parameters"] == {f"{kind[:-1]}_id": row_id}
            assert client.get(f"/{kind}/{row_id}").json()["status"] == status
        if kind == "pools":
            error_of(client.post(f"/projects/{project}/archive"), 409, "UNARCHIVED_POOLS_CONFLICT")
    answer = client.post(f"/projects/{project}/archive")
    assert answer.status_code == 202
    operation = answer.json()
    now = "2023-11-14T22:13:20"
    expected: dict[str, Any] = {
        "type": "PROJECT.ARCHIVE",
        "status": "SUCCESS",
        "submitted": now,
        "started": now,
        "finished": now,
    }
    expected |= {"progress": 100, "parameters": {"project_id": project}, "details": {}}
    assert operation == {"id": operation["id"], **expected}
    assert client.get(f"/projects/{project}").json()["status"] == "ARCHIVED"


@pytest.mark.parametrize("kind", ["pools", "trainings"])
def test_opening_and_closing_leave_their_times(
    toloka: TolokaEmulator, client: Client, clock: Clock, kind: Literal["pools", "trainings"]
) -> None:
    project = toloka.add_project()["id"]
    row = (toloka.add_pool if kind == "pools" else toloka.add_training)(project)
    toloka.add_tasks(row["id"], [{"image": "https://example.com/1"}])
    assert "last_started" not in row
    client.post(f"/{kind}/{row['id']}/open")
    assert client.get(f"/{kind}/{row['id']}").json()["last_started"] == "2023-11-14T22:13:20"
    clock.advance(60.25)
    client.post(f"/{kind}/{row['id']}/close")
    closed = client.get(f"/{kind}/{row['id']}").json()
    assert closed["last_stopped"] == "2023-11-14T22:14:20.25"
    assert closed["last_close_reason"] == "MANUAL"


@pytest.mark.parametrize(("status", "action"), [("OPEN", "open"), ("CLOSED", "close"), ("ARCHIVED", "archive")])
@pytest.mark.parametrize("kind", ["pools", "trainings"])
def test_nothing_to_do_is_an_empty_answer(
    toloka: TolokaEmulator, client: Client, kind: str, status: str, action: str
) -> None:
    project = toloka.add_project()["id"]
    row = (toloka.add_pool if kind == "pools" else toloka.add_training)(project, status=status)
    answer = client.post(f"/{kind}/{row['id']}/{action}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert toloka.operations == {}


@pytest.mark.parametrize(
    ("status", "action", "needed"),
    [
        ("OPEN", "archive", "CLOSED"),
        ("LOCKED", "archive", "CLOSED"),
        ("ARCHIVED", "open", "CLOSED"),
        ("ARCHIVED", "close", "OPEN"),
        ("LOCKED", "close", "OPEN"),
    ],
)
def test_a_wrong_status_is_a_conflict(
    toloka: TolokaEmulator, client: Client, status: str, action: str, needed: str
) -> None:
    project = toloka.add_project()["id"]
    pool, training = toloka.add_pool(project, status=status), toloka.add_training(project, status=status)
    body = error_of(client.post(f"/pools/{pool['id']}/{action}"), 409, "POOL_INAPPROPRIATE_STATUS")
    assert body["payload"] == {"appropriate_statuses": [needed]}
    body = error_of(client.post(f"/trainings/{training['id']}/{action}"), 409, "INAPPROPRIATE_STATUS")
    assert body["payload"] == {"appropriate_statuses": [needed]}


def test_rejected_assignments_rest_nine_days(toloka: TolokaEmulator, client: Client, clock: Clock) -> None:
    pool = toloka.add_pool(toloka.add_project()["id"], last_rejected=clock.now)["id"]
    clock.advance(9 * DAY - 1)
    error_of(client.post(f"/pools/{pool}/archive"), 409, "THERE_IS_REJECTED_ASSIGNMENT")
    clock.advance(1)
    assert client.post(f"/pools/{pool}/archive").status_code == 202


def test_active_assignments_forbid_archiving(toloka: TolokaEmulator, client: Client) -> None:
    pool = toloka.add_pool(toloka.add_project()["id"], active_assignments=1)["id"]
    error_of(client.post(f"/pools/{pool}/archive"), 409, "THERE_IS_ACTIVE_ASSIGNMENT")


def test_a_training_outlives_the_pools_that_require_it(toloka: TolokaEmulator, client: Client) -> None:
    project, other = toloka.add_project()["id"], toloka.add_project()["id"]
    training = toloka.add_training(project)["id"]
    pool = toloka.add_pool(other, training_id=training)["id"]
    view = client.get(f"/pools/{pool}").json()
    assert view["quality_control"]["training_requirement"]["training_pool_id"] == training
    error_of(client.post(f"/trainings/{training}/archive"), 409, "TRAINING_ARCHIVE_CONFLICT")
    client.post(f"/pools/{pool}/archive")
    assert client.post(f"/trainings/{training}/archive").status_code == 202


@pytest.mark.parametrize("kind", ["pools", "trainings"])
def test_one_operation_at_a_time(clock: Clock, connect: Connect, kind: str) -> None:
    with TolokaEmulator(clock=clock, operation_seconds=10) as toloka:
        client = connect(toloka)
        project = toloka.add_project()["id"]
        row = (toloka.add_pool if kind == "pools" else toloka.add_training)(project)["id"]
        assert client.post(f"/{kind}/{row}/archive").status_code == 202
        error_of(client.post(f"/{kind}/{row}/open"), 409, "POOL_LOCKED_BY_ANOTHER_OPERATION")
        clock.advance(10)
        assert client.post(f"/{kind}/{row}/archive").status_code == 204


def test_a_second_archive_of_a_project(clock: Clock, connect: Connect) -> None:
    with TolokaEmulator(clock=clock, operation_seconds=10) as toloka:
        client, project = connect(toloka), toloka.add_project()["id"]
        assert client.post(f"/projects/{project}/archive").json()["status"] == "PENDING"
        error_of(client.post(f"/projects/{project}/archive"), 409, "OPERATION_ALREADY_EXISTS")
        clock.advance(10)
        assert client.post(f"/projects/{project}/archive").json()["status"] == "SUCCESS"


def test_the_answers_for_an_archived_project(clock: Clock, connect: Connect) -> None:
    with TolokaEmulator(clock=clock, archived_project_answer="409") as toloka:
        project = toloka.add_project(status="ARCHIVED")["id"]
        body = error_of(connect(toloka).post(f"/projects/{project}/archive"), 409, "PROJECT_INAPPROPRIATE_STATUS")
        assert body["payload"] == {"appropriate_statuses": ["ACTIVE"]}
    with TolokaEmulator(clock=clock, archived_project_answer="204") as toloka:
        project = toloka.add_project(status="ARCHIVED")["id"]
        assert connect(toloka).post(f"/projects/{project}/archive").status_code == 204
    with TolokaEmulator(clock=clock, operation_seconds=10) as toloka:
        project = toloka.add_project(status="ARCHIVED")["id"]
        answer = connect(toloka).post(f"/projects/{project}/archive")
        assert (answer.status_code, answer.json()["status"]) == (202, "SUCCESS")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/projects/1", 404, "DOES_NOT_EXIST"),
        ("GET", "/projects/one", 404, "DOES_NOT_EXIST"),
        ("POST", "/projects/1/archive", 404, "DOES_NOT_EXIST"),
        ("POST", "/pools/1/open", 404, "DOES_NOT_EXIST"),
        ("GET", "/operations/57068577e4b0bf7b07a0256f", 404, "DOES_NOT_EXIST"),
        ("GET", "/operations/57068577e4b0bf7b07a0256f/log", 404, "DOES_NOT_EXIST"),
        ("GET", "/projects/", 404, "DOES_NOT_EXIST"),
        ("GET", "/task-suites", 404, "DOES_NOT_EXIST"),
        ("GET", "/../../projects", 404, "DOES_NOT_EXIST"),
        ("POST", "/projects/1/open", 404, "DOES_NOT_EXIST"),
        ("DELETE", "/projects/1", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/projects/1/archive", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/operations", 405, "METHOD_NOT_ALLOWED"),
    ],
)
def test_what_is_not_there(client: Client, method: str, path: str, status: int, code: str) -> None:
    error_of(client.session.request(method, client.url + path, timeout=10), status, code)
