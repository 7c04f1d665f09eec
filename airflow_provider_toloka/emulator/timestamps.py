"""The API's timestamps: UTC, ISO 8601 without a zone, ``2016-04-07T16:06:15.902``.

They are kept as text of one form, whose order as text is their order in time.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

Moment = str | float | datetime
"""A point in time: the API's text, seconds since 1970, or a datetime (UTC when it has no zone)."""

_FORM = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d{1,6})?)?", re.ASCII)


def parse(text: str) -> datetime:
    """Read a date or date-time as the API's page "Parameters with a date" has it.

    :param text: ``YYYY-MM-DD`` or ``YYYY-MM-DDThh:mm:ss[.sss]``.
    :returns: an aware datetime in UTC.
    :raises ValueError: when the text has another form, such as one with a zone.
    """
    if not _FORM.fullmatch(text):
        raise ValueError(f"{text!r} is not YYYY-MM-DDThh:mm:ss[.sss]")
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def stamp(moment: Moment) -> str:
    """Write a moment as the API does, with milliseconds."""
    return _aware(moment).replace(tzinfo=None).isoformat(timespec="milliseconds")


def bound(text: str) -> str:
    """Write the bound of a filter so that it compares with stamps as text.

    Microseconds are kept when there are any: cut off, they would move a moment to the wrong side of the bound.

    :raises ValueError: as ``parse`` does.
    """
    written = parse(text).replace(tzinfo=None).isoformat(timespec="microseconds")
    return written.removesuffix("000")


def seconds(moment: Moment) -> float:
    """Seconds since 1970 of a moment."""
    return _aware(moment).timestamp()


def _aware(moment: Moment) -> datetime:
    if isinstance(moment, str):
        return parse(moment)
    if isinstance(moment, datetime):
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return datetime.fromtimestamp(moment, UTC)
