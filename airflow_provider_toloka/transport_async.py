"""Drives a flow over ``aiohttp``. No rules of the API stand here."""

from __future__ import annotations

import asyncio
import time
from typing import TypeVar

import aiohttp

from airflow_provider_toloka.flows import Flow, NoAnswer, Request, Response, Sleep
from airflow_provider_toloka.settings import Settings
from airflow_provider_toloka.transport import LARGEST_BODY, reason

T = TypeVar("T")


def open_session(settings: Settings) -> aiohttp.ClientSession:
    """Give a session that speaks as the connection's account; to be closed by whom it is given to.

    :param settings: the connection's.
    """

    async def authorize(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        # Not a header of the session: an entry of ~/.netrc would clash with that.
        request.headers["Authorization"] = settings.authorization
        return await send(request)

    return aiohttp.ClientSession(
        headers=settings.headers,
        timeout=aiohttp.ClientTimeout(total=settings.timeout),
        middlewares=(authorize,),
        trust_env=True,
    )


async def run(flow: Flow[T], session: aiohttp.ClientSession) -> T:
    """Drive a flow to its end.

    :param flow: the flow.
    :param session: what its requests go over.
    :returns: the flow's result.
    """
    try:
        step = next(flow)
        while True:
            if isinstance(step, Sleep):
                await asyncio.sleep(step.seconds)
                step = flow.send(time.time())
            else:
                step = flow.send(await _send(step, session))
    except StopIteration as stop:
        result: T = stop.value
        return result


async def _send(request: Request, session: aiohttp.ClientSession) -> Response | NoAnswer:
    try:
        async with session.request(request.method, request.url, allow_redirects=False) as answer:
            body = bytearray()
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > LARGEST_BODY:
                    answer.close()
                    return NoAnswer("too large", f"more than {LARGEST_BODY} bytes")
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Response(answer.status, headers, bytes(body), time.time())
    except TimeoutError:
        return NoAnswer("timeout", f"{session.timeout.total:g} s")
    except aiohttp.ClientSSLError as error:
        return NoAnswer("tls", reason(error))
    except aiohttp.ClientConnectorError as error:
        return NoAnswer("unreachable", reason(error))
    except (aiohttp.ClientError, OSError) as error:
        return NoAnswer("broken", reason(error))
