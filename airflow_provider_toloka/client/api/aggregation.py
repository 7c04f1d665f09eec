"""Calls for aggregated answers (API: "Aggregated solutions"). No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Literal, TypeAlias

from airflow_provider_toloka._text import shown
from airflow_provider_toloka.client.api.calls import PAGE_LIMIT, Calls, Keep, Listing, Page
from airflow_provider_toloka.client.api.creation import pauses
from airflow_provider_toloka.client.api.opening import by_their_clock
from airflow_provider_toloka.client.api.operations import latest
from airflow_provider_toloka.client.models import CLOSED, PENDING, RUNNING, SUCCESS, Operation
from airflow_provider_toloka.client.parsing import check_id
from airflow_provider_toloka.client.resources import OPERATION, POOL
from airflow_provider_toloka.client.retry import Patience
from airflow_provider_toloka.client.sansio import Flow, Request, Response, Sleep, may_be_done
from airflow_provider_toloka.client.work import AggregatedSolution
from airflow_provider_toloka.exceptions import (
    TolokaConflictError,
    TolokaInvalidAnswerError,
    TolokaRequestError,
    TolokaUnavailableError,
)

Method: TypeAlias = Literal["DAWID_SKENE", "WEIGHTED_DYNAMIC_OVERLAP"]
METHODS: tuple[Method, ...] = ("DAWID_SKENE", "WEIGHTED_DYNAMIC_OVERLAP")
AGGREGATE = "SOLUTION.AGGREGATE"

#: API: 5 pages per minute, 30 per hour, 200 per day. The API's description has no page limit for this list; if the
#: usual limit applies, it is used.
_LARGE_PAGE = 10_000


class Aggregation:
    """Calls for aggregated answers.

    :param calls: the basic calls of the API.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def start(
        self,
        pool_id: str,
        *,
        fields: Sequence[str],
        method: Method,
        skill_id: str | None = None,
        since: datetime | None = None,
    ) -> Flow[Operation]:
        """Aggregate the accepted answers of a closed pool (API: ``POST /aggregated-solutions/aggregate-by-pool``).

        :param fields: the output fields to aggregate.
        :param method: the aggregation method.
        :param skill_id: the skill that weights the answers; for ``WEIGHTED_DYNAMIC_OVERLAP``.
        :param since: an aggregation of the same kind that was submitted after this time, by this machine's clock, and
            after the pool closed, is returned instead of a new one; without a zone, it is in UTC; None: only an
            unfinished one is.
        :returns: the operation, which may have been submitted before, or be finished.
        """
        form = aggregation_form(pool_id, fields, method, skill_id)
        pool, dated = yield from self._calls.get_one_dated(POOL, pool_id)
        if pool.status != CLOSED:
            raise TolokaConflictError(
                f"Could not aggregate the answers of pool {pool.id}: it is {pool.status}, and should be CLOSED. "
                "Wait for it with TolokaPoolSensor."
            )
        request = Request("POST", "/aggregated-solutions/aggregate-by-pool", json=form)
        reader = self._calls.reader(f"aggregate the answers of pool {pool.id}")
        patience = Patience(self._calls.retry)

        def searched_from(time: datetime) -> datetime:
            theirs = by_their_clock(time, dated)
            return theirs if pool.last_stopped is None else max(theirs, pool.last_stopped)

        start = None if since is None else searched_from(since)
        may_have_started = False
        while True:
            operation = yield from (
                self._keep_looking(form, start) if may_have_started and start else self._find(form, start)
            )
            if operation is not None:
                return operation
            if start is None:
                # If the response is lost, the aggregation may have finished by the next search.
                start = searched_from(datetime.fromtimestamp((yield Sleep(0)), UTC))
            answer = yield request
            try:
                if isinstance(answer, Response) and answer.status in (200, HTTPStatus.CREATED, HTTPStatus.ACCEPTED):
                    return reader.model(answer, Operation.from_json)
                yield from self._calls.pause(reader, answer, patience)
                may_have_started = may_be_done(answer)
            except (TolokaInvalidAnswerError, TolokaUnavailableError) as error:
                if not may_be_done(answer):
                    raise
                # It may have been started, and only the response been damaged, or lost with no retry left.
                operation = yield from self._keep_looking(form, start)
                if operation is None:
                    raise error from None
                return operation

    def listing(self, operation_id: str) -> Listing[AggregatedSolution]:
        """Return the results of an aggregation, by task id (API: ``GET /aggregated-solutions/{operation_id}``)."""
        operation_id = check_id("operation_id", operation_id)
        limit = _LARGE_PAGE

        def read(after: str | None, _: Keep | None) -> Flow[Page[AggregatedSolution]]:
            nonlocal limit
            query = {"sort": "task_id", **({} if after is None else {"task_id_gt": after})}
            path, subject = f"/aggregated-solutions/{operation_id}", f"list the results of aggregation {operation_id}"
            try:
                reader, answer = yield from self._calls.get(path, subject, query={**query, "limit": str(limit)})
            except TolokaRequestError:
                if limit == PAGE_LIMIT:
                    raise
                limit = PAGE_LIMIT
                reader, answer = yield from self._calls.get(path, subject, query={**query, "limit": str(limit)})
            items, has_more = reader.page(answer, AggregatedSolution.from_json)
            if has_more and (not items or items[-1].task_id == after):
                raise TolokaInvalidAnswerError(f"Could not {subject}: a page says that there is more, but is empty.")
            return Page(items, items[-1].task_id if has_more else None)

        return Listing(read)

    def _keep_looking(self, form: Mapping[str, Any], since: datetime) -> Flow[Operation | None]:
        """Search repeatedly, until the lists have had time to update."""
        found = yield from self._find(form, since)
        for pause in pauses(self._calls.retry.list_lag):
            if found is not None:
                break
            yield Sleep(pause)
            found = yield from self._find(form, since)
        return found

    def _find(self, form: Mapping[str, Any], since: datetime | None) -> Flow[Operation | None]:
        """Return the latest aggregation of the same kind that is unfinished, or has succeeded since a time."""
        looks: list[dict[str, str | datetime]] = [{"status": PENDING}, {"status": RUNNING}]
        if since is not None:
            looks.append({"status": SUCCESS, "submitted_gte": since})
        for filters in looks:
            operations = yield from self._calls.list_all(OPERATION, {"type": AGGREGATE, **filters}).all()
            found = latest(operation for operation in operations if _does(operation, form))
            if found is not None:
                return found
        return None


