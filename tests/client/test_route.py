"""Proxies and trusted certificates, over both transports."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_toloka.client.api import TolokaApi
from airflow_provider_toloka.client.config import Settings
from airflow_provider_toloka.client.retry import RetryPolicy
from airflow_provider_toloka.client.sansio import NoAnswer, Response
from airflow_provider_toloka.client.transports.route import find_route, reason
from airflow_provider_toloka.exceptions import TolokaTlsError, TolokaUnavailableError
from tests.certificates import Authority
from tests.client.transports import Drive, send, settings_for
from tests.serving import reply, self_signed_tls, serving, socks_proxy, tunnel

VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take out of the environment what is about proxies and certificates."""
    for name in [*VARIABLES, "SSL_CERT_DIR"]:
        monkeypatch.delenv(name, raising=False)
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


class Recorder:
    """Answers, and remembers what it was asked."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str | None, str | None]] = []

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        self.seen.append((handler.path, handler.headers["Proxy-Authorization"], handler.headers["Authorization"]))
        reply(handler)


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


# Proxies


@pytest.mark.parametrize(
    ("variables", "by_proxy"),
    [
        ({"http_proxy": "http://{proxy}"}, True),
        ({"HTTP_PROXY": "http://{proxy}"}, True),
        ({"ALL_PROXY": "http://{proxy}"}, True),
        ({"HTTP_PROXY": "{proxy}"}, True),
        ({"https_proxy": "http://{proxy}"}, False),
        ({"HTTP_PROXY": "http://{proxy}", "NO_PROXY": "127.0.0.1"}, False),
        ({"HTTP_PROXY": "http://{proxy}", "no_proxy": "127.0.0.0/8"}, False),
        ({"HTTP_PROXY": "http://{proxy}", "NO_PROXY": "10.0.0.0/8, toloka.test"}, True),
        ({"ALL_PROXY": "{proxy}", "NO_PROXY": "*"}, False),
    ],
    ids=str,
)
def test_the_proxy_is_the_one_that_requests_finds(
    monkeypatch: pytest.MonkeyPatch, drive: Drive, variables: dict[str, str], by_proxy: bool
) -> None:
    host, proxy = Recorder(), Recorder()
    with serving(host) as url, serving(proxy) as proxy_url:
        for name, value in variables.items():
            monkeypatch.setenv(name, value.format(proxy=proxy_url.removeprefix("http://")))
        settings = settings_for(url)
        assert drive(settings, send(settings, "/requester")).status == 200
    assert (len(proxy.seen), len(host.seen)) == ((1, 0) if by_proxy else (0, 1))


def test_a_proxy_gets_its_own_credentials(monkeypatch: pytest.MonkeyPatch, drive: Drive) -> None:
    proxy = Recorder()
    with serving(proxy) as url:
        monkeypatch.setenv("http_proxy", url.replace("//", "//me:mine@"))
        settings = settings_for("http://toloka.invalid")
        assert isinstance(drive(settings, send(settings, "/requester")), Response)
    assert proxy.seen == [("http://toloka.invalid/api/v1/requester", "Basic bWU6bWluZQ==", "OAuth AQAD-made-up")]


def test_https_goes_through_a_tunnel_which_does_not_see_the_token(
    monkeypatch: pytest.MonkeyPatch, drive: Drive, authority: Authority
) -> None:
    host = Recorder()
    asked = []

    def proxy(handler: BaseHTTPRequestHandler) -> None:
        asked.append((handler.command, handler.headers["Proxy-Authorization"], handler.headers["Authorization"]))
        tunnel(handler)

    with serving(host, authority.tls("good")) as url, serving(proxy) as proxy_url:
        monkeypatch.setenv("HTTPS_PROXY", proxy_url.replace("//", "//me:mine@"))
        settings = settings_for(url, ca_bundle=str(authority.file))
        assert drive(settings, send(settings, "/requester")).status == 200
    assert asked == [("CONNECT", "Basic bWU6bWluZQ==", None)]
    assert host.seen == [("/api/v1/requester", None, "OAuth AQAD-made-up")]


@pytest.mark.parametrize("scheme", ["https", "HTTPS"])
@pytest.mark.parametrize("is_tunnel", [False, True])
def test_a_proxy_may_be_reached_over_tls(
    monkeypatch: pytest.MonkeyPatch, drive: Drive, authority: Authority, scheme: str, is_tunnel: bool
) -> None:
    host, asked = Recorder(), []

    def proxy(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.command)
        (tunnel if is_tunnel else reply)(handler)

    with (
        serving(host, authority.tls("good") if is_tunnel else None) as url,
        serving(proxy, authority.tls("good")) as proxy_url,
    ):
        monkeypatch.setenv("ALL_PROXY", proxy_url.replace("https:", f"{scheme}:"))
        settings = settings_for(url, ca_bundle=str(authority.file))
        assert drive(settings, send(settings, "/requester")).status == 200
        assert asked == ["CONNECT" if is_tunnel else "GET"]
        # The proxy's certificate is checked as the host's is.
        assert "certificate" in failure(drive, settings_for(url)).summary
    assert len(host.seen) == int(is_tunnel)


def failure(drive: Drive, settings: Settings) -> TolokaUnavailableError:
    with pytest.raises(TolokaUnavailableError) as caught:
        drive(settings, TolokaApi(settings, RetryPolicy(retries=0)).get_requester())
    return caught.value


@pytest.mark.parametrize("target", ["http://toloka.invalid", "https://toloka.invalid"])
def test_a_proxy_that_is_away_is_named_without_its_credentials(
    monkeypatch: pytest.MonkeyPatch, drive: Drive, closed_port: int, target: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"http://me:mine@127.0.0.1:{closed_port}")
    told = str(failure(drive, settings_for(target)))
    assert "the host cannot be reached ([Errno" in told
    assert f"through the proxy http://127.0.0.1:{closed_port})" in told
    assert "mine" not in told


def test_a_proxy_that_refuses_is_named_without_its_credentials(monkeypatch: pytest.MonkeyPatch, drive: Drive) -> None:
    with serving(lambda handler: reply(handler, status=407)) as url:
        monkeypatch.setenv("HTTPS_PROXY", url.replace("//", "//me:mine@"))
        settings = settings_for("https://toloka.invalid")
        answer = drive(settings, send(settings, "/requester"))
        told = str(failure(drive, settings))
    assert answer.kind == "unreachable"
    assert f"Tunnel connection failed: 407 Proxy Authentication Required; through the proxy {url})" in told
    assert "mine" not in told


def test_a_proxy_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch, drive: Drive) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        proxy = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("HTTP_PROXY", proxy)
        settings = settings_for("http://toloka.invalid", timeout=0.2)
        answer = drive(settings, send(settings, "/requester"))
    assert answer == NoAnswer("timeout", f"0.2 s; through the proxy {proxy}")


@pytest.mark.parametrize(
    ("proxy", "shown"),
    [
        ("http://me:mine@[::1]:8080", "http://[::1]:8080"),
        ("http://me:mine@proxy.test", "http://proxy.test"),
        ("https://proxy.test:8443", "https://proxy.test:8443"),
    ],
)
def test_a_proxy_is_shown_without_its_credentials(monkeypatch: pytest.MonkeyPatch, proxy: str, shown: str) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    route = find_route(settings_for("http://toloka.invalid"))
    assert route.proxy == proxy
    assert route.no_answer("timeout", "1 s") == NoAnswer("timeout", f"1 s; through the proxy {shown}")
    told = f"refused; trusted certificates: certifi's and the system's; through the proxy {shown}"
    assert route.no_answer("tls", "refused") == NoAnswer("tls", told)


@pytest.mark.parametrize(
    ("proxy", "told"),
    [
        ("ftp://me:mine@127.0.0.1:21", "names the proxy ftp://127.0.0.1:21 for http://toloka.invalid"),
        ("http://me:mine@127.0.0.1:99999", "names a proxy for http://toloka.invalid/api/v1 that is not a valid URL"),
        ("http://:80", "should be an http, https or socks URL"),
    ],
)
def test_a_proxy_that_cannot_be_one_is_refused(
    monkeypatch: pytest.MonkeyPatch, drive: Drive, proxy: str, told: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    settings = settings_for("http://toloka.invalid")
    with pytest.raises(ValueError, match=r"^The environment names ") as caught:
        drive(settings, send(settings, "/requester"))
    assert told in str(caught.value)
    assert "mine" not in str(caught.value)


@pytest.mark.parametrize(
    ("scheme", "host", "asked"),
    [("socks5h", "toloka.invalid", "toloka.invalid"), ("socks5", "localhost", "127.0.0.1")],
)
def test_a_socks_proxy_works(
    monkeypatch: pytest.MonkeyPatch, drive: Drive, authority: Authority, scheme: str, host: str, asked: str
) -> None:
    pytest.importorskip("socks")
    pytest.importorskip("aiohttp_socks")
    names: list[str] = []
    with serving(reply) as url, serving(reply, authority.tls("good")) as tls_url, socks_proxy(names) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"{scheme}://{proxy}")
        settings = settings_for(url.replace("127.0.0.1", host))
        assert drive(settings, send(settings, "/requester")).status == 200
        settings = settings_for(tls_url, ca_bundle=str(authority.file))
        assert drive(settings, send(settings, "/requester")).status == 200
    assert names == [asked, "127.0.0.1"]


def test_a_socks_proxy_that_is_away_is_named(monkeypatch: pytest.MonkeyPatch, drive: Drive, closed_port: int) -> None:
    pytest.importorskip("socks")
    pytest.importorskip("aiohttp_socks")
    monkeypatch.setenv("ALL_PROXY", f"socks5://me:mine@127.0.0.1:{closed_port}")
    settings = settings_for("http://127.0.0.1:1")
    answer = drive(settings, send(settings, "/requester"))
    assert answer.kind == "unreachable"
    assert answer.reason.endswith(f"through the proxy socks5://127.0.0.1:{closed_port}")
    assert "mine" not in answer.reason


@pytest.mark.parametrize("missing", ["socks", "aiohttp_socks"])
def test_without_what_it_takes_a_socks_proxy_is_refused_by_both(
    monkeypatch: pytest.MonkeyPatch, drive: Drive, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.setenv("ALL_PROXY", "socks5://me:mine@127.0.0.1:1080")
    settings = settings_for("http://toloka.invalid")
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        drive(settings, send(settings, "/requester"))
    assert str(caught.value) == (
        f"The environment names the SOCKS proxy socks5://127.0.0.1:1080 for {settings.base_url}, but SOCKS support is "
        "not installed. Install airflow-provider-toloka[socks], or exempt the host in NO_PROXY."
    )


def test_the_emulators_fixture_works_behind_a_proxy(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, drive: Drive, closed_port: int
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port}")
    monkeypatch.setenv("NO_PROXY", "toloka.test")
    emulator = request.getfixturevalue("toloka_emulator")
    settings = settings_for(emulator.url, token=emulator.token)
    assert drive(settings, TolokaApi(settings).get_requester()).id
    assert os.environ["NO_PROXY"].startswith("toloka.test")


# Trusted certificates


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.found(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.found(tmp_path_factory.mktemp("another"))


def hashed(authority: Authority, folder: Path) -> Path:
    """Make a folder of certificates, as OpenSSL looks them up."""
    command = ["openssl", "x509", "-hash", "-noout", "-in", str(authority.file)]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    (folder / f"{name}.0").write_bytes(authority.file.read_bytes())
    return folder


def asked(drive: Drive, url: str, **more: Any) -> Response | NoAnswer:
    settings = settings_for(url, **more)
    answer: Response | NoAnswer = drive(settings, send(settings, "/requester"))
    return answer


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("is_folder", [False, True], ids=["file", "folder"])
def test_a_bundle_of_the_environment_is_trusted(
    monkeypatch: pytest.MonkeyPatch, drive: Drive, authority: Authority, tmp_path: Path, variable: str, is_folder: bool
) -> None:
    monkeypatch.setenv(variable, str(hashed(authority, tmp_path) if is_folder else authority.file))
    with serving(reply, authority.tls("good")) as url:
        assert isinstance(asked(drive, url), Response)


@pytest.mark.parametrize("first", [None, *VARIABLES[:-1]])
def test_the_first_bundle_is_trusted_and_no_other(
    monkeypatch: pytest.MonkeyPatch, drive: Drive, authority: Authority, another: Authority, first: str | None
) -> None:
    following = VARIABLES[VARIABLES.index(first) + 1 :] if first else VARIABLES
    for good, bad in ((authority, another), (another, authority)):
        for variable in following:
            monkeypatch.setenv(variable, str(bad.file))
        if first:
            monkeypatch.setenv(first, str(good.file))
        own = {} if first else {"ca_bundle": str(good.file)}
        with serving(reply, authority.tls("good")) as url:
            answer = asked(drive, url, **own)
        if good is authority:
            assert isinstance(answer, Response)
        else:
            assert isinstance(answer, NoAnswer)
            assert answer.kind == "tls"
            assert f"trusted certificates: {first or 'the connection' + chr(39) + 's ca_bundle'} '" in answer.reason
            assert str(another.file) in answer.reason


def test_the_systems_certificates_are_trusted_by_default(
    monkeypatch: pytest.MonkeyPatch, drive: Drive, authority: Authority, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", str(hashed(authority, tmp_path)))  # where OpenSSL takes the system's from
    with serving(reply, authority.tls("good")) as url:
        assert isinstance(asked(drive, url), Response)


def test_a_certificate_that_nobody_vouches_for_is_refused(drive: Drive, tmp_path: Path) -> None:
    host = Recorder()
    with serving(host, self_signed_tls(tmp_path)) as url:
        settings = settings_for(url)
        answer = drive(settings, send(settings, "/requester"))
        error = failure(drive, settings)
    assert (type(answer), answer.kind) == (NoAnswer, "tls")
    assert isinstance(error, TolokaTlsError)
    assert "self-signed certificate" in str(error)
    assert "trusted certificates: certifi's and the system's" in str(error)
    assert "Check the connection's host, or set ca_bundle in its extra" in str(error)
    assert host.seen == []


@pytest.mark.parametrize("kind", ["expired", "wrong name", "self-signed"])
def test_a_bad_certificate_is_refused_whatever_the_bundle(drive: Drive, authority: Authority, kind: str) -> None:
    with serving(reply, authority.tls(kind)) as url:
        answer = asked(drive, url, ca_bundle=str(authority.file))
    assert (type(answer), getattr(answer, "kind", "")) == (NoAnswer, "tls")


@pytest.mark.parametrize("variable", VARIABLES)
def test_a_bundle_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, drive: Drive, tmp_path: Path, variable: str
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "none.pem"))
    with pytest.raises(ValueError, match=rf"^The environment variable {variable} names '.*none\.pem', which does not"):
        asked(drive, "https://127.0.0.1:1")


def test_a_bundle_that_is_none_is_named(drive: Drive, tmp_path: Path) -> None:
    file = tmp_path / "none.pem"
    file.write_text("not a certificate")
    with pytest.raises(ValueError, match=r"^Could not read the trusted certificates \(the connection's ca_bundle '.*"):
        asked(drive, "https://127.0.0.1:1", ca_bundle=str(file))


class OddError(Exception):
    """An error of a library."""


def caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError("no route\n  to host"), "no route to host"),
        (OddError(), "OddError"),
        (OddError(OddError("inner")), "inner"),
        (caused(OddError("outer"), OddError()), "OddError"),
        (OddError("a text", OSError("inner")), "inner"),
    ],
)
def test_the_reason_is_the_innermost_cause_on_one_line(error: BaseException, told: str) -> None:
    assert reason(error) == told
