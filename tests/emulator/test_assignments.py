from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_toloka.emulator import TolokaEmulator, Tolokers
from tests.emulator.conftest import Client, Clock, error_of
from tests.emulator.forms import filled_pool, image

DAY = 24 * 60 * 60


def worked_on(toloka: TolokaEmulator, client: Client, **fields: Any) -> str:
    toloka.configure(tolokers=Tolokers(count=2))
    pool = filled_pool(toloka, **({"auto_accept_solutions": False} | fields))
    client.post(f"/pools/{pool}/open")
    return pool


def test_answers_wait_for_a_verdict_unless_the_pool_accepts_them(toloka: TolokaEmulator, client: Client) -> None:
    pool = worked_on(toloka, client)
    assert client.get(f"/pools/{pool}").json()["last_close_reason"] == "COMPLETED"
    page = client.get("/assignments", pool_id=pool).json()
    assert {one["status"] for one in page["items"]} == {"SUBMITTED"}
    assert "accepted" not in page["items"][0]
    first = page["items"][0]
    assert client.get(f"/assignments/{first['id']}").json() == first


def test_verdicts(toloka: TolokaEmulator, client: Client, clock: Clock) -> None:
    pool = worked_on(toloka, client)
    before = toloka.balance
    first, second, *_ = client.ids("/assignments", pool_id=pool)
    clock.advance(60)
    answer = client.patch(f"/assignments/{first}", json={"status": "ACCEPTED", "public_comment": "Good"})
    assert answer.status_code == 200
    view = answer.json()
    assert (view["status"], view["public_comment"], view["accepted"]) == ("ACCEPTED", "Good", "2023-11-14T22:14:20")
    assert toloka.balance == before
    view = client.patch(f"/assignments/{second}", json={"status": "REJECTED", "public_comment": "Bad"}).json()
    assert (view["status"], view["rejected"]) == ("REJECTED", "2023-11-14T22:14:20")
    assert toloka.balance == pytest.approx(before + 0.05)
    for row, verdict in ((first, "REJECTED"), (first, "ACCEPTED"), (second, "REJECTED")):
        body = error_of(client.patch(f"/assignments/{row}", json={"status": verdict}), 409, "INAPPROPRIATE_STATUS")
        assert "SUBMITTED" in body["payload"]["appropriate_statuses"]
    error_of(client.post(f"/pools/{pool}/archive"), 409, "THERE_IS_REJECTED_ASSIGNMENT")
    clock.advance(9 * DAY - 1)
    error_of(client.post(f"/pools/{pool}/archive"), 409, "THERE_IS_REJECTED_ASSIGNMENT")
    assert client.patch(f"/assignments/{second}", json={"status": "ACCEPTED"}).json()["status"] == "ACCEPTED"
    assert toloka.balance == pytest.approx(before)
    assert client.post(f"/pools/{pool}/archive").status_code == 202


@pytest.mark.parametrize(
    ("form", "wrong"),
    [
        ({}, {"status": "VALUE_REQUIRED"}),
        ({"status": "SKIPPED"}, {"status": "UNKNOWN_ENUM_VALUE"}),
        ({"status": "ACCEPTED", "public_comment": "x" * 2049}, {"public_comment": "STRING_LENGTH_GREATER_THAN_MAX"}),
    ],
)
def test_verdicts_that_are_none(
    toloka: TolokaEmulator, client: Client, form: dict[str, str], wrong: dict[str, str]
) -> None:
    row = client.ids("/assignments", pool_id=worked_on(toloka, client))[0]
    body = error_of(client.patch(f"/assignments/{row}", json=form), 400, "VALIDATION_ERROR")
    assert {field: what["code"] for field, what in body["payload"].items()} == wrong
    error_of(client.patch("/assignments/none", json={"status": "ACCEPTED"}), 404, "DOES_NOT_EXIST")


@pytest.mark.parametrize("status", ["ACTIVE", "SKIPPED", "EXPIRED"])
def test_only_answers_can_be_judged(toloka: TolokaEmulator, client: Client, status: str) -> None:
    pool = filled_pool(toloka)
    row = toloka.add_assignment(pool, list(toloka.tasks)[:2], status=status)["id"]
    error_of(client.patch(f"/assignments/{row}", json={"status": "ACCEPTED"}), 409, "INAPPROPRIATE_STATUS")


def test_answers_are_accepted_when_nobody_has_read_them_in_time(
    toloka: TolokaEmulator, client: Client, clock: Clock
) -> None:
    pool = worked_on(toloka, client, auto_accept_period_day=3)
    rejected = client.ids("/assignments", pool_id=pool)[0]
    client.patch(f"/assignments/{rejected}", json={"status": "REJECTED"})
    clock.advance(3 * DAY)
    assert client.ids("/assignments", pool_id=pool, status="REJECTED") == [rejected]
    assert client.ids("/assignments", pool_id=pool, status="SUBMITTED") == []
    assert toloka.assignments[rejected]["status"] == "REJECTED"


