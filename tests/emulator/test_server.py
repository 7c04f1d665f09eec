from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_toloka import emulator
from airflow_provider_toloka.emulator import DEFAULT_TOKEN, TolokaEmulator, pytest_plugin
from tests.emulator.conftest import Clock, Connect

toloka_emulator = pytest_plugin.toloka_emulator
MODULE = "airflow_provider_toloka.emulator"


def test_start_and_stop_leave_nothing_behind(connect: Connect) -> None:
    threads = threading.active_count()
    toloka = TolokaEmulator(seed="demo")
    with pytest.raises(RuntimeError, match="before it is started"):
        _ = toloka.url
    toloka.stop()
    toloka.start()
    url = toloka.url
    with pytest.raises(RuntimeError, match="already running"):
        toloka.start()
    client = connect(toloka)
    assert client.post("/projects/1001/archive").status_code == 202
    toloka.stop()
    assert threading.active_count() == threads
    with pytest.raises(requests.ConnectionError):
        client.get("/requester")
    with toloka:
        assert toloka.url == url
        assert connect(toloka).get("/projects/1001").json()["status"] == "ARCHIVED"


def test_a_port_that_is_taken(toloka: TolokaEmulator) -> None:
    with pytest.raises(OSError, match="in use"):
        TolokaEmulator(port=toloka.connection["port"]).start()


def test_the_connection(toloka_emulator: TolokaEmulator) -> None:
    connection = json.loads(os.environ["AIRFLOW_CONN_TOLOKA_DEFAULT"])
    assert connection == toloka_emulator.connection
    assert connection["conn_type"] == "toloka"
    url = f"{connection['host']}:{connection['port']}/api/v1/requester"
    assert requests.get(url, headers={"Authorization": f"OAuth {connection['password']}"}, timeout=10).ok


def test_the_demo_account(clock: Clock, connect: Connect) -> None:
    with TolokaEmulator(seed="demo", clock=clock) as toloka:
        client = connect(toloka)
        codes = {}
        for project in toloka.projects:
            answer = client.post(f"/projects/{project}/archive")
            codes[project] = answer.json()["code"] if answer.status_code == 409 else answer.status_code
        unready = "UNARCHIVED_POOLS_CONFLICT"
        assert codes == {
            "1001": 202, "1002": 202, "1003": 202, "1004": unready, "1005": unready, "1006": 202, "1007": unready,
            "1008": unready,
        }  # fmt: skip
        assert client.post("/trainings/3001/archive").json()["code"] == "TRAINING_ARCHIVE_CONFLICT"
        assert client.post("/pools/2009/archive").json()["code"] == "THERE_IS_REJECTED_ASSIGNMENT"
        assert client.post("/pools/2010/archive").json()["code"] == "THERE_IS_ACTIVE_ASSIGNMENT"


def test_the_stale_account(clock: Clock) -> None:
    toloka = TolokaEmulator(seed="stale", clock=clock)
    assert len(toloka.projects) == 40
    assert {len(project) for project in toloka.projects} == {3, 4}
    assert {pool["status"] for pool in toloka.pools.values()} == {"OPEN", "CLOSED", "ARCHIVED"}
    now = "2023-11-14T22:13:20"
    views = [*toloka.projects.values(), *toloka.pools.values(), *toloka.trainings.values()]
    assert all(view["created"] < now for view in views)
    stopped = [view for view in views if "last_stopped" in view]
    assert stopped
    assert all(view["created"] < view["last_started"] < view["last_stopped"] <= now for view in stopped)


def test_a_state_can_be_kept_and_loaded(clock: Clock, tmp_path: Path, connect: Connect) -> None:
    toloka = TolokaEmulator(seed="demo", clock=clock)
    toloka.add_operation(
        "POOL.ARCHIVE", status="RUNNING", finishes_in=5, details={"a": 1}, parameters={"pool_id": "2004"}
    )
    toloka.add_operation("TASK.BATCH_CREATE", log=[{"type": "TASK_CREATE", "success": True}])
    file = tmp_path / "state.json"
    file.write_text(json.dumps(toloka.state()))
    with TolokaEmulator(seed=str(file), clock=clock) as again:
        assert again.state() == toloka.state()
        clock.advance(5)
        assert connect(again).get("/pools/2004").json()["status"] == "ARCHIVED"
        assert toloka.pools["2004"]["status"] == "ARCHIVED"
        assert again.add_project()["id"] not in toloka.projects


@pytest.mark.parametrize(
    "state",
    [
        {"project": []},
        {"projects": [{"id": "1"}, {"id": "1"}]},
        {"projects": [{"id": "one"}]},
        {"projects": [{"created": "yesterday"}]},
        {"projects": 3},
        {"pools": [{"project_id": "1"}]},
    ],
)
def test_a_state_that_is_none_changes_nothing(state: dict[str, Any]) -> None:
    toloka = TolokaEmulator(seed="demo")
    with pytest.raises(ValueError, match="state"):
        toloka.load(state)
    assert len(toloka.projects) == 8


