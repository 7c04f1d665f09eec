"""The token goes to Toloka, and nowhere else: on a running Airflow, where everything speaks at DEBUG."""

from __future__ import annotations

import base64
import html
import json
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import requests
from cryptography.fernet import Fernet, InvalidToken

import airflow_provider_toloka
from airflow_provider_toloka.emulator import TolokaEmulator
from tests.processes import until
from tests.security.standalone import Standalone

#: What regular expressions, URLs, JSON, shells and HTML take for something else.
SPECIAL = "AQ/d+$(x)[^a-z]*?{2}|%41&t=1#\\'\"<>@;,~.end"
TOKENS = {
    "of_environment": f"env-{SPECIAL}",
    "of_database": f"db-{SPECIAL}",
    "of_extra": f"old-{SPECIAL}",
    "refused": f"no-{SPECIAL}",
    "tested": f"test-{SPECIAL}",
}
NAMES = ("of_environment", "of_database", "of_extra", "refused")


def forms(token: str) -> set[bytes]:
    """Return the token in plain, escaped and encoded forms."""
    texts = {
        token,
        json.dumps(token)[1:-1],
        json.dumps(json.dumps(token))[1:-1],
        token.replace("/", "\\/"),
        repr(token)[1:-1],
        repr(repr(token))[1:-1],
        quote(token),
        quote(token, safe=""),
        quote_plus(token),
        quote(quote(token, safe=""), safe=""),
        html.escape(token),
        token.encode().hex(),
    }
    encoded = {text.encode() for text in texts}
    for write in (base64.b64encode, base64.urlsafe_b64encode):
        # In the middle of something longer, it may begin at each of three places; the ends depend on the neighbours.
        encoded |= {write(b"x" * offset + token.encode())[4:-4].rstrip(b"=") for offset in range(3)}
    return encoded


class Leaks:
    """Everything that an Airflow has written down and said, by where."""

    def __init__(self, seen: dict[str, bytes], tasks: dict[str, str]) -> None:
        self.seen = seen
        self.tasks = tasks

    def of(self, token: str) -> set[str]:
        """Return where a token is found."""
        return {where for where, told in self.seen.items() for form in forms(token) if form in told}


@pytest.fixture(scope="module")
def leaks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Leaks]:
    home = tmp_path_factory.mktemp("home")
    accepted = [token for name, token in TOKENS.items() if name != "refused"]
    with TolokaEmulator("demo", tokens=accepted, operation_seconds=1, requests_per_second=0) as toloka:
        toloka.add_operation("ANALYTICS", status="RUNNING", id="a1")
        for number, name in enumerate(NAMES):
            echo = f"Authorization: OAuth {TOKENS[name]}"
            told = {"code": echo, "message": echo, "request_id": echo, "payload": {echo: [echo]}, "id": echo}
            toloka.fault(f"GET /projects/{9000 + number}", times=None, status=409, body=told)
            toloka.fault(f"GET /operations/e{number}", times=None, body={**told, "status": echo})
        of_extra = {"extra__toloka__token": TOKENS["of_extra"], "extra__toloka__url": toloka.url}
        connections = {name: {**toloka.connection, "password": TOKENS[name]} for name in ("of_environment", "refused")}
        connections["of_extra"] = {"conn_type": "toloka", "extra": of_extra}
        airflow = Standalone(
            home,
            Path(__file__).parent / "dags",
            {f"AIRFLOW_CONN_{name.upper()}": json.dumps(told) for name, told in connections.items()}
            | {"TESTED_CONNECTIONS": ",".join(NAMES), "PYTHONPATH": ""},
        )
        airflow.command("db", "migrate")
        in_database = {**toloka.connection, "password": TOKENS["of_database"]}
        airflow.command("connections", "add", "of_database", "--conn-json", json.dumps(in_database))
        with airflow.running():
            airflow.unpause()
            waiting = "SELECT count(*) FROM task_instance WHERE task_id LIKE '%_waits' AND state = 'deferred'"
            # Waits with a refused token never start: the trigger reports it immediately.
            until("the sensors wait", lambda: _is(airflow, waiting, len(NAMES) - 1), 600)
            triggers = airflow.rows("SELECT kwargs FROM trigger")
            toloka.load(_without_waiting(toloka.state()))
            ended = "SELECT count(*) FROM dag_run WHERE state IN ('success', 'failed')"
            until("the run has ended", lambda: _is(airflow, ended, 1), 600)
            answers = _ask(airflow, toloka)
        tasks = {str(task): str(state) for task, state in airflow.rows("SELECT task_id, state FROM task_instance")}
        seen = {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()}
        for table, rows in airflow.tables().items():
            seen[f"table {table}"] = b"\n".join(_plain(value) for row in rows for value in row)
        seen["arguments of triggers"] = b"\n".join(_decrypted(str(row[0]), airflow.fernet_key) for row in triggers)
        yield Leaks(seen | answers, tasks)


