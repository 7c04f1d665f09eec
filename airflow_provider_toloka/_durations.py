"""Parse durations, in the same way for every parameter. Pure."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeAlias

from airflow_provider_toloka._text import shown

#: What a duration parameter accepts: seconds, a timedelta or pendulum's Duration, or a text.
Duration: TypeAlias = float | timedelta | str

_NUMBER = re.compile(r"\d{1,12}(?:\.\d{1,9})?", re.ASCII)
_SHORT = re.compile(r"(?P<number>\d{1,6}(?:\.\d{1,6})?)\s*(?P<unit>[hdw])", re.IGNORECASE | re.ASCII)
_ISO = re.compile(
    r"P(?!$)(?:(?P<weeks>\d{1,6})W)?(?:(?P<days>\d{1,6})D)?"
    r"(?:T(?!$)(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,6})M)?(?:(?P<seconds>\d{1,6}(?:\.\d{1,6})?)S)?)?",
    re.IGNORECASE | re.ASCII,
)
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
#: The calendar does not go back further.
_LONGEST = timedelta(days=365_000)
_INVALID = timedelta(seconds=-1)
_EXPECTED = (
    "seconds, a timedelta such as timedelta(days=180), or a text such as '180d', '12h', 'P180D' or 'PT30M' "
    "(without months and years)"
)


def parse_age(text: str) -> timedelta:
    """Parse a duration: ``180d``, ``12h``, ``26w``, or ISO 8601 such as ``P180D``.

    Months and years are refused, because they have no fixed length.

    :param text: the duration.
    :raises ValueError: the text is not such a duration, or it is not above 0.
    """
    age = timedelta()
    stripped = text.strip()
    if short := _SHORT.fullmatch(stripped):
        age = float(short["number"]) * _UNITS[short["unit"].lower()]
    elif iso := _ISO.fullmatch(stripped):
        age = timedelta(**{unit: float(number) for unit, number in iso.groupdict(default="0").items()})
    if not timedelta() < age <= _LONGEST:
        raise ValueError(
            f"A duration should be above 0, such as 180d, 12h, 26w or P180D (without months and years), "
            f"but is {shown(text)}."
        )
    return age


def duration(name: str, value: Any, *, may_be_zero: bool = False) -> timedelta:
    """Return the value of a duration parameter.

    :param name: the parameter, for the error.
    :param value: seconds, a timedelta, pendulum's Duration, or a text: a number of seconds, or see :func:`parse_age`.
    :param may_be_zero: whether 0 is allowed.
    :raises ValueError: it is anything else, below 0, infinite, an empty text, or 0 unless allowed.
    """
    length = _INVALID
    with suppress(ValueError, OverflowError):
        if isinstance(value, str):
            text = value.strip()
            length = timedelta(seconds=float(text)) if _NUMBER.fullmatch(text) else parse_age(text)
        elif isinstance(value, timedelta):
            length = value
        elif isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            length = timedelta(seconds=value)
    least, bound = (timedelta(), "of 0 or more") if may_be_zero else (timedelta.resolution, "above 0")
    if not least <= length <= _LONGEST:
        raise ValueError(f"{name} should be a duration {bound}: {_EXPECTED}; but is {shown(value)}.")
    return length


def seconds(name: str, value: Any, *, may_be_zero: bool = False) -> float:
    """Return the value of a duration parameter in seconds; see :func:`duration`."""
    return duration(name, value, may_be_zero=may_be_zero).total_seconds()


def optional_seconds(name: str, value: Any) -> float | None:
    """Return the value of a duration parameter in seconds; None means no limit; see :func:`duration`."""
    return None if value is None else seconds(name, value)
