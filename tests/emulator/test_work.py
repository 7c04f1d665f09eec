from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from airflow_provider_toloka.emulator import TolokaEmulator, Tolokers
from tests.emulator.conftest import Client, Clock, error_of
from tests.emulator.forms import MIXER, POOL, PROJECT, filled_pool, image, make_pool

MINUTE = 60


def status_of(client: Client, pool: str) -> tuple[str, str | None]:
    view = client.get(f"/pools/{pool}").json()
    return view["status"], view.get("last_close_reason")


def test_what_a_pool_needs_to_open(toloka: TolokaEmulator, client: Client) -> None:
    project = client.post("/projects", json=PROJECT).json()["id"]
    form = {name: value for name, value in POOL.items() if name != "mixer_config"} | {"project_id": project}
    bare = client.post("/pools", json=form).json()["id"]
    error_of(client.post(f"/pools/{bare}/open"), 409, "MIXER_CONFIG_REQUIRED")
    empty = make_pool(client)
    error_of(client.post(f"/pools/{empty}/open"), 409, "EMPTY_POOL")
    pool = filled_pool(toloka)
    toloka.balance = 0.04
    error_of(client.post(f"/pools/{pool}/open"), 409, "NOT_ENOUGH_BALANCE")
    toloka.balance = 1
    assert client.post(f"/pools/{pool}/open").status_code == 202
    assert client.post(f"/pools/{pool}/open").status_code == 204
    archived = toloka.add_project(status="ARCHIVED")["id"]
    left = toloka.add_pool(archived)["id"]
    toloka.add_tasks(left, [image(1)])
    error_of(client.post(f"/pools/{left}/open"), 409, "PROJECT_INAPPROPRIATE_STATUS")


def test_nobody_works_unless_asked_to(toloka: TolokaEmulator, client: Client, clock: Clock) -> None:
    pool = filled_pool(toloka)
    client.post(f"/pools/{pool}/open")
    clock.advance(30 * 24 * 60 * MINUTE)
    assert status_of(client, pool) == ("OPEN", None)
    toloka.configure(tolokers=Tolokers(count=2))
    assert status_of(client, pool) == ("CLOSED", "COMPLETED")


def test_a_pool_is_worked_on_until_it_is_done(toloka: TolokaEmulator, client: Client, clock: Clock) -> None:
    toloka.configure(tolokers=Tolokers(count=2, seconds=30))
    pool = filled_pool(toloka, 4)  # two Tolokers, two tasks a suite: each has two suites
    client.post(f"/pools/{pool}/open")
    assert [one["status"] for one in toloka.assignments.values()] == ["ACTIVE", "ACTIVE"]
    assert toloka.balance == pytest.approx(121.3 - 2 * 0.05)
    clock.advance(30)
    assert Counter(one["status"] for one in toloka.assignments.values()) == {"ACCEPTED": 2, "ACTIVE": 2}
    assert status_of(client, pool) == ("OPEN", None)
    clock.advance(30)
    assert status_of(client, pool) == ("CLOSED", "COMPLETED")
    assert client.get(f"/pools/{pool}").json()["last_stopped"] == "2023-11-14T22:14:20"
    done = list(toloka.assignments.values())
    assert [one["submitted"] for one in done] == ["2023-11-14T22:13:50"] * 2 + ["2023-11-14T22:14:20"] * 2
    assert all(one["accepted"] == one["submitted"] for one in done)
    pairs = Counter((one["user_id"], task["id"]) for one in done for task in one["tasks"])
    assert set(pairs.values()) == {1}
    assert Counter(task for _, task in pairs) == dict.fromkeys(toloka.tasks, 2)
    assert {task["remaining_overlap"] for task in toloka.tasks.values()} == {0}
    assert all(len(one["tasks"]) == len(one["solutions"]) == 2 for one in done)
    error_of(client.post(f"/pools/{pool}/open"), 409, "POOL_ASSIGNMENTS_EXHAUSTED")


def test_too_few_tolokers_leave_a_pool_open_until_it_expires(
    toloka: TolokaEmulator, client: Client, clock: Clock
) -> None:
    toloka.configure(tolokers=Tolokers(count=1))
    pool = filled_pool(toloka, will_expire="2023-11-15T00:00:00")
    client.post(f"/pools/{pool}/open")
    assert len(toloka.assignments) == 2
    clock.advance(24 * 60 * MINUTE)
    assert status_of(client, pool) == ("CLOSED", "EXPIRED")
    assert client.get(f"/pools/{pool}").json()["last_stopped"] == "2023-11-15T00:00:00"


def test_a_pool_closes_when_the_money_is_spent(toloka: TolokaEmulator, client: Client) -> None:
    toloka.balance = 0.11
    toloka.configure(tolokers=Tolokers(count=3))
    pool = filled_pool(toloka, 10)
    client.post(f"/pools/{pool}/open")
    assert status_of(client, pool) == ("CLOSED", "NOT_ENOUGH_BALANCE")
    assert len(toloka.assignments) == 2
    assert client.get("/requester").json()["balance"] == pytest.approx(0.01)
    toloka.balance = 10
    assert client.post(f"/pools/{pool}/open").status_code == 202
    assert status_of(client, pool) == ("CLOSED", "COMPLETED")


