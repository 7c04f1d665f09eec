"""How fast requests follow each other, so that the account's limit is kept (API: "Rate limiting"). Pure: no clock."""

from __future__ import annotations

import math
from collections import deque

#: After a quiet time, the requests of so many seconds may be sent at once.
BURST_SECONDS = 0.05
#: After a refusal, the rate is this part of what Toloka has just accepted, and grows by this part each second.
CAUTION = 0.9
RECOVERY = 0.015
SLOWEST = 1.0


class Pacer:
    """Gives each request its time, slows down when Toloka refuses one, and recovers.

    :param max_per_second: the highest rate, in requests per second; ``rate`` is the present one.
    """

    def __init__(self, max_per_second: float) -> None:
        self._highest = max_per_second
        self.rate = max_per_second
        self._next = 0.0
        self._calm_from = -math.inf
        self._grown_at = 0.0
        self._accepted: deque[float] = deque()

    def start_at(self, now: float) -> float:
        """Reserve the time at which the next request may be sent.

        :param now: the time now, in seconds of any clock that does not run backwards.
        :returns: a time of the same clock.
        """
        if self.rate < self._highest and now > self._grown_at:
            self.rate = min(self._highest, self.rate * (1 + RECOVERY) ** (now - self._grown_at))
            self._grown_at = now
        start = max(self._next, now - BURST_SECONDS)
        self._next = start + 1 / self.rate
        return max(start, now)

    def accepted(self, now: float) -> None:
        """Take note of a request that Toloka did not refuse."""
        self._accepted.append(now)
        self._forget(now)

    def refused(self, sent: float, now: float, pause: float) -> None:
        """Slow down, once for all requests that were under way when it happened.

        :param sent: when the refused request was sent.
        :param now: the time now.
        :param pause: how long to send nothing at all, in seconds.
        """
        if sent < self._calm_from:
            return
        self._forget(now)
        self.rate = max(SLOWEST, min(self.rate, CAUTION * len(self._accepted)))
        self._next = self._calm_from = self._grown_at = now + pause

    def _forget(self, now: float) -> None:
        while self._accepted and self._accepted[0] < now - 1.0:
            self._accepted.popleft()
