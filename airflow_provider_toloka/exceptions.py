"""The errors of this package, one class per meaning.

    TolokaError
    ├── TolokaApiError                 the API answered with an error, or did not answer
    │   ├── TolokaAuthenticationError  401: Toloka refuses the token
    │   ├── TolokaPermissionError      403: the token is valid, but may not do this
    │   ├── TolokaNotFoundError        404: no such object on this account and environment
    │   ├── TolokaConflictError        409: the object's state does not allow the change
    │   │   ├── TolokaLockedError          another operation is running on the object
    │   │   └── TolokaNotArchivableError   pools or trainings prevent archiving the project
    │   │       ├── TolokaInUseError           a stale project is in use again
    │   │       └── TolokaPostponedError       it can be archived in a few days
    │   ├── TolokaRateLimitError       429: a quota is used up, or too many requests
    │   ├── TolokaRequestError         any other 4xx: Toloka does not accept the request
    │   ├── TolokaUnavailableError     no answer, 408 or 5xx, after all retries
    │   │   └── TolokaTlsError             no trusted connection could be made
    │   └── TolokaInvalidAnswerError   the response does not match the expected schema
    ├── TolokaOperationFailedError     an operation ended as FAIL
    │   └── TolokaTasksRefusedError        tasks are invalid, or only some were added
    └── TolokaTimeoutError             an operation did not finish before the deadline

Each class defines whether a retry can help: ``is_transient`` (the same request may succeed later), ``is_lock`` (the
object is locked and becomes free by itself), ``is_permanent`` (neither a retry of the request nor of the task helps).
Only these attributes decide about retries.

Invalid arguments and connection settings raise a ``ValueError``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_toloka._text import shown

if TYPE_CHECKING:
    from airflow_provider_toloka.client.models import Operation


class TolokaError(Exception):
    """Base of all errors of this package, except for invalid arguments.

    :param message: what failed, why, and what to do.
    :param reason: the cause in a few words, for a table; default: empty.
    :param remedy: what to do, for a table; default: empty.
    """

    is_transient: ClassVar[bool] = False
    is_lock: ClassVar[bool] = False
    is_permanent: ClassVar[bool] = False

    def __init__(self, *message: object, reason: str = "", remedy: str = "") -> None:
        super().__init__(*message)
        self.reason = reason
        self.remedy = remedy

    def to_json(self) -> dict[str, Any]:
        """Return the error as JSON values, for a trigger's event; :func:`error_from_json` reads them."""
        return {"class": type(self).__name__, "message": str(self), "reason": self.reason, "remedy": self.remedy}


class TolokaApiError(TolokaError):
    """An API call failed.

    :param summary: what failed, and what to do next.
    :param status: HTTP status of the response; None: there was no response.
    :param code: Toloka's error code, such as ``DOES_NOT_EXIST``.
    :param message: Toloka's own message.
    :param request_id: the request's id, for Toloka's support.
    :param payload: Toloka's further information, unchanged.
    :param retry_after: how long Toloka asks to wait, in seconds; None: not specified.
    :param reason: the cause in a few words, for a table; default: empty.
    :param remedy: what to do, for a table; default: empty.
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
        reason: str = "",
        remedy: str = "",
    ) -> None:
        super().__init__(summary, reason=reason, remedy=remedy)
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

    def to_json(self) -> dict[str, Any]:
        """Return the error as JSON values; see the base class."""
        return {"class": type(self).__name__, **{name: getattr(self, name) for name in _API_FIELDS}}


_API_FIELDS = ("summary", "status", "code", "message", "request_id", "payload", "retry_after", "reason", "remedy")
_TIME = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)?")


class TolokaAuthenticationError(TolokaApiError):
    """Toloka refuses the token (401)."""

    is_permanent = True


class TolokaPermissionError(TolokaApiError):
    """The token is valid, but may not do this to this object (403)."""

    is_permanent = True


class TolokaNotFoundError(TolokaApiError):
    """The object does not exist on this account and environment (404)."""

    is_permanent = True


class TolokaConflictError(TolokaApiError):
    """The object's state does not allow the change (409)."""


