"""The recorded API requests, for tests."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class RequestRecord:
    """An API request, without the token.

    :param method: such as ``POST``.
    :param path: as under ``/api/v1``, such as ``/projects/1001/archive``.
    :param query: its query parameters.
    :param status: the HTTP status of the response; ``None``: not yet, or the connection was dropped.
    :param account: the header ``X-Act-Under-Account-ID``, if any.
    :param at: when it arrived, in seconds since 1970 by the emulator's clock.
    """

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    status: int | None = None
    account: str | None = None
    at: float = 0.0
