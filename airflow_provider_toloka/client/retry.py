"""How failed requests are retried: how often, and with which waits. Pure: no I/O, no clock."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


def full_jitter(seconds: float) -> float:
    """Draw a wait between 0 and the given number of seconds, so that many clients do not come back at once.

    :param seconds: the longest wait.
    """
    return random.uniform(0, seconds)  # noqa: S311 - not for cryptography


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How a failed request is sent again. All times in seconds.

    :param retries: how often at most. A request that Toloka refuses as one too many, saying when to come back, does
        not count here, only in ``total_wait``.
    :param first_wait: the longest first back-off; it doubles with each retry, and the jitter draws a part of it.
    :param longest_wait: the cap on a single wait; a server that asks for more gets an error instead.
    :param total_wait: the cap on the sum of the waits of one call.
    :param list_lag: how long an object may be missing from the lists after it was created. An object whose creation
        was not confirmed is looked for as long before it is created again.
    :param jitter: draws the wait from the longest that it may be.
    """

    retries: int = 5
    first_wait: float = 1.0
    longest_wait: float = 90.0
    total_wait: float = 300.0
    list_lag: float = 60.0
    jitter: Callable[[float], float] = full_jitter


class Patience:
    """What is left of the retries and the waiting time of one call."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._retries = 0
        self._waited = 0.0

    @property
    def retries(self) -> int:
        """How many retries were granted so far."""
        return self._retries

    def next_wait(self, asked: float | None, *, is_rate_limited: bool = False) -> float | None:
        """Grant one more retry.

        :param asked: how long the server asks to wait, in seconds; None: it does not say.
        :param is_rate_limited: whether the request was refused as one too many, and so was not carried out.
        :returns: how long to wait before the retry, in seconds; None when patience is at its end.
        """
        policy = self._policy
        if asked is not None:
            # The rate controller spreads requests that were refused together; they need less of a jitter.
            wait = asked + policy.jitter(policy.first_wait / 4 if is_rate_limited else policy.first_wait)
        else:
            doublings = min(self._retries, 64)  # beyond, a float may not hold it
            wait = policy.jitter(min(policy.first_wait * 2**doublings, policy.longest_wait))
        is_free = is_rate_limited and asked is not None
        is_too_long = asked is not None and asked > policy.longest_wait
        is_spent = not is_free and self._retries >= policy.retries
        if is_too_long or is_spent or self._waited + wait > policy.total_wait:
            return None
        self._retries += not is_free
        self._waited += wait
        return wait
