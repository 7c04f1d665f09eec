"""Control the request rate, so that processes share the account's limit (API: "Rate limiting").

All processes of an account share one limit and do not communicate; the only signal is a refused request (429). Each
process raises its rate until Toloka refuses a request, reduces it, pauses for a moment and raises it again. The shares
converge, as those of TCP connections do (RFC 5681, RFC 9438). The constants were found by search over the simulation
in ``benchmarks/rate_simulation.py``, which drives this class. Pure: the caller passes the time.
"""

from __future__ import annotations

import math
import random
import threading
from collections import deque
from collections.abc import Callable

#: Just under Toloka's 300: the network compresses bursts, and at this rate a single process is never refused.
HIGHEST = 294.0
#: The initial rate of a process, in requests per second.
START = 50.0

_LOWEST = 2.0
#: At the start, the rate doubles in this many seconds; in more if responses take longer.
_DOUBLING = 0.3
_DOUBLING_ROUND_TRIPS = 6.3
_LONGEST_DOUBLING = 1.0
_GUESSED_ROUND_TRIP = 0.1
#: At the first refusal, the rate falls to this part of itself, but not below this rate, and the process pauses.
_START_AGAIN = 0.32
_START_AGAIN_LOWEST = 18.0
_START_PAUSE = (0.048, 0.11)
#: After that, the start continues despite refusals up to this part of the highest rate, unless the rate is far off: a
#: new process has to take its share from the others.
_START_UP_TO = 0.48
#: The start ends between these rates if it was far beyond what Toloka accepts.
_START_ENDS_ABOVE = 30.0
_START_ENDS_BELOW = 65.0

#: If more than this part of the requests was refused, the rate is far off; else it is about right.
_FAR_OFF = 0.15
#: A rate that is far off falls to what Toloka accepts, but not below this part of itself, and then by this part.
_MOST_CUT = 0.8
_FAR_OFF_FALL = 0.12
#: A rate that is about right falls by this part, and by this much more for each refused request, up to this part.
_FALL = 0.06
_FALL_BY_REFUSED = 4.0
_LONGEST_FALL = 0.14
#: Below this part, the network may have compressed a burst; there may be no other process.
_SLIGHT = 0.002
#: A large share has to make room: above this rate it falls further, at the whole limit by this factor.
_LARGE = 21.0
_LARGE_FACTOR = 3.3
#: After a fall, the process pauses for a random time between these numbers of seconds, so that Toloka's counting window
#: passes, and processes that were refused together resume one by one.
_PAUSE = (0.05, 0.06)
_FAR_OFF_PAUSE = (0.17, 0.35)

#: Then the rate rises to its former height in this many seconds.
_RISE = 0.78
#: Above that height, it rises with the cube of the time, to ten times the rate in a few seconds.
_CUBIC = 0.038
#: The factor for a share of 8 requests per second; it is smaller for larger shares, so that small ones catch up.
_GROWTH = 2.8
_GROWTH_SHRINKS = 0.34
#: The rate also rises by this many requests per second in every second; shares below that rate, in proportion.
_LINEAR = 1.6
_LINEAR_ALIKE = 39.0
#: A fall gives up this part of the excess over that rate.
_GIVEN_UP = 0.4
_GIVEN_UP_ABOVE = 80.0
#: The rate is at most this factor above what Toloka accepted in the last second.
_TRUSTED = 1.04

#: Delayed requests may catch up for this many seconds.
_BURST = 0.02
#: The rate rises for this many seconds after a response; after this many without a request, it is unknown.
_UNUSED = 0.25
_FORGOTTEN = 60.0
#: ``Retry-After`` has whole seconds, and the limit is per second: 1 means no more than "later".
_BRIEF = 1.0
_LONGEST_PAUSE = 60.0


