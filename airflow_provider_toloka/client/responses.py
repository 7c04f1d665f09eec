"""Interpret responses of the API: parse the JSON, or return an error that says what to do. No I/O.

API: "HTTP status codes", "Rate limiting".
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, TypeVar

from airflow_provider_toloka._text import one_line, shown
from airflow_provider_toloka.client.clock import http_date
from airflow_provider_toloka.client.config import Settings
from airflow_provider_toloka.client.parsing import InvalidModelError, storable
from airflow_provider_toloka.client.redaction import redact
from airflow_provider_toloka.client.sansio import NoAnswer, Response
from airflow_provider_toloka.exceptions import (
    TolokaApiError,
    TolokaAuthenticationError,
    TolokaConflictError,
    TolokaInvalidAnswerError,
    TolokaLockedError,
    TolokaNotFoundError,
    TolokaPermissionError,
    TolokaPostponedError,
    TolokaRateLimitError,
    TolokaRequestError,
    TolokaTlsError,
    TolokaUnavailableError,
)

#: Quota errors without ``Retry-After`` contain the interval of the quota.
QUOTA_SECONDS = {"MIN": 60.0, "HOUR": 3_600.0, "DAY": 86_400.0}
#: Statuses after which the same request may succeed.
UNAVAILABLE = (408, 500, 502, 503, 504)
SHOWN_CHARACTERS = 200

T = TypeVar("T")
E = TypeVar("E", bound=TolokaApiError)
#: Between a reason and its remedy.
_STOP = re.compile(r"\. (?=[A-Z])")


@dataclass(frozen=True)
class Reader:
    """Reads the responses to a call.

    :param settings: the connection's settings, for messages, and to redact the token.
    :param subject: what the call does, such as ``read project 12``.
    """

    settings: Settings
    subject: str

    def model(self, answer: Response, make: Callable[[Mapping[str, Any]], T]) -> T:
        """Parse a JSON object into a model.

        :raises TolokaInvalidAnswerError: the response does not match the expected schema.
        """
        return self._make(answer, make, self._json(answer))

    def models(self, answer: Response, make: Callable[[Mapping[str, Any]], T]) -> list[T]:
        """Parse a JSON list of objects into models; a single object counts as a list of one.

        :raises TolokaInvalidAnswerError: the response does not match the expected schema.
        """
        items = self._json(answer)
        if isinstance(items, dict):
            items = [items]
        if not isinstance(items, list):
            raise self._invalid(answer, "is not a JSON list")
        return [self._make(answer, make, item) for item in items]

    def page(
        self,
        answer: Response,
        make: Callable[[Mapping[str, Any]], T],
        keep: Callable[[Mapping[str, Any]], bool] | None = None,
    ) -> tuple[list[T], bool]:
        """Parse a page of a list: its items, and whether there are more.

        :param keep: decides which items are needed; the last one is always parsed, because the next page follows it.
        :raises TolokaInvalidAnswerError: the response does not match the expected schema.
        """
        page = self._json(answer)
        items, has_more = (page.get("items"), page.get("has_more", False)) if isinstance(page, dict) else (None, None)
        if not isinstance(items, list) or not isinstance(has_more, bool):
            raise self._invalid(answer, "is not a page of a list")
        if keep is not None:
            items = [item for item in items[:-1] if not isinstance(item, dict) or keep(item)] + items[-1:]
        return [self._make(answer, make, item) for item in items], has_more

    def error(self, answer: Response | NoAnswer) -> TolokaApiError:
        """Return the error for a response."""
        if isinstance(answer, NoAnswer):
            reason = one_line(self._hide(answer.reason))
            no_answer = TolokaTlsError if answer.kind == "tls" else TolokaUnavailableError
            return self._failure(no_answer, _NO_ANSWER[answer.kind].format(reason=reason))
        if answer.status < HTTPStatus.BAD_REQUEST:
            target = self._hide(answer.headers.get("location", ""))
            followed = f"is a redirect to {shown(target)}, which is not followed"
            return self._invalid(answer, followed if target else "has an unexpected status")
        told = self._told(answer)
        if self._is_of_another_server(answer):
            return self._not_toloka(answer)
        error_class, meaning = _meaning(answer.status, told.get("code"))
        come_back = meaning + _come_back(answer)
        return self._failure(error_class, come_back, status=answer.status, retry_after=asked_wait(answer), **told)

    def _is_of_another_server(self, answer: Response) -> bool:
        """Return whether an error was not sent by Toloka's API, but by a gateway or another web server."""
        if answer.status == HTTPStatus.UNAUTHORIZED:
            return _is_html(answer.body)
        if answer.status == HTTPStatus.NOT_FOUND and self.subject == _WITHOUT_ID:
            return True
        return answer.status in _SAID_BY_TOLOKA_ALONE and not _has_form_of_toloka(answer.body)

    def _told(self, answer: Response) -> dict[str, Any]:
        """Parse Toloka's error; a gateway may return anything."""
        try:
            told = self._hide(storable(json.loads(answer.body)))
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict):
            return {"message": self._excerpt(answer)}
        texts = {key: told.get(key) for key in ("code", "message", "request_id")}
        return {
            **{key: text if text is None else str(text) for key, text in texts.items()},
            "payload": told.get("payload"),
        }

    def _json(self, answer: Response) -> Any:
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(answer.body, parse_constant=_refuse_constant)
        # Raised outside of the handler: the decoder's error contains the whole response, and would become the context.
        raise self._invalid(answer, "is not JSON" if answer.body else "is empty")

    def _make(self, answer: Response, make: Callable[[Mapping[str, Any]], T], item: Any) -> T:
        if not isinstance(item, dict):
            raise self._invalid(answer, "is not a JSON object" if answer.body else "is empty")
        try:
            return make(item)
        except InvalidModelError as error:
            wrong = InvalidModelError(error.field, error.expected, self._hide(storable(error.value)))
        raise self._invalid(answer, f"does not match the expected schema: {wrong}")

    def _invalid(self, answer: Response, told: str) -> TolokaInvalidAnswerError:
        meaning = f"the response {told}. Check that the connection's host is Toloka's API"
        return self._failure(TolokaInvalidAnswerError, meaning, status=answer.status, message=self._excerpt(answer))

    def _not_toloka(self, answer: Response) -> TolokaInvalidAnswerError:
        reason, remedy = f"no Toloka API answers at {self.settings.base_url}", "Check the connection's host."
        return TolokaInvalidAnswerError(
            f"Could not {self.subject}: {reason}. {remedy}",
            status=answer.status,
            message=self._excerpt(answer),
            reason=reason,
            remedy=remedy,
        )

    def _failure(self, error_class: type[E], meaning: str, **facts: Any) -> E:
        """Return an error.

        :param meaning: the reason; after a full stop, the remedy.
        """
        reason, remedy = (*_STOP.split(meaning, maxsplit=1), "")[:2]
        summary = f"Could not {self.subject} at Toloka ({self.settings.where}): {meaning}."
        return error_class(summary, reason=f"{self.subject}: {reason}", remedy=remedy and f"{remedy}.", **facts)

    def _excerpt(self, answer: Response) -> str:
        try:
            text = answer.body.decode(json.detect_encoding(answer.body))
        except UnicodeDecodeError:
            text = answer.body.decode("utf-8", "replace")
        return _short(self._hide(text))

    def _hide(self, told: Any) -> Any:
        # A proxy may echo the request with its headers.
        if isinstance(told, str):
            return redact(self.settings.token, told)
        if isinstance(told, list):
            return [self._hide(item) for item in told]
        if isinstance(told, dict):
            return {self._hide(key): self._hide(value) for key, value in told.items()}
        return told


