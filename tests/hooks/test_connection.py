"""The hook's connection: the Test button, the ways to write it, the form."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_toloka.client.config import KEYS
from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.hooks.toloka import TolokaHook
from airflow_provider_toloka.provider_info import get_provider_info
from tests.hooks.conftest import TOKEN, Connect
from tests.serving import reply, self_signed_tls, serving

# The Test button


def test_the_test_button_names_account_and_environment(emulator: TolokaEmulator) -> None:
    is_good, text = TolokaHook().test_connection()
    account = "566ec2b0ff0deeaae5f9d500629de162 ('Emulated requester')"
    assert is_good
    assert text == f"Connected to Toloka as account {account}: custom, {emulator.url}/api/v1."
    assert [(record.method, record.path) for record in emulator.requests] == [("GET", "/requester")]


def test_the_test_button_names_an_account_without_a_name(emulator: TolokaEmulator) -> None:
    emulator.fault("GET /requester", body={"id": "1"})
    assert TolokaHook().test_connection() == (True, f"Connected to Toloka as account 1: custom, {emulator.url}/api/v1.")


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"status": 401}, "Toloka refuses the token. Check the connection's API token; sandbox and production have"),
        ({"status": 403}, "the token may not do this. Check the rights of the token's account"),
        ({"status": 503}, "Toloka is not available. Try again later"),
        ({"status": 429}, "too many requests"),
        ({"body": "<html>Welcome"}, "the response is not JSON. Check that the connection's host is Toloka's API"),
        ({"body": {"name": "another API"}}, "Check that the connection's host is Toloka's API"),
        ({"status": 302, "headers": {"Location": "/login"}}, "is a redirect to '/login', which is not followed"),
        ({"disconnect": "before"}, "the connection was interrupted"),
        ({"delay": 30}, "no response in time (1 s). Try again later, or increase the connection's timeout"),
    ],
    ids=str,
)
def test_the_test_button_says_at_once_what_is_wrong(
    connect: Connect, emulator: TolokaEmulator, fault: dict[str, Any], told: str
) -> None:
    emulator.fault("GET /requester", times=None, **fault)
    hook = connect({**emulator.connection, "extra": {"timeout": 1}})
    is_good, text = hook.test_connection()
    assert not is_good
    assert text.startswith(f"Could not read the account at Toloka (custom, {emulator.url}/api/v1): ")
    assert told in text
    assert emulator.token not in text
    assert len(emulator.requests) == 1


def test_the_test_button_says_that_the_token_is_wrong(connect: Connect, emulator: TolokaEmulator) -> None:
    is_good, text = connect({**emulator.connection, "password": TOKEN}).test_connection()
    assert not is_good
    assert "Toloka refuses the token" in text
    assert TOKEN not in text


def test_the_test_button_says_that_nobody_is_there(connect: Connect) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        hook = connect({"host": "http://127.0.0.1", "port": taken.getsockname()[1]})
        is_good, text = hook.test_connection()
    assert not is_good
    assert "the host cannot be reached ([Errno" in text
    assert "Check the connection's host and the network" in text


def test_the_test_button_says_that_the_certificate_is_wrong(connect: Connect, tmp_path: Path) -> None:
    with serving(reply, self_signed_tls(tmp_path)) as url:
        is_good, text = connect({"host": url}).test_connection()
    assert not is_good
    assert "the TLS connection failed" in text
    assert "self-signed certificate" in text


WRONG = [
    ({"password": ""}, "The connection has no API token. Enter it in the field 'API token' (password)."),
    ({"extra": {"environment": "test"}}, "The connection's environment is 'test'; it should be production or sandbox."),
    ({"host": "ftp://toloka.test"}, "The connection's host is a URL with the scheme 'ftp'"),
    ({"host": f"https://{TOKEN}@toloka.test"}, "without a user, a query or a fragment"),
    ({"host": "http://toloka.test"}, "uses plain http"),
    ({"extra": {"timeout": 0}}, "The connection's timeout is 0; it should be a number above 0."),
    ({"extra": {"retries": "many"}}, "The connection's retries is 'many'; it should be a whole number, 0 or above."),
    ({"extra": {"ca_bundle": "/none.pem"}}, "The connection's ca_bundle is '/none.pem'; it should be the path of a"),
    ({"extra": ["x"]}, "The connection's extra should be a JSON object, but is a JSON array."),
    ({"extra": "null"}, "The connection's extra should be a JSON object, but is a JSON null."),
    ({"extra": "[]"}, "The connection's extra should be a JSON object, but is a JSON array."),
    ({"extra": '"sandbox"'}, "The connection's extra should be a JSON object, but is a JSON string."),
    ({"extra": "environment=sandbox"}, "The connection's extra should be a JSON object (Expecting value: line 1"),
    ({"extra": f'{{"token": "{TOKEN}",}}'}, "The connection's extra should be a JSON object ("),
]


@pytest.mark.filterwarnings("ignore:Encountered (JSON value in|non-JSON in) `extra`")  # Airflow 2 minds it, too
@pytest.mark.parametrize(("fields", "told"), WRONG)
def test_a_wrong_connection_is_named(connect: Connect, fields: dict[str, Any], told: str) -> None:
    hook = connect(fields)
    is_good, text = hook.test_connection()
    assert not is_good
    assert told in text
    # Airflow tests a connection under an id that it makes up.
    assert "mine" not in text
    assert TOKEN not in text
    for call in (hook.get_conn, hook.get_requester, hook.async_client, lambda: asyncio.run(hook.read_async_client())):
        with pytest.raises(ValueError, match=r"^Connection 'mine': ") as caught:
            call()
        assert str(caught.value) == f"Connection 'mine': {text}"


@pytest.mark.parametrize(
    "body",
    [
        b"<h1>Not here</h1>",
        b'{"code": 404, "message": "Not Found"}',
        b'{"code": "NOT_FOUND"}',
        b'{"request_id": "r-1", "code": "DOES_NOT_EXIST", "message": "Another path of the same server"}',
    ],
)
def test_the_test_button_says_that_it_is_another_web_server(connect: Connect, body: bytes) -> None:
    with serving(lambda handler: reply(handler, body, 404)) as url:
        is_good, text = connect({"host": url}).test_connection()
    assert not is_good
    assert f"no Toloka API answers at {url}/api/v1. Check the connection's host" in text


def test_the_test_button_leaves_the_hook_as_it_was(connect: Connect, emulator: TolokaEmulator) -> None:
    used = connect({**emulator.connection, "extra": {"retries": 3}})
    with used:
        session = used.get_conn()
        used.get_requester()
        assert used.test_connection()[0]
        assert used.get_conn() is session
        assert used.client.requests_sent == 1
        assert used.get_requester().id
    emulator.clear_requests()
    fresh = connect({**emulator.connection, "extra": {"retries": 3}})
    assert fresh.test_connection()[0]
    emulator.fault("GET /requester", status=503, headers={"Retry-After": "0"})
    assert fresh.get_requester().id
    assert [record.status for record in emulator.requests] == [200, 503, 200]


def test_the_test_button_tells_of_unknown_keys(connect: Connect, emulator: TolokaEmulator) -> None:
    is_good, text = connect({**emulator.connection, "extra": {"timeot": 5}}).test_connection()
    assert is_good
    assert text.endswith("Unknown keys in the extra are ignored: 'timeot' (did you mean 'timeout'?).")


# Connections


def test_a_connection_may_be_a_uri(connect: Connect, emulator: TolokaEmulator) -> None:
    port = emulator.connection["port"]
    uri = f"toloka://:{emulator.token}@127.0.0.1:{port}/http?timeout=7&retries=2&act_under_account_id=acc-1"
    emulator.configure(accounts=["acc-1"])
    with connect(uri) as hook:
        assert hook.get_requester().name == "Emulated requester"
        settings = hook.api.settings
    assert settings.base_url == f"http://127.0.0.1:{port}/api/v1"
    assert (settings.timeout, settings.retries, settings.act_under_account_id) == (7.0, 2, "acc-1")
    assert emulator.requests[0].account == "acc-1"


@pytest.mark.parametrize(
    ("uri", "where"),
    [
        (f"toloka://:{TOKEN}@", "production, https://toloka.dev/api/v1"),
        (f"toloka://:{TOKEN}@/?environment=sandbox", "sandbox, https://sandbox.toloka.dev/api/v1"),
        (f"toloka://:{TOKEN}@toloka.test", "custom, https://toloka.test/api/v1"),
        (f"toloka://:{TOKEN}@http%3A%2F%2F127.0.0.1:8080", "custom, http://127.0.0.1:8080/api/v1"),
        (f"toloka://:{TOKEN}@[::1]:8080/http", "custom, http://[::1]:8080/api/v1"),
        (f"toloka://:{TOKEN}@toloka.test/http?allow_http=true", "custom, http://toloka.test/api/v1"),
        (
            f"toloka://:{TOKEN}@/?__extra__=%7B%22environment%22%3A+%22sandbox%22%7D",
            "sandbox, https://sandbox.toloka.dev",
        ),
    ],
)
def test_a_uri_says_all_that_a_connection_can(connect: Connect, uri: str, where: str) -> None:
    settings = connect(uri).api.settings
    assert settings.where.startswith(where)
    assert settings.token == TOKEN


def test_the_extra_may_be_a_text(connect: Connect) -> None:
    assert connect({"extra": json.dumps({"timeout": 7})}).api.settings.timeout == 7.0


@pytest.fixture
def hook_log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Stand in for Airflow's own logger, which is of another kind in each version."""
    monkeypatch.setattr(TolokaHook, "log", logging.getLogger("a.logger.of.the.tests"))
    return caplog


