"""Estimate Toloka's time from the ``Date`` header of its responses. Pure: the caller passes this machine's time.

Toloka timestamps projects, pools and operations with its own clock. Compare such a time with :meth:`ServerClock.now`,
not with this machine's clock, which may be minutes off.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

#: The largest difference between two clocks that is tolerated where the difference is unknown.
CLOCKS_APART = timedelta(minutes=10)
#: ``Date`` has whole seconds: the response was created in the second that begins there.
_RESOLUTION = 1.0


class ServerClock:
    """An estimate of Toloka's clock; until the first response, this machine's clock.

    Each response bounds the offset between the two clocks: Toloka created it between the request and its arrival, in
    the second that ``Date`` names. The bounds of several responses are combined. Thread-safe.

    :param clock: this machine's time, in seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._bounds: tuple[float, float] | None = None
        self._doubt: tuple[float, float] | None = None

    @property
    def offset(self) -> float:
        """How many seconds Toloka's clock is ahead of this machine's; 0.0 as long as they may be equal."""
        if self._bounds is None:
            return 0.0
        low, high = self._bounds
        return 0.0 if low <= 0 <= high else (low + high) / 2

    @property
    def is_known(self) -> bool:
        """Whether a response has contained Toloka's time."""
        return self._bounds is not None

    def now(self) -> datetime:
        """Return Toloka's time, in UTC."""
        return datetime.fromtimestamp(self.at(self._clock()), UTC)

    def at(self, local: float) -> float:
        """Convert a time of this machine's clock to Toloka's clock.

        :param local: seconds since the epoch, by this machine's clock.
        :returns: seconds since the epoch, by Toloka's clock.
        """
        return local + self.offset

    def learn(self, headers: Mapping[str, str], *, sent: float, received: float) -> None:
        """Update the estimate from a response. A missing or invalid ``Date`` and cached responses are ignored.

        :param headers: the response's headers, with their names in lower case.
        :param sent: when the request was sent, in seconds since the epoch, by this machine's clock.
        :param received: when its response was received, likewise.
        """
        date = http_date(headers.get("date", ""))
        if date is None or "age" in headers or sent > received:
            return
        bounds = (date - received, date + _RESOLUTION - sent)
        with self._lock:
            narrowed = self._bounds and _common(self._bounds, bounds)
            if narrowed or self._bounds is None:
                self._bounds, self._doubt = narrowed or bounds, None
                return
            # A single response may be wrong, such as a gateway's; two that agree mean that a clock was set.
            confirmed = self._doubt and _common(self._doubt, bounds)
            self._bounds, self._doubt = (confirmed, None) if confirmed else (self._bounds, bounds)


def _common(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float] | None:
    low, high = max(one[0], other[0]), min(one[1], other[1])
    return (low, high) if low <= high else None


def http_date(header: str) -> float | None:
    """Parse the time in a header such as ``Date``, in seconds since the epoch; None: it is invalid."""
    try:
        date = parsedate_to_datetime(header)
        return date.replace(tzinfo=date.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
