"""What a flow is: a generator that says what it wants of the outside world, and returns a typed result. No I/O.

A flow yields a :class:`Request`, and is sent the :class:`Response` or :class:`NoAnswer` that came of it; or it yields
a :class:`Sleep`, and is sent the time after it, in seconds since the epoch. ``transport.py`` drives flows over the
network; tests drive them by hand. Flows are built from flows with ``yield from``.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar


@dataclass(frozen=True, slots=True)
class Request:
    """Send this, once, without following redirects."""

    method: Literal["GET", "POST"]
    url: str


@dataclass(frozen=True, slots=True)
class Sleep:
    """Let so many seconds pass; 0 only asks what time it is."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Response:
    """What came back.

    :param headers: with their names in lower case.
    :param received: when, in seconds since the epoch.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    received: float


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Nothing that can be read came back; the request may have been carried out all the same.

    :param kind: ``unreachable`` (no connection), ``tls``, ``timeout``, ``broken`` (cut off), ``too large``.
    """

    kind: Literal["unreachable", "tls", "timeout", "broken", "too large"]
    reason: str


T = TypeVar("T")
Flow: TypeAlias = Generator[Request | Sleep, Any, T]
