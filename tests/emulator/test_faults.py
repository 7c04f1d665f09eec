from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import requests

from airflow_provider_toloka.emulator import TolokaEmulator
from tests.emulator.conftest import Client, error_of


def test_an_error_instead_of_an_answer(toloka: TolokaEmulator, client: Client) -> None:
    project = toloka.add_project()["id"]
    toloka.fault("POST /projects/*/archive", status=503, times=2, headers={"Retry-After": "3"})
    for _ in range(2):
        answer = client.post(f"/projects/{project}/archive")
        error_of(answer, 503, "REMOTE_SERVICE_UNAVAILABLE")
        assert answer.headers["Retry-After"] == "3"
    assert toloka.operations == {}
    assert client.post(f"/projects/{project}/archive").status_code == 202
    toloka.fault("GET /requester", status=500)
    error_of(client.get("/requester"), 500, "INTERNAL_ERROR")


@pytest.mark.parametrize(
    ("what", "status", "text"),
    [
        ({"status": 502, "body": "<html>Bad gateway</html>"}, 502, "<html>Bad gateway</html>"),
        ({"status": 502, "body": b""}, 502, ""),
        ({"status": 204}, 204, ""),
        ({"body": "not JSON"}, 200, "not JSON"),
        ({"body": {"items": None}}, 200, '{"items": null}'),
    ],
)
def test_any_body(toloka: TolokaEmulator, client: Client, what: dict[str, Any], status: int, text: str) -> None:
    toloka.fault("GET /projects", **what)
    answer = client.get("/projects")
    assert (answer.status_code, answer.text) == (status, text)


def test_an_error_after_the_work_was_done(toloka: TolokaEmulator, client: Client) -> None:
    project = toloka.add_project()["id"]
    toloka.fault("POST /projects/*/archive", status=504, carry_out=True)
    assert client.post(f"/projects/{project}/archive").status_code == 504
    assert client.get(f"/projects/{project}").json()["status"] == "ARCHIVED"


def test_which_requests_a_rule_is_for(toloka: TolokaEmulator, client: Client) -> None:
    project = toloka.add_project()["id"]
    toloka.fault("* /projects/*", status=500, times=None)
    assert client.get("/projects").status_code == 200
    assert client.post(f"/projects/{project}/archive").status_code == 202
    assert client.get(f"/projects/{project}").status_code == 500
    toloka.clear_faults()
    assert client.get(f"/projects/{project}").status_code == 200
    toloka.fault("POST /**", status=500, times=None)
    assert client.post(f"/projects/{project}/archive").status_code == 500
    assert client.get(f"/projects/{project}").status_code == 200


def test_headers_are_added_to_the_own_answer(toloka: TolokaEmulator, client: Client) -> None:
    toloka.fault("GET /requester", headers={"X-Trace": "abc"})
    answer = client.get("/requester")
    assert (answer.status_code, answer.headers["X-Trace"]) == (200, "abc")


@pytest.mark.parametrize(("disconnect", "operations"), [("before", 0), ("after", 1), ("cut", 1)])
def test_dropped_connections(toloka: TolokaEmulator, client: Client, disconnect: str, operations: int) -> None:
    project = toloka.add_project()["id"]
    toloka.fault("POST /projects/*/archive", disconnect=disconnect)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        client.post(f"/projects/{project}/archive")
    assert len(toloka.operations) == operations
    assert toloka.requests[-1].status == (202 if disconnect == "cut" else None)
    assert client.get(f"/projects/{project}").status_code == 200


def test_a_cut_answer_begins_as_the_whole_one_does(toloka: TolokaEmulator, client: Client) -> None:
    project = toloka.add_project()["id"]
    whole = client.get(f"/projects/{project}").content
    toloka.fault("GET /projects/*", disconnect="cut")
    got: list[bytes] = []
    with client.session.get(f"{client.url}/projects/{project}", stream=True, timeout=10) as answer:
        assert (answer.status_code, answer.headers["Content-Length"]) == (200, str(len(whole)))
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            got.extend(answer.iter_content(1))
    assert 0 < len(got) < len(whole)
    assert whole.startswith(b"".join(got))