def _is(airflow: Standalone, query: str, least: int) -> bool:
    with suppress(Exception):
        return airflow.rows(query)[0][0] >= least  # type: ignore[operator]
    return False


def _without_waiting(state: dict[str, Any]) -> dict[str, Any]:
    state["operations"] = [{**one, "status": "SUCCESS"} if one["id"] == "a1" else one for one in state["operations"]]
    return state


def _decrypted(text: str, key: str) -> bytes:
    # Not all versions of Airflow encrypt the arguments of triggers.
    with suppress(InvalidToken):
        return Fernet(key).decrypt(text.encode())
    return text.encode()


def _plain(value: object) -> bytes:
    if isinstance(value, bytes):
        with suppress(zlib.error):
            return zlib.decompress(value)
        return value
    return str(value).encode("utf-8", "surrogatepass")


def _ask(airflow: Standalone, toloka: TolokaEmulator) -> dict[str, bytes]:
    """Press the Test button, and read what the API shows; Airflow 2 has another API, without a button's address."""
    if (airflow.home / "webserver_config.py").exists():
        return {}
    url = f"http://127.0.0.1:{airflow.port}"
    access = requests.get(f"{url}/auth/token", timeout=60).json()["access_token"]
    answers: dict[str, bytes] = {}
    connection = {"connection_id": "tested", **toloka.connection, "password": TOKENS["tested"]}
    run = "dags/leaks/dagRuns/~/taskInstances"
    for path, body in (
        ("connections/test", connection),
        ("connections/test", {**connection, "password": TOKENS["refused"]}),
        ("connections", None),
        ("connections/of_database", None),
        ("dags/leaks/details", None),
        ("dagSources/leaks", None),
        (f"{run}?limit=100", None),
        ("eventLogs?limit=100", None),
        ("config", None),
    ):
        answer = requests.request(
            "POST" if body else "GET",
            f"{url}/api/v2/{path}",
            json=body,
            headers={"Authorization": f"Bearer {access}"},
            timeout=60,
        )
        answers[f"answer {answer.status_code} of {path} {len(answers)}"] = answer.content
    return answers


def test_the_tasks_have_ended_as_meant(leaks: Leaks) -> None:
    """Otherwise nothing could have leaked."""
    expected = {"good": "success", "sensor": "success", "missing": "failed", "echo": "failed"}
    for name in NAMES[:3]:
        for task, state in expected.items():
            for way in ("sync", "deferrable") if name == NAMES[0] else ("deferrable",):
                assert leaks.tasks[f"{name}_{task}_{way}"] == state, (name, task, way)
        assert leaks.tasks[f"{name}_waits"] == "success"
        assert leaks.tasks[f"{name}_tell"] == "failed"
    for task, state in {"conflict": "failed", "page": "failed", "stale": "success", "find": "success"}.items():
        assert leaks.tasks[task] == state, task
    assert {state for task, state in leaks.tasks.items() if task.startswith("refused")} <= {"failed", "upstream_failed"}


def test_everything_was_looked_at(leaks: Leaks) -> None:
    logs = b"\n".join(told for where, told in leaks.seen.items() if where.endswith(".log"))
    assert b"debug" in logs.lower()
    assert b"/api/v1/projects/1001" in logs  # the requests were logged
    assert b"RuntimeError" in logs
    assert b"***" in logs  # what was echoed has been hidden
    assert b"a1" in leaks.seen["arguments of triggers"]
    assert b"OperationSensor" in leaks.seen["table serialized_dag"]
    assert leaks.seen["table rendered_task_instance_fields"]
    assert b"PROJECT.ARCHIVE" in leaks.seen["table xcom"]
    assert b"of_database" in leaks.seen["table connection"]
    if any(where.startswith("answer") for where in leaks.seen):
        tested = b"".join(
            told for where, told in leaks.seen.items() if where.startswith("answer 200 of connections/test")
        )
        assert b"Connected to Toloka as account" in tested
        assert b"Toloka refuses the token" in tested


@pytest.mark.parametrize("name", TOKENS)
def test_the_token_is_nowhere(leaks: Leaks, name: str) -> None:
    assert leaks.of(TOKENS[name]) == set()


