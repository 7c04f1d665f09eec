"""Validate the JSON of a request against a form: required fields, types, bounds.

Forms are built from these classes. Each returns the value to store, and collects errors by the path of the field. Error
codes are those of ``ValidationErrorCodes`` in Toloka's own client.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from airflow_provider_toloka.emulator.errors import ApiError, FieldErrors, field_error, invalid, invalid_fields
from airflow_provider_toloka.emulator.timestamps import stamp

BODY = "body"
"""The path of errors of the whole body."""


def read_json(body: bytes, content_type: str) -> Any:
    """Read the body of a request.

    :raises ApiError: 415: another content type; 400: invalid JSON.
    """
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise ApiError(415, message="Content-Type: application/json is expected")
    if not body.strip():
        raise invalid(BODY, "A body is expected", "NOT_NULL_BODY")
    try:
        content = json.loads(body, parse_constant=_no_number, parse_float=_finite)
        if b"\\u" in body:
            json.dumps(content, ensure_ascii=False).encode()  # a lone surrogate cannot be sent back
    except (ValueError, RecursionError) as error:
        raise invalid(BODY, f"The body is not JSON: {error}", "JSON_EXPECTED") from error
    return content


def read_form(form: Form, body: bytes, content_type: str) -> dict[str, Any]:
    """Read a JSON object and validate it against a form.

    :returns: the fields of the form.
    :raises ApiError: 415: another content type; 400: invalid JSON, or not valid for the form.
    """
    errors: FieldErrors = {}
    kept = form.read(read_json(body, content_type), "", errors)
    if errors:
        raise invalid_fields(errors)
    return dict(kept)


class Field(Protocol):
    """The specification of a value."""

    def read(self, value: Any, path: str, errors: FieldErrors) -> Any:
        """Return the value to store; add its problems to ``errors``."""


@dataclass(frozen=True)
class Text:
    """A string.

    :param values: the allowed values.
    :param blank: whether it may be blank.
    """

    longest: int | None = None
    values: Collection[str] = ()
    blank: bool = True

    def read(self, value: Any, path: str, errors: FieldErrors) -> Any:
        """See ``Field``."""
        if not isinstance(value, str):
            errors[path] = field_error("STRING_EXPECTED", "String value expected")
        elif self.values and value not in self.values:
            errors[path] = field_error("UNKNOWN_ENUM_VALUE", f"One of {', '.join(self.values)} is expected")
        elif not self.blank and not value.strip():
            errors[path] = field_error("BLANK_STRING_NOT_ALLOWED", "String must not be blank")
        elif self.longest is not None and len(value) > self.longest:
            message = f"At most {self.longest} characters are expected"
            errors[path] = field_error("STRING_LENGTH_GREATER_THAN_MAX", message)
        return value


@dataclass(frozen=True)
class Number:
    """A number.

    :param least: the minimum.
    :param most: the maximum.
    :param whole: whether it must be whole.
    """

    least: float | None = None
    most: float | None = None
    whole: bool = False

    def read(self, value: Any, path: str, errors: FieldErrors) -> Any:
        """See ``Field``."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            kind = ("INTEGER_EXPECTED", "Integer") if self.whole else ("FLOAT_EXPECTED", "Float")
            errors[path] = field_error(kind[0], f"{kind[1]} value expected")
        elif self.least is not None and value < self.least:
            errors[path] = field_error("VALUE_LESS_THAN_MIN", f"Value must be greater or equal to {self.least}")
        elif self.most is not None and value > self.most:
            errors[path] = field_error("VALUE_GREATER_THAN_MAX", f"Value must be less or equal to {self.most}")
        return value


def integer(least: int | None = None, most: int | None = None) -> Number:
    """Return the field for a whole number."""
    return Number(least, most, whole=True)