def test_admin_routes(connect: Connect) -> None:
    with TolokaEmulator(admin=True, requests_per_second=3) as toloka:
        client = connect(toloka)
        admin = f"{toloka.url}/admin"
        state = {"projects": [{"id": "5", "public_name": "Five"}]}
        assert requests.post(f"{admin}/state", json=state, timeout=10).status_code == 204
        assert requests.get(f"{admin}/state", timeout=10).json()["projects"][0]["public_name"] == "Five"
        assert requests.post(f"{admin}/state", json={"projects": [{"x": 1}, 2]}, timeout=10).status_code == 400
        assert requests.post(f"{admin}/failures", json={"type": "PROJECT.ARCHIVE"}, timeout=10).status_code == 204
        fault = {"rule": "GET /projects/*", "status": 500, "times": None}
        assert requests.post(f"{admin}/faults", json=fault, timeout=10).status_code == 201
        assert requests.post(f"{admin}/faults", json={"rules": 1}, timeout=10).status_code == 400
        assert requests.post(f"{admin}/faults", data=b"[", timeout=10).status_code == 400
        assert requests.post(f"{admin}/release", timeout=10).status_code == 204
        assert requests.get(f"{admin}/nothing", timeout=10).status_code == 404
        assert client.post("/projects/5/archive").json()["status"] == "FAIL"
        assert client.get("/projects/5").status_code == 500
        assert requests.delete(f"{admin}/faults", timeout=10).status_code == 204
        assert client.get("/projects/5").status_code == 200
        records = requests.get(f"{admin}/requests", timeout=10).json()
        assert [record["status"] for record in records] == [202, 500, 200]


def test_admin_routes_for_one_fault_and_one_operation(connect: Connect) -> None:
    with TolokaEmulator(admin=True, operation_seconds=1000) as toloka, ThreadPoolExecutor() as pool:
        client = connect(toloka)
        admin = f"{toloka.url}/admin"
        project = toloka.add_project()["id"]
        rules = [{"rule": f"GET /{kind}", "hold": True} for kind in ("pools", "trainings")]
        pools, trainings = (requests.post(f"{admin}/faults", json=rule, timeout=10).json()["id"] for rule in rules)
        held = pool.submit(connect(toloka).get, "/pools")
        toloka.faults[0].wait()
        known = requests.get(f"{admin}/faults", timeout=10).json()
        assert known == [
            {"id": pools, "rule": "GET /pools", "arrived": 1},
            {"id": trainings, "rule": "GET /trainings", "arrived": 0},
        ]
        requests.post(f"{admin}/release", json={"ids": [trainings]}, timeout=10)
        assert client.get("/trainings").status_code == 200
        assert not held.done()
        requests.post(f"{admin}/release", json={"ids": [pools]}, timeout=10)
        assert held.result().status_code == 200
        operation = client.post(f"/projects/{project}/archive").json()["id"]
        assert requests.post(f"{admin}/finish", json={"ids": [operation]}, timeout=10).status_code == 204
        assert client.get(f"/projects/{project}").json()["status"] == "ARCHIVED"
        assert requests.post(f"{admin}/finish", json={}, timeout=10).status_code == 400


def test_there_is_no_admin_unless_asked_for(toloka: TolokaEmulator) -> None:
    assert requests.get(f"{toloka.url}/admin/state", timeout=10).status_code == 404
    assert requests.get(f"{toloka.url}/", timeout=10).status_code == 404
    assert toloka.requests == []


def test_state_may_be_changed_while_clients_ask(toloka: TolokaEmulator, connect: Connect) -> None:
    # Each client has its own connection, while this thread adds.
    found: list[int] = []

    def ask() -> None:
        client = connect(toloka)
        found.extend(len(client.ids("/projects", limit=300)) for _ in range(20))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        toloka.add_project()
    for thread in threads:
        thread.join(30)
    assert len(found) == 80
    assert len(toloka.projects) == 200


def test_the_package_names_what_it_has() -> None:
    assert all(getattr(emulator, name) for name in emulator.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = emulator.nothing


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, f"{MODULE}.serving", None)
    with pytest.raises(ImportError, match=r'pip install "airflow-provider-toloka\[emulator\]"'):
        TolokaEmulator().start()


def test_the_plugin_imports_next_to_nothing() -> None:
    code = f"import sys, {MODULE}.pytest_plugin; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert not {"starlette", "uvicorn", "airflow", "requests", f"{MODULE}.server"} & set(loaded)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command(number: signal.Signals, tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    state.write_text(json.dumps({"projects": [{"id": "77"}]}))
    command = [sys.executable, "-W", "error", "-m", MODULE, "--port", "0", "--state", str(state), "--token", "t1"]
    command += ["--operation-seconds", "5-9", "--admin"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process,
        contextlib.ExitStack() as cleanup,
    ):
        cleanup.callback(process.kill)
        assert process.stdout is not None
        assert process.stderr is not None
        found = re.search(r"http://127.0.0.1:\d+/api/v1", process.stdout.readline())
        assert found
        assert json.loads(process.stdout.readline().split("'")[1])["password"] == "t1"
        headers = {"Authorization": "OAuth t1"}
        answer = requests.post(f"{found[0]}/projects/77/archive", headers=headers, timeout=10)
        assert answer.json()["status"] == "PENDING"
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""


def test_a_command_that_cannot_start(toloka: TolokaEmulator, capsys: pytest.CaptureFixture[str]) -> None:
    from airflow_provider_toloka.emulator.__main__ import main

    port = str(toloka.connection["port"])
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        assert main(["--port", port]) == 1
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    assert "cannot start" in capsys.readouterr().err


def test_the_default_token_is_no_key() -> None:
    assert "." not in DEFAULT_TOKEN
