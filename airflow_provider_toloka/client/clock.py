"""What time it is at Toloka, learnt from the ``Date`` of its answers. Pure: the caller brings this machine's time.

Toloka stamps projects, pools and operations with its own clock. Compare such a time with :meth:`ServerClock.now`,
never with this machine's clock, which may be minutes off.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: ``Date`` has whole seconds: the answer was made in the second that begins there.
_RESOLUTION = 1.0


class ServerClock:
    """Toloka's clock, as far as this process knows it; until the first answer, this machine's.

    Each answer bounds the offset between the two clocks: Toloka made the answer while the request was under way, in
    the second that ``Date`` names. Bounds of several answers narrow each other down. Thread-safe.

    :param clock: this machine's time, in seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._bounds: tuple[float, float] | None = None
        self._doubt: tuple[float, float] | None = None

    @property
    def offset(self) -> float:
        """The seconds by which Toloka's clock is ahead of this machine's; 0.0 as long as they may be equal."""
        if self._bounds is None:
            return 0.0
        low, high = self._bounds
        return 0.0 if low <= 0 <= high else (low + high) / 2

    @property
    def is_known(self) -> bool:
        """Whether an answer has told Toloka's time."""
        return self._bounds is not None

    def now(self) -> datetime:
        """Return the time at Toloka, in UTC."""
        return datetime.fromtimestamp(self.at(self._clock()), UTC)

    def at(self, local: float) -> float:
        """Return the time at Toloka for a time of this machine.

        :param local: seconds since the epoch, by this machine's clock.
        :returns: seconds since the epoch, by Toloka's clock.
        """
        return local + self.offset

    def learn(self, headers: Mapping[str, str], *, sent: float, received: float) -> None:
        """Learn from an answer. A missing or unreadable ``Date`` is ignored, as is an answer from a cache.

        :param headers: the answer's headers, with their names in lower case.
        :param sent: when the request was sent, in seconds since the epoch, by this machine's clock.
        :param received: when its answer was received, likewise.
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
            # One answer alone may be wrong, such as a gateway's; two that agree mean that a clock was set.
            confirmed = self._doubt and _common(self._doubt, bounds)
            self._bounds, self._doubt = (confirmed, None) if confirmed else (self._bounds, bounds)


def _common(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float] | None:
    low, high = max(one[0], other[0]), min(one[1], other[1])
    return (low, high) if low <= high else None


def http_date(header: str) -> float | None:
    """Return the time that a header such as ``Date`` holds, in seconds since the epoch; None: it cannot be read."""
    try:
        date = parsedate_to_datetime(header)
        return date.replace(tzinfo=date.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