_NO_ANSWER = {
    "unreachable": "the host cannot be reached ({reason}). Check the connection's host and the network",
    "tls": "the TLS connection failed ({reason}). Check the connection's host, or set ca_bundle in its extra",
    "timeout": "no response in time ({reason}). Try again later, or increase the connection's timeout",
    "broken": "the connection was interrupted ({reason}). Try again later",
    "late": "it was not sent: {reason}",
    "too large": "the response is too large ({reason}). Check that the connection's host is Toloka's API",
}

#: Gateways and other web servers return 404 too: only Toloka's own JSON means that the object does not exist.
_SAID_BY_TOLOKA_ALONE = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
#: The subject of ``GET /requester``, which exists wherever Toloka's API does.
_WITHOUT_ID = "read the account"
#: Conflicts with their own class.
_BY_CODE: dict[str | None, tuple[type[TolokaApiError], str]] = {
    "POOL_LOCKED_BY_ANOTHER_OPERATION": (TolokaLockedError, "another operation is running on it"),
    "OPERATION_ALREADY_EXISTS": (TolokaLockedError, "another operation is running on it"),
    "THERE_IS_REJECTED_ASSIGNMENT": (
        TolokaPostponedError,
        "it has rejected assignments, which Tolokers may appeal. It can be archived 9 days after the last rejection",
    ),
}

