"""Send requests with ``aiohttp``, many concurrently. Contains no rules of the API."""

from __future__ import annotations

import asyncio
import time
from importlib import import_module
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from airflow_provider_toloka.client.config import Settings
from airflow_provider_toloka.client.observer import Observer
from airflow_provider_toloka.client.sansio import NoAnswer, Request, Response
from airflow_provider_toloka.client.state import AccountState, account_state
from airflow_provider_toloka.client.transports.route import (
    LARGEST_BODY,
    LARGEST_HEADER,
    LONGEST_NAP,
    MOST_HEADERS,
    Route,
    find_route,
    reason,
)

#: Enough for 300 requests per second that take up to half a second each.
CONNECTIONS = 150


class AiohttpTransport:
    """Sends requests with ``aiohttp``, many concurrently, within the account's limit. An async context manager.

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
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._turns = asyncio.Lock()
        self._session: aiohttp.ClientSession
        self._route: Route
        self._unreachable: tuple[type[Exception], ...] = (aiohttp.ClientConnectorError,)
        #: The number of requests sent.
        self.requests = 0

    async def __aenter__(self) -> Self:
        self._route = await asyncio.to_thread(find_route, self._settings)  # it reads the certificates
        if self._route.is_socks:
            socks = import_module("aiohttp_socks")
            self._unreachable += (socks.ProxyError, socks.ProxyConnectionError)
        self._session = aiohttp.ClientSession(
            # Redirects are not followed, so only the connection's own host gets these headers.
            headers={**self._settings.headers, **self._settings.account_headers},
            timeout=aiohttp.ClientTimeout(total=None),
            connector=_connector(self._route),
            # Not ``trust_env``: it searches for a proxy and reads ~/.netrc in a thread, for every request.
            proxy=None if self._route.is_socks else self._route.proxy,
            max_line_size=LARGEST_HEADER,
            max_field_size=LARGEST_HEADER,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    @property
    def rate(self) -> float:
        """How many requests may be sent in a second now."""
        return self.state.rate.rate

    async def sleep(self, seconds: float) -> float:
        """Sleep; return the time afterwards."""
        await asyncio.sleep(seconds)
        return time.time()

    async def send(self, request: Request) -> Response | NoAnswer:
        """Send a request when the rate allows it; return the result."""
        # Other event loops and threads may share the rate, so they use one clock.
        clock = time.monotonic
        async with self._slots:
            if late := await self._take_turn(request):
                return late
            sent = clock()
            self.requests += 1
            answer = await self._send(request)
            now = clock()
            self.state.learn(answer, sent=sent, now=now)
            self._observer.answered(answer, seconds=now - sent, rate=self.rate)
            return answer

    async def _take_turn(self, request: Request) -> NoAnswer | None:
        """Wait until the rate allows the request; return that it must not be sent any more, if its time has passed."""
        async with self._turns:  # in order of arrival
            while True:
                if late := request.late(time.time()):
                    return late
                wait = self.state.rate.acquire(time.monotonic())
                if not wait:
                    return None
                await asyncio.sleep(min(wait, LONGEST_NAP))

    async def _send(self, request: Request) -> Response | NoAnswer:
        request_body = request.body
        no_answer = self._route.no_answer
        try:
            async with (
                # aiohttp's own timeout swallows a cancellation that arrives at the same moment.
                asyncio.timeout(self._settings.timeout),
                self._session.request(
                    request.method,
                    self._settings.base_url + request.target,
                    data=request_body,
                    headers={} if request_body is None else {"Content-Type": "application/json"},
                    allow_redirects=False,
                ) as answer,
            ):
                if len(answer.headers) > MOST_HEADERS:
                    answer.close()
                    return no_answer("broken", f"got more than {MOST_HEADERS} headers")
                body = bytearray()
                async for chunk in answer.content.iter_any():
                    body += chunk
                    if len(body) > self._largest_body:
                        answer.close()
                        return no_answer("too large", f"more than {self._largest_body} bytes")
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return Response(answer.status, headers, bytes(body), time.time())
        except TimeoutError:
            return no_answer("timeout", f"{self._settings.timeout:g} s")
        except aiohttp.ClientSSLError as error:
            return no_answer("tls", reason(error))
        except self._unreachable as error:
            return no_answer("unreachable", reason(error))
        except aiohttp.ClientHttpProxyError as error:
            # Its own text contains the proxy's URL.
            return no_answer("unreachable", f"Tunnel connection failed: {error.status} {error.message}")
        except aiohttp.ServerDisconnectedError:
            return no_answer("broken", "the server disconnected")  # its own text may be the repr of a partial response
        except (aiohttp.ClientError, OSError) as error:
            return no_answer("broken", reason(error))


def _connector(route: Route) -> aiohttp.TCPConnector:
    tls: Any = route.tls if route.needs_tls else True
    if not route.is_socks:
        return aiohttp.TCPConnector(limit=CONNECTIONS, ssl=tls)
    proxy = urlsplit(route.proxy or "")
    # As in requests, the last letter means that the proxy resolves the host name.
    is_remote = proxy.scheme.endswith(("h", "a"))
    url = urlunsplit(proxy._replace(scheme=proxy.scheme[: len("socks5")]))
    connector: aiohttp.TCPConnector = import_module("aiohttp_socks").ProxyConnector.from_url(
        url, rdns=is_remote, limit=CONNECTIONS, ssl=tls
    )
    return connector
