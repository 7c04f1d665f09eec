"""Create objects once, without idempotency keys: search, create if missing, search after a lost response. No I/O.

API: ``POST /projects``, ``/pools``, ``/trainings``, ``/skills``. Lists are updated with a delay: an empty search right
after a lost response does not prove that nothing was created.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from airflow_provider_toloka.client.api.calls import Calls
from airflow_provider_toloka.client.backoff import backing_off
from airflow_provider_toloka.client.models import ARCHIVED
from airflow_provider_toloka.client.parsing import read_id
from airflow_provider_toloka.client.resources import Resource
from airflow_provider_toloka.client.retry import Patience
from airflow_provider_toloka.client.sansio import Answer, Flow, Request, Response, Sleep, may_be_done
from airflow_provider_toloka.exceptions import TolokaInvalidAnswerError, TolokaUnavailableError

log = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 15.0


class Creation:
    """Creates missing objects.

    :param calls: the basic calls of the API.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def ensure(
        self,
        resource: Resource,
        form: Mapping[str, Any],
        *,
        is_wanted: Callable[[Mapping[str, Any]], bool],
        filters: Mapping[str, str],
        was_tried: bool = False,
    ) -> Flow[Any]:
        """Return the wanted object; create it if it does not exist.

        :param resource: the kind of object.
        :param form: the form of the object.
        :param is_wanted: decides from an object's JSON whether it is the wanted one.
        :param filters: narrow the search; they must not exclude a wanted object.
        :param was_tried: whether an earlier try may have sent the form; if so, allow for the delay of the lists.
        :returns: the object, as an instance of the resource's model; of several, the one with the lowest id.
        """
        found = yield from self._look(resource, is_wanted, filters)
        if found is None and was_tried:
            found = yield from self._keep_looking(resource, is_wanted, filters)
        if found is not None:
            log.info("Found %s %s; nothing is created", resource.kind, found.id)
            return found
        created = yield from self._create(resource, form, is_wanted, filters)
        # Another run of the task may have created one between our search and our request: all return the same one.
        found = yield from self._look(resource, is_wanted, filters)
        return created if found is None else min(created, found, key=_by_id)

    def _create(
        self,
        resource: Resource,
        form: Mapping[str, Any],
        is_wanted: Callable[[Mapping[str, Any]], bool],
        filters: Mapping[str, str],
    ) -> Flow[Any]:
        request = Request("POST", f"/{resource.path}", json=dict(form))
        reader = self._calls.reader(f"create a {resource.kind}")
        patience = Patience(self._calls.retry)
        while True:
            answer: Answer = yield request
            try:
                if isinstance(answer, Response) and answer.status in (HTTPStatus.OK, HTTPStatus.CREATED):
                    created = reader.model(answer, resource.model.from_json)
                    log.info("Created %s %s", resource.kind, created.id)
                    return created
                yield from self._calls.pause(reader, answer, patience)
            except (TolokaInvalidAnswerError, TolokaUnavailableError) as error:
                if not may_be_done(answer):
                    raise
                # It may have been created, and only the response been damaged, or lost with no retry left.
                found = yield from self._keep_looking(resource, is_wanted, filters)
                if found is None:
                    raise error from None
                return found
            if may_be_done(answer):
                found = yield from self._keep_looking(resource, is_wanted, filters)
                if found is not None:
                    return found

    def _keep_looking(
        self, resource: Resource, is_wanted: Callable[[Mapping[str, Any]], bool], filters: Mapping[str, str]
    ) -> Flow[Any]:
        """Search repeatedly, until the lists have had time to update."""
        found = yield from self._look(resource, is_wanted, filters)
        for pause in pauses(self._calls.retry.list_lag):
            if found is not None:
                break
            log.info("Searching for the %s that may have been created, again in %.0f s", resource.kind, pause)
            yield Sleep(pause)
            found = yield from self._look(resource, is_wanted, filters)
        return found

    def _look(
        self, resource: Resource, is_wanted: Callable[[Mapping[str, Any]], bool], filters: Mapping[str, str]
    ) -> Flow[Any]:
        searched = replace(resource, model=_Reader(resource, is_wanted))
        listing = self._calls.list_all(searched, filters)
        found = [one.model for one in (yield from listing.all()) if one.model is not None]
        found.sort(key=_by_id)
        for duplicate in found[1:]:
            log.warning(
                "%s %s was created twice: %s is used. Archive the other one: %s",
                resource.kind.capitalize(), duplicate.id, found[0].id, self._page_of(resource, duplicate),
            )  # fmt: skip
        return found[0] if found else None

    def _page_of(self, resource: Resource, found: Any) -> str:
        if resource.page is None:
            return found.id  # type: ignore[no-any-return]
        return resource.page_at(self._calls.settings.site, getattr(found, "project_id", found.id), found.id)


@dataclass(frozen=True, slots=True)
class _Listed:
    """An item of the list; only wanted items have a model."""

    id: str
    model: Any


@dataclass(frozen=True, slots=True)
class _Reader:
    resource: Resource
    is_wanted: Callable[[Mapping[str, Any]], bool]

    def from_json(self, json: Mapping[str, Any]) -> _Listed:
        is_wanted = json.get("status") != ARCHIVED and self.is_wanted(json)
        return _Listed(read_id(json), self.resource.model.from_json(json) if is_wanted else None)


def pauses(seconds: float) -> Iterator[float]:
    """Return increasing pauses with a given sum.

    :param seconds: the sum, in seconds.
    """
    intervals = backing_off(_FIRST_PAUSE, _LONGEST_PAUSE)
    while seconds > 0:
        pause = min(next(intervals), seconds)
        yield pause
        seconds -= pause


def _by_id(found: Any) -> tuple[int, str]:
    """Return a key that sorts numeric ids by value."""
    return len(found.id), found.id
