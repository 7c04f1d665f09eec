from __future__ import annotations

import re
from typing import Any

import pytest
import requests

from airflow_provider_toloka.emulator import TolokaEmulator
from tests.emulator.conftest import Client, Clock, Connect, error_of
from tests.emulator.forms import POOL, PROJECT, TRAINING, filled_pool, items, make_pool


def test_lists_lag_behind(toloka: TolokaEmulator, client: Client, clock: Clock) -> None:
    seeded = toloka.add_project()["id"]
    toloka.configure(list_lag=30)
    project = client.post("/projects", json=PROJECT).json()["id"]
    pool = client.post("/pools", json=POOL | {"project_id": project}).json()["id"]
    training = client.post("/trainings", json=TRAINING | {"project_id": project}).json()["id"]
    clock.advance(29.5)
    assert client.ids("/projects") == [seeded]
    assert client.ids("/pools", project_id=project) == client.ids("/trainings") == []
    for path in (f"/projects/{project}", f"/pools/{pool}", f"/trainings/{training}"):
        assert client.get(path).status_code == 200
    clock.advance(0.5)
    assert client.ids("/projects") == [seeded, project]
    assert client.ids("/pools", project_id=project) == [pool]
    assert client.ids("/trainings") == [training]


def test_metadata_can_be_dropped(toloka: TolokaEmulator, client: Client) -> None:
    stamped = {"metadata": {"airflow": ["key"]}}
    kept = client.post("/projects", json=PROJECT | stamped).json()
    assert kept["metadata"] == client.get(f"/projects/{kept['id']}").json()["metadata"] == stamped["metadata"]
    toloka.configure(keep_metadata=False)
    dropped = client.post("/projects", json=PROJECT | stamped | {"private_comment": "kept"}).json()
    pool = client.post("/pools", json=POOL | stamped | {"project_id": kept["id"]}).json()
    training = client.post("/trainings", json=TRAINING | stamped | {"project_id": kept["id"]}).json()
    assert dropped["metadata"] == pool["metadata"] == training["metadata"] == {}
    assert dropped["private_comment"] == "kept"


def test_quotas_can_be_lifted(toloka: TolokaEmulator, client: Client) -> None:
    toloka.configure(quotas=False)
    assert {client.post("/projects", json=PROJECT).status_code for _ in range(30)} == {201}


@pytest.mark.parametrize("kind", ["pools", "trainings"])
def test_quota_of_cloning(toloka: TolokaEmulator, client: Client, kind: str) -> None:
    project = toloka.add_project()["id"]
    row = (toloka.add_pool if kind == "pools" else toloka.add_training)(project)["id"]
    assert [client.post(f"/{kind}/{row}/clone").status_code for _ in range(21)] == [202] * 20 + [429]


def test_quota_of_tasks(client: Client) -> None:
    pool = make_pool(client)
    query = {"async_mode": "true", "allow_defaults": "true"}
    many = [{"pool_id": pool}] * 100_000
    assert client.post("/tasks", json=many, params=query).status_code == 201
    assert client.post("/tasks", json=many, params=query).status_code == 201
    body = error_of(client.post("/tasks", json=items(pool, 1), params=query), 429, "TOO_MANY_REQUESTS")
    assert body["payload"] == {"interval": "MIN"}


def test_quota_of_skills(client: Client) -> None:
    assert [client.post("/skills", json={"name": "A"}).status_code for _ in range(11)] == [201] * 10 + [429]


def test_acting_for_another_account(toloka: TolokaEmulator, client: Client) -> None:
    own = client.get("/requester").json()["id"]
    toloka.configure(accounts=["known"])
    for account, status in ((own, 200), ("known", 200), ("unknown", 403)):
        client.session.headers["X-Act-Under-Account-ID"] = account
        answer = client.get("/projects")
        assert answer.status_code == status
    error_of(answer, 403, "ACCESS_DENIED")
    toloka.configure(accounts=None)
    assert client.get("/projects").status_code == 200


def test_options_for_another_process(connect: Connect) -> None:
    with TolokaEmulator(admin=True) as toloka:
        client, admin = connect(toloka), f"{toloka.url}/admin/options"
        pool = filled_pool(toloka)
        change = {"tolokers": {"count": 2, "seconds": [0, 0]}, "balance": 7, "archived_project_answer": "204"}
        assert requests.post(admin, json=change, timeout=60).status_code == 204
        client.post(f"/pools/{pool}/open")
        assert client.get(f"/pools/{pool}").json()["last_close_reason"] == "COMPLETED"
        assert toloka.balance == pytest.approx(6.8)
        archived = toloka.add_project(status="ARCHIVED")["id"]
        assert client.post(f"/projects/{archived}/archive").status_code == 204
        for wrong in ({"speed": 1}, {"tolokers": {"mood": 1}}, {"archived_project_answer": "no"}):
            assert requests.post(admin, json=wrong, timeout=60).status_code == 400


