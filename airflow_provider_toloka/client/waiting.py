"""The rules of all waits: deadlines, errors that end a wait, pauses during outages. No I/O."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from airflow_provider_toloka.client.observer import Observer
from airflow_provider_toloka.client.sansio import Flow, NoAnswer, Request
from airflow_provider_toloka.exceptions import (
    TolokaApiError,
    TolokaAuthenticationError,
    TolokaNotFoundError,
    TolokaTlsError,
)

#: An id that is unknown this many times in a row does not exist; a single 404 after a submit is only a delay.
LOOKS_UNTIL_UNKNOWN = 3
#: A wait polls again after at most this many seconds, even if ``Retry-After`` is longer.
LONGEST_PAUSE = 60.0
#: An outage is logged again after this many seconds.
NEWS_INTERVAL = 60.0


T = TypeVar("T")


def time_left(deadline: float | None, now: float) -> float:
    """Return the seconds until a deadline; never below 0.

    :param deadline: in seconds since the epoch; None: there is none.
    :param now: the current time, in seconds since the epoch.
    """
    return math.inf if deadline is None else max(0.0, deadline - now)


def in_time(flow: Flow[T], deadline: float | None, late: Callable[[], Exception]) -> Flow[T]:
    """Run a flow, but change nothing after a deadline, however long its retries and the wait for the rate take.

    The flow may still read, and may find that nothing is missing.

    :param flow: the flow.
    :param deadline: in seconds since the epoch; None: there is none.
    :param late: returns the error to raise instead of a change that would come too late.
    :returns: the flow's result.
    """
    try:
        step = next(flow)
        while True:
            if isinstance(step, Request) and step.method != "GET":
                step = replace(step, not_after=deadline)
            answer = yield step
            if isinstance(answer, NoAnswer) and answer.kind == "late":
                flow.close()
                raise late()
            step = flow.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result


def ends_wait(error: TolokaApiError, *, times_unknown: int = 0, is_first: bool = False) -> bool:
    """Return whether an error ends a wait: a refused token, or an id that does not exist.

    :param error: why a poll failed.
    :param times_unknown: how many times in a row the id was unknown, including this time.
    :param is_first: whether nothing was received in this wait yet; then a TLS failure is a wrong setting.
    """
    if isinstance(error, TolokaNotFoundError):
        return times_unknown >= LOOKS_UNTIL_UNKNOWN
    return isinstance(error, TolokaAuthenticationError) or (is_first and isinstance(error, TolokaTlsError))


def time_away(trouble: TolokaApiError | None) -> float:
    """Return how long a wait pauses before the next request, in seconds.

    :param trouble: why the last poll failed; None: it did not.
    """
    return min((trouble and trouble.retry_after) or 0.0, LONGEST_PAUSE)


class Outage:
    """Log an outage of polling: when it begins, once a minute while it lasts, and when it ends.

    :param subject: what fails, as the start of a sentence: ``Polling operation 1``.
    :param interval: seconds between two lines during the outage; default 60.
    :param observer: receives that it begins and ends; default: nobody.
    """

    def __init__(self, subject: str, *, interval: float = NEWS_INTERVAL, observer: Observer | None = None) -> None:
        self._subject = subject
        self._observer = observer or Observer()
        self._interval = interval
        self._began = 0.0
        self._next = 0.0
        #: Why the last poll failed; None: it did not.
        self.error: TolokaApiError | None = None

    def failed(self, error: TolokaApiError, now: float) -> str | None:
        """Record a failed poll.

        :param now: the current time, in seconds of any clock.
        :returns: the line to log; None: not yet.
        """
        is_new = self.error is None
        self.error = error
        if is_new:
            self._began = now
            self._observer.outage_began()
        elif now < self._next:
            return None
        self._next = now + self._interval
        return self.line(now)

    def line(self, now: float) -> str | None:
        """Return the current outage, for a caller that joins; None: there is none.

        :param now: the current time of the same clock.
        """
        if self.error is None:
            return None
        lasts = now - self._began
        failed = f"has been failing for {lasts:.0f} s" if lasts >= 1 else "failed"
        return f"{self._subject} {failed}; still waiting: {self.error}"

    def worked(self, now: float) -> str | None:
        """Record a successful poll.

        :param now: the current time of the same clock.
        :returns: the line to log; None: there was no outage.
        """
        if self.error is None:
            return None
        self.error = None
        self._observer.outage_ended(now - self._began)
        return f"{self._subject} works again after {now - self._began:.0f} s."
