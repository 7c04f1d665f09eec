from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_toloka.emulator import TolokaEmulator
from tests.emulator.conftest import Client, error_of
from tests.emulator.forms import POOL, PROJECT, SPEC, TRAINING


def wrong(answer: Any) -> dict[str, str]:
    body = error_of(answer, 400, "VALIDATION_ERROR")
    return {field: what["code"] for field, what in body["payload"].items()}


def changed(form: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    name, _, rest = path.partition(".")
    return form | {name: changed(form.get(name, {}), rest, value) if rest else value}


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("public_name", None, "VALUE_REQUIRED"),
        ("public_name", " ", "BLANK_STRING_NOT_ALLOWED"),
        ("public_name", 3, "STRING_EXPECTED"),
        ("assignments_issuing_type", "BY_HAND", "UNKNOWN_ENUM_VALUE"),
        ("task_spec", [], "OBJECT_EXPECTED"),
        ("task_spec.output_spec", None, "VALUE_REQUIRED"),
        ("task_spec.input_spec.image", {"required": True}, None),
        ("task_spec.input_spec.image.type", "picture", "UNKNOWN_ENUM_VALUE"),
        ("metadata", ["x"], "OBJECT_EXPECTED"),
        ("max_active_assignments_count", 1.5, "INTEGER_EXPECTED"),
        ("assignments_automerge_enabled", "yes", "BOOLEAN_EXPECTED"),
    ],
)
def test_forms_of_projects(client: Client, path: str, value: Any, code: str | None) -> None:
    found = wrong(client.post("/projects", json=changed(PROJECT, path, value)))
    assert found == ({path: code} if code else {"task_spec.input_spec.image.type": "VALUE_REQUIRED"})


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ("project_id", "12345", "ENTITY_DOES_NOT_EXIST"),
        ("defaults.default_overlap_for_new_task_suites", None, "VALUE_REQUIRED"),
        ("defaults.default_overlap_for_new_task_suites", 0, "VALUE_LESS_THAN_MIN"),
        ("defaults.default_overlap_for_new_tasks", 30_001, "VALUE_GREATER_THAN_MAX"),
        ("reward_per_assignment", "0.05", "FLOAT_EXPECTED"),
        ("reward_per_assignment", 0.004, "VALUE_LESS_THAN_MIN"),
        ("will_expire", "tomorrow", "INVALID_DATE_TIME_SYNTAX"),
        ("will_expire", "2030-01-01T00:00:00Z", "INVALID_DATE_TIME_SYNTAX"),
        ("assignment_max_duration_seconds", 4, "VALUE_LESS_THAN_MIN"),
        ("auto_close_after_complete_delay_seconds", 259_201, "VALUE_GREATER_THAN_MAX"),
        ("auto_accept_period_day", 22, "VALUE_GREATER_THAN_MAX"),
        ("mixer_config.golden_tasks_count", None, "VALUE_REQUIRED"),
        ("mixer_config.real_tasks_count", 501, "VALUE_GREATER_THAN_MAX"),
        ("quality_control.training_requirement.training_passing_skill_value", 101, "VALUE_GREATER_THAN_MAX"),
        ("quality_control.configs", {}, "ARRAY_EXPECTED"),
        ("quality_control.configs", [{"collector_config": {"type": "INCOME"}}], None),
        ("filter", "adults", "OBJECT_EXPECTED"),
        ("priority", 101, "VALUE_GREATER_THAN_MAX"),
    ],
)
def test_forms_of_pools(client: Client, path: str, value: Any, code: str | None) -> None:
    project = client.post("/projects", json=PROJECT).json()["id"]
    training = client.post("/trainings", json=TRAINING | {"project_id": project}).json()["id"]
    form = POOL | {"project_id": project}
    if path.startswith("quality_control.training"):
        form |= {"quality_control": {"training_requirement": {"training_pool_id": training}}}
    found = wrong(client.post("/pools", json=changed(form, path, value)))
    assert found == ({path: code} if code else {"quality_control.configs.0.rules": "VALUE_REQUIRED"})


def test_an_unknown_training_is_refused(client: Client) -> None:
    project = client.post("/projects", json=PROJECT).json()["id"]
    required = {"training_pool_id": "77", "training_passing_skill_value": 80}
    form = POOL | {"project_id": project, "quality_control": {"training_requirement": required}}
    path = "quality_control.training_requirement.training_pool_id"
    assert wrong(client.post("/pools", json=form)) == {path: "ENTITY_DOES_NOT_EXIST"}


def test_all_that_is_wrong_is_told_at_once(client: Client) -> None:
    found = wrong(client.post("/trainings", json={"inherited_instructions": 1, "retry_training_after_days": 0}))
    assert found == {
        "project_id": "VALUE_REQUIRED",
        "private_name": "VALUE_REQUIRED",
        "training_tasks_in_task_suite_count": "VALUE_REQUIRED",
        "inherited_instructions": "BOOLEAN_EXPECTED",
        "retry_training_after_days": "VALUE_LESS_THAN_MIN",
    }


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{", "JSON_EXPECTED"),
        (b"", "NOT_NULL_BODY"),
        (b'{"public_name": NaN}', "JSON_EXPECTED"),
        (b'{"public_name": 1e999}', "JSON_EXPECTED"),
        (b'{"public_name": "\\ud800"}', "JSON_EXPECTED"),
        (b"[]", "OBJECT_EXPECTED"),
        (b"null", "OBJECT_EXPECTED"),
    ],
)
def test_a_body_that_is_no_form(client: Client, body: bytes, code: str) -> None:
    headers = {"Content-Type": "application/json"}
    assert wrong(client.post("/projects", data=body, headers=headers)) == {"body": code}


