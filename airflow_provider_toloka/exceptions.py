"""The errors of this package, by meaning.

    TolokaError
    ├── TolokaApiError                 the API answered with an error, or did not answer
    │   ├── TolokaAuthenticationError  401: the token is refused
    │   ├── TolokaPermissionError      403: the token is valid, but may not do this
    │   ├── TolokaNotFoundError        404: no such object on this account and environment
    │   ├── TolokaConflictError        409: the object's state forbids it
    │   │   ├── TolokaLockedError          another operation is at work on the object
    │   │   └── TolokaNotArchivableError   what a project holds keeps it out of the archive
    │   │       ├── TolokaInUseError           a stale project is in use again
    │   │       └── TolokaPostponedError       it can be archived some days later
    │   ├── TolokaRateLimitError       429: a quota is used up, or too many requests for too long
    │   ├── TolokaRequestError         any other 4xx: Toloka does not accept the request
    │   ├── TolokaUnavailableError     no answer, 408 or 5xx, after all retries
    │   │   └── TolokaTlsError             no trusted connection could be made
    │   └── TolokaInvalidAnswerError   the answer does not match the API's description
    ├── TolokaOperationFailedError     an operation ended as FAIL
    │   └── TolokaTasksRefusedError        tasks are not what the project asks for, or were added in part
    └── TolokaTimeoutError             an operation did not finish before the deadline

Each class says what a retry is good for: ``is_transient`` (the same request may succeed when sent again), ``is_lock``
(the object is busy and will be free), ``is_permanent`` (neither sending it again nor another try of the task helps).
Nothing else in this package decides that.

Wrong arguments and wrong connection settings are a plain ``ValueError``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_toloka._text import shown

if TYPE_CHECKING:
    from airflow_provider_toloka.client.models import Operation


class TolokaError(Exception):
    """Base of every error of this package that is not a wrong argument."""

    is_transient: ClassVar[bool] = False
    is_lock: ClassVar[bool] = False
    is_permanent: ClassVar[bool] = False

    def to_json(self) -> dict[str, Any]:
        """Return the error as JSON values, for a trigger's event; :func:`error_from_json` reads them."""
        return {"class": type(self).__name__, "message": str(self)}


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

    def to_json(self) -> dict[str, Any]:
        """Return the error as JSON values; see the base class."""
        return {"class": type(self).__name__, **{name: getattr(self, name) for name in _API_FIELDS}}


_API_FIELDS = ("summary", "status", "code", "message", "request_id", "payload", "retry_after")


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
    """Another operation is at work on the object (409); it becomes free by itself."""

    is_lock = True


class TolokaNotArchivableError(TolokaConflictError):
    """A project cannot be archived as it stands: pools or trainings of it are open, or in use."""


class TolokaInUseError(TolokaNotArchivableError):
    """A project that was selected as stale is in use again: it is left alone."""

    is_permanent = True


class TolokaPostponedError(TolokaNotArchivableError):
    """A pool has rejected assignments, which Tolokers may appeal: it, and its project, can be archived later."""

    is_permanent = True


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
    """The answer does not match the API's description: HTML, empty, cut off, not a JSON object, a redirect."""


class TolokaOperationFailedError(TolokaError):
    """An operation ended as ``FAIL``.

    :param operation: the operation in its final state.
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


class TolokaTasksRefusedError(TolokaOperationFailedError):
    """An upload of tasks failed in a way that no repetition mends: tasks are invalid, or were added in part.

    :param operation: the upload.
    :param log: the entries of its log for the invalid tasks.
    :param summary: which tasks, and why.
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
    if isinstance(cls, type) and issubclass(cls, TolokaApiError):
        return cls(str(json.get("summary")), **{name: json.get(name) for name in _API_FIELDS[1:]})
    message = str(json.get("message"))
    return TolokaTimeoutError(message) if cls is TolokaTimeoutError else TolokaError(message)
