"""Faults on demand: errors, delayed responses, dropped connections, held responses."""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Mapping
from typing import Any, Literal

from airflow_provider_toloka.emulator.errors import ApiError

Disconnect = Literal["before", "after", "cut"]
Hold = Literal["before", "after"]


class Fault:
    """A rule that injects a fault into matching requests.

    :param rule: method and path as under ``/api/v1``, such as ``POST /projects/*/archive``. ``*`` matches any method,
        or one part of a path; ``**`` matches any number of parts.
    :param times: how many requests it affects; ``None``: all.
    :param status: the HTTP status of the response. The request is not executed, unless ``carry_out``.
    :param body: the body of the response: text, bytes, or JSON values. Without ``status``, the status is 200. By
        default, a status comes with an error in the API's format.
    :param headers: headers of the response.
    :param carry_out: execute the request before the fault's response, as when a gateway gives up on a slow server.
    :param delay: seconds before the response; the request is executed first.
    :param disconnect: ``before``: close the connection without executing the request; ``after``: execute it, and close
        the connection without a response; ``cut``: close the connection within the response's body.
    :param hold: ``after``, or true: execute the request, and hold the response back until ``release`` is called;
        ``before``: hold the request back, and execute it then, even if its sender no longer waits.
    :param account: only requests with this header ``X-Act-Under-Account-ID``.
    """

    _ids = itertools.count(1)

    def __init__(
        self,
        rule: str,
        *,
        times: int | None = 1,
        status: int | None = None,
        body: str | bytes | dict[str, Any] | list[Any] | None = None,
        headers: Mapping[str, str] | None = None,
        carry_out: bool = False,
        delay: float = 0,
        disconnect: Disconnect | None = None,
        hold: Hold | bool = False,
        account: str | None = None,
    ) -> None:
        method, _, path = rule.partition(" ")
        if not path.startswith("/"):
            raise ValueError(f"a fault needs a method and a path, as in 'POST /projects/*/archive', not {rule!r}")
        if disconnect not in (None, "before", "after", "cut"):
            raise ValueError(f"disconnect is 'before', 'after' or 'cut', not {disconnect!r}")
        if hold not in (False, True, "before", "after"):
            raise ValueError(f"hold is 'before' or 'after', not {hold!r}")
        self.id = str(next(self._ids))
        self.rule = rule
        self.remaining = times
        self.status = status if status is not None or body is None else 200
        self.headers = dict(headers or {})
        self.carry_out = carry_out
        self.delay = delay
        self.disconnect = disconnect
        self.hold = "after" if hold is True else hold
        self.account = account
        self.arrived = 0
        self._body = body
        self._method = method.upper()
        parts = (re.escape(part).replace(r"\*\*", ".*").replace(r"\*", "[^/]+") for part in path.split("/"))
        self._path = re.compile("/".join(parts))
        self._arrived = threading.Semaphore(0)
        self._released = threading.Event()

    def matches(self, method: str, path: str, account: str | None) -> bool:
        """Return whether the rule matches a request, and is not used up.

        :param method: the request's method.
        :param path: its path, as under ``/api/v1``.
        :param account: its header ``X-Act-Under-Account-ID``.
        """
        return (
            self.remaining != 0
            and self._method in ("*", method)
            and self.account in (None, account)
            and self._path.fullmatch(path) is not None
        )

    def content(self) -> bytes:
        """Return the body of the fault's response."""
        body = self._body
        if body is None:
            body = ApiError(self.status or 200).body() if (self.status or 200) >= 400 else b""
        if isinstance(body, bytes):
            return body
        return (body if isinstance(body, str) else json.dumps(body)).encode()

    def wait(self, timeout: float = 10) -> None:
        """Wait until a request has matched the rule; with ``hold``, until its response is held back.

        Another call waits for the next request.

        :param timeout: seconds.
        :raises TimeoutError: no request matched in that time.
        """
        if not self._arrived.acquire(timeout=timeout):
            raise TimeoutError(f"no request matched {self.rule!r} within {timeout} seconds")

    def release(self) -> None:
        """Release held and delayed responses, and do not hold further ones."""
        self._released.set()

    @property
    def released(self) -> bool:
        """Whether ``release`` was called."""
        return self._released.is_set()

    def arrive(self) -> None:
        """Record that a request has matched the rule. For the server."""
        self.arrived += 1
        self._arrived.release()


class Faults:
    """The active rules; the oldest matching one is used first."""

    def __init__(self) -> None:
        self._all: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Add a rule."""
        with self._lock:
            self._all.append(fault)

    def take(self, method: str, path: str, account: str | None) -> Fault | None:
        """Return the rule for a request, and count its use; ``None``: there is none."""
        with self._lock:
            for fault in self._all:
                if fault.matches(method, path, account):
                    if fault.remaining is not None:
                        fault.remaining -= 1
                    return fault
        return None

    def all(self) -> list[Fault]:
        """Return the rules, including used-up ones."""
        with self._lock:
            return list(self._all)

    def release(self) -> None:
        """Release all held and delayed responses."""
        for fault in self.all():
            fault.release()

    def clear(self) -> None:
        """Remove all rules, and release held responses."""
        self.release()
        with self._lock:
            for fault in self._all:
                fault.remaining = 0
            self._all.clear()