def test_who_is_at_work_when_a_pool_is_closed_ends_it(toloka: TolokaEmulator, client: Client, clock: Clock) -> None:
    toloka.configure(tolokers=Tolokers(count=2, seconds=30))
    pool = filled_pool(toloka, 10)
    client.post(f"/pools/{pool}/open")
    client.post(f"/pools/{pool}/close")
    assert status_of(client, pool) == ("CLOSED", "MANUAL")
    error_of(client.post(f"/pools/{pool}/archive"), 409, "THERE_IS_ACTIVE_ASSIGNMENT")
    clock.advance(60)
    assert [one["status"] for one in toloka.assignments.values()] == ["ACCEPTED", "ACCEPTED"]
    assert client.post(f"/pools/{pool}/archive").status_code == 202


def test_who_takes_too_long_loses_the_suite(toloka: TolokaEmulator, client: Client, clock: Clock) -> None:
    toloka.configure(tolokers=Tolokers(count=2, seconds=100))
    pool = filled_pool(toloka, 2)
    client.post(f"/pools/{pool}/open")
    clock.advance(60)
    expired = list(toloka.assignments.values())
    assert [one["status"] for one in expired] == ["EXPIRED", "EXPIRED"]
    assert {one["expired"] for one in expired} == {"2023-11-14T22:14:20"}
    assert "solutions" not in expired[0]
    assert toloka.balance == pytest.approx(121.3)
    assert status_of(client, pool) == ("OPEN", None)
    toloka.configure(tolokers=Tolokers(count=4, seconds=10))
    clock.advance(10)
    assert status_of(client, pool) == ("CLOSED", "COMPLETED")


def test_a_pool_may_wait_before_it_closes(toloka: TolokaEmulator, client: Client, clock: Clock) -> None:
    toloka.configure(tolokers=Tolokers(count=2))
    pool = filled_pool(toloka, auto_close_after_complete_delay_seconds=300)
    client.post(f"/pools/{pool}/open")
    clock.advance(200)
    assert status_of(client, pool) == ("OPEN", None)
    toloka.configure(tolokers=None)
    toloka.add_tasks(pool, [image(9)])
    clock.advance(200)
    assert status_of(client, pool) == ("OPEN", None)
    toloka.configure(tolokers=Tolokers(count=2))
    clock.advance(300)
    assert status_of(client, pool) == ("CLOSED", "COMPLETED")


def test_tasks_that_come_while_a_pool_is_open(toloka: TolokaEmulator, client: Client, clock: Clock) -> None:
    toloka.configure(tolokers=Tolokers(count=2, seconds=10))
    pool = filled_pool(toloka, 2)
    client.post(f"/pools/{pool}/open")
    sent = [{"pool_id": pool, "input_values": image(7)}]
    assert client.post("/tasks", json=sent, params={"allow_defaults": "true"}).status_code == 201
    clock.advance(10)
    assert status_of(client, pool)[0] == "OPEN"
    clock.advance(10)
    assert status_of(client, pool) == ("CLOSED", "COMPLETED")
    assert sum(len(one["tasks"]) for one in toloka.assignments.values()) == 6


def test_answers_fit_the_project_and_are_always_the_same(clock: Clock) -> None:
    spec: dict[str, Any] = {
        "kind": {"type": "string", "allowed_values": ["cat", "dog"]},
        "sure": {"type": "boolean"},
        "legs": {"type": "integer", "min_value": 2, "max_value": 4},
        "size": {"type": "float", "min_value": 1},
        "name": {"type": "string", "min_length": 20, "max_length": 20},
        "page": {"type": "url"},
        "place": {"type": "coordinates"},
        "more": {"type": "json"},
        "parts": {"type": "array_string", "min_size": 2},
        "photo": {"type": "file"},
    }

    def answers() -> list[dict[str, Any]]:
        toloka = TolokaEmulator(clock=clock, tolokers=Tolokers(count=1))
        project = toloka.add_project(task_spec={"input_spec": {}, "output_spec": spec})["id"]
        pool = toloka.add_pool(project, status="OPEN")["id"]
        toloka.add_tasks(pool, map(image, range(20)))
        return [one["solutions"][0]["output_values"] for one in toloka.assignments.values()]

    made = answers()
    assert made == answers()
    assert len(made) == 20
    assert {answer["kind"] for answer in made} == {"cat", "dog"}
    assert {answer["legs"] for answer in made} == {2, 3, 4}
    assert {len(answer["name"]) for answer in made} == {20}
    assert all(isinstance(answer["more"], dict) and len(answer["parts"]) == 2 for answer in made)