@pytest.mark.parametrize("options", [{"speed": 1}, {"archived_project_answer": "200"}])
def test_options_that_there_are_not(toloka: TolokaEmulator, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"options|archived_project_answer"):
        toloka.configure(**options)


def test_lost_answers_on_the_way_of_a_pool(toloka: TolokaEmulator, client: Client) -> None:
    project = toloka.add_project()["id"]
    rules = ["POST /projects", "POST /pools", "POST /tasks", "POST /pools/*/open", "PATCH /assignments/*"]
    for rule in rules:
        toloka.fault(rule, disconnect="after")
    pool = filled_pool(toloka)
    assignment = toloka.add_assignment(pool, list(toloka.tasks)[:1])["id"]
    for method, path, form in (
        ("POST", "/projects", PROJECT),
        ("POST", "/pools", POOL | {"project_id": project}),
        ("POST", "/tasks", items(pool, 1, overlap=1)),
        ("POST", f"/pools/{pool}/open", None),
        ("PATCH", f"/assignments/{assignment}", {"status": "ACCEPTED"}),
    ):
        with pytest.raises(requests.ConnectionError):
            client.session.request(method, client.url + path, json=form, timeout=60)
    assert (len(toloka.projects), len(toloka.pools), len(toloka.tasks)) == (3, 2, 5)
    assert toloka.pools[pool]["status"] == "OPEN"
    assert toloka.assignments[assignment]["status"] == "ACCEPTED"


def test_pages_that_links_lead_to(toloka: TolokaEmulator, client: Client) -> None:
    project = toloka.add_project("<b>Cats</b> & dogs")["id"]
    pool, training = toloka.add_pool(project, private_name="Main")["id"], toloka.add_training(project)["id"]
    page = f"{client.root}/requester/project/{project}"
    answer = requests.get(page, timeout=60)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "&lt;b&gt;Cats&lt;/b&gt; &amp; dogs" in answer.text
    assert "<b>" not in answer.text
    assert f"Project {project}: ACTIVE" in answer.text
    assert "emulator" in answer.text
    assert f"Pool {pool}: CLOSED" in requests.get(f"{page}/pool/{pool}", timeout=60).text
    assert f"Training {training}: CLOSED" in requests.get(f"{page}/training/{training}", timeout=60).text
    other = toloka.add_project()["id"]
    for path in (f"{client.root}/requester/project/{other}/pool/{pool}", f"{page}/training/{pool}", f"{page}1"):
        assert requests.get(path, timeout=60).status_code == 404
    assert requests.post(page, timeout=60).status_code == 404
    assert toloka.requests == []


def test_the_page_of_the_account_leads_to_its_projects(toloka: TolokaEmulator, client: Client) -> None:
    toloka.add_project("<b>Cats</b> & dogs")
    toloka.add_project("Old", status="ARCHIVED")
    answer = requests.get(f"{client.root}/requester", timeout=60)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "&lt;b&gt;Cats&lt;/b&gt; &amp; dogs" in answer.text
    assert "<b>" not in answer.text
    assert "ARCHIVED" in answer.text
    assert "emulator" in answer.text
    paths = re.findall(r'href="([^"]+)"', answer.text)
    assert paths == [f"/requester/project/{project}" for project in toloka.projects]
    for path in paths:
        assert requests.get(client.root + path, timeout=60).status_code == 200
    assert requests.get(f"{client.root}/requester/", timeout=60).text == answer.text
    assert requests.post(f"{client.root}/requester", timeout=60).status_code == 404
    assert toloka.requests == []


def test_the_page_of_an_empty_account(client: Client) -> None:
    answer = requests.get(f"{client.root}/requester", timeout=60)
    assert (answer.status_code, "Projects: 0" in answer.text) == (200, True)


def test_times_have_as_many_digits_as_they_need(clock: Clock) -> None:
    toloka = TolokaEmulator(clock=clock)
    digits = []
    for step in (0, 0.5, 0.25, 0.125):
        clock.advance(step)
        digits.append(toloka.add_project()["created"].partition(".")[2])
    assert digits == ["", "5", "75", "875"]
    clock.now = 1_700_000_000.123456
    assert toloka.add_project()["created"] == "2023-11-14T22:13:20.123456"
