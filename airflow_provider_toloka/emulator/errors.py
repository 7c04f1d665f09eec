"""The API's errors (section "HTTP status codes" of its description)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

CODES = {
    400: "VALIDATION_ERROR",
    401: "AUTHENTICATION_ERROR",
    403: "ACCESS_DENIED",
    404: "DOES_NOT_EXIST",
    405: "METHOD_NOT_ALLOWED",
    409: "CONFLICT_STATE",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    429: "TOO_MANY_REQUESTS",
    503: "REMOTE_SERVICE_UNAVAILABLE",
}
"""The default error code of each status."""

FieldError = dict[str, str]
"""``code`` and ``message`` of the error of a field."""

FieldErrors = dict[str, FieldError]
"""Errors by the path of the field, such as ``defaults.default_overlap_for_new_task_suites``."""


class ApiError(Exception):
    """A request that Toloka answers with an error.

    :param status: the HTTP status.
    :param code: the error code; default: the status's.
    :param message: the message.
    :param payload: details, such as field → {code, message}; omitted if ``None``.
    :param headers: further headers of the response.
    """

    def __init__(
        self,
        status: int,
        code: str | None = None,
        message: str = "A fault of the emulator",
        *,
        payload: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code or CODES.get(status, "INTERNAL_ERROR")
        self.message = message
        self.payload = payload
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """Return the body of the response, with a new request id."""
        body: dict[str, Any] = {"request_id": str(uuid.uuid4()), "code": self.code, "message": self.message}
        if self.payload is not None:
            body["payload"] = self.payload
        return body


def field_error(code: str, message: str) -> FieldError:
    """Return the error of a field."""
    return {"code": code, "message": message}


def invalid_fields(errors: Mapping[str, Any]) -> ApiError:
    """Return the error for invalid fields."""
    return ApiError(400, "VALIDATION_ERROR", "Validation failed", payload=errors)


def invalid(field: str, message: str, code: str = "INVALID_VALUE") -> ApiError:
    """Return the error for an invalid field or parameter."""
    return invalid_fields({field: field_error(code, message)})


def wrong_status(code: str, *appropriate: str) -> ApiError:
    """Return the error for an object whose status does not allow the request."""
    message = "This or related resource is in inappropriate status, operation is not allowed"
    return ApiError(409, code, message, payload={"appropriate_statuses": list(appropriate)})


def not_found(kind: str, row_id: str) -> ApiError:
    """Return the error for an unknown id."""
    return ApiError(404, "DOES_NOT_EXIST", f"There is no {kind.removesuffix('s')} with id {row_id}")
