"""How fast requests follow each other, so that the account's limit is kept and shared (API: "Rate limiting").

All processes of an account share one limit and know nothing of each other; the only signal is a refused request
(429). Each process raises its rate until Toloka refuses, falls back, pauses for a moment and rises again: shares become
equal that way, as those of TCP connections do (RFC 5681, RFC 9438). The numbers were found by search over the
simulation in ``benchmarks/rate_simulation.py``, which drives this class. Pure: the caller brings the clock.
"""

from __future__ import annotations

import math
import random
import threading
from collections import deque
from collections.abc import Callable

#: Just under Toloka's 300: the network squeezes requests together, and a lone process is never refused this way.
HIGHEST = 294.0
#: Where a process begins, in requests per second.
START = 50.0

_LOWEST = 2.0
#: At the start, the rate doubles in this many seconds; in more where answers take longer to come back.
_DOUBLING = 0.3
_DOUBLING_ROUND_TRIPS = 6.3
_LONGEST_DOUBLING = 1.0
_GUESSED_ROUND_TRIP = 0.1
#: At its first refusal, the start falls back to this part of its rate, but not below this rate, and pauses.
_START_AGAIN = 0.32
_START_AGAIN_LOWEST = 18.0
_START_PAUSE = (0.048, 0.11)
#: After that, it goes on through refusals up to this part of the highest rate, unless it is far off: a newcomer has to
#: take its share from those who have it.
_START_UP_TO = 0.48
#: It ends between these rates when it had gone far beyond what Toloka accepts.
_START_ENDS_ABOVE = 30.0
_START_ENDS_BELOW = 65.0

#: Where a larger part of the requests than this was refused, the rate is far off; else it is about right.
_FAR_OFF = 0.15
#: A rate that is far off falls to what Toloka accepts, but not below this part of itself, and by this part more.
_MOST_CUT = 0.8
_FAR_OFF_FALL = 0.12
#: A rate that is about right falls by this part, and by this much more for each refused one of the requests, up to
#: this part.
_FALL = 0.06
_FALL_BY_REFUSED = 4.0
_LONGEST_FALL = 0.14
#: Below this part, the network may have squeezed requests together: nobody else has to be there.
_SLIGHT = 0.002
#: A large share has to make room. From this rate on it falls further, one of the whole limit by this factor.
_LARGE = 21.0
_LARGE_FACTOR = 3.3
#: The process sends nothing for a random time between these numbers of seconds after a fall: the window passes in
#: which Toloka counts, and processes that were refused together come back one by one.
_PAUSE = (0.05, 0.06)
_FAR_OFF_PAUSE = (0.17, 0.35)

#: Then the rate rises to the height from which it fell, in this many seconds.
_RISE = 0.78
#: Beyond that height it rises with the cube of the time, to ten times the rate in a few seconds.
_CUBIC = 0.038
#: It does so by this factor of a share of 8 requests per second, and by the less of larger ones the larger they are: so
#: small shares catch up.
_GROWTH = 2.8
_GROWTH_SHRINKS = 0.34
#: All the while it rises by this number of requests per second in a second, shares below that rate in proportion.
_LINEAR = 1.6
_LINEAR_ALIKE = 39.0
#: A fall gives up this part of what exceeds that rate.
_GIVEN_UP = 0.4
_GIVEN_UP_ABOVE = 80.0
#: The rate is what Toloka accepted in the last second, or this factor more.
_TRUSTED = 1.04

#: Requests that were held up may catch up for this many seconds.
_BURST = 0.02
#: The rate rises for so many seconds after an answer; when nothing was sent for so many, it is no longer known.
_UNUSED = 0.25
_FORGOTTEN = 60.0
#: ``Retry-After`` counts whole seconds, and the limit is one of a second: 1 says no more than "later".
_BRIEF = 1.0
_LONGEST_PAUSE = 60.0


class RateController:
    """Decides when the next request may be sent, and adapts to what Toloka accepts. Thread-safe.

    Times are seconds of any clock. A clock that runs backwards or leaps ahead delays nothing by more than a moment.

    :param highest: upper bound of the rate, in requests per second.
    :param start: the rate to begin with.
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
        """The present rate, in requests per second."""
        return self._rate_at(self._now)

    def acquire(self, now: float) -> float:
        """Ask to send a request.

        :param now: the time now.
        :returns: 0.0: send it; else ask again after so many seconds, or earlier.
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
        """Note that a request was not refused.

        :param sent: when it was sent.
        :param now: the time now.
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
        """Note that a request was refused as one too many.

        :param sent: when it was sent.
        :param now: the time now.
        :param retry_after: how long Toloka asks to wait, in seconds; None: it does not say.
        """
        with self._lock:
            age, now = max(0.0, now - sent), self._tick(now)
            self._forget(now)
            if now - age <= self._fell_at:
                return  # it was under way when the rate fell
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
        """Return the time on a clock of our own, which neither runs backwards nor leaps far ahead."""
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
        """Return for how many seconds the rate has risen: it does so while answers come, and no longer."""
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
        """Decide whether the start goes on, and from which rate."""
        if self._is_first_fall:
            self._is_first_fall = False
            self._low = max(min(rate, _START_AGAIN_LOWEST), rate * _START_AGAIN)
            return True
        self._low = rate
        return not is_far_off and rate < _START_UP_TO * self._highest

    def _fair(self, rate: float, refused: float, *, is_far_off: bool) -> float:
        """Return the rate that Toloka accepts now, as far as the last answers show."""
        last_second = len(self._accepted)
        is_used = len(self._sent) >= 0.7 * rate
        if self._is_starting:
            fair = max(last_second, rate * (1 - refused), _START_ENDS_ABOVE)
            return min(fair, _START_ENDS_BELOW) if is_far_off else fair
        if is_far_off:
            return max(last_second if is_used else 0.0, rate * max(1 - refused, _MOST_CUT))
        fair = rate * (1 - refused)
        return min(fair, _TRUSTED * last_second) if is_used else fair
