"""Sends requests over ``requests``. No rules of the API stand here."""

from __future__ import annotations

import http.client
import io
import socket
import time
from typing import TYPE_CHECKING, Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from airflow_provider_toloka.client.config import Settings
from airflow_provider_toloka.client.sansio import NoAnswer, Request, Response

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

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


class RequestsTransport:
    """Sends requests over ``requests``, one at a time.

    :param settings: the connection's.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._session: requests.Session | None = None

    @property
    def session(self) -> requests.Session:
        """The session, opened at the first use."""
        if self._session is None:
            self._session = open_session(self._settings)
        return self._session

    def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def sleep(self, seconds: float) -> float:
        """Let seconds pass; return the time after them."""
        time.sleep(seconds)
        return time.time()

    def send(self, request: Request) -> Response | NoAnswer:
        """Send a request; return what came of it."""
        timeout = self._settings.timeout
        body = request.body
        try:
            with self.session.request(
                request.method,
                self._settings.base_url + request.target,
                data=body,
                headers={} if body is None else {"Content-Type": "application/json"},
                # What connecting takes is not left for the answer.
                timeout=urllib3.Timeout(total=timeout),  # type: ignore[arg-type]
                allow_redirects=False,
                stream=True,
            ) as answer:
                content = bytearray()
                for chunk in answer.iter_content(_CHUNK):
                    content += chunk
                    if len(content) > LARGEST_BODY:
                        return NoAnswer("too large", f"more than {LARGEST_BODY} bytes")
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return Response(answer.status_code, headers, bytes(content), time.time())
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