def test_a_connection_of_the_former_package_works_with_a_warning(
    connect: Connect, emulator: TolokaEmulator, hook_log: pytest.LogCaptureFixture
) -> None:
    legacy = {"extra__toloka__token": emulator.token, "extra__toloka__url": emulator.url}
    with connect({"password": None, "extra": legacy}) as hook:
        assert hook.get_requester().id
        assert hook.get_requester().id
    warnings = {record.getMessage() for record in hook_log.records if record.levelno == logging.WARNING}
    assert len(warnings) == 1
    told = warnings.pop()
    assert "Connection 'mine' still has the fields of airflow-provider-toloka 0.0.x" in told
    assert "extra__toloka__token, extra__toloka__url" in told
    assert emulator.token not in hook_log.text


@pytest.mark.usefixtures("emulator")
def test_a_connection_of_today_gives_no_warning(hook_log: pytest.LogCaptureFixture) -> None:
    assert TolokaHook().test_connection()[0]
    assert [record for record in hook_log.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("is_async", [False, True])
def test_unknown_keys_give_a_warning(
    connect: Connect, emulator: TolokaEmulator, hook_log: pytest.LogCaptureFixture, is_async: bool
) -> None:
    hook = connect({**emulator.connection, "extra": {"enviroment": "sandbox", "colour": "a-secret"}})
    if is_async:
        asyncio.run(hook.read_async_client())
    else:
        hook.get_requester()
    [warning] = [record.getMessage() for record in hook_log.records if record.levelno == logging.WARNING]
    assert warning == (
        "Connection 'mine' has unknown keys in its extra, which are ignored: "
        "'enviroment' (did you mean 'environment'?), 'colour'."
    )


# The session


def test_get_conn_is_a_session_ready_to_use(emulator: TolokaEmulator) -> None:
    with TolokaHook() as hook:
        session = hook.get_conn()
        assert hook.get_conn() is session
        answer = session.get(f"{emulator.url}/api/v1/requester")
        assert answer.json()["id"] == "566ec2b0ff0deeaae5f9d500629de162"
        assert emulator.token not in repr(session)


# The connection form


def test_the_form_is_the_one_of_the_provider_info() -> None:
    form = get_provider_info()["connection-types"][0]
    behaviour = TolokaHook.get_ui_field_behaviour()
    assert behaviour["relabeling"] == form["ui-field-behaviour"]["relabeling"] == {"password": "API token"}
    assert behaviour["hidden_fields"] == form["ui-field-behaviour"]["hidden-fields"]
    assert behaviour["placeholders"] == form["ui-field-behaviour"]["placeholders"]
    assert (form["connection-type"], form["hook-name"]) == (TolokaHook.conn_type, TolokaHook.hook_name)
    assert form["hook-class-name"] == f"{TolokaHook.__module__}.{TolokaHook.__qualname__}"


def test_the_form_has_the_keys_that_a_connection_takes() -> None:
    fields = get_provider_info()["connection-types"][0]["conn-fields"]
    assert [*fields, "allow_http"] == list(KEYS)


def test_the_forms_defaults_are_the_settings(connect: Connect) -> None:
    fields = get_provider_info()["connection-types"][0]["conn-fields"]
    defaults = {name: field["schema"].get("default") for name, field in fields.items()}
    with_defaults = connect({"extra": defaults}, "full").api.settings
    assert with_defaults == connect({}, "bare").api.settings


@pytest.mark.skipif(not find_spec("flask_appbuilder"), reason="Airflow before 3.2 makes the form of these")
def test_the_form_of_former_airflows_has_the_same_fields() -> None:
    from wtforms import Form

    class Sent(dict[str, str]):
        """What a browser sends, as WTForms reads it."""

        def getlist(self, name: str) -> list[str]:
            return [self[name]]

    fields = get_provider_info()["connection-types"][0]["conn-fields"]
    widgets = TolokaHook.get_connection_form_widgets()
    assert widgets.keys() == fields.keys()
    form_class = type("ConnectionForm", (Form,), widgets)
    for name, bound in form_class()._fields.items():
        assert (bound.label.text, bound.description) == (fields[name]["label"], fields[name]["description"])
        assert bound.default == fields[name]["schema"].get("default")
    empty = dict.fromkeys(fields, "")
    for good in (empty, {**empty, "environment": "sandbox", "timeout": "5", "retries": "0"}):
        assert form_class(Sent(good)).validate()
    for wrong in ({"environment": "test"}, {"timeout": "soon"}):
        assert not form_class(Sent({**empty, **wrong})).validate()
