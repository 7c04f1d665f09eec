"""The retry policy: how often, and with which waits. Pure: no I/O, no clock."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


def full_jitter(seconds: float) -> float:
    """Draw a wait between 0 and the given number of seconds, so that clients do not retry simultaneously.

    :param seconds: the longest wait.
    """
    return random.uniform(0, seconds)  # noqa: S311 - not for cryptography


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How failed requests are retried. All times are in seconds.

    :param retries: the maximum number. A 429 with ``Retry-After`` does not count here, only in ``total_wait``.
    :param first_wait: the limit of the first wait; it doubles with each retry, and the jitter draws a part of it.
    :param longest_wait: the limit of a single wait; if the server asks for more, the call fails.
    :param total_wait: the limit of the sum of the waits of one call.
    :param list_lag: how long an object may be missing from the lists after it was created. An object whose creation
        was not confirmed is searched for that long before it is created again.
    :param jitter: draws the wait from its limit.
    """

    retries: int = 5
    first_wait: float = 1.0
    longest_wait: float = 90.0
    total_wait: float = 300.0
    list_lag: float = 60.0
    jitter: Callable[[float], float] = full_jitter


class Patience:
    """The remaining retries and waiting time of a call."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._retries = 0
        self._waited = 0.0

    @property
    def retries(self) -> int:
        """The number of retries granted so far."""
        return self._retries

    def next_wait(self, asked: float | None, *, is_rate_limited: bool = False) -> float | None:
        """Grant another retry, if any is left.

        :param asked: how long the server asks to wait, in seconds; None: not specified.
        :param is_rate_limited: whether the request was refused with 429, and was not executed.
        :returns: how long to wait before the retry, in seconds; None: no retry is left.
        """
        policy = self._policy
        if asked is not None:
            # The rate controller spreads requests that were refused together, so they need less jitter.
            wait = asked + policy.jitter(policy.first_wait / 4 if is_rate_limited else policy.first_wait)
        else:
            doublings = min(self._retries, 64)  # a larger value may overflow a float
            wait = policy.jitter(min(policy.first_wait * 2**doublings, policy.longest_wait))
        is_free = is_rate_limited and asked is not None and policy.retries > 0
        is_too_long = asked is not None and asked > policy.longest_wait
        is_spent = not is_free and self._retries >= policy.retries
        if is_too_long or is_spent or self._waited + wait > policy.total_wait:
            return None
        self._retries += not is_free
        self._waited += wait
        return wait