def check_fields(method: Method, fields: object) -> list[str]:
    """Return the output fields to aggregate.

    :param method: the aggregation method.
    :param fields: a list of names; exactly one for ``DAWID_SKENE``.
    :raises ValueError: it is anything else.
    """
    names = [] if isinstance(fields, str) or not isinstance(fields, Sequence) else list(fields)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"fields should be a list of the output's fields, but is {shown(fields)}.")
    if method == "DAWID_SKENE" and len(names) > 1:
        raise ValueError(f"DAWID_SKENE aggregates one field at a time, but fields is {shown(fields)}.")
    return names


def check_skill(method: Method, skill_id: object) -> str | None:
    """Return the skill that weights the answers; None: the method takes none.

    :param method: the aggregation method.
    :param skill_id: the skill's id.
    :raises ValueError: it is missing or not an id, or the method takes none.
    """
    is_weighted = method == "WEIGHTED_DYNAMIC_OVERLAP"
    if is_weighted == (skill_id is None):
        needs = "needs a skill_id" if is_weighted else "takes no skill_id"
        raise ValueError(f"{method} {needs}, but skill_id is {shown(skill_id)}.")
    return check_id("skill_id", skill_id) if is_weighted else None


def aggregation_form(pool_id: object, fields: object, method: Any, skill_id: object) -> dict[str, Any]:
    """Return the form of an aggregation; see :meth:`Aggregation.start` for the parameters.

    :raises ValueError: an argument is invalid.
    """
    if method not in METHODS:
        raise ValueError(f"method should be one of {', '.join(METHODS)}, but is {shown(method)}.")
    names, skill = check_fields(method, fields), check_skill(method, skill_id)
    return {
        "type": method,
        "pool_id": check_id("pool_id", pool_id),
        "fields": [{"name": name} for name in names],
        **({} if skill is None else {"answer_weight_skill_id": skill}),
    }


def _does(operation: Operation, form: Mapping[str, Any]) -> bool:
    """Return whether an operation matches a form; the methods name the fields differently."""
    told = operation.parameters
    named = told.get("aggregated_output_fields") or told.get("aggregated_fields") or ()
    fields = {str(one.get("name") if isinstance(one, Mapping) else one) for one in named}
    skill = told.get("answer_weight_skill_id")
    return (
        operation.type == AGGREGATE
        and str(told.get("pool_id")) == form["pool_id"]
        and told.get("algorithm") == form["type"]
        and fields == {one["name"] for one in form["fields"]}
        and ("answer_weight_skill_id" not in form or str(skill) == form["answer_weight_skill_id"])
    )
