"""Both transports over the same cases."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_toloka import __version__
from airflow_provider_toloka.client import AsyncTolokaClient, TolokaClient
from airflow_provider_toloka.client.api import TolokaApi
from airflow_provider_toloka.client.config import Settings
from airflow_provider_toloka.client.observer import Observer
from airflow_provider_toloka.client.rate_limit import RateController
from airflow_provider_toloka.client.retry import RetryPolicy
from airflow_provider_toloka.client.sansio import Flow, NoAnswer, Request, Response, Sleep
from airflow_provider_toloka.client.state import AccountState
from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.exceptions import TolokaInvalidAnswerError
from tests.certificates import Authority
from tests.client.transports import Drive, emulated, send, settings_for
from tests.driving import read_all
from tests.serving import reply, serving


def test_an_answer_comes_whole(toloka_emulator: TolokaEmulator, drive: Drive) -> None:
    toloka_emulator.fault("GET /requester", status=418, body="tea ☕", headers={"Retry-After": "7", "X-Odd": "é"})
    settings = emulated(toloka_emulator, act_under_account_id="acc-1")
    answer = drive(settings, send(settings, "/requester"))
    assert (answer.status, answer.body.decode()) == (418, "tea ☕")
    assert answer.headers["retry-after"] == "7"
    assert answer.received == pytest.approx(toloka_emulator.requests[0].at, abs=30)
    assert toloka_emulator.requests[0].account == "acc-1"


def test_calls_and_lists_work(toloka_emulator: TolokaEmulator, drive: Drive) -> None:
    ids = [toloka_emulator.add_project()["id"] for _ in range(310)]
    settings = emulated(toloka_emulator)
    api = TolokaApi(settings)
    assert drive(settings, api.get_requester()).name == "Emulated requester"
    assert [project.id for project in drive(settings, read_all(api.projects.listing()))] == ids
    assert drive(settings, api.projects.archive(ids[0])).status == "SUCCESS"
    assert toloka_emulator.projects[ids[0]]["status"] == "ARCHIVED"


def test_an_api_key_is_sent_as_such(drive: Drive) -> None:
    key = f"{'a' * 23}.bb.cc"
    with TolokaEmulator(tokens=[key]) as emulator:
        settings = emulated(emulator)
        assert drive(settings, TolokaApi(settings).get_requester()).id


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("disconnect", ["before", "after", "cut"])
def test_a_connection_that_breaks_off_is_no_answer(
    toloka_emulator: TolokaEmulator, drive: Drive, method: str, disconnect: str
) -> None:
    project_id = toloka_emulator.add_project()["id"]
    path = f"/projects/{project_id}" + ("/archive" if method == "POST" else "")
    toloka_emulator.fault(f"{method} {path}", times=None, disconnect=disconnect)
    settings = emulated(toloka_emulator)
    answer = drive(settings, send(settings, path, method))
    assert (type(answer), answer.kind) == (NoAnswer, "broken")
    assert answer.reason
    assert len(toloka_emulator.requests) == 1 or method == "GET"  # aiohttp repeats it once by itself
    is_carried_out = method == "POST" and disconnect != "before"
    assert toloka_emulator.projects[project_id]["status"] == ("ARCHIVED" if is_carried_out else "ACTIVE")


@pytest.mark.parametrize("disconnect", ["before", "after", "cut"])
def test_a_change_whose_answer_is_lost_is_submitted_once(
    toloka_emulator: TolokaEmulator, drive: Drive, disconnect: str
) -> None:
    project_id = toloka_emulator.add_project()["id"]
    toloka_emulator.fault("POST /projects/*/archive", disconnect=disconnect)
    settings = emulated(toloka_emulator)
    drive(settings, TolokaApi(settings, RetryPolicy(jitter=lambda _: 0.0)).projects.archive(project_id))
    assert toloka_emulator.projects[project_id]["status"] == "ARCHIVED"
    assert len(toloka_emulator.operations) == 1


@pytest.mark.parametrize(
    "damage", [b"\x17\x03\x03\x00\x40" + bytes(64), b"HTTP/1.1 502 Bad Gateway\r\n\r\n"], ids=["record", "plain text"]
)
def test_a_tls_connection_that_is_damaged_after_the_request_may_have_carried_it_out(
    drive: Drive, tmp_path: Path, damage: bytes
) -> None:
    authority = Authority.found(tmp_path)

    def spoil(handler: BaseHTTPRequestHandler) -> None:
        with socket.socket(fileno=os.dup(handler.connection.fileno())) as beneath_tls:
            beneath_tls.sendall(damage)
        handler.close_connection = True

    with serving(spoil, authority.tls("good")) as url:
        settings = settings_for(url, ca_bundle=str(authority.file))
        answer = drive(settings, send(settings, "/projects", "POST"))
    assert (type(answer), answer.kind) == (NoAnswer, "broken")


def test_a_slow_answer_is_a_timeout(toloka_emulator: TolokaEmulator, drive: Drive) -> None:
    toloka_emulator.fault("GET /requester", delay=30)
    settings = emulated(toloka_emulator, timeout=0.2)
    assert drive(settings, send(settings, "/requester")) == NoAnswer("timeout", "0.2 s")


def test_a_connection_that_is_not_accepted_is_a_timeout(drive: Drive) -> None:
    with socket.socket() as full, contextlib.ExitStack() as others:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(8):  # more than wait for a listener that accepts none of them
            other = others.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(full.getsockname())
        settings = settings_for(f"http://127.0.0.1:{full.getsockname()[1]}", timeout=0.3)
        begin = time.monotonic()
        assert drive(settings, send(settings, "/")) == NoAnswer("timeout", "0.3 s")
        assert 0.3 <= time.monotonic() - begin < 1


def test_a_body_that_stops_coming_is_a_timeout(drive: Drive) -> None:
    gone = threading.Event()

    def stall(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"{")
        handler.wfile.flush()
        gone.wait(10)

    with serving(stall) as url:
        settings = settings_for(url, timeout=0.2)
        answer = drive(settings, send(settings, "/"))
        gone.set()
    assert answer == NoAnswer("timeout", "0.2 s")


async def test_a_request_that_is_cancelled_as_its_time_is_over_ends_with_its_task(
    toloka_emulator: TolokaEmulator,
) -> None:
    toloka_emulator.fault("GET /requester", delay=30)
    settings = emulated(toloka_emulator, timeout=0.5)
    async with AsyncTolokaClient(settings) as client:
        task = asyncio.create_task(client.run(send(settings, "/requester")))
        while not toloka_emulator.requests:  # noqa: ASYNC110 - another thread adds to them
            await asyncio.sleep(0.01)
        asyncio.get_running_loop().call_later(0.55, task.cancel)
        time.sleep(0.6)  # noqa: ASYNC251 - so both are due when the loop continues
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.mark.parametrize(
    ("begin", "part"),
    [
        (b"HTTP/1.1 200 OK\r\nX-Odd: ", b"x"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["headers", "interim answers", "body", "chunks"],
)
def test_an_answer_that_comes_bit_by_bit_has_to_be_there_in_time(drive: Drive, begin: bytes, part: bytes) -> None:
    gone = threading.Event()

    def dribble(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(begin)
        for _ in range(250):  # some five seconds
            if not gone.wait(0.02):
                handler.wfile.write(part)

    started = time.monotonic()
    with serving(dribble) as url:
        settings = settings_for(url, timeout=0.5)
        answer = drive(settings, send(settings, "/"))
        gone.set()
    assert answer == NoAnswer("timeout", "0.5 s")
    assert 0.5 <= time.monotonic() - started < 4


def test_two_lengths_that_differ_are_no_answer(drive: Drive) -> None:
    def contradict(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 2\r\n\r\n{}")

    with serving(contradict) as url:
        settings = settings_for(url)
        answer = drive(settings, send(settings, "/"))
    assert (type(answer), answer.kind) == (NoAnswer, "broken")


def test_a_refused_connection_is_unreachable(drive: Drive) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        settings = settings_for(f"http://127.0.0.1:{taken.getsockname()[1]}")
        answer = drive(settings, send(settings, "/requester"))
    assert (type(answer), answer.kind) == (NoAnswer, "unreachable")
    assert f"[Errno {errno.ECONNREFUSED}]" in answer.reason


def test_what_is_no_http_is_no_answer(drive: Drive) -> None:
    def greet(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        handler.close_connection = True

    with serving(greet) as url:
        settings = settings_for(url)
        answer = drive(settings, send(settings, "/requester"))
    assert (type(answer), answer.kind) == (NoAnswer, "broken")


def test_a_body_that_is_not_encoded_as_it_says_is_no_answer(toloka_emulator: TolokaEmulator, drive: Drive) -> None:
    toloka_emulator.fault("GET /requester", body=b"no gzip", headers={"Content-Encoding": "gzip"})
    settings = emulated(toloka_emulator)
    answer = drive(settings, send(settings, "/requester"))
    assert (type(answer), answer.kind) == (NoAnswer, "broken")


@pytest.mark.parametrize("status", [200, 302, 500])
def test_a_body_without_end_is_given_up(drive: Drive, status: int) -> None:
    written = 0

    def flood(handler: BaseHTTPRequestHandler) -> None:
        nonlocal written
        handler.send_response(status)
        handler.send_header("Location", "/elsewhere")
        handler.send_header("Content-Length", "1000000000")
        handler.end_headers()
        while written < 1_000_000_000:
            handler.wfile.write(b"x" * 1_000_000)
            written += 1_000_000

    with serving(flood) as url:
        settings = settings_for(url)
        answer = drive(settings, send(settings, "/"), largest_body=100_000)
    assert answer == NoAnswer("too large", "more than 100000 bytes")
    assert written < 100_000_000


def test_the_largest_body_is_still_read(toloka_emulator: TolokaEmulator, drive: Drive) -> None:
    toloka_emulator.fault("GET /requester", body=b"x" * 100_000)
    settings = emulated(toloka_emulator)
    assert len(drive(settings, send(settings, "/requester"), largest_body=100_000).body) == 100_000


def test_a_page_that_is_too_large_is_read_in_smaller_ones(toloka_emulator: TolokaEmulator, drive: Drive) -> None:
    for number in range(50):
        toloka_emulator.add_project(f"Project {number}", public_description="x" * 1000)
    settings = emulated(toloka_emulator)
    toloka_emulator.clear_requests()
    found = drive(settings, read_all(TolokaApi(settings).projects.listing()), largest_body=25_000)
    assert [one.id for one in found] == sorted(toloka_emulator.projects, key=int)
    assert len(toloka_emulator.requests) < 40
    assert drive(settings, send(settings, "/projects"), largest_body=25_000).kind == "too large"


def test_both_read_bodies_up_to_ten_megabytes(toloka_emulator: TolokaEmulator, drive: Drive) -> None:
    settings = emulated(toloka_emulator)
    toloka_emulator.fault("GET /requester", body=b"x" * 10_000_000)
    assert len(drive(settings, send(settings, "/requester")).body) == 10_000_000
    toloka_emulator.fault("GET /requester", body=b"x" * 10_000_001)
    assert drive(settings, send(settings, "/requester")) == NoAnswer("too large", "more than 10000000 bytes")


@pytest.mark.parametrize(
    ("count", "size", "is_read"),
    [(1, 65_000, True), (1, 66_000, False), (99, 100, True), (100, 100, False), (200, 100, False)],
)
def test_headers_have_the_same_limits(drive: Drive, count: int, size: int, is_read: bool) -> None:
    head = "".join(f"X-Header-{i}: {'x' * size}\r\n" for i in range(count - 1))

    def answer_with_many(handler: BaseHTTPRequestHandler) -> None:
        # The last header but for those above is the length.
        padding = f"Content-Length: 2\r\nX-Header: {'x' * size}\r\n" if count == 1 else f"Content-Length: 2\r\n{head}"
        handler.wfile.write(f"HTTP/1.1 200 OK\r\n{padding}\r\n{{}}".encode())
        handler.close_connection = True

    with serving(answer_with_many) as url:
        settings = settings_for(url)
        answer = drive(settings, send(settings, "/"))
    if is_read:
        assert answer.body == b"{}"
    else:
        assert (type(answer), answer.kind) == (NoAnswer, "broken")


@pytest.mark.parametrize("begin", ["HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 409 Conflict\r\nX-Odd: 1\r\n"])
def test_headers_that_are_cut_off_are_no_answer(drive: Drive, begin: str) -> None:
    def cut(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(begin.encode())
        handler.close_connection = True

    with serving(cut) as url:
        settings = settings_for(url)
        answer = drive(settings, send(settings, "/"))
    assert answer.kind == "broken"
    assert answer.reason in ("the headers are incomplete", "the server disconnected")


@pytest.mark.parametrize(
    "rest",
    [
        "1.1 401 No\r\nContent-Length: 0\r\n\r\n",
        "1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "1.1 401 No\r\nConnection: close\r\n\r\n",
        "1.0 401 No\r\n\r\n",
    ],
)
def test_an_empty_body_is_an_answer(drive: Drive, rest: str) -> None:
    def end(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(f"HTTP/{rest}".encode())
        handler.close_connection = True

    with serving(end) as url:
        settings = settings_for(url)
        answer = drive(settings, send(settings, "/"))
    assert (answer.status, answer.body) == (401, b"")


class Recorder(Observer):
    def __init__(self) -> None:
        self.seen: list[tuple[Any, float, float]] = []

    def answered(self, answer: Any, *, seconds: float, rate: float) -> None:
        self.seen.append((answer, seconds, rate))


def test_what_comes_of_each_request_is_observed(toloka_emulator: TolokaEmulator, drive: Drive) -> None:
    observer, state = Recorder(), AccountState(RateController(highest=7))
    settings = emulated(toloka_emulator, timeout=0.3)
    options = {"observer": observer, "state": state}
    answer = drive(settings, send(settings, "/requester"), **options)
    toloka_emulator.fault("GET /requester", delay=5)
    missing = drive(settings, send(settings, "/requester"), **options)
    assert [seen[0] for seen in observer.seen] == [answer, missing]
    assert missing == NoAnswer("timeout", "0.3 s")
    assert 0 < observer.seen[0][1] < 0.3 <= observer.seen[1][1] < 5
    assert {seen[2] for seen in observer.seen} == {7}


def test_requests_are_counted(toloka_emulator: TolokaEmulator) -> None:
    toloka_emulator.fault("GET /requester", status=503, times=2)
    settings = emulated(toloka_emulator)
    retry = RetryPolicy(jitter=lambda _: 0.0)
    with TolokaClient(settings, retry=retry) as client:
        client.get_requester()
        assert client.requests_sent == 3

    async def main() -> int:
        async with AsyncTolokaClient(settings, retry=retry) as client:
            await client.get_requester()
            return client.requests_sent

    assert asyncio.run(main()) == 1
    assert len(toloka_emulator.requests) == 4


def test_a_redirect_is_not_followed_and_takes_no_token_along(toloka_emulator: TolokaEmulator, drive: Drive) -> None:
    with TolokaEmulator() as other:
        location = f"{other.url}/api/v1/requester"
        toloka_emulator.fault("GET /requester", times=None, status=307, headers={"Location": location})
        settings = emulated(toloka_emulator)
        with pytest.raises(TolokaInvalidAnswerError, match=rf"is a redirect to '{location}', which is not followed"):
            drive(settings, TolokaApi(settings).get_requester())
        assert other.requests == []
    assert len(toloka_emulator.requests) == 1


@pytest.mark.parametrize(
    "location", ["http://[", "http://a..b/", "//", "", "\x00", "é", "mailto:a@b", "http://x:99999/"]
)
def test_a_redirect_to_nowhere_is_no_harm(toloka_emulator: TolokaEmulator, drive: Drive, location: str) -> None:
    toloka_emulator.fault(
        "GET /requester", status=302, body=b"moved", headers={"Location": location.replace("\x00", "%00")}
    )
    settings = emulated(toloka_emulator)
    answer = drive(settings, send(settings, "/requester"))
    assert (answer.status, answer.body) == (302, b"moved")


def test_an_entry_of_netrc_does_not_replace_the_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, drive: Drive
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1\nlogin me\npassword mine\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    seen = []

    def record(handler: BaseHTTPRequestHandler) -> None:
        seen.append(handler.headers.get_all("Authorization"))
        reply(handler)

    with serving(record) as url:
        settings = settings_for(url)
        drive(settings, send(settings, "/requester"))
    assert seen == [["OAuth AQAD-made-up"]]


def test_the_headers_say_who_asks_for_what(drive: Drive) -> None:
    seen: list[dict[str, str]] = []

    def record(handler: BaseHTTPRequestHandler) -> None:
        seen.append({name.lower(): value for name, value in handler.headers.items()})
        reply(handler)

    with serving(record) as url:
        settings = settings_for(url, act_under_account_id="acc-1")
        drive(settings, send(settings, "/requester"))
    assert seen[0]["user-agent"] == f"airflow-provider-toloka/{__version__}"
    assert (seen[0]["accept"], seen[0]["x-act-under-account-id"]) == ("application/json", "acc-1")
    assert "content-type" not in seen[0]


def test_a_body_is_sent_as_json(drive: Drive) -> None:
    seen: list[tuple[str, bytes]] = []

    def record(handler: BaseHTTPRequestHandler) -> None:
        seen.append((handler.headers["Content-Type"], handler.rfile.read(int(handler.headers["Content-Length"]))))
        reply(handler)

    def post() -> Flow[Response | NoAnswer]:
        answer: Response | NoAnswer = yield Request("POST", "/pools", json={"name": "Слон"})
        return answer

    with serving(record) as url:
        drive(settings_for(url), post())
    assert [(type_, json.loads(body)) for type_, body in seen] == [("application/json", {"name": "Слон"})]


def test_plain_http_behind_an_https_address_is_refused(toloka_emulator: TolokaEmulator, drive: Drive) -> None:
    settings = settings_for(toloka_emulator.url.replace("http:", "https:"))
    answer = drive(settings, send(settings, "/requester"))
    assert (type(answer), answer.kind) == (NoAnswer, "tls")


def test_a_sleep_takes_its_time_and_tells_it(drive: Drive) -> None:
    def flow() -> Flow[tuple[float, float]]:
        before = yield Sleep(0)
        return before, (yield Sleep(0.05))

    before, after = drive(settings_for("http://127.0.0.1"), flow())
    assert 0.04 < after - before < 10


def test_connections_are_kept_for_the_next_request(drive: Drive) -> None:
    ports = []

    def record(handler: BaseHTTPRequestHandler) -> None:
        ports.append(handler.client_address[1])
        reply(handler)

    def thrice(settings: Settings) -> Flow[None]:
        for _ in range(3):
            yield from send(settings, "/requester")

    with serving(record) as url:
        drive(settings_for(url), thrice(settings_for(url)))
    assert len(ports) == 3
    assert len(set(ports)) == 1
