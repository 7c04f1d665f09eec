"""The session of the ``requests`` library, which ``TolokaHook.get_conn`` returns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from airflow_provider_toloka.client.config import Settings
from airflow_provider_toloka.client.transports.sync import RequestsTransport
from airflow_provider_toloka.emulator import TolokaEmulator
from tests.certificates import Authority
from tests.client.transports import emulated, settings_for
from tests.serving import reply, serving

TOKEN = "AQAD-made-up"


@contextmanager
def opened(settings: Settings) -> Iterator[requests.Session]:
    transport = RequestsTransport(settings)
    try:
        yield transport.session
    finally:
        transport.close()


@pytest.mark.parametrize("timeout", [10, 10.0, (5, 10), (None, 10), None, urllib3.Timeout(total=10)], ids=repr)
def test_the_session_takes_any_timeout(toloka_emulator: TolokaEmulator, timeout: Any) -> None:
    with opened(emulated(toloka_emulator)) as session:
        url = f"{toloka_emulator.url}/api/v1/requester"
        assert session.get(url, timeout=timeout).status_code == 200
        assert session.request("GET", url, timeout=timeout).status_code == 200
        assert session.request("GET", url, None, None, None, None, None, None, timeout).status_code == 200
        assert session.send(session.prepare_request(requests.Request("GET", url)), timeout=timeout).status_code == 200


def test_the_session_has_the_connections_timeout_unless_told_otherwise(toloka_emulator: TolokaEmulator) -> None:
    toloka_emulator.fault("GET /requester", times=None, delay=1)
    url = f"{toloka_emulator.url}/api/v1/requester"
    with opened(emulated(toloka_emulator, timeout=0.2)) as session:
        calls: list[Callable[[], object]] = [
            lambda: session.get(url),
            lambda: session.request("GET", url),
            lambda: session.request("GET", url, None, None, None, None, None, None),
            lambda: session.send(session.prepare_request(requests.Request("GET", url))),
        ]
        for call in calls:
            with pytest.raises(requests.exceptions.ReadTimeout):
                call()
        assert session.get(url, timeout=None).status_code == 200
        assert session.get(url, timeout=20).status_code == 200


def test_a_long_answer_is_read_for_as_long_as_it_comes() -> None:
    def dribble(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
        for _ in range(20):
            time.sleep(0.05)
            handler.wfile.write(b"x")

    with serving(dribble) as url, opened(settings_for(url, timeout=0.5)) as session:
        assert session.get(url).text == "x" * 20


@pytest.mark.parametrize("where", ["another host", "another port", "another scheme", "a redirect"])
def test_token_and_account_go_to_the_connections_own_origin_only(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, str]] = []
    netrc = tmp_path / "netrc"
    netrc.write_text("default\nlogin me\npassword mine\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))

    def record(handler: BaseHTTPRequestHandler) -> None:
        seen.append({name.lower(): value for name, value in handler.headers.items()})
        reply(handler)

    def redirect(handler: BaseHTTPRequestHandler) -> None:
        record_own.append(handler.headers["Authorization"])
        reply(handler, status=307, Location=other)

    record_own: list[str] = []
    authority = Authority.found(tmp_path)
    with serving(redirect) as own, serving(record, authority.tls("good") if "scheme" in where else None) as other:
        if where == "another host":
            other = other.replace("127.0.0.1", "localhost")
        if where == "another scheme":
            # The same host and port, but for the scheme.
            own = other.replace("https:", "http:")
        settings = settings_for(own, act_under_account_id="acc-1", ca_bundle=str(authority.file))
        with opened(settings) as session:
            answer = session.get(own if where == "a redirect" else other)
    if where == "a redirect":
        assert (answer.status_code, seen, record_own) == (307, [], [f"OAuth {TOKEN}"])
    else:
        assert answer.status_code == 200
        assert not {"authorization", "x-act-under-account-id"} & seen[0].keys()


@pytest.mark.parametrize("address", ["{url}", "{url}/elsewhere", "{upper}/api/v1/requester"])
def test_token_and_account_go_to_every_path_of_the_origin(address: str) -> None:
    seen: list[tuple[str, str]] = []

    def record(handler: BaseHTTPRequestHandler) -> None:
        seen.append((handler.headers["Authorization"], handler.headers["X-Act-Under-Account-ID"]))
        reply(handler)

    with serving(record) as url:
        url = url.replace("127.0.0.1", "localhost")
        with opened(settings_for(url, act_under_account_id="acc-1")) as session:
            session.get(address.format(url=url, upper=url.replace("localhost", "LOCALHOST")))
    assert seen == [(f"OAuth {TOKEN}", "acc-1")]
