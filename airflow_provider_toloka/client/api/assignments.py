"""Calls for assignments (API: "Assignments"). No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from airflow_provider_toloka.client.api.calls import Calls, Listing
from airflow_provider_toloka.client.parsing import check_id
from airflow_provider_toloka.client.resources import ASSIGNMENT
from airflow_provider_toloka.client.retry import Patience
from airflow_provider_toloka.client.sansio import Flow, Request, Response, may_be_done
from airflow_provider_toloka.client.work import ACCEPTED, REJECTED, SUBMITTED, Assignment
from airflow_provider_toloka.exceptions import TolokaConflictError, TolokaInvalidAnswerError, TolokaUnavailableError

#: API: "To accept or reject": the states in which this is possible.
_FROM = {ACCEPTED: (SUBMITTED, REJECTED), REJECTED: (SUBMITTED,)}
_LONGEST_COMMENT = 2048


class Assignments:
    """Calls for assignments.

    :param calls: the basic calls of the API.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def get(self, assignment_id: str) -> Flow[Assignment]:
        """Read an assignment (API: ``GET /assignments/{id}``)."""
        found: Assignment = yield from self._calls.get_one(ASSIGNMENT, assignment_id)
        return found

    def listing(self, /, **filters: str | datetime) -> Listing[Assignment]:
        """Return the list of assignments (API: ``GET /assignments``)."""
        return self._calls.list_all(ASSIGNMENT, filters)

    def are_there(self, *, pool_id: str, statuses: Sequence[str]) -> Flow[bool]:
        """Return whether a pool has assignments in one of these states (API: ``GET /assignments``)."""
        query = {"pool_id": check_id("pool_id", pool_id), "status": ",".join(statuses), "limit": "1"}
        reader, answer = yield from self._calls.get(
            f"/{ASSIGNMENT.path}", f"list assignments of pool {pool_id}", query=query
        )
        items, has_more = reader.page(answer, Assignment.from_json)
        return bool(items) or has_more

    def decide(self, assignment_id: str, status: str, public_comment: str | None = None) -> Flow[Assignment]:
        """Accept or reject an assignment, which moves money (API: ``PATCH /assignments/{id}``).

        :param status: ``ACCEPTED`` or ``REJECTED``.
        :param public_comment: the comment for the Toloker.
        :returns: the assignment; if it already has this status, it is not changed.
        """
        assignment_id = check_id("assignment_id", assignment_id)
        if public_comment is not None and len(public_comment) > _LONGEST_COMMENT:
            raise ValueError(f"public_comment has {len(public_comment)} characters, but may have {_LONGEST_COMMENT}.")
        body: dict[str, Any] = {"status": status}
        if public_comment is not None:
            body["public_comment"] = public_comment
        request = Request("PATCH", f"/{ASSIGNMENT.path}/{assignment_id}", json=body)
        reader = self._calls.reader(f"set assignment {assignment_id} to {status}")
        patience = Patience(self._calls.retry)
        while True:
            found = yield from self.get(assignment_id)
            if found.status == status:
                return found
            _check_decision(found, status)
            answer = yield request
            try:
                if isinstance(answer, Response) and answer.status == 200:
                    return reader.model(answer, Assignment.from_json)
                yield from self._calls.pause(reader, answer, patience)
            except (TolokaConflictError, TolokaInvalidAnswerError, TolokaUnavailableError):
                if not may_be_done(answer):
                    raise
                found = yield from self.get(assignment_id)
                if found.status != status:
                    raise
                return found


def _check_decision(found: Assignment, status: str) -> None:
    if found.status in _FROM[status]:
        return
    if (found.status, status) == (ACCEPTED, REJECTED):
        raise ValueError(f"Assignment {found.id} is ACCEPTED, and the Toloker is paid: it can no longer be REJECTED.")
    raise TolokaConflictError(
        f"Could not set assignment {found.id} to {status}: it is {found.status}. "
        f"Only an assignment that is {' or '.join(_FROM[status])} can be."
    )