def test_a_late_answer(toloka: TolokaEmulator, client: Client) -> None:
    project = toloka.add_project()["id"]
    toloka.fault("POST /projects/*/archive", delay=30)
    with pytest.raises(requests.ReadTimeout):
        client.session.post(f"{client.url}/projects/{project}/archive", timeout=0.2)
    assert client.get(f"/projects/{project}").json()["status"] == "ARCHIVED"
    toloka.fault("GET /requester", delay=0.1)
    begun = time.monotonic()
    assert client.get("/requester").status_code == 200
    assert time.monotonic() - begun >= 0.1


def test_an_answer_that_is_held_back(toloka: TolokaEmulator, client: Client) -> None:
    project = toloka.add_project()["id"]
    fault = toloka.fault("POST /projects/*/archive", hold=True)
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(client.post(f"/projects/{project}/archive").status_code))
    asking.start()
    fault.wait()
    assert asking.is_alive()
    assert toloka.projects[project]["status"] == "ARCHIVED"
    assert [record.status for record in toloka.requests] == [None]
    fault.release()
    asking.join(10)
    assert [record.status for record in toloka.requests] == [202]
    assert answers == [202]
    with pytest.raises(TimeoutError, match="no request matched"):
        fault.wait(timeout=0.01)


def test_stopping_lets_held_answers_go(connect: Any) -> None:
    with TolokaEmulator() as toloka:
        client = connect(toloka)
        fault = toloka.fault("GET /requester", hold=True)
        answers: list[int] = []
        asking = threading.Thread(target=lambda: answers.append(client.get("/requester").status_code))
        asking.start()
        fault.wait()
    asking.join(10)
    assert answers == [200]


@pytest.mark.parametrize(
    "what", [{"rule": "/projects"}, {"rule": "GET projects"}, {"rule": "GET /", "disconnect": "x"}]
)
def test_rules_that_make_no_sense(what: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"disconnect|method and a path"):
        TolokaEmulator().fault(**what)


def test_the_record_of_requests(toloka: TolokaEmulator, client: Client) -> None:
    toloka.configure(accounts=["acc1"])
    client.session.headers["X-Act-Under-Account-ID"] = "acc1"
    client.get("/projects", limit=3, sort="id")
    del client.session.headers["X-Act-Under-Account-ID"]
    client.post("/projects/1/archive")
    first, second = toloka.requests
    assert (first.method, first.path, first.query) == ("GET", "/projects", {"limit": "3", "sort": "id"})
    assert (first.status, first.account, first.at) == (200, "acc1", 1_700_000_000.0)
    assert (second.path, second.status, second.account) == ("/projects/1/archive", 404, None)
    assert toloka.token not in repr(toloka.requests)
    toloka.clear_requests()
    assert toloka.requests == []


def test_a_request_that_is_held_back_is_carried_out_later(toloka: TolokaEmulator, client: Client) -> None:
    project = toloka.add_project()["id"]
    fault = toloka.fault("POST /projects/*/archive", hold="before")
    with pytest.raises(requests.Timeout):
        client.session.post(f"{client.url}/projects/{project}/archive", timeout=0.3)
    fault.wait()
    assert toloka.operations == {}
    fault.release()
    while toloka.requests[0].status is None:
        time.sleep(0.001)
    assert len(toloka.operations) == 1
    with pytest.raises(ValueError, match="hold"):
        toloka.fault("GET /projects", hold="sometimes")


def test_a_rule_for_one_account(toloka: TolokaEmulator, client: Client) -> None:
    toloka.configure(accounts=["one", "two"])
    toloka.fault("GET /projects", status=500, account="one", times=None)
    assert client.get("/projects").status_code == 200
    for account, status in (("one", 500), ("two", 200)):
        client.session.headers["X-Act-Under-Account-ID"] = account
        assert client.get("/projects").status_code == status
