"""What a clean-up takes over from before a deferral, and from earlier tries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from airflow_provider_toloka._task import Deadline, operations_of
from airflow_provider_toloka.archiving.batch import Results
from airflow_provider_toloka.client.async_client import AsyncTolokaClient
from airflow_provider_toloka.client.models import SUCCESS, Operation
from airflow_provider_toloka.client.resources import ARCHIVE_PROJECT, PROJECT
from airflow_provider_toloka.exceptions import TolokaApiError
from airflow_provider_toloka.operators._selecting import Arguments
from airflow_provider_toloka.reporting import Outcome, ReportedProject


@dataclass(frozen=True, slots=True)
class Resumed:
    """What a clean-up continues with after a deferral.

    :param as_of: the reference time.
    :param before: the projects were selected because they had no activity since this time; None: activity does not
        matter.
    :param ready: by id, the projects that can continue, with the operations that they have waited for.
    :param waiting: by id, the operations that the other projects still wait for.
    """

    as_of: datetime
    before: datetime | None
    ready: dict[str, list[Operation]]
    waiting: dict[str, list[Operation]]


def carry(arguments: Arguments, results: Results) -> dict[str, Any]:
    """Return what a trigger carries for a clean-up.

    :param arguments: the clean-up's arguments.
    :param results: its results so far.
    """
    before = arguments.selection.before
    return {
        "transient": sorted(results.transient),
        "as_of": arguments.as_of.isoformat(),
        "before": before and before.isoformat(),
    }


def resume(event: Mapping[str, Any], deadline: Deadline) -> Resumed:
    """Return what a clean-up continues with.

    A project continues as soon as its own operations have finished; at the deadline, all projects end.

    :param event: the trigger's event.
    :param deadline: the clean-up's.
    :raises TolokaError: the error that ended the wait.
    """
    carried = event["carry"]
    operations = operations_of(event)
    groups = {id_: {one: operations.get(one) for one in ids} for id_, ids in event["groups"].items()}
    ready = {
        id_: [one for one in seen.values() if one]
        for id_, seen in groups.items()
        if not deadline.left()
        or not seen
        or not event["unfinished"]
        or not {*seen} & {*event["unfinished"]}
        or any(one and one.failed for one in seen.values())
    }
    waiting = {
        id_: [one or Operation(id=one_id, type="UNKNOWN", status="PENDING") for one_id, one in seen.items()]
        for id_, seen in groups.items()
        if id_ not in ready
    }
    before = carried["before"] and datetime.fromisoformat(carried["before"])
    return Resumed(datetime.fromisoformat(carried["as_of"]), before, ready, waiting)


async def finished_since(client: AsyncTolokaClient, entries: Iterable[ReportedProject]) -> Sequence[ReportedProject]:
    """Return those of an earlier try's projects that are archived since, or may be: their operation has not failed.

    :param client: an entered client.
    :param entries: the projects that the earlier try did not see archived.
    """
    kept = []
    for one in entries:
        if one.operation_id:
            operation = None
            with suppress(TolokaApiError):
                operation = await client.get_operation(one.operation_id)
            if operation is None or not operation.is_finished:
                kept.append(replace(one, outcome=Outcome.SUBMITTED))
            elif not operation.failed:
                kept.append(
                    replace(one, outcome=Outcome.ARCHIVED, reason="", remedy="", error="", finished=operation.finished)
                )
    return kept


async def archived_since(
    client: AsyncTolokaClient, since: datetime, entry: Callable[[str], ReportedProject]
) -> Sequence[ReportedProject]:
    """Return the account's projects whose archiving was submitted since a time, by whomever, and has succeeded.

    Airflow before 3.3 keeps no record over tries; Toloka knows its operations.

    :param client: an entered client.
    :param since: the start of the run.
    :param entry: returns the entry of a project by its id.
    """
    listing = client.api.operations.listing(type=ARCHIVE_PROJECT.operation_type, status=SUCCESS, submitted_gte=since)
    return [
        replace(entry(project_id), operation_id=operation.id, finished=operation.finished)
        async for operation in client.walk(listing)
        if (project_id := PROJECT.id_in(operation))
    ]
