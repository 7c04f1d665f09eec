"""How the API is called: retries, paging, and changes that are never submitted twice. No I/O."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Generic, TypeAlias, TypeVar
from urllib.parse import urlencode

from airflow_provider_toloka.client.config import Settings
from airflow_provider_toloka.client.models import ARCHIVED, CLOSED, PENDING, RUNNING, Operation, Pool, Project, Training
from airflow_provider_toloka.client.parsing import InvalidModelError, check_id
from airflow_provider_toloka.client.responses import Reader
from airflow_provider_toloka.client.retry import Patience, RetryPolicy
from airflow_provider_toloka.client.sansio import Flow, NoAnswer, Request, Response, Sleep
from airflow_provider_toloka.exceptions import (
    TolokaConflictError,
    TolokaInvalidAnswerError,
    TolokaRateLimitError,
    TolokaUnavailableError,
)

log = logging.getLogger(__name__)

#: API: "Filtering requests": the most that a page holds.
PAGE_LIMIT = 300
#: How far Toloka's clock and this machine's may be apart.
CLOCKS_APART = timedelta(minutes=10)

T = TypeVar("T")
Item = TypeVar("Item", Project, Training, Pool, Operation)
Found = TypeVar("Found", bound=Project | Training | Operation)
Keep: TypeAlias = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True)
class Change:
    """A call that brings one object into a wanted state, through an operation.

    :param resource: the list that it is in, as the API's path names it.
    :param action: the last part of the call's path.
    :param wanted: the states in which nothing is left to do.
    :param stateful: reads the object.
    """

    resource: str
    action: str
    wanted: tuple[str, ...]
    stateful: Callable[[Mapping[str, Any]], Project | Training]

    @property
    def kind(self) -> str:
        """What is changed: ``project``, ``pool`` or ``training``."""
        return self.resource.removesuffix("s")

    @property
    def operation_type(self) -> str:
        """The type of the operation that the call starts."""
        return f"{self.kind}.{self.action}".upper()

    @property
    def id_name(self) -> str:
        """The parameter that holds the object's id, here as in the operation."""
        return f"{self.kind}_id"