class RateController:
    """Decides when the next request may be sent, and adapts to what Toloka accepts. Thread-safe.

    Times are seconds of any clock. A clock that jumps delays requests by a moment at most.

    :param highest: upper bound of the rate, in requests per second.
    :param start: the initial rate.
    :param draw: returns a random number from 0 to 1, so that processes that fell back together spread out.
    """

    def __init__(
        self, *, highest: float = HIGHEST, start: float = START, draw: Callable[[], float] = random.random
    ) -> None:
        self._highest = highest
        self._start = min(highest, start)
        self._draw = draw
        self._lock = threading.Lock()
        self._now = 0.0
        self._seen: float | None = None
        self._next = -math.inf
        self._round_trip: float | None = None
        self._paused_until: float
        self._fell_at: float
        self._heard_at: float
        self._risen: float
        self._is_starting: bool
        self._is_first_fall: bool
        self._low: float
        self._top: float
        self._accepted_since: int
        self._sent: deque[float]
        self._accepted: deque[float]
        self._begin()

    @property
    def rate(self) -> float:
        """The current rate, in requests per second."""
        return self._rate_at(self._now)

    def acquire(self, now: float) -> float:
        """Ask for permission to send a request.

        :param now: the current time.
        :returns: 0.0: send it; else the number of seconds after which to ask again.
        """
        with self._lock:
            now = self._tick(now)
            if now < self._paused_until:
                return self._paused_until - now
            if self._sent and now - max(self._sent[-1], self._paused_until) > _FORGOTTEN:
                self._begin()
            if not self._sent:
                self._heard_at = max(self._heard_at, now)
            start = max(self._next, now - _BURST)
            if start > now:
                return start - now
            self._next = start + 1 / self._rate_at(now)
            self._sent.append(now)
            self._forget(now)
            return 0.0

    def accepted(self, *, sent: float, now: float) -> None:
        """Record that a request was accepted.

        :param sent: when it was sent.
        :param now: the current time.
        """
        with self._lock:
            age, now = max(0.0, now - sent), self._tick(now)
            self._round_trip = age if self._round_trip is None else self._round_trip + 0.1 * (age - self._round_trip)
            self._risen, self._heard_at = self._rising(now), max(self._heard_at, now)
            self._accepted.append(now)
            self._forget(now)
            if now - age > self._fell_at:
                self._accepted_since += 1

    def refused(self, *, sent: float, now: float, retry_after: float | None = None) -> None:
        """Record that a request was refused with 429.

        :param sent: when it was sent.
        :param now: the current time.
        :param retry_after: how long Toloka asks to wait, in seconds; None: not specified.
        """
        with self._lock:
            age, now = max(0.0, now - sent), self._tick(now)
            self._forget(now)
            if now - age <= self._fell_at:
                return  # it was in flight when the rate fell
            asked = min(retry_after or 0.0, _LONGEST_PAUSE)
            self._fall(now, asked if asked > _BRIEF else 0.0)

    def _begin(self) -> None:
        self._paused_until = -math.inf
        self._fell_at = -math.inf
        self._heard_at = -math.inf
        self._risen = 0.0
        self._is_starting = True
        self._is_first_fall = True
        self._low = self._start
        self._top = self._start
        self._accepted_since = 0
        self._sent = deque()
        self._accepted = deque()

    def _tick(self, now: float) -> float:
        """Return the time on an internal clock, which never jumps."""
        if self._seen is not None:
            self._now += min(max(0.0, now - self._seen), 2 * _FORGOTTEN)
        self._seen = now
        return self._now

    def _forget(self, now: float) -> None:
        while len(self._sent) > 1 and self._sent[0] < now - 1:
            self._sent.popleft()
        while self._accepted and self._accepted[0] < now - 1:
            self._accepted.popleft()

    def _rising(self, now: float) -> float:
        """Return for how many seconds the rate has been rising: it rises only while responses arrive."""
        return self._risen + min(max(0.0, now - self._heard_at), max(_UNUSED, 2 / self._low))

    def _rate_at(self, now: float) -> float:
        seconds = self._rising(now)
        if self._is_starting:
            round_trip = _GUESSED_ROUND_TRIP if self._round_trip is None else self._round_trip
            doubling = min(_LONGEST_DOUBLING, max(_DOUBLING, _DOUBLING_ROUND_TRIPS * round_trip))
            return min(self._highest, self._low * math.exp2(min(seconds / doubling, 30)))
        if seconds < _RISE:
            rate = self._top - (self._top - self._low) * (1 - seconds / _RISE) ** 3
        else:
            beyond = min(seconds - _RISE, 6.0)
            growth = _GROWTH * self._top * (8 / self._top) ** _GROWTH_SHRINKS
            rate = self._top + growth * math.expm1(min(_CUBIC * beyond**3, 50))
        return min(self._highest, rate + _LINEAR * min(1.0, self._top / _LINEAR_ALIKE) * seconds)

    def _fall(self, now: float, asked: float) -> None:
        rate = self._rate_at(now)
        refused = 1 / (1 + self._accepted_since)
        is_far_off = refused > _FAR_OFF
        shortest, longest = _FAR_OFF_PAUSE if is_far_off else _PAUSE
        if self._is_starting and self._is_first_fall:
            shortest, longest = _START_PAUSE
        self._paused_until = self._heard_at = now + asked + shortest + (longest - shortest) * self._draw()
        self._risen = 0.0
        self._fell_at = now
        self._accepted_since = 0
        if self._is_starting and refused > _SLIGHT and self._goes_on(rate, is_far_off=is_far_off):
            return
        top = min(rate, self._fair(rate, refused, is_far_off=is_far_off))
        part = _FAR_OFF_FALL if is_far_off else min(_LONGEST_FALL, _FALL + _FALL_BY_REFUSED * refused)
        large = 0.0
        if refused > _SLIGHT:
            top -= max(0.0, top - _GIVEN_UP_ABOVE) * _GIVEN_UP
            large = min(1.0, max(0.0, math.log(max(top, 1.0) / _LARGE, 300 / _LARGE)))
        self._top = max(_LOWEST, top)
        self._low = max(_LOWEST, top * (1 - min(0.7, part * (1 + (_LARGE_FACTOR - 1) * large))))
        self._is_starting = False

    def _goes_on(self, rate: float, *, is_far_off: bool) -> bool:
        """Decide whether the start continues, and at which rate."""
        if self._is_first_fall:
            self._is_first_fall = False
            self._low = max(min(rate, _START_AGAIN_LOWEST), rate * _START_AGAIN)
            return True
        self._low = rate
        return not is_far_off and rate < _START_UP_TO * self._highest

    def _fair(self, rate: float, refused: float, *, is_far_off: bool) -> float:
        """Return the rate that Toloka accepts, as the last responses show."""
        last_second = len(self._accepted)
        is_used = len(self._sent) >= 0.7 * rate
        if self._is_starting:
            fair = max(last_second, rate * (1 - refused), _START_ENDS_ABOVE)
            return min(fair, _START_ENDS_BELOW) if is_far_off else fair
        if is_far_off:
            return max(last_second if is_used else 0.0, rate * max(1 - refused, _MOST_CUT))
        fair = rate * (1 - refused)
        return min(fair, _TRUSTED * last_second) if is_used else fair