def test_mistakes(toloka: TolokaEmulator, client: Client) -> None:
    toloka.configure(tolokers=Tolokers(count=1, mistakes=0.3, answers=lambda _input: {"result": "cat"}))
    pool = filled_pool(toloka, 300, defaults={"default_overlap_for_new_task_suites": 1})
    client.post(f"/pools/{pool}/open")
    given = [one["output_values"]["result"] for row in toloka.assignments.values() for one in row["solutions"]]
    assert set(given) == {"cat", "dog"}
    assert 60 < given.count("dog") < 120


def test_control_tasks_are_in_each_suite(toloka: TolokaEmulator, client: Client) -> None:
    toloka.configure(tolokers=Tolokers(count=2))
    pool = filled_pool(toloka, 8, mixer_config=MIXER | {"golden_tasks_count": 1})
    known = [{"output_values": {"result": "dog"}}]
    control = [task["id"] for task in toloka.add_tasks(pool, map(image, range(20, 23)), known_solutions=known)]
    client.post(f"/pools/{pool}/open")
    assert status_of(client, pool) == ("CLOSED", "COMPLETED")
    suites = [[task["id"] for task in one["tasks"]] for one in toloka.assignments.values()]
    assert len(suites) == 8
    assert {suite[0] for suite in suites} == set(control)
    assert all(len(suite) == 3 for suite in suites)
    firsts = [one["solutions"][0]["output_values"] for one in toloka.assignments.values()]
    assert firsts == [{"result": "dog"}] * 8


def test_a_pool_of_control_tasks_stays_open(toloka: TolokaEmulator, client: Client) -> None:
    toloka.configure(tolokers=Tolokers(count=2))
    mixer = {"real_tasks_count": 0, "golden_tasks_count": 2, "training_tasks_count": 0}
    pool = filled_pool(toloka, 0, mixer_config=mixer)
    toloka.add_tasks(pool, map(image, range(3)), known_solutions=[{"output_values": {"result": "dog"}}])
    client.post(f"/pools/{pool}/open")
    assert status_of(client, pool) == ("OPEN", None)
    assert sorted(len(one["tasks"]) for one in toloka.assignments.values()) == [1, 1, 2, 2]


def test_incomplete_suites_can_be_held_back(toloka: TolokaEmulator, client: Client) -> None:
    toloka.configure(tolokers=Tolokers(count=2))
    pool = filled_pool(toloka, 3, mixer_config=MIXER | {"force_last_assignment": False})
    client.post(f"/pools/{pool}/open")
    assert status_of(client, pool) == ("OPEN", None)
    assert [len(one["tasks"]) for one in toloka.assignments.values()] == [2, 2]


def test_closing_for_an_update(toloka: TolokaEmulator, client: Client, clock: Clock) -> None:
    pool = filled_pool(toloka)
    client.post(f"/pools/{pool}/open")
    assert client.post(f"/pools/{pool}/close-for-update").json()["type"] == "POOL.CLOSE"
    assert status_of(client, pool) == ("CLOSED", "FOR_UPDATE")
    assert client.post(f"/pools/{pool}/close-for-update").status_code == 204
    clock.advance(15 * MINUTE)
    assert status_of(client, pool)[0] == "OPEN"


def test_a_state_with_work_in_it_goes_on_where_it_was(toloka: TolokaEmulator, client: Client, clock: Clock) -> None:
    toloka.configure(tolokers=Tolokers(count=3, seconds=30))
    pool = filled_pool(toloka, 12)
    client.post(f"/pools/{pool}/open")
    client.post("/skills", json={"name": "Animals"})
    clock.advance(40)
    again = TolokaEmulator(seed=toloka.state(), clock=clock, tolokers=Tolokers(count=3, seconds=30))
    assert again.state() == toloka.state()
    for _ in range(20):
        clock.advance(10)
        for emulator in (toloka, again):
            assert emulator.pools[pool]["status"] in ("OPEN", "CLOSED")
    assert again.pools[pool]["last_close_reason"] == toloka.pools[pool]["last_close_reason"] == "COMPLETED"
    for emulator in (toloka, again):
        pairs = Counter((one["user_id"], task["id"]) for one in emulator.assignments.values() for task in one["tasks"])
        assert set(pairs.values()) == {1}
        assert len(pairs) == 24
    assert again.balance == toloka.balance


def test_many_tasks(toloka: TolokaEmulator, client: Client) -> None:
    toloka.configure(tolokers=Tolokers(count=10))
    pool = filled_pool(toloka, 10_000, mixer_config=MIXER | {"real_tasks_count": 20})
    client.post(f"/pools/{pool}/open")
    assert status_of(client, pool) == ("CLOSED", "COMPLETED")
    assert sum(len(one["tasks"]) for one in toloka.assignments.values()) == 20_000


@pytest.mark.parametrize("what", [{"count": -1}, {"seconds": (2, 1)}, {"mistakes": 1.5}, {"seconds": -1}])
def test_settings_of_tolokers_that_make_no_sense(what: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Tolokers(**what)