def test_lists_of_assignments(toloka: TolokaEmulator, client: Client, clock: Clock) -> None:
    pool, other = filled_pool(toloka), filled_pool(toloka)
    tasks = client.ids("/tasks", pool_id=pool)
    made = []
    for status in ("SUBMITTED", "ACCEPTED", "ACTIVE"):
        made.append(toloka.add_assignment(pool, tasks[:2], status=status, user_id=f"user of {status}"))
        clock.advance(60)
    toloka.add_assignment(other, client.ids("/tasks", pool_id=other)[:1])
    ids = [one["id"] for one in made]
    assert client.ids("/assignments", pool_id=pool) == ids
    assert client.ids("/assignments", pool_id=pool, status="ACTIVE,SUBMITTED") == [ids[0], ids[2]]
    assert client.ids("/assignments", task_id=tasks[1]) == ids
    assert client.ids("/assignments", task_id=tasks[3]) == []
    assert client.ids("/assignments", task_suite_id=made[1]["task_suite_id"]) == [ids[1]]
    assert client.ids("/assignments", task_suite_id="none") == []
    assert client.ids("/assignments", pool_id=pool, user_id="user of ACCEPTED") == [ids[1]]
    assert client.ids("/assignments", pool_id=pool, submitted_gt="2023-11-14T22:13:20") == [ids[1]]
    assert client.ids("/assignments", pool_id=pool, sort="-created") == ids[::-1]
    assert client.ids("/assignments", pool_id=pool, id_gt=ids[0], limit=1) == [ids[1]]
    error_of(client.get("/assignments", status="ACTIVE"), 400, "VALIDATION_ERROR")
    error_of(client.get("/assignments", pool_id=pool, status="ACTIVE,DONE"), 400, "VALIDATION_ERROR")


@pytest.mark.parametrize("form", [{"type": "DAWID_SKENE"}, {"type": "WEIGHTED_DYNAMIC_OVERLAP"}])
def test_aggregating_a_pool(toloka: TolokaEmulator, client: Client, form: dict[str, Any]) -> None:
    toloka.configure(quotas=False)
    pool = filled_pool(toloka, 2)
    one, two = client.ids("/tasks", pool_id=pool)
    votes = [("cat", "dog"), ("cat", "dog"), ("dog", "dog")]
    for first, second in votes:
        toloka.add_assignment(pool, [one, two], status="ACCEPTED", outputs=[{"result": first}, {"result": second}])
    toloka.add_assignment(pool, [one], status="SUBMITTED", outputs=[{"result": "dog"}])
    if form["type"] == "WEIGHTED_DYNAMIC_OVERLAP":
        form = form | {"answer_weight_skill_id": toloka.add_skill("Animals")["id"]}
    form = form | {"pool_id": pool, "fields": [{"name": "result"}]}
    answer = client.post("/aggregated-solutions/aggregate-by-pool", json=form)
    assert answer.status_code == 201
    operation = answer.json()
    assert operation["type"] == "SOLUTION.AGGREGATE"
    assert (operation["parameters"]["pool_id"], operation["parameters"]["algorithm"]) == (pool, form["type"])
    page = client.get(f"/aggregated-solutions/{operation['id']}", sort="task_id").json()
    assert page == {
        "items": [
            {"task_id": one, "pool_id": pool, "output_values": {"result": "cat"}, "confidence": 0.666667},
            {"task_id": two, "pool_id": pool, "output_values": {"result": "dog"}, "confidence": 1.0},
        ],
        "has_more": False,
    }
    single = client.post("/aggregated-solutions/aggregate-by-task", json=form | {"task_id": one})
    assert (single.status_code, single.json()) == (201, page["items"][0])
    again = TolokaEmulator(seed=toloka.state())
    assert again.state()["operations"] == toloka.state()["operations"]


