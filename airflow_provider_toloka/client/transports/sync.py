"""Drives a flow over ``requests``. No rules of the API stand here."""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import TYPE_CHECKING, Any, TypeVar

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from airflow_provider_toloka.client.config import Settings
from airflow_provider_toloka.client.sansio import Flow, NoAnswer, Request, Response, Sleep

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

T = TypeVar("T")

#: An answer of the API is some kilobytes; a page of 300 pools may come to a few megabytes.
LARGEST_BODY = 10_000_000
_CHUNK = 65_536


class _TokenAuth(AuthBase):
    """Sets the token's header, and keeps an entry of ``~/.netrc`` from replacing it."""

    def __init__(self, authorization: str) -> None:
        self._authorization = authorization

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._authorization
        return request


class _Session(requests.Session):
    """Follows no redirect: the token is for one host."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 - the library's signature
        # Left to itself, requests looks into redirects even when it is not to follow them: it reads the whole body,
        # however large, and raises for an address that makes no sense.
        return None


class _Adapter(HTTPAdapter):
    """Gives each answer a deadline; the library has a timeout for each single read, however many there are."""

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool: Any = super().get_connection_with_tls_context(*args, **kwargs)
        if not hasattr(pool.ConnectionCls, "gives_a_deadline"):
            timed = {"response_class": _TimedResponse, "gives_a_deadline": True}
            pool.ConnectionCls = type("TimedConnection", (pool.ConnectionCls,), timed)
        return pool


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._reader = _TimedReader(sock, self.fp.detach())
        self.fp: io.BufferedReader = io.BufferedReader(self._reader)

    def begin(self) -> None:
        super().begin()
        if self._reader.is_at_end:
            # The library takes headers that are cut off for complete ones.
            raise http.client.RemoteDisconnected("The headers are cut off")


class _TimedReader(io.RawIOBase):
    """Reads until the time is over that the connection has for its next read now."""

    def __init__(self, sock: socket.socket, file: io.RawIOBase) -> None:
        self._sock = sock
        self._file = file
        self._deadline = time.monotonic() + (sock.gettimeout() or 0.0)
        self.is_at_end = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        count = self._file.readinto(buffer)
        self.is_at_end = count == 0
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def open_session(settings: Settings) -> requests.Session:
    """Give a session that speaks as the connection's account, and follows no redirects.

    :param settings: the connection's.
    """
    session = _Session()
    session.headers.update(settings.headers)
    session.auth = _TokenAuth(settings.authorization)
    for prefix in ("https://", "http://"):
        session.mount(prefix, _Adapter())
    return session


def run(flow: Flow[T], session: requests.Session, timeout: float) -> T:
    """Drive a flow to its end.

    :param flow: the flow.
    :param session: what its requests go over.
    :param timeout: how long a request may take as a whole, to the end of its answer, in seconds.
    :returns: the flow's result.
    """
    try:
        step = next(flow)
        while True:
            if isinstance(step, Sleep):
                time.sleep(step.seconds)
                step = flow.send(time.time())
            else:
                step = flow.send(_send(step, session, timeout))
    except StopIteration as stop:
        result: T = stop.value
        return result


def _send(request: Request, session: requests.Session, timeout: float) -> Response | NoAnswer:
    try:
        with session.request(
            request.method,
            request.url,
            # What connecting takes is not left for the answer.
            timeout=urllib3.Timeout(total=timeout),  # type: ignore[arg-type]
            allow_redirects=False,
            stream=True,
        ) as answer:
            body = bytearray()
            for chunk in answer.iter_content(_CHUNK):
                body += chunk
                if len(body) > LARGEST_BODY:
                    return NoAnswer("too large", f"more than {LARGEST_BODY} bytes")
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Response(answer.status_code, headers, bytes(body), time.time())
    except requests.exceptions.SSLError as error:
        return NoAnswer("tls", reason(error))
    except requests.exceptions.Timeout:
        return NoAnswer("timeout", f"{timeout:g} s")
    except requests.exceptions.ConnectionError as error:
        cause = error.args[0] if error.args else None
        # requests has one class for "no connection" and for "the connection broke off".
        is_broken = isinstance(cause, urllib3.exceptions.ProtocolError)
        if isinstance(cause, urllib3.exceptions.ReadTimeoutError):
            return NoAnswer("timeout", f"{timeout:g} s")
        return NoAnswer("broken" if is_broken else "unreachable", reason(error))
    except requests.exceptions.RequestException as error:
        return NoAnswer("broken", reason(error))


def reason(error: BaseException) -> str:
    """Give the innermost reason of a library's error, in one line: the operating system's, or the TLS library's.

    :param error: what the library raised.
    """
    inner = error.__cause__ or next((arg for arg in error.args if isinstance(arg, BaseException)), None)
    if inner is not None:
        return reason(inner)
    return " ".join(str(error).split()) or type(error).__name__