def test_the_search_finds_what_there_is() -> None:
    token = TOKENS["refused"]
    told = [f"see {token}.", json.dumps({"a": token}), repr([token]), quote(f"?t={token}"), html.escape(f"<{token}>")]
    told += [base64.b64encode(f"{'y' * offset}OAuth {token} and more".encode()).decode() for offset in range(4)]
    for one in told:
        assert Leaks({"here": one.encode()}, {}).of(token) == {"here"}, one


def objects(token: str) -> Iterator[Any]:
    """Return an instance of every class that holds a token, directly or indirectly."""
    from airflow_provider_toloka.client import AsyncTolokaClient, TolokaClient, api
    from airflow_provider_toloka.client import config as settings
    from airflow_provider_toloka.client import responses as answers
    from airflow_provider_toloka.client import sansio as flows
    from airflow_provider_toloka.client.transports import aio as transport_async
    from airflow_provider_toloka.client.transports import route
    from airflow_provider_toloka.client.transports import sync as transport
    from airflow_provider_toloka.hooks.toloka import TolokaHook
    from airflow_provider_toloka.operators.stale import TolokaArchiveStaleProjectsOperator
    from airflow_provider_toloka.operators.toloka import TolokaArchiveProjectOperator
    from airflow_provider_toloka.polling.poller import Poller
    from airflow_provider_toloka.sensors.toloka import OperationSensor
    from airflow_provider_toloka.triggers import sharing
    from airflow_provider_toloka.triggers.toloka import OperationTrigger

    own = settings.Settings.from_connection(password=token, extra={"act_under_account_id": "1"})
    calls = api.TolokaApi(own)
    session = transport.RequestsTransport(own).session
    reader = answers.Reader(own, "read project 1")
    yield from (own, own.headers, route.find_route(own), calls, session, session.auth, session.headers, reader)
    yield from (calls.projects.listing(), calls.projects.get("1"), next(calls.projects.get("1")), calls.calls.retry)
    driver = transport_async.AiohttpTransport(own)
    yield from (
        driver,
        driver.state,
        driver.state.rate,
        driver.state.clock,
        transport.RequestsTransport(own),
        TolokaClient(own),
        AsyncTolokaClient(own),
    )
    hook = TolokaHook("tested")
    yield from (hook, hook.api, hook.get_conn(), hook.test_connection, hook.retry_policy)
    hook.close()
    yield Poller(AsyncTolokaClient(own))
    of_loop = sharing._OfLoop()
    of_loop.shared[(Poller, own)] = None  # type: ignore[assignment]
    yield from (of_loop, of_loop.shared, vars(of_loop))
    trigger = OperationTrigger(toloka_conn_id="tested", operation_ids=["1"])
    yield from (trigger, trigger.serialize())
    yield TolokaArchiveProjectOperator(task_id="a", project_id="1", toloka_conn_id="tested")
    yield TolokaArchiveStaleProjectsOperator(task_id="b", project_ids=["1"], toloka_conn_id="tested")
    yield OperationSensor(task_id="c", operation_id="1", toloka_conn_id="tested")
    emulator = TolokaEmulator(tokens=(token,))
    yield from (emulator, emulator.fault("* /**"), emulator.requests, emulator._account, emulator._faults)
    for status in (200, 401, 404, 409, 429, 500):
        answer = flows.Response(status, {"location": token}, token.encode(), 0.0)
        yield reader.error(answer)
        for make in (reader.model, reader.page):
            with suppress(Exception):
                make(answer, dict)


@pytest.mark.parametrize("show", [repr, str, "{}".format, lambda one: repr([one]), lambda one: repr(vars(type(one)))])
def test_no_object_shows_the_token(monkeypatch: pytest.MonkeyPatch, show: Callable[[Any], str]) -> None:
    token = TOKENS["tested"]
    monkeypatch.setenv("AIRFLOW_CONN_TESTED", json.dumps({"conn_type": "toloka", "password": token}))
    shown = {type(one).__name__: show(one).encode() for one in objects(token)}
    assert Leaks(shown, {}).of(token) == set()


def test_no_public_class_has_a_repr_of_its_own_that_shows_a_token() -> None:
    """Dataclasses show their fields: none of these is a token, but the one that is left out."""
    for module in walk_packages(airflow_provider_toloka.__path__, "airflow_provider_toloka."):
        if module.name.endswith("__main__"):
            continue
        for kind in vars(import_module(module.name)).values():
            fields = getattr(kind, "__dataclass_fields__", {}) if isinstance(kind, type) else {}
            for name, field in fields.items():
                assert not (re.search("token|password|secret|authorization", name) and field.repr), (kind, name)
