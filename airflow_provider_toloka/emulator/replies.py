"""HTTP responses of the emulator."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from airflow_provider_toloka.emulator.errors import ApiError


def reply(status: int, content: Any, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON response."""
    return Response(json.dumps(content, ensure_ascii=False), status, headers, "application/json")


def empty() -> Response:
    """Return a response without a body: there is nothing to do, or it is done."""
    return Response(status_code=204)


def refusal(error: ApiError) -> Response:
    """Return the response for an error."""
    return reply(error.status, error.body(), error.headers)


def nothing_at(path: str) -> Response:
    """Return the response for an unknown path."""
    return refusal(ApiError(404, message=f"There is nothing at {path}"))
