"""The lists of the API: their filters and sorts, and the pages for a query.

From the sections "Filtering requests" and "Sorting responses" of the API's description, and from the parameters of its
``GET`` methods. Unknown parameters are answered with 400, so that a client's mistakes are noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
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
    """The parameters of a list.

    :param filters: its value filters.
    :param ranges: its date fields with ``_gt``, ``_gte``, ``_lt``, ``_lte``; ``id`` always has them.
    :param sorts: the fields that it can be sorted by.
    :param statuses: the values of its ``status`` filter.
    :param several: the filters that accept several values, separated by commas.
    :param numbers: its whole numbers, with a filter and a range each.
    :param one_of: filters of which a request needs one.
    """

    filters: tuple[str, ...]
    ranges: tuple[str, ...]
    sorts: tuple[str, ...]
    statuses: tuple[str, ...] = ()
    several: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()


_POOLS = Listing(
    filters=("status", "project_id"),
    ranges=("created", "last_started"),
    sorts=("id", "created", "last_started"),
    statuses=_POOL_STATUSES,
)
_ASSIGNMENT_TIMES = ("created", "submitted", "accepted", "rejected", "skipped", "expired")

LISTINGS = {
    "projects": Listing(
        filters=("status", "owner"),
        ranges=("created",),
        sorts=("id", "created", "public_name", "private_comment"),
        statuses=("ACTIVE", "ARCHIVED"),
    ),
    "pools": _POOLS,
    "trainings": _POOLS,
    "operations": Listing(
        filters=("type", "status"),
        ranges=("submitted", "finished"),
        sorts=("id", "submitted", "finished"),
        statuses=("PENDING", "RUNNING", "SUCCESS", "FAIL"),
    ),
    "tasks": Listing(
        filters=("pool_id",),
        ranges=("created",),
        sorts=("id", "created"),
        numbers=("overlap",),
        one_of=("pool_id",),
    ),
    "assignments": Listing(
        filters=("pool_id", "task_suite_id", "task_id", "status", "user_id"),
        ranges=_ASSIGNMENT_TIMES,
        sorts=("id", *_ASSIGNMENT_TIMES),
        statuses=("ACCEPTED", "ACTIVE", "EXPIRED", "REJECTED", "SKIPPED", "SUBMITTED"),
        several=("status",),
        one_of=("pool_id", "task_suite_id", "task_id"),
    ),
    "skills": Listing(filters=("name", "global"), ranges=("created", "modified"), sorts=("id", "created")),
}


@dataclass
class Query:
    """A parsed list request."""

    limit: int = DEFAULT_LIMIT
    filters: dict[str, Collection[str]] = field(default_factory=dict)
    ranges: dict[str, list[tuple[str, Any]]] = field(default_factory=dict)
    sort: list[tuple[str, bool]] = field(default_factory=lambda: [("id", False)])  # field, descending


def read_query(listing: Listing, table: Table, parameters: Iterable[tuple[str, str]]) -> Query:
    """Read the query parameters of a list request.

    :raises ApiError: 400: an unknown parameter, or an invalid value.
    """
    query = Query()
    seen = set()
    for name, value in parameters:
        if name in seen:
            raise invalid(name, "The parameter is given twice")
        seen.add(name)
        ranged, _, relation = name.rpartition("_")
        if name == "limit":
            query.limit = read_limit(value)
        elif name == "sort":
            query.sort = read_sort(listing.sorts, value)
        elif name in listing.filters:
            query.filters[name] = _filter(listing, name, value)
        elif name in listing.numbers:
            query.ranges.setdefault(name, []).extend([("gte", _number(name, value)), ("lte", _number(name, value))])
        elif relation in _RELATIONS and ranged in ("id", *listing.ranges, *listing.numbers):
            query.ranges.setdefault(ranged, []).append((relation, _bound(listing, table, name, value)))
        else:
            raise invalid(name, "There is no such parameter", "VALUE_NOT_ALLOWED")
    if listing.one_of and not seen & set(listing.one_of):
        raise invalid(listing.one_of[0], f"One of {', '.join(listing.one_of)} is required", "VALUE_REQUIRED")
    return query


def select(table: Table, query: Query, hidden: Collection[Any] = ()) -> tuple[list[View], bool]:
    """Return the rows of a page.

    :param hidden: ids of rows that are not shown.
    :returns: the rows, and whether there are more.
    """
    # The smallest group with all matches; it is filtered below.
    groups = [
        (name, value) for name, values in query.filters.items() if name in table.groups for value in _only(values)
    ]
    group = min(groups, key=table.size, default=EVERYTHING)
    first, descending = query.sort[0]
    if first == "id":
        rows = table.walk(group, query.ranges.get("id", ()), descending=descending)
        sort = query.sort
    elif table.has_order(first):
        rows = table.walk_by(first, query.ranges.get(first, ()), descending=descending)
        sort = query.sort
    else:
        # As in an index: ties are in the order of ids, in the same direction.
        rows = table.walk(group, query.ranges.get("id", ()), descending=descending)
        sort = [("", False), *query.sort]
    matches = (row for row in rows if row["id"] not in hidden and _accepts(table, query, row))
    found = list(islice(_in_order(table, matches, sort), query.limit + 1))
    return found[: query.limit], len(found) > query.limit


def _only(values: Collection[str]) -> Collection[str]:
    return values if len(values) == 1 else ()


def _accepts(table: Table, query: Query, row: View) -> bool:
    for name, values in query.filters.items():
        read = _FILTERS.get(name)
        if not (any(value in values for value in read(row)) if read else row.get(name) in values):
            return False
    for name, bounds in query.ranges.items():
        key = table.sort_key(row, name)
        if key == "" or not all(within(key, relation, limit) for relation, limit in bounds):
            return False
    return True


def within(key: Any, relation: str, limit: Any) -> bool:
    """Return whether a key is within a limit."""
    if relation == "gt":
        return bool(key > limit)
    if relation == "gte":
        return bool(key >= limit)
    if relation == "lt":
        return bool(key < limit)
    return bool(key <= limit)


def _in_order(table: Table, rows: Iterable[View], sort: list[tuple[str, bool]]) -> Iterator[View]:
    # The rows are in the order of the first field: only ties have to be sorted.
    first, *others = sort
    if not others:
        yield from rows
        return
    for _, run in groupby(rows, key=lambda row: table.sort_key(row, first[0]) if first[0] else ""):
        tied = list(run)
        for name, descending in reversed(others):
            tied.sort(key=lambda row, name=name: table.sort_key(row, name), reverse=descending)  # type: ignore[misc]
        yield from tied


def read_limit(value: str) -> int:
    """Read the number of rows of a page.

    :raises ApiError: 400: not a number, or out of bounds.
    """
    number = _number("limit", value)
    if number < 1:
        raise invalid("limit", "At least 1 is expected", "VALUE_LESS_THAN_MIN")
    if number > MAX_LIMIT:
        raise invalid("limit", f"At most {MAX_LIMIT} is expected", "VALUE_GREATER_THAN_MAX")
    return number


def read_sort(known: Collection[str], value: str) -> list[tuple[str, bool]]:
    """Read the fields to sort by, each with whether it is descending.

    :raises ApiError: 400: a field is not supported.
    """
    sort = [(name.removeprefix("-"), name.startswith("-")) for name in value.split(",")]
    if any(name not in known for name, _ in sort):
        raise invalid("sort", f"Only {', '.join(known)} are expected", "UNKNOWN_ENUM_VALUE")
    return sort


def _filter(listing: Listing, name: str, value: str) -> Collection[str]:
    values = tuple(value.split(",")) if name in listing.several else (value,)
    if name == "status" and not set(values) <= set(listing.statuses):
        raise invalid(name, f"One of {', '.join(listing.statuses)} is expected", "UNKNOWN_ENUM_VALUE")
    if name == "global" and value not in ("true", "false"):
        raise invalid(name, "true or false is expected", "BOOLEAN_EXPECTED")
    return values


def _bound(listing: Listing, table: Table, name: str, value: str) -> Any:
    ranged = name.rpartition("_")[0]
    if ranged in listing.numbers:
        return _number(name, value)
    try:
        return table.id_key(value) if ranged == "id" else timestamps.stamp(value)
    except ValueError as error:
        raise invalid(name, str(error), "INVALID_VALUE" if ranged == "id" else "INVALID_DATE_TIME_SYNTAX") from error


def _number(name: str, value: str) -> int:
    try:
        return number(value)
    except ValueError as error:
        raise invalid(name, "A whole number is expected", "INTEGER_EXPECTED") from error


def empty_tables() -> Mapping[str, Table]:
    """Create the empty tables of an account."""

    def plain(name: str) -> Callable[[View], str | None]:
        return lambda row: row.get(name)

    project, pool = {"project_id": plain("project_id")}, {"pool_id": plain("pool_id")}
    status = {"status": plain("status")}
    # Ids of operations, tasks and assignments are text. All others are numbers of different lengths.
    return {
        "projects": Table(id_key=number, groups=status),
        "pools": Table(
            id_key=number, groups=project | status | {"training_id": required_training}, ordered=("last_started",)
        ),
        "trainings": Table(id_key=number, groups=project | status),
        "operations": Table(id_key=str, groups=status, ordered=("submitted", "finished")),
        "tasks": Table(id_key=str, groups=pool, in_groups_only=True),
        "assignments": Table(id_key=str, groups=pool, in_groups_only=True),
        "skills": Table(id_key=number, groups={}),
    }


def number(text: str) -> int:
    """Parse a numeric id.

    :raises ValueError: it is not one.
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


_FILTERS: dict[str, Callable[[View], Iterable[str]]] = {
    "owner": lambda row: (row["owner"]["id"],),
    "task_id": lambda row: (task["id"] for task in row["tasks"]),
    "global": lambda row: (str(row["global"]).lower(),),
}
