"""What an answer of the API means: its JSON, or a named error that says what to do next. No I/O.

API: "HTTP status codes", "Rate limiting".
"""

from __future__ import annotations

import contextlib
import json
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

#: The API's quotas without ``Retry-After`` name the interval that they are counted over.
QUOTA_SECONDS = {"MIN": 60.0, "HOUR": 3_600.0, "DAY": 86_400.0}
#: Statuses after which the same request may well succeed.
UNAVAILABLE = (408, 500, 502, 503, 504)
SHOWN_CHARACTERS = 200

T = TypeVar("T")


@dataclass(frozen=True)
class Reader:
    """Reads the answers to one call.

    :param settings: whose connection it is, for the messages, and to keep its token out of them.
    :param subject: what the call does, such as ``read project 12``.
    """

    settings: Settings
    subject: str

    def model(self, answer: Response, make: Callable[[Mapping[str, Any]], T]) -> T:
        """Read one JSON object into a model.

        :raises TolokaInvalidAnswerError: it is not that object.
        """
        return self._make(answer, make, self._json(answer))

    def models(self, answer: Response, make: Callable[[Mapping[str, Any]], T]) -> list[T]:
        """Read a JSON list of objects into models; a single object stands for a list of one.

        :raises TolokaInvalidAnswerError: it is not such a list.
        """
        items = self._json(answer)
        if isinstance(items, dict):
            items = [items]
        if not isinstance(items, list):
            raise self._invalid(answer, "is no JSON list")
        return [self._make(answer, make, item) for item in items]

    def page(
        self,
        answer: Response,
        make: Callable[[Mapping[str, Any]], T],
        keep: Callable[[Mapping[str, Any]], bool] | None = None,
    ) -> tuple[list[T], bool]:
        """Read one page of a list: its items, and whether there are more.

        :param keep: tells which items are of use; the last one, which the next page follows, is read all the same.
        :raises TolokaInvalidAnswerError: it is no such page.
        """
        page = self._json(answer)
        items, has_more = (page.get("items"), page.get("has_more", False)) if isinstance(page, dict) else (None, None)
        if not isinstance(items, list) or not isinstance(has_more, bool):
            raise self._invalid(answer, "is no page of a list")
        if keep is not None:
            items = [item for item in items[:-1] if not isinstance(item, dict) or keep(item)] + items[-1:]
        return [self._make(answer, make, item) for item in items], has_more

    def error(self, answer: Response | NoAnswer) -> TolokaApiError:
        """Give the error that the answer means."""
        if isinstance(answer, NoAnswer):
            reason = one_line(self._hide(answer.reason))
            no_answer = TolokaTlsError if answer.kind == "tls" else TolokaUnavailableError
            return no_answer(self._summary(_NO_ANSWER[answer.kind].format(reason=reason)))
        if answer.status < HTTPStatus.BAD_REQUEST:
            target = self._hide(answer.headers.get("location", ""))
            followed = f"is a redirect to {shown(target)}, which is not followed"
            return self._invalid(answer, followed if target else "is not one that the API describes")
        told = self._told(answer)
        if answer.status in _SAID_BY_TOLOKA_ALONE and not told.get("code"):
            return self._not_toloka(answer)
        error_class, meaning = _meaning(answer.status, told.get("code"))
        return error_class(
            self._summary(meaning + _come_back(answer)),
            status=answer.status,
            retry_after=asked_wait(answer),
            **told,
        )

    def _told(self, answer: Response) -> dict[str, Any]:
        """Read what Toloka says of the error; a gateway in between may say anything."""
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
        # Raised out here: the decoder's error holds the whole answer, and would come along as the context.
        raise self._invalid(answer, "is no JSON" if answer.body else "is empty")

    def _make(self, answer: Response, make: Callable[[Mapping[str, Any]], T], item: Any) -> T:
        if not isinstance(item, dict):
            raise self._invalid(answer, "is no JSON object" if answer.body else "is empty")
        try:
            return make(item)
        except InvalidModelError as error:
            wrong = InvalidModelError(error.field, error.expected, self._hide(storable(error.value)))
        raise self._invalid(answer, f"does not fit the API's description: {wrong}")

    def _invalid(self, answer: Response, told: str) -> TolokaInvalidAnswerError:
        return TolokaInvalidAnswerError(
            self._summary(f"the answer {told}. Check that the connection's host is Toloka's API"),
            status=answer.status,
            message=self._excerpt(answer),
        )

    def _not_toloka(self, answer: Response) -> TolokaInvalidAnswerError:
        return TolokaInvalidAnswerError(
            f"Could not {self.subject}: no Toloka API answers at {self.settings.base_url}. "
            "Check the connection's host.",
            status=answer.status,
            message=self._excerpt(answer),
        )

    def _summary(self, meaning: str) -> str:
        return f"Could not {self.subject} at Toloka ({self.settings.where}): {meaning}."

    def _excerpt(self, answer: Response) -> str:
        try:
            text = answer.body.decode(json.detect_encoding(answer.body))
        except UnicodeDecodeError:
            text = answer.body.decode("utf-8", "replace")
        return _short(self._hide(text))

    def _hide(self, told: Any) -> Any:
        # A proxy's answer may echo the request with its headers.
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
    "timeout": "no answer in time ({reason}). Try again later, or raise the connection's timeout",
    "broken": "the connection broke off ({reason}). Try again later",
    "too large": "the answer is too large ({reason}). Check that the connection's host is Toloka's API",
}

#: A gateway or another web server has such pages too: only Toloka's own JSON makes them an answer about the object.
_SAID_BY_TOLOKA_ALONE = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
#: The conflicts that have a class of their own.
_BY_CODE: dict[str | None, tuple[type[TolokaApiError], str]] = {
    "POOL_LOCKED_BY_ANOTHER_OPERATION": (TolokaLockedError, "another operation is at work on it"),
    "OPERATION_ALREADY_EXISTS": (TolokaLockedError, "another operation is at work on it"),
    "THERE_IS_REJECTED_ASSIGNMENT": (
        TolokaPostponedError,
        "it has rejected assignments, which Tolokers may appeal: it can be archived 9 days after the last rejection",
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
    409: (TolokaConflictError, "its state, or that of what belongs to it, does not allow this"),
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
    return f". Come back after {datetime.fromtimestamp(answer.received + asked, UTC):%Y-%m-%d %H:%M:%S} UTC"


def asked_wait(answer: Response) -> float | None:
    """Return how long the server asks to wait, in seconds: by ``Retry-After``, else by the quota's interval.

    :returns: None when it does not say, or says what makes no sense.
    """
    header = answer.headers.get("retry-after", "").strip()
    if header.isascii() and header.isdigit():
        seconds = float(header)
    else:
        # Both times are the server's, whose clock may differ from this machine's.
        date, now = http_date(header), http_date(answer.headers.get("date", ""))
        seconds = -1.0 if date is None else date - (answer.received if now is None else now)
    if 0 <= seconds <= _LONGEST_BELIEVED:
        return seconds
    if answer.status != HTTPStatus.TOO_MANY_REQUESTS:
        return None
    return QUOTA_SECONDS.get(_quota_interval(answer.body))


def is_quota(answer: Response) -> bool:
    """Return whether a 429 refuses one kind of call for a longer time, rather than the pace of all requests."""
    return _quota_interval(answer.body) in QUOTA_SECONDS


_LONGEST_BELIEVED = 366 * 86_400.0


def _quota_interval(body: bytes) -> str:
    try:
        interval = json.loads(body)["payload"]["interval"]
    except (ValueError, RecursionError, KeyError, TypeError):
        return ""
    return str(interval)


def _short(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")
