"""Flows: generators that yield requests and return a typed result. No I/O.

A flow yields a :class:`Request` and receives a :class:`Response` or :class:`NoAnswer`; or it yields a :class:`Sleep`
and receives the time afterwards, in seconds since the epoch. :func:`drive` and :func:`drive_async` run
flows over a transport; tests drive them by hand. Flows are built from flows with ``yield from``.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Generator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Literal, TypeAlias, TypeVar
from urllib.parse import urlencode


@dataclass(frozen=True, slots=True)
class Request:
    """A request to send once, without following redirects.

    :param path: the path below the API's base URL, such as ``/projects/1``.
    :param query: the query's parameters.
    :param json: the body, as JSON values; None: no body.
    :param content: the encoded body, if the caller has written the JSON itself.
    :param not_after: when it may be sent at the latest, in seconds since the epoch; None: at any time.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    content: bytes | None = None
    not_after: float | None = field(default=None, compare=False)

    def late(self, now: float) -> NoAnswer | None:
        """Return that it must not be sent any more; None: it may be sent.

        :param now: the current time, in seconds since the epoch.
        """
        if self.not_after is None or now < self.not_after:
            return None
        return NoAnswer("late", "its deadline has passed")

    @property
    def target(self) -> str:
        """The path with its query."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path

    @property
    def body(self) -> bytes | None:
        """The body as compact UTF-8 JSON."""
        if self.json is None:
            return self.content
        return json.dumps(self.json, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


@dataclass(frozen=True, slots=True)
class Sleep:
    """A pause in seconds; 0 only asks for the time."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Response:
    """A response.

    :param headers: with their names in lower case.
    :param received: when, in seconds since the epoch.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    received: float


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """No readable response arrived; the request may have been executed anyway.

    :param kind: ``unreachable`` (no connection), ``tls``, ``timeout``, ``broken`` (interrupted), ``too large``, or
        ``late`` (not sent, because ``Request.not_after`` had passed).
    """

    kind: Literal["unreachable", "tls", "timeout", "broken", "too large", "late"]
    reason: str


T = TypeVar("T")
Answer: TypeAlias = Response | NoAnswer
Flow: TypeAlias = Generator[Request | Sleep, Any, T]


def may_be_done(answer: Answer) -> bool:
    """Return whether a failed request may still have been executed.

    :param answer: its result.
    """
    if isinstance(answer, NoAnswer):
        return answer.kind not in ("unreachable", "tls")
    return answer.status != HTTPStatus.TOO_MANY_REQUESTS


def drive(flow: Flow[T], send: Callable[[Request], Answer], sleep: Callable[[float], float]) -> T:
    """Run a flow to its end.

    :param send: sends a request and returns the result.
    :param sleep: sleeps and returns the time afterwards, in seconds since the epoch.
    :returns: the flow's result.
    """
    try:
        step = next(flow)
        while True:
            step = flow.send(sleep(step.seconds) if isinstance(step, Sleep) else send(step))
    except StopIteration as stop:
        result: T = stop.value
        return result


async def drive_async(
    flow: Flow[T], send: Callable[[Request], Awaitable[Answer]], sleep: Callable[[float], Awaitable[float]]
) -> T:
    """Run a flow to its end without blocking the event loop; see :func:`drive`."""
    try:
        step = next(flow)
        while True:
            step = flow.send(await sleep(step.seconds) if isinstance(step, Sleep) else await send(step))
    except StopIteration as stop:
        result: T = stop.value
        return result
