"""Validate and generate values of tasks and answers by a project's ``input_spec`` and ``output_spec``."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_toloka.emulator.errors import FieldErrors, field_error

Spec = Mapping[str, Any]
"""One field's specification: ``type``, ``required``, ``allowed_values`` and bounds."""

_COORDINATES = re.compile(r"\s*[-+]?\d+(\.\d+)?\s*,\s*[-+]?\d+(\.\d+)?\s*", re.ASCII)
_ARRAY = "array_"


def check_values(values: Mapping[str, Any], specs: Mapping[str, Spec], path: str) -> FieldErrors:
    """Validate a task's input, or an answer.

    :param path: the path of the values, such as ``input_values``.
    :returns: the errors; empty: all values are valid.
    """
    errors: FieldErrors = {}
    for name, spec in specs.items():
        value = values.get(name)
        if value is None:
            if spec.get("required", True):
                message = "Value must be present and not equal to null"
                errors[f"{path}.{name}"] = field_error("VALUE_REQUIRED", message)
        elif code := _wrong(value, spec):
            errors[f"{path}.{name}"] = field_error(code, f"The value does not fit type {spec['type']} and its limits")
    for name in values:
        if name not in specs:
            errors[f"{path}.{name}"] = field_error("VALUE_NOT_ALLOWED", "The project has no such field")
    return errors


def _wrong(value: Any, spec: Spec) -> str | None:
    kind = spec["type"]
    if not kind.startswith(_ARRAY):
        return _wrong_item(value, kind, spec)
    if not isinstance(value, list):
        return "ARRAY_EXPECTED"
    if len(value) < spec.get("min_size", 0):
        return "ARRAY_SIZE_LESS_THAN_MIN"
    if len(value) > spec.get("max_size", len(value)):
        return "ARRAY_SIZE_GREATER_THAN_MAX"
    return next((code for item in value if (code := _wrong_item(item, kind.removeprefix(_ARRAY), spec))), None)


def _wrong_item(value: Any, kind: str, spec: Spec) -> str | None:
    if code := _CHECKS.get(kind, lambda _value: None)(value):
        return code
    if (allowed := spec.get("allowed_values")) and value not in allowed:
        return "VALUE_NOT_ALLOWED"
    if kind == "string":
        return _out_of_bounds(len(value), spec, "length", "STRING_LENGTH_")
    return _out_of_bounds(value, spec, "value", "VALUE_") if kind in ("integer", "float") else None


def _out_of_bounds(size: float, spec: Spec, what: str, prefix: str) -> str | None:
    if (low := spec.get(f"min_{what}")) is not None and size < low:
        return f"{prefix}LESS_THAN_MIN"
    if (high := spec.get(f"max_{what}")) is not None and size > high:
        return f"{prefix}GREATER_THAN_MAX"
    return None


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) else "STRING_EXPECTED"


def _url(value: Any) -> str | None:
    if not isinstance(value, str):
        return "STRING_EXPECTED"
    try:
        parts = urlsplit(value)
    except ValueError:
        return "INVALID_URL_SYNTAX"
    # A path without a host is in a storage that the requester has connected.
    return None if (parts.scheme and parts.netloc) or value.startswith("/") else "INVALID_URL_SYNTAX"


def _coordinates(value: Any) -> str | None:
    return None if isinstance(value, str) and _COORDINATES.fullmatch(value) else "INVALID_COORDINATES_SYNTAX"


def _is_number(value: Any, *types: type) -> bool:
    return isinstance(value, types) and not isinstance(value, bool)


_CHECKS: dict[str, Callable[[Any], str | None]] = {
    "boolean": lambda value: None if isinstance(value, bool) else "BOOLEAN_EXPECTED",
    "string": _text,
    "integer": lambda value: None if _is_number(value, int) else "INTEGER_EXPECTED",
    "float": lambda value: None if _is_number(value, int, float) else "FLOAT_EXPECTED",
    "url": _url,
    "file": _text,
    "coordinates": _coordinates,
    "json": lambda value: None if isinstance(value, dict | list) else "JSON_EXPECTED",
}

TYPES = (*_CHECKS, *(_ARRAY + kind for kind in _CHECKS))
"""The types of fields."""


def make_values(specs: Mapping[str, Spec], source: Mapping[str, Any], variant: int = 0) -> dict[str, Any]:
    """Generate an answer that matches its specification.

    :param source: the question; the same source has the same answer.
    :param variant: 0: the correct answer; others: wrong answers, which differ if the specification allows it.
    """
    if not specs:
        return {}
    digest = zlib.crc32(repr(sorted(source.items())).encode())
    return {name: _make(spec, digest + zlib.crc32(name.encode()) + variant) for name, spec in specs.items()}


def _make(spec: Spec, number: int) -> Any:
    kind = spec["type"]
    if kind.startswith(_ARRAY):
        size = max(1, spec.get("min_size", 1))
        return [_make_item(spec, kind.removeprefix(_ARRAY), number + place) for place in range(size)]
    return _make_item(spec, kind, number)


def _make_item(spec: Spec, kind: str, number: int) -> Any:
    if allowed := spec.get("allowed_values"):
        return allowed[number % len(allowed)]
    if kind == "boolean":
        return number % 2 == 1
    if kind in ("integer", "float"):
        low = spec.get("min_value", min(0, spec.get("max_value", 0)))
        whole = int(spec.get("max_value", low + 10) - low) + 1
        return low + number % max(1, whole)
    if kind == "string":
        text = f"answer {number % 1000}".ljust(spec.get("min_length", 0), ".")
        return text[: spec.get("max_length", len(text))]
    made: dict[str, Any] = {
        "url": f"https://example.com/{number % 1000}",
        "coordinates": f"{number % 90}.5,{number % 180}.25",
        "file": f"{number % 2**32:08x}",
    }
    return made.get(kind, {"number": number % 1000})