class TolokaLockedError(TolokaConflictError):
    """Another operation is running on the object (409), which becomes free by itself."""

    is_lock = True


class TolokaNotArchivableError(TolokaConflictError):
    """A project cannot be archived in its current state: its pools or trainings are open, or in use."""


class TolokaInUseError(TolokaNotArchivableError):
    """A project that was selected as stale is in use again, and is left alone."""

    is_permanent = True


class TolokaPostponedError(TolokaNotArchivableError):
    """A pool has rejected assignments, which Tolokers may appeal; it can be archived in a few days."""

    is_permanent = True

    @property
    def until(self) -> datetime | None:
        """The latest time that Toloka's messages name, in UTC; None: they name none."""
        times = [datetime.fromisoformat(text) for text in _TIME.findall(f"{self.summary} {self.message}")]
        return max((one.replace(tzinfo=one.tzinfo or UTC).astimezone(UTC) for one in times), default=None)


class TolokaRateLimitError(TolokaApiError):
    """A limit of Toloka was exceeded for longer than the retry policy allows to wait (429)."""

    is_transient = True


class TolokaRequestError(TolokaApiError):
    """Toloka does not accept the request: 400, 413, 415 or another 4xx."""

    is_permanent = True


class TolokaUnavailableError(TolokaApiError):
    """Toloka could not be reached, or answered 408 or 5xx, and retries did not help."""

    is_transient = True


class TolokaTlsError(TolokaUnavailableError):
    """No trusted TLS connection to Toloka could be made."""


class TolokaInvalidAnswerError(TolokaApiError):
    """The response does not match the expected schema: HTML, empty, truncated, not a JSON object, a redirect."""


class TolokaOperationFailedError(TolokaError):
    """An operation ended as ``FAIL``.

    :param operation: the operation in its final state.
    :param log: the failed entries of the operation's log, unchanged; empty if there is no log.
    """

    def __init__(self, operation: Operation, log: Sequence[Mapping[str, Any]] = ()) -> None:
        details = f": {shown(dict(operation.details))}" if operation.details else ""
        super().__init__(operation, log, reason=f"{operation.type} ended as FAIL{details}")
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


class TolokaTasksRefusedError(TolokaOperationFailedError):
    """An upload of tasks failed permanently: tasks are invalid, or only some, or an unknown number, were added.

    :param operation: the upload.
    :param log: the log entries of the invalid tasks.
    :param summary: which tasks were refused, and why.
    """

    is_permanent = True

    def __init__(self, operation: Operation, log: Sequence[Mapping[str, Any]] = (), *, summary: str) -> None:
        super().__init__(operation, log)
        self.summary = summary

    def __str__(self) -> str:
        return f"{self.summary} [operation {self.operation.id}]"

    def __reduce__(self) -> Any:
        return _refused, (self.operation, self.log, self.summary)


def _refused(operation: Operation, log: Sequence[Mapping[str, Any]], summary: str) -> TolokaTasksRefusedError:
    return TolokaTasksRefusedError(operation, log, summary=summary)


class TolokaTimeoutError(TolokaError):
    """An operation did not finish before the deadline; it keeps running at Toloka."""


def error_from_json(json: Mapping[str, Any]) -> TolokaError:
    """Return the error that :meth:`TolokaError.to_json` wrote, as an instance of the same class.

    :param json: its JSON values. A class that this version does not know becomes a plain ``TolokaError``.
    """
    cls = globals().get(str(json.get("class")))
    words = {name: str(json.get(name) or "") for name in ("reason", "remedy")}
    if isinstance(cls, type) and issubclass(cls, TolokaApiError):
        facts: dict[str, Any] = {name: json.get(name) for name in _API_FIELDS[1:]}
        return cls(str(json.get("summary")), **facts | words)
    kept = TolokaTimeoutError if cls is TolokaTimeoutError else TolokaError
    return kept(str(json.get("message")), **words)
