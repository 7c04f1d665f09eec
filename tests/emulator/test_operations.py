from __future__ import annotations

import re

from airflow_provider_toloka.emulator import TolokaEmulator
from tests.emulator.conftest import Client, Clock, Connect


def test_an_operation_goes_through_its_stages(clock: Clock, connect: Connect) -> None:
    with TolokaEmulator(clock=clock, operation_seconds=10) as toloka:
        client = connect(toloka)
        project = toloka.add_project()["id"]
        operation = client.post(f"/projects/{project}/archive").json()
        assert operation["status"] == "PENDING"
        assert not {"started", "finished", "details"} & set(operation)
        path = f"/operations/{operation['id']}"
        seen = []
        for _ in range(5):
            clock.advance(2)
            seen.append(client.get(path).json())
        assert [view["status"] for view in seen] == ["RUNNING"] * 4 + ["SUCCESS"]
        assert [view["progress"] for view in seen] == [0, 25, 50, 75, 100]
        assert seen[0]["started"] == "2023-11-14T22:13:22"
        assert "finished" not in seen[3]
        assert seen[4]["finished"] == "2023-11-14T22:13:30"
        assert client.get(f"/projects/{project}").json()["status"] == "ARCHIVED"
        assert client.get("/operations").json()["items"] == [seen[4]]


def test_the_effect_comes_at_the_finish_and_bears_its_time(clock: Clock, connect: Connect) -> None:
    with TolokaEmulator(clock=clock, operation_seconds=10) as toloka:
        client = connect(toloka)
        pool = toloka.add_pool(toloka.add_project()["id"], status="OPEN")["id"]
        client.post(f"/pools/{pool}/close")
        clock.advance(9)
        assert client.get(f"/pools/{pool}").json()["status"] == "OPEN"
        assert client.get("/operations", status="RUNNING").json()["items"][0]["progress"] == 87
        clock.advance(100)
        assert client.get(f"/pools/{pool}").json()["last_stopped"] == "2023-11-14T22:13:30"


def test_drawn_durations_can_be_repeated(clock: Clock, connect: Connect) -> None:
    def finishes() -> list[str]:
        with TolokaEmulator(seed="demo", clock=clock, operation_seconds=(5, 50), random_seed=7) as toloka:
            client, start = connect(toloka), clock.now
            for project in ("1001", "1002", "1003"):
                client.post(f"/projects/{project}/archive")
            clock.advance(50)
            found = [operation["finished"] for operation in toloka.operations.values()]
            clock.now = start
            return found

    first = finishes()
    assert first == finishes()
    assert len(set(first)) == 3
    assert all("2023-11-14T22:13:25" <= moment <= "2023-11-14T22:14:10" for moment in first)


def test_failing_on_demand(toloka: TolokaEmulator, client: Client) -> None:
    project = toloka.add_project()["id"]
    toloka.fail_next("PROJECT.ARCHIVE", times=2, details={"reason": "no luck"})
    for _ in range(2):
        operation = client.post(f"/projects/{project}/archive").json()
        assert (operation["status"], operation["details"]) == ("FAIL", {"reason": "no luck"})
        assert client.get(f"/projects/{project}").json()["status"] == "ACTIVE"
    assert client.post(f"/projects/{project}/archive").json()["status"] == "SUCCESS"


def test_ids_come_in_both_shapes(toloka: TolokaEmulator, client: Client) -> None:
    ids = [client.post(f"/projects/{toloka.add_project()['id']}/archive").json()["id"] for _ in range(20)]
    shapes = [re.fullmatch(r"[0-9a-f]{24}", row_id) is None for row_id in ids]
    assert set(shapes) == {True, False}
    uuid = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
    assert all(uuid.fullmatch(row_id) for row_id, shape in zip(ids, shapes, strict=True) if shape)
    assert client.ids("/operations") == sorted(ids)


def test_logs(toloka: TolokaEmulator, client: Client) -> None:
    log = [{"type": "USER_BONUS_PERSIST", "success": True, "input": {"id": 65}, "output": {"user_bonus_id": "2128"}}]
    batch = toloka.add_operation("USER_BONUS.BATCH_CREATE", log=log)["id"]
    plain = toloka.add_operation("ANALYTICS")["id"]
    assert client.get(f"/operations/{batch}/log").json() == log
    assert client.get(f"/operations/{plain}/log").json() == []


def test_added_operations_go_on(toloka: TolokaEmulator, client: Client, clock: Clock) -> None:
    project = toloka.add_project()["id"]
    pool = toloka.add_pool(project)["id"]
    running = toloka.add_operation(
        "PROJECT.ARCHIVE", status="RUNNING", finishes_in=10, parameters={"project_id": project}
    )
    failing = toloka.add_operation(
        "POOL.ARCHIVE", status="PENDING", finishes_in=10, outcome="FAIL", details={"x": 1}, parameters={"pool_id": pool}
    )
    stuck = toloka.add_operation("SOMETHING.NEW", status="RUNNING", progress=12.5, details=None)
    toloka.add_operation("POOL.CLOSE", status="RUNNING", finishes_in=1, parameters={"pool_id": "12345"})
    assert client.post(f"/projects/{project}/archive").status_code == 409
    assert client.post(f"/pools/{pool}/open").status_code == 409
    clock.advance(5)
    assert client.get(f"/operations/{running['id']}").json()["progress"] == 50
    clock.advance(5)
    assert client.get(f"/projects/{project}").json()["status"] == "ARCHIVED"
    assert client.get(f"/operations/{failing['id']}").json()["details"] == {"x": 1}
    assert client.get(f"/pools/{pool}").json()["status"] == "CLOSED"
    view = client.get(f"/operations/{stuck['id']}").json()
    assert (view["status"], view["progress"], view["details"]) == ("RUNNING", 12.5, None)
    toloka.finish(stuck["id"])
    view = client.get(f"/operations/{stuck['id']}").json()
    assert (view["status"], view["progress"], view["details"]) == ("SUCCESS", 100, None)


def test_an_operation_can_be_finished_before_its_time(clock: Clock, connect: Connect) -> None:
    with TolokaEmulator(clock=clock, operation_seconds=1000) as toloka:
        client = connect(toloka)
        projects = [toloka.add_project()["id"] for _ in range(2)]
        pending, running = (client.post(f"/projects/{project}/archive").json()["id"] for project in projects)
        toloka.finish(pending)
        clock.advance(300)
        assert client.get(f"/operations/{running}").json()["status"] == "RUNNING"
        for operation in (running, pending):
            toloka.finish(operation)
            clock.advance(1)
        views = [client.get(f"/operations/{operation}").json() for operation in (pending, running)]
        assert [view["status"] for view in views] == ["SUCCESS"] * 2
        assert [view["finished"] for view in views] == ["2023-11-14T22:13:20", "2023-11-14T22:18:20"]
        clock.advance(1000)
        assert [client.get(f"/operations/{view['id']}").json() for view in views] == views
        assert {toloka.projects[project]["status"] for project in projects} == {"ARCHIVED"}