_BY_STATUS: dict[int, tuple[type[TolokaApiError], str]] = {
    401: (
        TolokaAuthenticationError,
        "Toloka refuses the token. Check the connection's API token; sandbox and production have separate tokens",
    ),
    403: (
        TolokaPermissionError,
        "the token may not do this. Check the rights of the token's account",
    ),
    404: (
        TolokaNotFoundError,
        "not found. Check the id, and that it belongs to this account and environment",
    ),
    409: (TolokaConflictError, "its state, or the state of an object that depends on it, does not allow this"),
    429: (TolokaRateLimitError, "too many requests"),
}


def _meaning(status: int, code: str | None) -> tuple[type[TolokaApiError], str]:
    if status in UNAVAILABLE or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return TolokaUnavailableError, "Toloka is not available. Try again later"
    if status == HTTPStatus.CONFLICT and code in _BY_CODE:
        return _BY_CODE[code]
    return _BY_STATUS.get(status, (TolokaRequestError, "Toloka does not accept the request"))


def _come_back(answer: Response) -> str:
    asked = asked_wait(answer)
    if asked is None:
        return ""
    return f". Try again after {datetime.fromtimestamp(answer.received + asked, UTC):%Y-%m-%d %H:%M:%S} UTC"


def asked_wait(answer: Response) -> float | None:
    """Return how long the server asks to wait, in seconds: by ``Retry-After``, else by the quota's interval.

    :returns: None: not specified, or invalid.
    """
    header = answer.headers.get("retry-after", "").strip()
    if header.isascii() and header.isdigit():
        seconds = float(header)
    else:
        # Both times are from the server's clock, which may differ from this machine's.
        date, now = http_date(header), http_date(answer.headers.get("date", ""))
        seconds = -1.0 if date is None else date - (answer.received if now is None else now)
    if 0 <= seconds <= _LONGEST_BELIEVED:
        return seconds
    if answer.status != HTTPStatus.TOO_MANY_REQUESTS:
        return None
    return QUOTA_SECONDS.get(_quota_interval(answer.body))


def is_quota(answer: Response) -> bool:
    """Return whether a 429 is about a quota for one kind of call, rather than the rate of all requests."""
    return _quota_interval(answer.body) in QUOTA_SECONDS


_LONGEST_BELIEVED = 366 * 86_400.0


def _quota_interval(body: bytes) -> str:
    try:
        interval = json.loads(body)["payload"]["interval"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return ""
    return str(interval)


def _is_html(body: bytes) -> bool:
    return body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def _has_form_of_toloka(body: bytes) -> bool:
    """Return whether an error's body has what the API promises for each: a request id, and a code as text."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(told, dict) and all(
        told.get(key) and isinstance(told[key], str) for key in ("request_id", "code")
    )


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
