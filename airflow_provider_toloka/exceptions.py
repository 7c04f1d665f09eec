"""The errors of this package, by meaning.

    TolokaError
    ├── TolokaApiError                 an answer, or its absence, from the API
    │   ├── TolokaAuthenticationError  401, 403: the token is refused, or may not do this
    │   ├── TolokaNotFoundError        404: no such object on this account and environment
    │   ├── TolokaConflictError        409: the object's state forbids it
    │   │   └── TolokaNotArchivableError   what a project holds keeps it out of the archive
    │   ├── TolokaRateLimitError       429: a quota is used up, or too many requests for too long
    │   ├── TolokaRequestError         any other 4xx: Toloka does not accept the request
    │   ├── TolokaUnavailableError     no answer, 408 or 5xx, after all retries
    │   └── TolokaInvalidAnswerError   the answer is not what the API describes
    ├── TolokaOperationFailedError     an operation ended as FAIL
    └── TolokaTimeoutError             an operation did not finish within the wait's timeout

Wrong arguments and wrong connection settings are a plain ``ValueError``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_toloka._text import shown

if TYPE_CHECKING:
    from airflow_provider_toloka.client.models import Operation


class TolokaError(Exception):
    """Base of every error of this package that is not a wrong argument."""


class TolokaApiError(TolokaError):
    """An API call that did not give its result.

    :param summary: what was asked for, and what to do next.
    :param status: HTTP status of the answer; None when there was no answer.
    :param code: Toloka's error code, such as ``DOES_NOT_EXIST``.
    :param message: Toloka's own message.
    :param request_id: what Toloka's support asks for.
    :param payload: Toloka's further information, as it came.
    :param retry_after: how long Toloka asks to wait, in seconds; None: it does not say.
    """

    def __init__(
        self,
        summary: str,
        *,
        status: int | None = None,
        code: str | None = None,
        message: str | None = None,
        request_id: str | None = None,
        payload: Any = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(summary)
        self.summary = summary
        self.status = status
        self.code = code
        self.message = message
        self.request_id = request_id
        self.payload = payload
        self.retry_after = retry_after

    def __str__(self) -> str:
        facts = {
            "HTTP status": self.status,
            "code": self.code,
            "message": self.message,
            "request id": self.request_id,
            "payload": self.payload,
        }
        told = ", ".join(f"{name} {shown(value)}" for name, value in facts.items() if value not in (None, "", {}, []))
        return f"{self.summary} [{told}]" if told else self.summary


class TolokaAuthenticationError(TolokaApiError):
    """Toloka refuses the token, or the token may not do this (401, 403)."""


class TolokaNotFoundError(TolokaApiError):
    """There is no such object on this account and environment (404)."""


class TolokaConflictError(TolokaApiError):
    """The object's state does not allow what was asked for (409)."""


class TolokaNotArchivableError(TolokaConflictError):
    """A project cannot be archived as it stands: pools or trainings of it are open, or in use."""


class TolokaRateLimitError(TolokaApiError):
    """Toloka's limit was met, and waiting longer than the retry policy allows would be needed (429)."""


class TolokaRequestError(TolokaApiError):
    """Toloka does not accept the request: 400, 413, 415 or another 4xx."""


class TolokaUnavailableError(TolokaApiError):
    """Toloka could not be reached, or answered 408 or 5xx, and retries did not help."""


class TolokaInvalidAnswerError(TolokaApiError):
    """The answer is not what the API describes: HTML, empty, cut off, no JSON object, a redirect."""


class TolokaOperationFailedError(TolokaError):
    """An operation ended as ``FAIL``.

    :param operation: the operation as Toloka last told it.
    :param log: the failed entries of the operation's log, as they came; empty when there is none.
    """

    def __init__(self, operation: Operation, log: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(operation, log)
        self.operation = operation
        self.log = log

    def __str__(self) -> str:
        operation = self.operation
        parameters = shown(dict(operation.parameters))
        told = f"Toloka's operation {operation.id} ({operation.type}, parameters {parameters}) ended as FAIL."
        told += f" Details: {shown(dict(operation.details))}." if operation.details else " Toloka gave no details."
        if self.log:
            told += f" Log: {shown([dict(entry) for entry in self.log])}."
        return told


class TolokaTimeoutError(TolokaError):
    """An operation did not finish within the wait's timeout; at Toloka it goes on."""
