"""Validate a form's values: required fields, types and bounds; each problem has a path. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Protocol

from airflow_provider_toloka._text import shown


@dataclass
class Report:
    """The findings of a validation.

    :param problems: errors, which prevent sending the form.
    :param warnings: warnings, which do not.
    """

    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def expect(self, path: str, expected: str, value: object) -> None:
        """Record an invalid value."""
        self.problems.append(f"{path} should be {expected}, but is {shown(value)}")


class Check(Protocol):
    """The specification of a field."""

    def read(self, path: str, value: Any, report: Report) -> Any:
        """Return the value to send, and report its problems."""


class Anything:
    """Any value."""

    def read(self, path: str, value: Any, report: Report) -> Any:  # noqa: ARG002, D102 - see Check
        return value


class Text:
    """A text."""

    def read(self, path: str, value: Any, report: Report) -> Any:  # noqa: D102 - see Check
        if not isinstance(value, str):
            report.expect(path, "a text", value)
        return value


class Id:
    """An id: a text, or a whole number, which is sent as text."""

    def read(self, path: str, value: Any, report: Report) -> Any:  # noqa: D102 - see Check
        if type(value) is int:
            return str(value)
        if not isinstance(value, str) or value.strip() in ("", "None"):
            report.expect(path, "an id", value)
        return value


class Truth:
    """True or false."""

    def read(self, path: str, value: Any, report: Report) -> Any:  # noqa: D102 - see Check
        if not isinstance(value, bool):
            report.expect(path, "true or false", value)
        return value


class Time:
    """A time, converted to UTC without a zone, as Toloka expects; YAML contains datetimes."""

    def read(self, path: str, value: Any, report: Report) -> Any:  # noqa: D102 - see Check
        try:
            time = value if isinstance(value, date) else datetime.fromisoformat(value)
        except (TypeError, ValueError):
            report.expect(path, "a time such as 2030-12-31T23:59:59 (UTC)", value)
            return value
        if not isinstance(time, datetime):
            time = datetime(time.year, time.month, time.day, tzinfo=UTC)
        return write_time(time)


def write_time(time: datetime) -> str:
    """Format a time for Toloka: in UTC, without a zone.

    :param time: a time; without a zone, it is in UTC.
    """
    utc = time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
    return utc.replace(tzinfo=None).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Choice:
    """One of several words."""

    words: tuple[str, ...]

    def read(self, path: str, value: Any, report: Report) -> Any:  # noqa: D102 - see Check
        if value not in self.words:
            report.expect(path, f"one of {', '.join(self.words)}", value)
        return value


@dataclass(frozen=True, kw_only=True)
class Number:
    """A number within bounds."""

    minimum: float = -math.inf
    maximum: float = math.inf
    whole: bool = False

    def read(self, path: str, value: Any, report: Report) -> Any:  # noqa: D102 - see Check
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not is_number or (self.whole and value != int(value)) or not self.minimum <= value <= self.maximum:
            report.expect(path, self._expected(), value)
            return value
        return int(value) if self.whole else value

    def _expected(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        if self.maximum != math.inf:
            return f"{kind} from {self.minimum:,g} to {self.maximum:,.0f}"
        return kind if self.minimum == -math.inf else f"{kind} of at least {self.minimum:,g}"


@dataclass(frozen=True, kw_only=True)
class ListOf:
    """A list."""

    item: Check
    at_most: int | None = None

    def read(self, path: str, value: Any, report: Report) -> Any:  # noqa: D102 - see Check
        if not isinstance(value, Sequence) or isinstance(value, str):
            report.expect(path, "a list", value)
            return value
        if self.at_most is not None and len(value) > self.at_most:
            report.problems.append(f"{path} has {len(value)} items, but may have at most {self.at_most}")
        return [self.item.read(f"{path}[{number}]", one, report) for number, one in enumerate(value)]


@dataclass(frozen=True, kw_only=True)
class MapOf:
    """An object with arbitrary keys."""

    value: Check

    def read(self, path: str, value: Any, report: Report) -> Any:  # noqa: D102 - see Check
        if not isinstance(value, Mapping):
            report.expect(path, "an object", value)
            return value
        return {name: self.value.read(f"{path}.{name}", one, report) for name, one in value.items()}


@dataclass(frozen=True, kw_only=True)
class Form:
    """An object with known fields; unknown fields are sent with a warning."""

    required: Mapping[str, Check] = field(default_factory=dict)
    optional: Mapping[str, Check] = field(default_factory=dict)

    def read(self, path: str, value: Any, report: Report) -> Any:  # noqa: D102 - see Check
        if not isinstance(value, Mapping):
            report.expect(path, "an object", value)
            return value
        for name in self.required:
            if value.get(name) is None:
                report.problems.append(f"{path}.{name} is required")
        read = {}
        for name, one in value.items():
            check = self.required.get(name) or self.optional.get(name)
            if check is None:
                report.warnings.append(f"{path}.{name} is not in Toloka's API description; it is sent unchanged")
            # JSON's null means no value.
            read[name] = one if check is None or one is None else check.read(f"{path}.{name}", one, report)
        return read