def test_what_a_form_does_not_know_is_left_out(client: Client) -> None:
    form = PROJECT | {"id": "7", "status": "ARCHIVED", "colour": "red", "metadata": {"airflow": ["key"]}}
    project = client.post("/projects", json=form).json()
    assert project["metadata"] == {"airflow": ["key"]}
    assert project["status"] == "ACTIVE"
    assert project["id"] != "7"
    assert "colour" not in project
    assert project["task_spec"] == SPEC


def test_replacing(toloka: TolokaEmulator, client: Client) -> None:
    project = client.post("/projects", json=PROJECT | {"private_comment": "old"}).json()
    answer = client.put(f"/projects/{project['id']}", json=PROJECT | {"public_name": "Dogs"})
    assert answer.status_code == 200
    assert answer.json() == client.get(f"/projects/{project['id']}").json()
    assert answer.json()["public_name"] == "Dogs"
    assert "private_comment" not in answer.json()
    assert answer.json()["created"] == project["created"]
    assert wrong(client.put(f"/projects/{project['id']}", json={"public_name": "Dogs"})).keys() == {
        "task_spec",
        "assignments_issuing_type",
    }
    pool = toloka.add_pool(project["id"])["id"]
    form = POOL | {"project_id": project["id"]}
    assert client.put(f"/pools/{pool}", json=form).json()["private_name"] == "Main"
    other = toloka.add_project()["id"]
    assert wrong(client.put(f"/pools/{pool}", json=form | {"project_id": other})) == {"project_id": "VALUE_NOT_ALLOWED"}
    training = toloka.add_training(project["id"])["id"]
    form = TRAINING | {"project_id": project["id"]}
    assert client.put(f"/trainings/{training}", json=form).json()["private_name"] == "First"


@pytest.mark.parametrize("status", ["OPEN", "ARCHIVED"])
def test_a_pool_can_be_replaced_while_it_is_closed(toloka: TolokaEmulator, client: Client, status: str) -> None:
    project = toloka.add_project()["id"]
    pool = toloka.add_pool(project, status=status)["id"]
    answer = client.put(f"/pools/{pool}", json=POOL | {"project_id": project})
    error_of(answer, 409, "POOL_INAPPROPRIATE_STATUS")


def test_priority(toloka: TolokaEmulator, client: Client) -> None:
    project = toloka.add_project()["id"]
    pool, archived = toloka.add_pool(project)["id"], toloka.add_pool(project, status="ARCHIVED")["id"]
    assert client.patch(f"/pools/{pool}", json={"priority": 7}).json()["priority"] == 7
    assert wrong(client.patch(f"/pools/{pool}", json={"priority": "high"})) == {"priority": "INTEGER_EXPECTED"}
    error_of(client.patch(f"/pools/{archived}", json={"priority": 7}), 409, "POOL_INAPPROPRIATE_STATUS")


@pytest.mark.parametrize("kind", ["pool", "training"])
def test_cloning(toloka: TolokaEmulator, client: Client, kind: str) -> None:
    project = toloka.add_project()["id"]
    added = (toloka.add_pool if kind == "pool" else toloka.add_training)(project, private_name="First", status="OPEN")
    toloka.add_tasks(added["id"], [{"image": "https://example.com/1"}])
    answer = client.post(f"/{kind}s/{added['id']}/clone")
    assert answer.status_code == 202
    assert answer.json()["parameters"] == {f"{kind}_id": added["id"]}
    copy = client.get(f"/{kind}s/{answer.json()['details'][f'{kind}_id']}").json()
    assert (copy["status"], copy["private_name"], copy["project_id"]) == ("CLOSED", "First", project)
    assert copy["id"] != added["id"]
    assert "last_started" not in copy
    assert client.ids("/tasks", pool_id=copy["id"]) == []


def test_skills(client: Client) -> None:
    made = client.post("/skills", json={"name": "Animals"})
    assert made.status_code == 201
    other = client.post("/skills", json={"name": "Plants", "hidden": False}).json()
    assert client.ids("/skills", name="Animals") == [made.json()["id"]]
    assert client.ids("/skills", **{"global": "true"}) == []
    assert client.get(f"/skills/{other['id']}").json() == other
    form = {"name": "Flowers", "public_name": {"EN": "Flowers"}}
    assert client.put(f"/skills/{other['id']}", json=form).json()["name"] == "Flowers"
    assert wrong(client.post("/skills", json={"public_name": {"EN": 1}})) == {
        "name": "VALUE_REQUIRED",
        "public_name.EN": "STRING_EXPECTED",
    }


def test_default_projects_can_be_read_by_the_official_schema(toloka: TolokaEmulator) -> None:
    assert "view_spec" not in toloka.add_project()["task_spec"]


def test_each_collector_has_an_id_of_its_own(client: Client) -> None:
    config = {"collector_config": {"type": "INCOME", "parameters": {}}, "rules": []}
    form = PROJECT | {"quality_control": {"configs": [config, config]}}
    made = client.post("/projects", json=form).json()["quality_control"]["configs"]
    assert len({one["collector_config"]["uuid"] for one in made}) == 2
