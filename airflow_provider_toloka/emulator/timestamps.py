"""The API's timestamps: UTC, ISO 8601 without a zone, with 0 to 6 digits after the second: ``2016-04-07T16:06:15.902``.

Trailing zeros of the fraction are omitted. Sorting such texts sorts by time.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

Moment = str | float | datetime
"""A point in time: the API's text, seconds since 1970, or a datetime (UTC when it has no zone)."""

_FORM = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{1,6})?)?", re.ASCII)


def parse(text: str) -> datetime:
    """Parse a date or date-time (the API's page "Parameters with a date").

    :param text: ``YYYY-MM-DD`` or ``YYYY-MM-DDThh:mm:ss[.sss]``.
    :returns: an aware datetime in UTC.
    :raises ValueError: the text has another form, such as one with a zone.
    """
    if not _FORM.fullmatch(text):
        raise ValueError(f"{text!r} is not YYYY-MM-DDThh:mm:ss[.sss]")
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def stamp(moment: Moment) -> str:
    """Format a moment as the API does.

    :raises ValueError: it is a text of another form.
    """
    written = _aware(moment).replace(tzinfo=None).isoformat(timespec="microseconds")
    return written.rstrip("0").removesuffix(".") if written.endswith("0") else written


def seconds(moment: Moment) -> float:
    """Return the seconds since 1970 of a moment."""
    return _aware(moment).timestamp()


def _aware(moment: Moment) -> datetime:
    if isinstance(moment, str):
        return parse(moment)
    if isinstance(moment, datetime):
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return datetime.fromtimestamp(moment, UTC)