@dataclass(frozen=True)
class Flag:
    """``true`` or ``false``."""

    def read(self, value: Any, path: str, errors: FieldErrors) -> Any:
        """See ``Field``."""
        if not isinstance(value, bool):
            errors[path] = field_error("BOOLEAN_EXPECTED", "Boolean value expected")
        return value


@dataclass(frozen=True)
class Instant:
    """A date and time, stored in the API's format."""

    def read(self, value: Any, path: str, errors: FieldErrors) -> Any:
        """See ``Field``."""
        if not isinstance(value, str):
            errors[path] = field_error("STRING_EXPECTED", "String value expected")
            return value
        try:
            return stamp(value)
        except ValueError:
            message = "Date and time in UTC expected: YYYY-MM-DDThh:mm:ss[.sss]"
            errors[path] = field_error("INVALID_DATE_TIME_SYNTAX", message)
            return value


@dataclass(frozen=True)
class Anything:
    """Any value."""

    def read(self, value: Any, path: str, errors: FieldErrors) -> Any:  # noqa: ARG002
        """See ``Field``."""
        return value


@dataclass(frozen=True)
class Items:
    """An array."""

    item: Field
    fewest: int = 0
    most: int | None = None
    unique: bool = False

    def read(self, value: Any, path: str, errors: FieldErrors) -> Any:
        """See ``Field``."""
        if not isinstance(value, list):
            errors[path] = field_error("ARRAY_EXPECTED", "Array expected")
            return value
        if len(value) < self.fewest:
            errors[path] = field_error("ARRAY_SIZE_LESS_THAN_MIN", f"At least {self.fewest} items are expected")
        elif self.most is not None and len(value) > self.most:
            errors[path] = field_error("ARRAY_SIZE_GREATER_THAN_MAX", f"At most {self.most} items are expected")
        elif self.unique and len(set(map(repr, value))) < len(value):
            errors[path] = field_error("DUPLICATE_VALUE_IN_ARRAY", "Items must differ")
        return [self.item.read(item, f"{path}.{place}", errors) for place, item in enumerate(value)]


@dataclass(frozen=True)
class Form:
    """An object with known fields; others are ignored, and null means absent.

    :param required: the required fields.
    :param optional: the optional fields.
    :param check: validates a form whose fields are valid; ``path`` ends with a dot unless it is empty.
    """

    required: Mapping[str, Field] = field(default_factory=dict)
    optional: Mapping[str, Field] = field(default_factory=dict)
    check: Callable[[Mapping[str, Any], str, FieldErrors], None] | None = None

    def read(self, value: Any, path: str, errors: FieldErrors) -> Any:
        """See ``Field``."""
        if not isinstance(value, dict):
            errors[path or BODY] = field_error("OBJECT_EXPECTED", "Object expected")
            return value
        prefix = f"{path}." if path else ""
        before = len(errors)
        kept = {}
        for name, kind in self.required.items():
            if value.get(name) is None:
                message = "Value must be present and not equal to null"
                errors[prefix + name] = field_error("VALUE_REQUIRED", message)
            else:
                kept[name] = kind.read(value[name], prefix + name, errors)
        for name, kind in self.optional.items():
            if value.get(name) is not None:
                kept[name] = kind.read(value[name], prefix + name, errors)
        if self.check and len(errors) == before:
            self.check(kept, prefix, errors)
        return kept


@dataclass(frozen=True)
class Open:
    """An object with arbitrary fields.

    :param item: the specification of each value.
    """

    item: Field = field(default_factory=Anything)

    def read(self, value: Any, path: str, errors: FieldErrors) -> Any:
        """See ``Field``."""
        if not isinstance(value, dict):
            errors[path or BODY] = field_error("OBJECT_EXPECTED", "Object expected")
            return value
        return {name: self.item.read(item, f"{path}.{name}", errors) for name, item in value.items()}


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _finite(text: str) -> float:
    if math.isinf(number := float(text)):
        raise ValueError(f"{text} is too large")
    return number
