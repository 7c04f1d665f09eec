"""Basic calls of the API: send a request with retries, read an object, read a list. No I/O.

API: "Filtering requests", "Sorting responses".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Generic, TypeAlias, TypeVar

from airflow_provider_toloka.client.config import Settings
from airflow_provider_toloka.client.observer import Observer
from airflow_provider_toloka.client.parsing import InvalidModelError, check_id
from airflow_provider_toloka.client.resources import Resource
from airflow_provider_toloka.client.responses import Reader
from airflow_provider_toloka.client.retry import Patience, RetryPolicy
from airflow_provider_toloka.client.sansio import Answer, Flow, NoAnswer, Request, Response, Sleep
from airflow_provider_toloka.client.state import account_state
from airflow_provider_toloka.exceptions import TolokaInvalidAnswerError, TolokaRateLimitError

log = logging.getLogger(__name__)

#: API: "Filtering requests": the maximum size of a page.
PAGE_LIMIT = 300
#: Shorter waits after a 429, in seconds, are logged at DEBUG.
_BRIEF = 5.0

T = TypeVar("T")
Keep: TypeAlias = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list.

    :param items: the items on the page.
    :param last_id: where the next page starts; None: this is the last page.
    """

    items: list[T]
    last_id: str | None


@dataclass(frozen=True)
class Listing(Generic[T]):
    """A list of the API, read page by page in the order of ids.

    :param read: returns the flow that reads a page.
    :param keep: decides from an item's JSON whether it is needed; other items are not parsed.
    """

    read: Callable[[str | None, Keep | None], Flow[Page[T]]]
    keep: Keep | None = None

    def page(self, after: str | None) -> Flow[Page[T]]:
        """Read the page after an id; None: the first page."""
        return self.read(after, self.keep)

    def all(self) -> Flow[list[T]]:
        """Read all pages."""
        items: list[T] = []
        last_id = None
        while True:
            page = yield from self.page(last_id)
            items += page.items
            last_id = page.last_id
            if last_id is None:
                return items


