"""Send requests with ``requests``. Contains no rules of the API."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Self
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from airflow_provider_toloka.client.config import Settings
from airflow_provider_toloka.client.observer import Observer
from airflow_provider_toloka.client.sansio import NoAnswer, Request, Response
from airflow_provider_toloka.client.state import AccountState, account_state
from airflow_provider_toloka.client.transports.route import LARGEST_BODY, LONGEST_NAP, Route, find_route, reason

_CHUNK = 65_536
_DEFAULT_PORTS = {"http": 80, "https": 443}
#: Statuses of responses without a body, whatever their headers say.
_WITHOUT_BODY = (204, 304)
#: The version as http.client and urllib3 write it.
_HTTP_1_0 = 10
#: The number of positional arguments of ``Session.request`` before its timeout.
_BEFORE_TIMEOUT = 8


class _AccountAuth(AuthBase):
    """Adds the credentials for the connection's own origin only; ``~/.netrc`` does not replace them."""

    def __init__(self, settings: Settings) -> None:
        self._origin = _origin(settings.base_url)
        self._headers = settings.account_headers

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if _origin(request.url or "") == self._origin:
            request.headers.update(self._headers)
        return request


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS.get(parts.scheme)


class _Session(requests.Session):
    """Does not follow redirects, because the token is for one host, and has a default timeout.

    :param timeout: the default timeout of a request, in seconds.
    """

    def __init__(self, timeout: float) -> None:
        super().__init__()
        self._timeout = timeout

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        if len(args) <= _BEFORE_TIMEOUT:
            kwargs.setdefault("timeout", self._timeout)
        return super().request(*args, **kwargs)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        return super().send(request, **{"timeout": self._timeout, **kwargs})

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 - the library's signature
        # By default, requests processes redirects even if it does not follow them: it reads the whole body, of any
        # size, and raises for an invalid address.
        return None


class _Adapter(HTTPAdapter):
    """Trusts only the route's certificates, and reports each response's socket to its deadline."""

    def __init__(self, route: Route) -> None:
        self._route = route
        super().__init__()

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[Any, Any]:
        del verify  # the library has searched the environment for a bundle, with its own rules
        host, pool = super().build_connection_pool_key_attributes(request, True, cert)
        if host["scheme"] == "https":
            pool["ssl_context"] = self._route.tls
        return host, pool

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        if proxy.lower().startswith("https:"):
            kwargs["proxy_ssl_context"] = self._route.tls
        return super().proxy_manager_for(proxy, **kwargs)

    def cert_verify(self, *args: Any) -> None:
        """Add no certificates to the context; the library would add its own bundle."""

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        if not issubclass(pool.ConnectionCls, _WatchedConnection):
            kind = pool.ConnectionCls
            pool.ConnectionCls = type(kind.__name__, (_WatchedConnection, kind), {})
        return pool


