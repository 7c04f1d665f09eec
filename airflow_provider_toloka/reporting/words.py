"""Format numbers, times and names for reports, log lines and approvals. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from airflow_provider_toloka._text import one_line

LONGEST_NAME = 40
_BRACKETS = re.compile(r" \[(HTTP status|code|message|request id|payload) .*\]", re.DOTALL)
_URL = re.compile(r" ?\b[a-z]+://[^\s,;)\]]+", re.IGNORECASE)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 pool``, ``2 pools``, ``20,000 projects``.

    :param number: the number.
    :param noun: the singular; the plural ends with an "s".
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def holdings(pools: int, trainings: int) -> str:
    """Return the contents of projects: ``25 pools``, ``2 trainings``, ``21 pools and trainings``; empty: nothing.

    :param pools: the number of pools.
    :param trainings: the number of trainings.
    """
    if pools and trainings:
        return f"{pools + trainings:,} pools and trainings"
    return counted(pools, "pool") if pools else counted(trainings, "training") if trainings else ""


def date(time: datetime) -> str:
    """Return the day of a time, in UTC.

    :param time: an aware datetime.
    """
    return f"{time.astimezone(UTC):%Y-%m-%d}"


def moment(time: datetime) -> str:
    """Return a time to the minute, in UTC.

    :param time: an aware datetime.
    """
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def age(idle: timedelta) -> str:
    """Return a threshold: ``180 days``, ``12 hours``, ``1.5 days``.

    :param idle: the duration.
    """
    hours = idle.total_seconds() / 3600
    if hours < 48 and hours % 24:
        return f"{hours:g} hour" if hours == 1 else f"{hours:.3g} hours"
    whole = hours / 24
    return (
        "1 day" if whole == 1 else f"{whole:,.0f} days" if whole.is_integer() or whole >= 100 else f"{whole:.3g} days"
    )


def duration(seconds: float) -> str:
    """Return a short duration: ``13 s``, ``2 min 5 s``, ``1 h 3 min``.

    :param seconds: how long, in seconds.
    """
    whole = round(seconds)
    minutes, left = divmod(whole, 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes_left} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"


def cut(name: str, longest: int = LONGEST_NAME) -> str:
    """Return a name on one line, truncated with "…" if it is too long.

    :param name: the name.
    :param longest: the maximum number of characters; default 40.
    """
    line = one_line(name)
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def flat(text: str) -> str:
    """Return a text of several lines as one line.

    :param text: such as the text of an error.
    """
    return one_line(" ".join(text.split()))


def brief(reason: str) -> str:
    """Return a reason for a line of a log, without addresses, request ids and the like, which the report contains.

    :param reason: such as the text of an error.
    """
    return flat(_URL.sub("", _BRACKETS.sub("", reason)))
