"""The emulator is for this machine, lets in only its tokens, and takes what it is sent for data."""

from __future__ import annotations

import itertools
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_toloka.emulator import DEFAULT_TOKEN, TolokaEmulator
from airflow_provider_toloka.emulator.app import ROUTES
from tests.client.test_models import JSON

PATHS = [f"/api/v1/{form.replace('{id}', '1001')}" for form in ROUTES]
ADMIN = ["faults", "failures", "requests", "release", "state"]
#: What would show if anything were carried out, opened or fetched.
CODE = [
    "__import__('pathlib').Path('{mark}').touch()",
    "{{{{ ''.__class__.__mro__ }}}}",
    "$(touch {mark})",
    "`touch {mark}`; touch {mark}",
    "!!python/object/apply:os.system ['touch {mark}']",
    "file://{mark}",
    "../../../../../../{mark}",
    "{mark}",
    "demo",
]


@pytest.fixture(scope="module")
def open_emulator() -> Iterator[TolokaEmulator]:
    # A day passes between two reads of its clock, so no quota is used up.
    clock = itertools.count(1_700_000_000, 86_400)
    with TolokaEmulator("demo", admin=True, requests_per_second=0, clock=lambda: next(clock)) as emulator:
        yield emulator


def test_it_listens_on_this_machine_alone() -> None:
    with TolokaEmulator("demo") as emulator:
        port = emulator.connection["port"]
        listening = {
            line.split()[1]
            for table in ("tcp", "tcp6")
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
            if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
        }
        assert listening == {f"0100007F:{port:04X}"}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "OAuth",
        "OAuth ",
        f"OAuth {DEFAULT_TOKEN}x",
        f"OAuth {DEFAULT_TOKEN[:-1]}",
        f"OAuth {DEFAULT_TOKEN.lower()}",
        f"oauth {DEFAULT_TOKEN}",
        f"Bearer {DEFAULT_TOKEN}",
        f"Basic {DEFAULT_TOKEN}",
    ],
)
def test_no_path_is_open_to_a_wrong_token(
    open_emulator: TolokaEmulator, path: str, method: str, authorization: str | None
) -> None:
    before = open_emulator.state()
    answer = requests.request(
        method,
        open_emulator.url + path,
        headers={} if authorization is None else {"Authorization": authorization},
        json={},
        timeout=10,
    )
    assert answer.status_code == 401
    assert DEFAULT_TOKEN not in answer.text
    assert open_emulator.state() == before


@pytest.mark.parametrize("name", ADMIN)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_without_its_flag_there_is_no_admin_route(name: str, method: str) -> None:
    with TolokaEmulator("demo") as emulator:
        before = emulator.state()
        for prefix in ("/admin/", "/api/v1/admin/", "/api/v1/../../admin/", "//admin/", "/%61dmin/"):
            with socket.create_connection(("127.0.0.1", emulator.connection["port"]), timeout=10) as client:
                head = f"{method} {prefix}{name} HTTP/1.1\r\nHost: x\r\nAuthorization: OAuth {DEFAULT_TOKEN}\r\n"
                client.sendall(f"{head}Connection: close\r\nContent-Length: 2\r\n\r\n{{}}".encode())
                assert client.recv(100).startswith(b"HTTP/1.1 404 ")
        assert emulator.state() == before


@pytest.mark.parametrize("code", CODE)
def test_nothing_that_it_is_sent_is_carried_out(open_emulator: TolokaEmulator, tmp_path: Path, code: str) -> None:
    mark = tmp_path / "mark"
    evil = code.format(mark=mark)
    session = requests.Session()
    session.headers["Authorization"] = f"OAuth {DEFAULT_TOKEN}"
    spec = {"input_spec": {evil: {"type": "string"}}, "output_spec": {}, "view_spec": {evil: evil}}
    form = {"public_name": evil, "task_spec": spec, "assignments_issuing_type": "AUTOMATED", evil: evil}
    made = session.post(f"{open_emulator.url}/api/v1/projects", json=form, timeout=10)
    assert made.status_code == 201
    assert made.json()["public_name"] == evil
    for path in PATHS:
        session.post(open_emulator.url + path, json=dict.fromkeys(("project_id", "id", evil), evil), timeout=10)
        session.get(open_emulator.url + path, params={"id_gt": evil, "sort": evil}, timeout=10)
    for name in ADMIN:
        for sent in ({"rule": evil}, {"seed": evil}, {"type": evil}, {"projects": evil}, evil):
            session.post(f"{open_emulator.url}/admin/{name}", json=sent, timeout=10)
    open_emulator.clear_faults()
    assert not mark.exists()
    assert list(tmp_path.iterdir()) == []


FIELD_NAMES = (
    "public_name task_spec assignments_issuing_type project_id private_name defaults id self "
    "reward_per_assignment will_expire assignment_max_duration_seconds last_rejected training_id "
    "inherited_instructions log owner times training_tasks_in_task_suite_count active_assignments quality_control "
    "projects pools trainings operations rule type details created status finishes_in "
)
FIELDS = st.sampled_from(FIELD_NAMES.split())
LIKELY: Any = st.sampled_from(
    ["1001", "GET /x", "ACTIVE", "RUNNING", "2020-01-01T00:00:00", 1, 0.5, True, {}, [], None, "x"]
)
FORMS: Any = st.dictionaries(FIELDS, LIKELY | JSON | st.lists(st.dictionaries(FIELDS, LIKELY | JSON), max_size=2))


GOOD: dict[str, Any] = {
    "project_id": "1001",
    "public_name": "A",
    "private_name": "A",
    "task_spec": {"input_spec": {}, "output_spec": {}},
    "defaults": {"default_overlap_for_new_task_suites": 1},
    "assignments_issuing_type": "AUTOMATED",
    "reward_per_assignment": 0.05,
    "will_expire": "2030-01-01",
    "assignment_max_duration_seconds": 60,
    "inherited_instructions": True,
    "training_tasks_in_task_suite_count": 3,
}


@settings(max_examples=150, deadline=None)
@given(
    path=st.sampled_from([*(path for path in PATHS if path[-1] == "s"), *(f"/admin/{name}" for name in ADMIN)]),
    form=FORMS.map(lambda form: GOOD | form) | FORMS | st.binary(),
)
def test_whatever_it_is_sent_it_answers_by_its_rules(open_emulator: TolokaEmulator, path: str, form: Any) -> None:
    open_emulator.load("demo")
    body = form if isinstance(form, bytes) else json.dumps(form).encode()
    headers = {"Authorization": f"OAuth {DEFAULT_TOKEN}", "Content-Type": "application/json"}
    answer = requests.post(open_emulator.url + path, data=body, headers=headers, timeout=10)
    open_emulator.clear_faults()
    assert answer.status_code < 500, (path, form, answer.text)
    for kind in ("projects", "pools", "trainings", "operations", "requester"):
        listed = requests.get(f"{open_emulator.url}/api/v1/{kind}", headers=headers, timeout=10)
        assert listed.status_code == 200, (path, form, kind, listed.text)


@pytest.mark.parametrize("path", ["/api/v1/projects", "/admin/state", "/admin/faults"])
def test_no_nesting_is_too_deep(open_emulator: TolokaEmulator, path: str) -> None:
    headers = {"Authorization": f"OAuth {DEFAULT_TOKEN}", "Content-Type": "application/json"}
    for depth in (900, 990, 100_000):
        body = b'{"public_name": ' + b"[" * depth + b"]" * depth + b"}"
        answer = requests.post(open_emulator.url + path, data=body, headers=headers, timeout=10)
        assert answer.status_code == 400
