"""The API's errors, as the section "HTTP status codes" of its description has them."""

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
"""The error code that goes with a status where no nearer one is known."""


class ApiError(Exception):
    """A request that Toloka answers with an error.

    :param status: the HTTP status.
    :param code: the error code; by default the one that goes with the status.
    :param message: what a person is told.
    :param payload: more about it, such as field → {code, message}; left out of the answer when ``None``.
    :param headers: more headers of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str | None = None,
        message: str = "The emulator was told to answer so",
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
        """Return the body of the answer, under a request id of its own."""
        body: dict[str, Any] = {"request_id": str(uuid.uuid4()), "code": self.code, "message": self.message}
        if self.payload is not None:
            body["payload"] = self.payload
        return body


def invalid(field: str, message: str, code: str = "INVALID_VALUE") -> ApiError:
    """Return the error for one field or parameter that is not acceptable."""
    payload = {field: {"code": code, "message": message}}
    return ApiError(400, "VALIDATION_ERROR", "Validation failed", payload=payload)
