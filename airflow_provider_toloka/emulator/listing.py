"""The lists of the API: which filters and sorts each of them has, and how a query becomes a page.

From the sections "Filtering requests" and "Sorting responses" of the API's description, and from the parameters of
``GET /projects``, ``/pools``, ``/trainings`` and ``/operations``. What a list does not offer is answered with 400, so
that a client's slip of the pen shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Any

from airflow_provider_toloka.emulator import timestamps
from airflow_provider_toloka.emulator.errors import invalid
from airflow_provider_toloka.emulator.tables import EVERYTHING, Table, View

DEFAULT_LIMIT = 50
MAX_LIMIT = 300
_RELATIONS = ("gt", "gte", "lt", "lte")
_POOL_STATUSES = ("OPEN", "CLOSED", "LOCKED", "ARCHIVED")


@dataclass(frozen=True)
class Listing:
    """What one list offers.

    :param statuses: the values its ``status`` filter knows.
    :param filters: its filters by one value.
    :param ranges: its date fields with ``_gt``, ``_gte``, ``_lt``, ``_lte``; ``id`` has them always.
    :param sorts: the fields it sorts by.
    """

    statuses: tuple[str, ...]
    filters: tuple[str, ...]
    ranges: tuple[str, ...]
    sorts: tuple[str, ...]


LISTINGS = {
    "projects": Listing(
        statuses=("ACTIVE", "ARCHIVED"),
        filters=("status", "owner"),
        ranges=("created",),
        sorts=("id", "created", "public_name", "private_comment"),
    ),
    "pools": Listing(
        statuses=_POOL_STATUSES,
        filters=("status", "project_id"),
        ranges=("created", "last_started"),
        sorts=("id", "created", "last_started"),
    ),
    "trainings": Listing(
        statuses=_POOL_STATUSES,
        filters=("status", "project_id"),
        ranges=("created", "last_started"),
        sorts=("id", "created", "last_started"),
    ),
    "operations": Listing(
        statuses=("PENDING", "RUNNING", "SUCCESS", "FAIL"),
        filters=("type", "status"),
        ranges=("submitted", "finished"),
        sorts=("id", "submitted", "finished"),
    ),
}


@dataclass
class Query:
    """One list request, read."""

    limit: int = DEFAULT_LIMIT
    filters: dict[str, str] = field(default_factory=dict)
    ranges: dict[str, list[tuple[str, Any]]] = field(default_factory=dict)
    sort: list[tuple[str, bool]] = field(default_factory=lambda: [("id", False)])  # field, descending


def read_query(listing: Listing, table: Table, parameters: Iterable[tuple[str, str]]) -> Query:
    """Read the query parameters of a list request.

    :raises ApiError: 400 for a parameter that the list does not have, or a value that it cannot take.
    """
    query = Query()
    seen = set()
    for name, value in parameters:
        if name in seen:
            raise invalid(name, "The parameter is given twice")
        seen.add(name)
        ranged, _, relation = name.rpartition("_")
        if name == "limit":
            query.limit = _limit(value)
        elif name == "sort":
            query.sort = _sort(listing, value)
        elif name in listing.filters:
            if name == "status" and value not in listing.statuses:
                raise invalid(name, f"One of {', '.join(listing.statuses)} is expected")
            query.filters[name] = value
        elif relation in _RELATIONS and ranged in ("id", *listing.ranges):
            try:
                key = table.id_key(value) if ranged == "id" else timestamps.bound(value)
            except ValueError as error:
                raise invalid(name, str(error)) from error
            query.ranges.setdefault(ranged, []).append((relation, key))
        else:
            raise invalid(name, "There is no such parameter", "UNKNOWN_PARAMETER")
    return query


def select(table: Table, query: Query) -> tuple[list[View], bool]:
    """Find the rows of one page.

    :returns: the rows, and whether there are more of them after these.
    """
    # The smallest group that holds every match; what it lets through besides is sifted below.
    group = min(query.filters.items(), key=table.size, default=EVERYTHING)
    first, descending = query.sort[0]
    rows = table.walk(group, first, query.ranges.get(first, ()), descending=descending)
    matches = (row for row in rows if _accepts(table, query, row))
    found = list(islice(_in_order(table, matches, query.sort), query.limit + 1))
    return found[: query.limit], len(found) > query.limit


def _accepts(table: Table, query: Query, row: View) -> bool:
    if any(table.groups[name](row) != value for name, value in query.filters.items()):
        return False
    for name, bounds in query.ranges.items():
        key = table.sort_key(row, name)
        if key == "" or not all(_within(key, relation, limit) for relation, limit in bounds):
            return False
    return True


def _within(key: Any, relation: str, limit: Any) -> bool:
    if relation == "gt":
        return bool(key > limit)
    if relation == "gte":
        return bool(key >= limit)
    if relation == "lt":
        return bool(key < limit)
    return bool(key <= limit)


def _in_order(table: Table, rows: Iterable[View], sort: list[tuple[str, bool]]) -> Iterator[View]:
    # The rows come in the order of the first field: only those that are equal in it are left to sort.
    first, *others = sort
    if not others:
        yield from rows
        return
    for _, run in groupby(rows, key=lambda row: table.sort_key(row, first[0])):
        tied = list(run)
        for name, descending in reversed(others):
            tied.sort(key=lambda row, name=name: table.sort_key(row, name), reverse=descending)  # type: ignore[misc]
        yield from tied


def _limit(value: str) -> int:
    if not (value.isascii() and value.isdigit() and 1 <= int(value) <= MAX_LIMIT):
        raise invalid("limit", f"A whole number from 1 to {MAX_LIMIT} is expected")
    return int(value)


def _sort(listing: Listing, value: str) -> list[tuple[str, bool]]:
    sort = [(name.removeprefix("-"), name.startswith("-")) for name in value.split(",")]
    if any(name not in listing.sorts for name, _ in sort):
        raise invalid("sort", f"Only {', '.join(listing.sorts)} are expected")
    return sort


def empty_tables() -> Mapping[str, Table]:
    """Make the empty tables of an account, with an index for each sort and filter of their lists."""

    def plain(name: str) -> Any:
        return lambda row: row.get(name)

    filters: dict[str, Any] = {name: plain(name) for name in ("status", "project_id", "type")}
    filters["owner"] = lambda row: row["owner"]["id"]
    made = {}
    for name, listing in LISTINGS.items():
        groups = {key: filters[key] for key in listing.filters}
        if name == "pools":
            groups["training_id"] = required_training
        sorts = [key for key in listing.sorts if key != "id"]
        # Ids of operations are hex digits or a UUID: text. All others are numbers, of differing length.
        made[name] = Table(id_key=str if name == "operations" else number, sorts=sorts, groups=groups)
    return made


def number(text: str) -> int:
    """Read an id of digits.

    :raises ValueError: when it is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ValueError(f"{text!r} is not an id")
    return int(text)


def required_training(pool: View) -> str | None:
    """Return the id of the training that a pool requires, if any (``quality_control.training_requirement``)."""
    node: Any = pool
    for name in ("quality_control", "training_requirement", "training_pool_id"):
        node = node.get(name) if isinstance(node, dict) else None
    return None if node is None else str(node)
