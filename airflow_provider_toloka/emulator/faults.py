"""Answers that go wrong on demand: errors, late answers, dropped connections, answers held back."""

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
    """A rule that spoils the answers to some requests.

    :param rule: method and path as under ``/api/v1``, such as ``POST /projects/*/archive``. ``*`` is any method, or any
        one part of a path; ``**`` is any number of parts.
    :param times: how many requests it meets; ``None`` for all of them.
    :param status: answer with this HTTP status. The request is not carried out, unless ``carry_out``.
    :param body: answer with this body: text, bytes, or what is written as JSON. Without ``status``, the status is 200.
        By default, a status comes with an error of the API's form.
    :param headers: headers of that answer.
    :param carry_out: carry the request out before the answer that stands in for its own, as a gateway that gives up
        on a slow server does.
    :param delay: seconds before the answer; the request is carried out first.
    :param disconnect: ``before``: the connection is closed and the request not carried out; ``after``: it is carried
        out, and the connection closed without an answer; ``cut``: the connection is closed amid the answer's body.
    :param hold: ``after``, or true: carry the request out, and hold the answer back until ``release`` is called;
        ``before``: hold the request back, and carry it out then, whether its sender still waits or not.
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
            raise ValueError(f"a fault is for a method and a path, as in 'POST /projects/*/archive', not {rule!r}")
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
        """Tell whether the rule is for this request, and has not been used up.

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
        """Return the body of the answer that stands in for the request's own."""
        body = self._body
        if body is None:
            body = ApiError(self.status or 200).body() if (self.status or 200) >= 400 else b""
        if isinstance(body, bytes):
            return body
        return (body if isinstance(body, str) else json.dumps(body)).encode()

    def wait(self, timeout: float = 10) -> None:
        """Wait until a request has met the rule; with ``hold``, until its answer is held back.

        Called again, it waits for the next request.

        :param timeout: seconds.
        :raises TimeoutError: when none comes in that time.
        """
        if not self._arrived.acquire(timeout=timeout):
            raise TimeoutError(f"no request met {self.rule!r} in {timeout} seconds")

    def release(self) -> None:
        """Let the answers go that are held back or delayed, and those that would be."""
        self._released.set()

    @property
    def released(self) -> bool:
        """Whether ``release`` was called."""
        return self._released.is_set()

    def arrive(self) -> None:
        """Note that a request has met the rule. For the server."""
        self.arrived += 1
        self._arrived.release()


class Faults:
    """The rules in force; the oldest that matches is used first."""

    def __init__(self) -> None:
        self._all: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Put a rule in force."""
        with self._lock:
            self._all.append(fault)

    def take(self, method: str, path: str, account: str | None) -> Fault | None:
        """Return the rule for a request, one use of it less, or ``None``."""
        with self._lock:
            for fault in self._all:
                if fault.matches(method, path, account):
                    if fault.remaining is not None:
                        fault.remaining -= 1
                    return fault
        return None

    def all(self) -> list[Fault]:
        """Return the rules, those that are used up too."""
        with self._lock:
            return list(self._all)

    def release(self) -> None:
        """Let all held and delayed answers go."""
        for fault in self.all():
            fault.release()

    def clear(self) -> None:
        """Withdraw all rules, and let the held answers go."""
        self.release()
        with self._lock:
            for fault in self._all:
                fault.remaining = 0
            self._all.clear()
