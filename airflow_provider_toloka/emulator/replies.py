"""Answers of the emulator, as HTTP responses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from airflow_provider_toloka.emulator.errors import ApiError


def reply(status: int, content: Any, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer in JSON."""
    return Response(json.dumps(content, ensure_ascii=False), status, headers, "application/json")


def empty() -> Response:
    """Return the answer without a body that says that there is nothing to do, or that something was done."""
    return Response(status_code=204)


def refusal(error: ApiError) -> Response:
    """Return the answer that is an error."""
    return reply(error.status, error.body(), error.headers)


def nothing_at(path: str) -> Response:
    """Return the answer for a path that leads nowhere."""
    return refusal(ApiError(404, message=f"There is nothing at {path}"))