class Calls:
    """The basic calls that the endpoints are built from.

    :param settings: the connection's settings.
    :param retry: the retry policy; default: as in the settings.
    :param observer: receives that a request is retried; default: nobody.
    """

    def __init__(self, settings: Settings, retry: RetryPolicy | None = None, observer: Observer | None = None) -> None:
        self.settings = settings
        self.retry = retry or RetryPolicy(retries=settings.retries)
        self._observer = observer or Observer()
        #: Toloka's time. Compare it, and not this machine's time, with the times in responses.
        self.clock = account_state(settings).clock

    def reader(self, subject: str) -> Reader:
        """Return the reader for the responses to a call.

        :param subject: what the call does, for errors: ``read project 12``.
        """
        return Reader(self.settings, subject)

    def send(
        self,
        request: Request,
        subject: str,
        *,
        accepted: Collection[int] = (HTTPStatus.OK,),
        retry: bool = True,
    ) -> Flow[tuple[Reader, Response]]:
        """Send an idempotent request, with retries. A page of a list that is too large is requested with fewer items.

        :param request: the request.
        :param subject: what the request does, for errors.
        :param accepted: the HTTP statuses of results.
        :param retry: whether to retry a failed request.
        """
        reader = self.reader(subject)
        patience = Patience(self.retry)
        while True:
            answer = yield request
            if isinstance(answer, Response) and answer.status in accepted:
                return reader, answer
            if smaller := _smaller(request, answer):
                request = smaller
                continue
            yield from self.pause(reader, answer, patience if retry else None)

    def get(
        self, path: str, subject: str, *, query: Mapping[str, str] | None = None, retry: bool = True
    ) -> Flow[tuple[Reader, Response]]:
        """Send a GET request, with retries; see :meth:`send`."""
        return (yield from self.send(Request("GET", path, query or {}), subject, retry=retry))

    def get_one(self, resource: Resource, object_id: str, *, retry: bool = True) -> Flow[Any]:
        """Read an object by its id.

        :returns: an instance of the resource's model.
        """
        found, _ = yield from self.get_one_dated(resource, object_id, retry=retry)
        return found

    def get_one_dated(self, resource: Resource, object_id: str, *, retry: bool = True) -> Flow[tuple[Any, Response]]:
        """Read an object by its id; see :meth:`get_one`.

        :returns: an instance of the resource's model, and the response, whose ``Date`` is Toloka's time.
        """
        object_id = check_id(resource.id_param, object_id)
        subject = f"read {resource.kind} {object_id}"
        reader, answer = yield from self.get(f"/{resource.path}/{object_id}", subject, retry=retry)

        def make_asked(json: Mapping[str, Any]) -> Any:
            found = resource.model.from_json(json)
            if found.id != object_id:
                raise InvalidModelError("id", repr(object_id), found.id)
            return found

        return reader.model(answer, make_asked), answer

    def list_all(self, resource: Resource, filters: Mapping[str, str | datetime]) -> Listing[Any]:
        """Return a list of the API.

        :raises ValueError: the list has no such filter.
        """
        ends = ("gt", "gte", "lt", "lte")
        known = {*resource.filters, *(f"{name}_{end}" for name in ("id", *resource.ranges) for end in ends)}
        if unknown := filters.keys() - known:
            raise ValueError(
                f"The list of {resource.path} has no filter {', '.join(sorted(unknown))}; "
                f"it has {', '.join(sorted(known))}."
            )
        query = {name: write_filter(value) for name, value in filters.items()}

        def read(after: str | None, keep: Keep | None) -> Flow[Page[Any]]:
            turned = {**query, "sort": "id", "limit": str(PAGE_LIMIT)}
            if after is not None:
                turned.pop("id_gte", None)
                turned["id_gt"] = after
            reader, answer = yield from self.get(f"/{resource.path}", f"list {resource.path}", query=turned)
            items, has_more = reader.page(answer, resource.model.from_json, keep)
            if has_more and (not items or items[-1].id == after):
                raise TolokaInvalidAnswerError(
                    f"Could not list {resource.path} at Toloka ({self.settings.where}): a page promises "
                    "more, but contains no new id. Try again later.",
                    status=answer.status,
                )
            return Page(items, items[-1].id if has_more else None)

        return Listing(read)

    def pause(self, reader: Reader, answer: Answer, patience: Patience | None) -> Flow[None]:
        """Wait before a retry of a failed request.

        :raises TolokaApiError: the request should not be retried.
        """
        error = reader.error(answer)
        if patience is None or not error.is_transient:
            raise error
        is_rate_limited = isinstance(error, TolokaRateLimitError)
        wait = patience.next_wait(error.retry_after, is_rate_limited=is_rate_limited)
        if wait is None:
            raise error
        # Short refusals are expected while several processes share an account, and too frequent for warnings.
        level = logging.DEBUG if is_rate_limited and wait < _BRIEF else logging.WARNING
        log.log(level, "Trying again in %.1f s (retry %d of %d): %s", wait, patience.retries, self.retry.retries, error)
        self._observer.retrying(error)
        yield Sleep(wait)


def _smaller(request: Request, answer: Answer) -> Request | None:
    """Return the request for half of a page that is too large; None: it is no such page."""
    limit = int(request.query.get("limit", 0))
    if not (isinstance(answer, NoAnswer) and answer.kind == "too large") or limit <= 1:
        return None
    return replace(request, query={**request.query, "limit": str(limit // 2)})


def write_filter(value: str | datetime) -> str:
    """Format a filter's value for the API: times in UTC, without a zone.

    :param value: a text or a time; without a zone, it is in UTC.
    """
    if not isinstance(value, datetime):
        return str(value)
    utc = value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)
    return utc.replace(tzinfo=None).isoformat(timespec="milliseconds")