ARCHIVE_PROJECT = Change("projects", "archive", (ARCHIVED,), Project.from_json)
CLOSE_POOL = Change("pools", "close", (CLOSED, ARCHIVED), Pool.from_json)
ARCHIVE_POOL = Change("pools", "archive", (ARCHIVED,), Pool.from_json)
CLOSE_TRAINING = Change("trainings", "close", (CLOSED, ARCHIVED), Training.from_json)
ARCHIVE_TRAINING = Change("trainings", "archive", (ARCHIVED,), Training.from_json)


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list.

    :param items: what is on it.
    :param last_id: where the next page starts; None: this is the last one.
    """

    items: list[T]
    last_id: str | None


@dataclass(frozen=True)
class Listing(Generic[T]):
    """A list of the API, read page by page in the order of ids.

    :param read: makes the flow that reads a page.
    :param keep: tells, from its JSON, whether an item is of use; those that are not cost nothing more.
    """

    read: Callable[[str | None, Keep | None], Flow[Page[T]]]
    keep: Keep | None = None

    def page(self, after: str | None) -> Flow[Page[T]]:
        """Read the page after an id; None: the first one."""
        return self.read(after, self.keep)


class Calls:
    """The ways to call the API that its endpoints are made of.

    :param settings: the connection's.
    :param retry: how failed requests are sent again; default: as often as the settings say.
    """

    def __init__(self, settings: Settings, retry: RetryPolicy | None = None) -> None:
        self.settings = settings
        self.retry = retry or RetryPolicy(retries=settings.retries)

    def get(self, path: str, subject: str, *, retry: bool = True) -> Flow[tuple[Reader, Response]]:
        """Send a GET request until it is answered.

        :param path: the path below the base URL, with its query.
        :param subject: what it does, for errors.
        :param retry: whether a failed request is sent again.
        """
        request = Request("GET", self.settings.base_url + path)
        reader = Reader(self.settings, subject)
        patience = Patience(self.retry)
        while True:
            answer = yield request
            if isinstance(answer, Response) and answer.status == HTTPStatus.OK:
                return reader, answer
            yield from self._pause(reader, answer, patience if retry else None)

    def get_one(
        self,
        resource: str,
        id_name: str,
        object_id: str,
        make: Callable[[Mapping[str, Any]], Found],
        *,
        retry: bool = True,
    ) -> Flow[Found]:
        """Read one object by its id."""
        object_id = check_id(id_name, object_id)
        subject = f"read {resource.removesuffix('s')} {object_id}"
        reader, answer = yield from self.get(f"/{resource}/{object_id}", subject, retry=retry)

        def make_asked(json: Mapping[str, Any]) -> Found:
            found = make(json)
            if found.id != object_id:
                raise InvalidModelError("id", repr(object_id), found.id)
            return found

        return reader.model(answer, make_asked)

    def list_all(
        self,
        resource: str,
        make: Callable[[Mapping[str, Any]], Item],
        filters: Mapping[str, str | datetime],
        exact: tuple[str, ...],
        ranges: tuple[str, ...],
    ) -> Listing[Item]:
        """Read a list from its beginning to its end (API: "Filtering requests", "Sorting responses").

        :param exact: the list's filters by value.
        :param ranges: the list's filters by range, besides the id's.
        """
        known = {*exact, *(f"{name}_{end}" for name in ("id", *ranges) for end in ("gt", "gte", "lt", "lte"))}
        if unknown := filters.keys() - known:
            raise ValueError(
                f"The list of {resource} has no filter {', '.join(sorted(unknown))}; it has {', '.join(sorted(known))}."
            )
        query = {name: write_filter(value) for name, value in filters.items()}

        def read(after: str | None, keep: Keep | None) -> Flow[Page[Item]]:
            turned = {**query, "sort": "id", "limit": str(PAGE_LIMIT)}
            if after is not None:
                turned.pop("id_gte", None)
                turned["id_gt"] = after
            reader, answer = yield from self.get(f"/{resource}?{urlencode(turned)}", f"list {resource}")
            items, has_more = reader.page(answer, make, keep)
            if has_more and (not items or items[-1].id == after):
                raise TolokaInvalidAnswerError(
                    f"Could not list {resource} at Toloka ({self.settings.where}): a page says that there is more, "
                    "but does not lead on. Try again later.",
                    status=answer.status,
                )
            return Page(items, items[-1].id if has_more else None)

        return Listing(read)

    def change(self, change: Change, object_id: str, *, look_first: bool = True) -> Flow[Operation | None]:
        """Bring an object into a wanted state, submitting an operation only if none does so already.

        :param change: what to do.
        :param object_id: to which object.
        :param look_first: False when the caller has just looked.
        :returns: the operation, which may run since before, or be finished; None: nothing is left to do.
        """
        object_id = check_id(change.id_name, object_id)
        request = Request("POST", f"{self.settings.base_url}/{change.resource}/{object_id}/{change.action}")
        reader = Reader(self.settings, f"{change.action} {change.kind} {object_id}")
        patience = Patience(self.retry)
        sent: float | None = None
        while True:
            if look_first:
                is_done, operation = yield from self._look(change, object_id)
                if is_done and sent is not None:
                    # The answer was lost, and the operation has finished since.
                    since = datetime.fromtimestamp(sent, UTC) - CLOCKS_APART
                    filters: dict[str, str | datetime] = {"type": change.operation_type, "submitted_gte": since}
                    operation = yield from self._find(change, object_id, filters)
                if is_done or operation:
                    return operation
            if sent is None:
                sent = yield Sleep(0)
            answer = yield request
            try:
                if isinstance(answer, Response) and answer.status in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
                    return reader.model(answer, Operation.from_json)
                if isinstance(answer, Response) and answer.status == HTTPStatus.NO_CONTENT:
                    return None
                yield from self._pause(reader, answer, patience)
            except (TolokaConflictError, TolokaInvalidAnswerError):
                # Somebody else may have been faster, or it was carried out and only the answer was spoilt on its way:
                # then all is well.
                is_done, operation = yield from self._look(change, object_id)
                if is_done or operation:
                    return operation
                raise
            # It may have been carried out although no answer came; a refusal for too many requests is a clear one.
            look_first = not (isinstance(answer, Response) and answer.status == HTTPStatus.TOO_MANY_REQUESTS)

    def _look(self, change: Change, object_id: str) -> Flow[tuple[bool, Operation | None]]:
        """See whether a change is done, or being done.

        Operations come first, in the order of their lives, and the object last: so none slips through by moving on
        between two looks, and an object that is not done has no operation that could still make it so.
        """
        for status in (PENDING, RUNNING):
            operation = yield from self._find(change, object_id, {"status": status})
            if operation:
                return False, operation
        found = yield from self.get_one(change.resource, change.id_name, object_id, change.stateful)
        return found.status in change.wanted, None

    def _find(self, change: Change, object_id: str, filters: Mapping[str, str | datetime]) -> Flow[Operation | None]:
        """Find the latest operation that brings, or has brought, a change about."""
        exact, ranges = ("status", "type"), ("submitted",)
        operations = self.list_all("operations", Operation.from_json, filters, exact, ranges)
        last_id, found = None, None
        while True:
            page = yield from operations.page(last_id)
            for operation in page.items:
                if (
                    operation.type == change.operation_type
                    and operation.parameters.get(change.id_name) == object_id
                    and not operation.failed
                ):
                    found = operation
            last_id = page.last_id
            if last_id is None:
                return found

    def _pause(self, reader: Reader, answer: Response | NoAnswer, patience: Patience | None) -> Flow[None]:
        """Wait until a failed request may be sent again.

        :raises TolokaApiError: it should not be.
        """
        error = reader.error(answer)
        passes = isinstance(error, (TolokaUnavailableError, TolokaRateLimitError))
        wait = patience.next_wait(error.retry_after) if patience and passes else None
        if patience is None or wait is None:
            raise error
        log.warning("Trying again in %.1f s (retry %d of %d): %s", wait, patience.retries, self.retry.retries, error)
        yield Sleep(wait)


def write_filter(value: str | datetime) -> str:
    """Write a filter's value as the API reads it: times in UTC, without a zone.

    :param value: a text, or a time; one without a zone is in UTC.
    """
    if not isinstance(value, datetime):
        return str(value)
    utc = value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)
    return utc.replace(tzinfo=None).isoformat(timespec="milliseconds")
