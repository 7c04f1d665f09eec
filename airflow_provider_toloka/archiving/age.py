"""How long something has not been used, as people write it. Pure."""

from __future__ import annotations

import re
from datetime import timedelta

from airflow_provider_toloka._text import shown

_SHORT = re.compile(r"(?P<number>\d{1,6}(?:\.\d{1,6})?)\s*(?P<unit>[hdw])", re.IGNORECASE | re.ASCII)
_ISO = re.compile(
    r"P(?!$)(?:(?P<weeks>\d{1,6})W)?(?:(?P<days>\d{1,6})D)?"
    r"(?:T(?!$)(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,6})M)?(?:(?P<seconds>\d{1,6})S)?)?",
    re.IGNORECASE | re.ASCII,
)
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
#: The calendar does not reach further back.
_LONGEST = timedelta(days=365_000)


def parse_age(text: str) -> timedelta:
    """Return the duration that a text means: ``180d``, ``12h``, ``26w``, or ISO 8601 such as ``P180D``.

    Months and years are refused, because they have no fixed length.

    :param text: the duration.
    :raises ValueError: the text is not such a duration, or it is not above 0.
    """
    age = timedelta()
    stripped = text.strip()
    if short := _SHORT.fullmatch(stripped):
        age = float(short["number"]) * _UNITS[short["unit"].lower()]
    elif iso := _ISO.fullmatch(stripped):
        age = timedelta(**{unit: int(number) for unit, number in iso.groupdict(default="0").items()})
    if not timedelta() < age <= _LONGEST:
        raise ValueError(
            f"A duration should be above 0, such as 180d, 12h, 26w or P180D (without months and years), "
            f"but is {shown(text)}."
        )
    return age
