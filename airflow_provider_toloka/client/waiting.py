"""The rules of every wait: when it is over, what ends it early, how long it leaves Toloka alone. Pure: no clock."""

from __future__ import annotations

import math

from airflow_provider_toloka.exceptions import (
    TolokaApiError,
    TolokaAuthenticationError,
    TolokaNotFoundError,
    TolokaTlsError,
)

#: An id that is unknown this many times in a row does not exist: a single 404 after a submit is only a lag.
LOOKS_UNTIL_UNKNOWN = 3
#: A wait polls again after this many seconds, however long Toloka asks to stay away: it may have changed its mind.
LONGEST_PAUSE = 60.0


def time_left(deadline: float | None, now: float) -> float:
    """Return the seconds until a deadline; never below 0.

    :param deadline: in seconds since the epoch; None: there is none.
    :param now: the time now, in seconds since the epoch.
    """
    return math.inf if deadline is None else max(0.0, deadline - now)


def ends_wait(error: TolokaApiError, *, times_unknown: int = 0, is_first: bool = False) -> bool:
    """Return whether an error ends a wait: only a refused token, and what no later poll can find.

    :param error: why a poll brought no news.
    :param times_unknown: how many times in a row the id was unknown, this one included.
    :param is_first: whether nothing was ever received in this wait; then a TLS failure is a wrong setting.
    """
    if isinstance(error, TolokaNotFoundError):
        return times_unknown >= LOOKS_UNTIL_UNKNOWN
    return isinstance(error, TolokaAuthenticationError) or (is_first and isinstance(error, TolokaTlsError))


def time_away(trouble: TolokaApiError | None) -> float:
    """Return for how long a wait leaves Toloka alone, in seconds.

    :param trouble: why the last poll brought no news; None: it did.
    """
    return min((trouble and trouble.retry_after) or 0.0, LONGEST_PAUSE)
