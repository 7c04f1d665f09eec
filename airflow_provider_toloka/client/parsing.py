"""Parse values from the API's JSON, a connection or a template; errors name the invalid field."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from airflow_provider_toloka._text import shown

_ID = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,100}", re.ASCII)
#: Free-form parts of a response are kept up to this depth, which every serializer supports.
_DEEPEST = 20
#: Airflow's columns and messages do not support larger integers.
_LARGEST_INT = 2**63 - 1
#: Arithmetic fails at the very ends of the calendar.
_EARLIEST, _LATEST = datetime(2, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)


class InvalidModelError(ValueError):
    """The response does not match the expected schema.

    :param field: the field's name.
    :param expected: a description of the expected value.
    :param value: the actual value.
    """

    def __init__(self, field: str, expected: str, value: object) -> None:
        super().__init__(field, expected, value)
        self.field = field
        self.expected = expected
        self.value = value

    def __str__(self) -> str:
        return f"{self.field!r} should be {self.expected}, but is {shown(self.value)}"


def check_id(name: str, value: object) -> str:
    """Return the id as a text that is safe in a URL path.

    :param name: the parameter that holds it, for the error.
    :param value: a text of at most 100 ``A-Z a-z 0-9 _ -``, or a whole number.
    :raises ValueError: it is anything else, or empty, such as the rendered text "None".
    """
    text = str(value) if type(value) is int and abs(value) <= _LARGEST_INT else value
    if not isinstance(text, str) or not _ID.fullmatch(text) or text == "None":
        raise ValueError(
            f"{name} should be an id of letters, digits, '_' and '-', but is {shown(value)}. "
            "If it comes from a template or an XCom, check that this renders to an id."
        )
    return text


def check_truth(name: str, value: object) -> bool:
    """Return a boolean that may be given as text: in a connection's extra, or by a template.

    :param name: the parameter or field, for the error.
    :param value: a bool, or ``true`` or ``false`` in any case.
    :raises ValueError: it is anything else.
    """
    if str(value).lower() not in ("true", "false"):
        raise ValueError(f"{name} is {shown(value)}; it should be true or false.")
    return str(value).lower() == "true"


def read_word(json: Mapping[str, Any], key: str) -> str:
    """Parse a type or a status, known or unknown."""
    value = json.get(key)
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise InvalidModelError(key, "a word of letters, digits, '_', '-' and '.'", value)
    return value


def read_id(json: Mapping[str, Any], key: str = "id") -> str:
    """Parse an id: a text or a whole number."""
    value = json.get(key)
    if type(value) is int and abs(value) <= _LARGEST_INT:
        return str(value)
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise InvalidModelError(key, "an id of letters, digits, '_' and '-'", value)
    return value


def read_optional_id(json: Mapping[str, Any], key: str) -> str | None:
    """Parse an optional id."""
    return None if json.get(key) is None else read_id(json, key)


def read_text(json: Mapping[str, Any], key: str) -> str | None:
    """Parse an optional text."""
    value = json.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidModelError(key, "a text", value)
    return _storable_text(value)


def read_object(json: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Parse an optional free-form object; empty if there is none."""
    value = json.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidModelError(key, "an object", value)
    return value


def read_time(json: Mapping[str, Any], key: str) -> datetime | None:
    """Parse an optional time. Toloka writes times in UTC, without a zone."""
    value = json.get(key)
    if not value:
        return None
    try:
        # One call fewer per time matters, because there are so many.
        time = datetime.fromisoformat(value + "Z")
    except (TypeError, ValueError):
        time = _time_with_zone(value)
    if not _EARLIEST < time < _LATEST:
        raise InvalidModelError(key, "an ISO 8601 time", value)
    return time


def _time_with_zone(value: Any) -> datetime:
    try:
        time = datetime.fromisoformat(value)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return _LATEST


def read_number(json: Mapping[str, Any], key: str) -> float | None:
    """Parse an optional number."""
    value = json.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= sys.float_info.max:
        raise InvalidModelError(key, "a number", value)
    return value if abs(value) <= _LARGEST_INT else float(value)


def storable(value: Any, deepest: int = _DEEPEST) -> Any:
    """Return a free-form JSON value in a form that every database and serializer supports.

    :param value: the value from the response.
    :param deepest: the maximum depth; deeper parts are left out.
    """
    if isinstance(value, str):
        return _storable_text(value)
    if isinstance(value, dict):
        return {_storable_text(key): storable(one, deepest - 1) for key, one in value.items()} if deepest else "…"
    if isinstance(value, list):
        return [storable(one, deepest - 1) for one in value] if deepest else "…"
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and abs(value) > _LARGEST_INT:
        return str(value)
    return value


def _storable_text(text: str) -> str:
    # PostgreSQL does not support NUL, and nothing supports lone surrogates.
    return text if text.isprintable() else text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