class _Deadline:
    """Ends a response at its deadline; the library's timeout is for each single read.

    :param seconds: how long the response may take.
    """

    current: ContextVar[_Deadline | None] = ContextVar("current", default=None)

    def __init__(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds
        self._socket: Any = None
        #: Whether the request was sent, and the response is awaited.
        self.has_sent = False
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    @property
    def is_over(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self._ends_at

    def __enter__(self) -> Self:
        self._before = self.current.set(self)
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self.current.reset(self._before)

    def watch(self, connected: Any) -> None:
        """Record that the request was sent, and the socket of the response."""
        self.has_sent = True
        self._socket = getattr(connected, "socket", connected)  # wrapped in TLS within a proxy's TLS
        if self.is_over:
            self._end()

    def _end(self) -> None:
        if self._socket is not None:
            # Not the TLS socket's own shutdown, which crashes a read in another thread.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class _WatchedConnection:
    sock: Any

    def getresponse(self) -> Any:
        if deadline := _Deadline.current.get():
            deadline.watch(self.sock)
        return super().getresponse()  # type: ignore[misc]  # it is mixed into urllib3's connections


def open_session(settings: Settings, route: Route) -> requests.Session:
    """Return a session with the connection's credentials that does not follow redirects.

    :param settings: the connection's settings.
    :param route: the route to the host.
    """
    session = _Session(settings.timeout)
    session.headers.update(settings.headers)
    session.auth = _AccountAuth(settings)
    session.mount("https://", _Adapter(route))
    session.mount("http://", _Adapter(route))
    return session


class RequestsTransport:
    """Sends requests with ``requests``, one at a time, within the account's limit.

    :param settings: the connection's settings.
    :param state: the account's rate and clock; default: the ones that all clients of the account share.
    :param largest_body: the maximum size of a response's body, in bytes.
    :param observer: receives what came of each request; default: nobody.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        state: AccountState | None = None,
        largest_body: int = LARGEST_BODY,
        observer: Observer | None = None,
    ) -> None:
        self._settings = settings
        self.state = state or account_state(settings)
        self._largest_body = largest_body
        self._observer = observer or Observer()
        self._route: Route | None = None
        self._session: requests.Session | None = None
        #: The number of requests sent.
        self.requests = 0

    @property
    def session(self) -> requests.Session:
        """The session, opened on first use."""
        if self._session is None:
            self._session = open_session(self._settings, self.route)
        return self._session

    @property
    def route(self) -> Route:
        """The route to the host, determined on first use."""
        if self._route is None:
            self._route = find_route(self._settings)
        return self._route

    def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            self._session.close()
            self._session = self._route = None

    def sleep(self, seconds: float) -> float:
        """Sleep; return the time afterwards."""
        time.sleep(seconds)
        return time.time()

    def send(self, request: Request) -> Response | NoAnswer:
        """Send a request when the rate allows it; return the result."""
        clock = time.monotonic
        while not (late := request.late(time.time())) and (wait := self.state.rate.acquire(clock())):
            time.sleep(min(wait, LONGEST_NAP))
        if late:
            return late
        sent = clock()
        answer = self._exchange(request)
        now = clock()
        self.state.learn(answer, sent=sent, now=now)
        self._observer.answered(answer, seconds=now - sent, rate=self.state.rate.rate)
        return answer

    def _exchange(self, request: Request) -> Response | NoAnswer:
        timeout = self._settings.timeout
        session = self.session
        self.requests += 1
        with _Deadline(timeout) as deadline:
            answer = self._send(session, request, timeout)
        if deadline.is_over:
            # Whatever came of it: the library's timeouts are no shorter.
            return self.route.no_answer("timeout", f"{timeout:g} s")
        if isinstance(answer, NoAnswer) and answer.kind in ("tls", "unreachable") and deadline.has_sent:
            # The connection failed only during the response, so the request may have been executed.
            return replace(answer, kind="broken")
        return answer

    def _send(self, session: requests.Session, request: Request, timeout: float) -> Response | NoAnswer:
        body = request.body
        no_answer = self.route.no_answer
        try:
            with session.request(
                request.method,
                self._settings.base_url + request.target,
                data=body,
                headers={} if body is None else {"Content-Type": "application/json"},
                # The deadline cannot end the attempt to connect.
                timeout=urllib3.Timeout(total=timeout),  # type: ignore[arg-type]
                stream=True,
            ) as answer:
                content = bytearray()
                for chunk in answer.iter_content(_CHUNK):
                    content += chunk
                    if len(content) > self._largest_body:
                        return no_answer("too large", f"more than {self._largest_body} bytes")
                if not content and _is_cut_off(answer):
                    return no_answer("broken", "the headers are incomplete")
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return Response(answer.status_code, headers, bytes(content), time.time())
        except requests.exceptions.SSLError as error:
            return no_answer("tls", reason(error))
        except requests.exceptions.ConnectionError as error:
            # requests has one class for "no connection" and for "the connection was interrupted".
            is_broken = any(isinstance(cause, urllib3.exceptions.ProtocolError) for cause in error.args)
            return no_answer("broken" if is_broken else "unreachable", reason(error))
        except requests.exceptions.RequestException as error:
            return no_answer("broken", reason(error))


def _is_cut_off(answer: requests.Response) -> bool:
    # http.client accepts incomplete headers as complete. The end of a body needs a length, unless the server closes the
    # connection after it, and says so.
    is_framed = "Content-Length" in answer.headers or "Transfer-Encoding" in answer.headers
    is_closed = answer.raw.version == _HTTP_1_0 or answer.headers.get("Connection", "").lower() == "close"
    return not is_framed and not is_closed and answer.status_code not in _WITHOUT_BODY
