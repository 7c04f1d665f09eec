"""Sends requests over ``aiohttp``, many at once. No rules of the API stand here."""

from __future__ import annotations

import asyncio
import time
from typing import Self
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from airflow_provider_toloka.client.config import Settings
from airflow_provider_toloka.client.rate_limit import Pacer
from airflow_provider_toloka.client.sansio import NoAnswer, Request, Response
from airflow_provider_toloka.client.transports.sync import LARGEST_BODY, reason

#: Enough for 300 requests a second, when one takes up to a seventh of a second.
CONNECTIONS = 48
_TOO_MANY_REQUESTS = 429


class AiohttpTransport:
    """Sends requests over ``aiohttp``, many at once, as fast as the account's limit allows. An async context manager.

    :param settings: the connection's.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.pacer = Pacer(settings.max_requests_per_second)
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._session: aiohttp.ClientSession
        self.requests = 0

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            headers={**self._settings.headers, "Authorization": self._settings.authorization},
            timeout=aiohttp.ClientTimeout(total=None),
            connector=aiohttp.TCPConnector(limit=CONNECTIONS),
            # Not ``trust_env``: that looks for a proxy, and into ~/.netrc, in a thread, anew for each request.
            proxy=_proxy(self._settings.base_url),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    @property
    def rate(self) -> float:
        """How many requests may be sent in a second now."""
        return self.pacer.rate

    async def sleep(self, seconds: float) -> float:
        """Let seconds pass; return the time after them."""
        await asyncio.sleep(seconds)
        return time.time()

    async def send(self, request: Request) -> Response | NoAnswer:
        """Send a request in its turn; return what came of it."""
        clock = asyncio.get_running_loop().time
        async with self._slots:
            await asyncio.sleep(self.pacer.start_at(clock()) - clock())
            sent = clock()
            self.requests += 1
            answer = await self._send(request)
            if isinstance(answer, Response) and answer.status == _TOO_MANY_REQUESTS:
                self.pacer.refused(sent, clock(), pause=1.0)
            else:
                self.pacer.accepted(clock())
            return answer

    async def _send(self, request: Request) -> Response | NoAnswer:
        request_body = request.body
        try:
            async with (
                # Not aiohttp's own: a task that is cancelled when that is over too hears of the timeout only.
                asyncio.timeout(self._settings.timeout),
                self._session.request(
                    request.method,
                    self._settings.base_url + request.target,
                    data=request_body,
                    headers={} if request_body is None else {"Content-Type": "application/json"},
                    allow_redirects=False,
                ) as answer,
            ):
                body = bytearray()
                async for chunk in answer.content.iter_any():
                    body += chunk
                    if len(body) > LARGEST_BODY:
                        answer.close()
                        return NoAnswer("too large", f"more than {LARGEST_BODY} bytes")
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return Response(answer.status, headers, bytes(body), time.time())
        except TimeoutError:
            return NoAnswer("timeout", f"{self._settings.timeout:g} s")
        except aiohttp.ClientSSLError as error:
            return NoAnswer("tls", reason(error))
        except aiohttp.ClientConnectorError as error:
            return NoAnswer("unreachable", reason(error))
        except aiohttp.ServerDisconnectedError:
            return NoAnswer("broken", "the server disconnected")  # its own text may be the repr of half an answer
        except (aiohttp.ClientError, OSError) as error:
            return NoAnswer("broken", reason(error))


def _proxy(url: str) -> str | None:
    """Name the proxy that the environment asks for, if any, as ``requests`` does."""
    target = urlsplit(url)
    return None if proxy_bypass(target.hostname or "") else getproxies().get(target.scheme)
