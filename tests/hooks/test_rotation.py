"""The connection's token is replaced while a hook is in use."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from threading import Barrier
from typing import Any

import pytest

from airflow_provider_toloka.client.sansio import Flow, Request
from airflow_provider_toloka.exceptions import TolokaAuthenticationError
from airflow_provider_toloka.hooks.toloka import TolokaHook
from tests.hooks.conftest import Connect
from tests.serving import reply, serving

OLD, NEW = "AQAD-old", "AQAD-new"
ACCOUNT = b'{"id": "1"}'
LOGGER = "a.logger.of.the.tests"


class Server:
    """Accepts one token at a time, and repeats in each refusal what it was sent.

    :param url: its address.
    """

    url: str

    def __init__(self) -> None:
        self.accepted = {OLD}
        self.seen: list[tuple[str, str]] = []

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        token = (handler.headers["Authorization"] or "").removeprefix("OAuth ")
        handler.rfile.read(int(handler.headers["Content-Length"] or 0))
        self.seen.append((handler.command, token))
        if token in self.accepted:
            reply(handler, ACCOUNT)
        else:
            refusal = {"code": "ACCESS_DENIED", "message": f"OAuth {token}", "request_id": token}
            reply(handler, json.dumps(refusal).encode(), 401)

    @property
    def tokens(self) -> list[str]:
        return [token for _, token in self.seen]


@pytest.fixture
def server() -> Iterator[Server]:
    served = Server()
    with serving(served.answer) as url:
        served.url = url
        yield served


@pytest.fixture
def hook(connect: Connect, server: Server) -> Iterator[TolokaHook]:
    with edited(connect, server) as used:
        yield used


def edited(connect: Connect, server: Server, token: str = OLD, **more: Any) -> TolokaHook:
    return connect({"host": server.url, "password": token, "extra": {"retries": 0}, **more})


@pytest.fixture
def hook_log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Stand in for Airflow's own logger, which is of another kind in each version."""
    monkeypatch.setattr(TolokaHook, "log", logging.getLogger(LOGGER))
    return caplog


def test_the_request_is_sent_again_with_the_connections_new_token(
    hook: TolokaHook, connect: Connect, server: Server, hook_log: pytest.LogCaptureFixture
) -> None:
    def flow() -> Flow[list[int]]:
        first = yield Request("GET", "/requester")
        server.accepted = {NEW}
        edited(connect, server, NEW)
        second = yield Request("POST", "/projects", json={})
        third = yield Request("GET", "/requester")
        return [answer.status for answer in (first, second, third)]

    assert hook.run(flow()) == [200, 200, 200]
    assert server.seen == [("GET", OLD), ("POST", OLD), ("POST", NEW), ("GET", NEW)]
    assert hook.requests_sent == 4
    [told] = [record.getMessage() for record in hook_log.records if record.name == LOGGER]
    assert told == "Toloka refused the token; connection 'mine' has changed since"


def test_afterwards_all_of_the_hook_has_the_new_token(hook: TolokaHook, connect: Connect, server: Server) -> None:
    former = hook.api
    server.accepted = {NEW}
    edited(connect, server, NEW)
    assert hook.run(former.get_requester()).id == hook.get_requester().id == "1"
    assert hook.api.settings.token == hook.async_client().api.settings.token == NEW
    assert hook.get_conn().get(f"{server.url}/api/v1/requester").ok
    assert server.tokens == [OLD, NEW, NEW, NEW]


def test_a_connection_that_has_not_changed_is_not_tried_again(hook: TolokaHook, server: Server) -> None:
    server.accepted = set()
    with pytest.raises(TolokaAuthenticationError, match="Toloka refuses the token"):
        hook.get_requester()
    assert server.tokens == [OLD]


def test_a_new_token_is_tried_once_and_no_error_contains_a_token(
    hook: TolokaHook, connect: Connect, server: Server
) -> None:
    former = hook.api
    server.accepted = set()
    edited(connect, server, NEW)
    for flow in (former.get_requester(), hook.api.get_requester()):
        with pytest.raises(TolokaAuthenticationError, match="Toloka refuses the token") as caught:
            hook.run(flow)
        assert "***" in str(caught.value)
        assert not {token for token in (OLD, NEW) if token in json.dumps(caught.value.to_json())}
    assert server.tokens == [OLD, NEW, NEW]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"host": "{other}"}, "now leads to custom, {other}/api/v1, not to custom, {url}/api/v1. Clear the task"),
        (
            {"extra": {"act_under_account_id": "7"}},
            "now leads to custom, {url}/api/v1, account 7, not to custom, {url}/api/v1. Clear the task",
        ),
    ],
    ids=["host", "account"],
)
def test_a_connection_that_leads_elsewhere_fails_before_anything_is_sent_there(
    hook: TolokaHook, connect: Connect, server: Server, more: dict[str, Any], told: str
) -> None:
    server.accepted = {NEW}
    other = Server()
    with serving(other.answer) as url:
        hook.get_conn()
        names = {"other": url, "url": server.url}
        edited(connect, server, NEW, **json.loads(json.dumps(more).replace("{other}", url)))
        with pytest.raises(TolokaAuthenticationError) as caught:
            hook.get_requester()
    assert f"Toloka refuses the token, and connection 'mine' {told.format(**names)}" in str(caught.value)
    assert (server.tokens, other.seen) == ([OLD], [])
    assert caught.value.is_permanent


def test_a_changed_connection_that_cannot_be_used_is_named(hook: TolokaHook, connect: Connect, server: Server) -> None:
    server.accepted = set()
    hook.get_conn()
    edited(connect, server, "")
    with pytest.raises(ValueError, match="Connection 'mine': The connection has no API token"):
        hook.get_requester()


def test_threads_share_the_new_token(hook: TolokaHook, connect: Connect, server: Server) -> None:
    former, together = hook.api, Barrier(4)
    server.accepted = {NEW}
    edited(connect, server, NEW)

    def call(_: int) -> str:
        together.wait()
        return hook.run(former.get_requester()).id

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(call, range(4))) == ["1"] * 4
    assert server.tokens.count(NEW) == 4
    assert hook.requests_sent == len(server.tokens)


def test_a_hook_that_was_not_used_has_sent_nothing(hook: TolokaHook) -> None:
    assert hook.requests_sent == 0