def test_what_cannot_be_aggregated(toloka: TolokaEmulator, client: Client) -> None:
    toloka.configure(quotas=False)
    path = "/aggregated-solutions/aggregate-by-pool"
    pool = filled_pool(toloka, 2)
    form = {"type": "DAWID_SKENE", "pool_id": pool, "fields": [{"name": "result"}]}
    weighted = form | {"type": "WEIGHTED_DYNAMIC_OVERLAP"}
    two = form | {"fields": [{"name": "result"}, {"name": "other"}]}
    for wrong in (
        form | {"type": "MAJORITY"},
        form | {"fields": [{"name": "other"}]},
        two,
        weighted,
        weighted | {"answer_weight_skill_id": "7"},
    ):
        error_of(client.post(path, json=wrong), 400, "VALIDATION_ERROR")
    error_of(client.post(path, json=form | {"pool_id": "12345"}), 404, "DOES_NOT_EXIST")
    by_task = "/aggregated-solutions/aggregate-by-task"
    error_of(client.post(by_task, json=form), 400, "VALIDATION_ERROR")
    error_of(client.post(by_task, json=form | {"task_id": "none"}), 400, "VALIDATION_ERROR")
    answer = client.post(by_task, json=form | {"task_id": next(iter(toloka.tasks))})
    error_of(answer, 409, "CONFLICT_STATE")
    client.post(f"/pools/{pool}/open")
    error_of(client.post(path, json=form), 409, "POOL_INAPPROPRIATE_STATUS")
    other = toloka.add_operation("POOL.OPEN")["id"]
    error_of(client.get(f"/aggregated-solutions/{other}"), 409, "INVALID_OPERATION_TYPE")
    running = toloka.add_operation("SOLUTION.AGGREGATE", status="RUNNING")["id"]
    error_of(client.get(f"/aggregated-solutions/{running}"), 409, "CONFLICT_STATE")
    error_of(client.get("/aggregated-solutions/none"), 404, "DOES_NOT_EXIST")


def test_pages_of_aggregated_answers(toloka: TolokaEmulator, client: Client) -> None:
    toloka.configure(quotas=False, tolokers=Tolokers(count=2))
    pool = filled_pool(toloka, 250)
    client.post(f"/pools/{pool}/open")
    form = {"type": "DAWID_SKENE", "pool_id": pool, "fields": [{"name": "result"}]}
    path = f"/aggregated-solutions/{client.post('/aggregated-solutions/aggregate-by-pool', json=form).json()['id']}"
    tasks = client.ids("/tasks", pool_id=pool, limit=300)

    def page(**query: Any) -> list[str]:
        return [one["task_id"] for one in client.get(path, **query).json()["items"]]

    assert page(sort="task_id", limit=300) == tasks
    assert page(sort="task_id", limit=100, task_id_gt=tasks[99]) == tasks[100:200]
    assert page(sort="-task_id", limit=2) == [tasks[-1], tasks[-2]]
    unsorted = page(limit=300)
    assert sorted(unsorted) == tasks
    assert unsorted != tasks
    error_of(client.get(path, id_gt=tasks[0]), 400, "VALIDATION_ERROR")
    error_of(client.get(path, sort="confidence"), 400, "VALIDATION_ERROR")


def test_the_quota_of_aggregating_is_shared_with_reading(toloka: TolokaEmulator, client: Client, clock: Clock) -> None:
    toloka.configure(tolokers=Tolokers(count=2))
    pool = filled_pool(toloka)
    client.post(f"/pools/{pool}/open")
    form = {"type": "DAWID_SKENE", "pool_id": pool, "fields": [{"name": "result"}]}
    operation = client.post("/aggregated-solutions/aggregate-by-pool", json=form).json()["id"]
    statuses = [client.get(f"/aggregated-solutions/{operation}").status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 200, 429]
    body = error_of(client.get(f"/aggregated-solutions/{operation}"), 429, "TOO_MANY_REQUESTS")
    assert body["payload"] == {"interval": "MIN"}
    for _ in range(5):
        clock.advance(60)
        assert {client.get(f"/aggregated-solutions/{operation}").status_code for _ in range(5)} == {200}
    clock.advance(60)
    body = error_of(client.get(f"/aggregated-solutions/{operation}"), 429, "TOO_MANY_REQUESTS")
    assert body["payload"] == {"interval": "HOUR"}


def test_assignments_that_are_added_go_on(toloka: TolokaEmulator, client: Client, clock: Clock) -> None:
    pool = filled_pool(toloka)
    tasks = client.ids("/tasks", pool_id=pool)
    good = toloka.add_assignment(pool, tasks[:1], status="ACTIVE", finishes_in=10)["id"]
    late = toloka.add_assignment(pool, tasks[:1], status="ACTIVE", finishes_in=10, in_time=False)["id"]
    stuck = toloka.add_assignment(pool, tasks[:1], status="ACTIVE")["id"]
    clock.advance(10)
    found = {row: toloka.assignments[row]["status"] for row in (good, late, stuck)}
    assert found == {good: "ACCEPTED", late: "EXPIRED", stuck: "ACTIVE"}
    assert toloka.add_tasks(pool, [image(1)])[0]["overlap"] == 2
    with pytest.raises(ValueError, match="no pool"):
        toloka.add_tasks("12345", [image(1)])
