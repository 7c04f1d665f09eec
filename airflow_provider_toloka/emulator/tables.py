"""Tables of an account: rows by id, with the few indexes that large accounts need.

Every list can be read by id. Lists with tens of thousands of rows have an index for their most selective filter, and
for the field that clients poll by. For any other order, the filtered rows are sorted on request.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

View = dict[str, Any]
"""An object as the API shows it. ``Table.update`` replaces the whole view; only the counter ``remaining_overlap`` of a
task changes in place."""

Group = tuple[str, str]
"""A filter and its value, such as ``("project_id", "1001")``."""

Bound = tuple[str, Any]
"""``gt``, ``gte``, ``lt`` or ``lte``, and the key to compare with."""

EVERYTHING: Group = ("", "")


class Table:
    """Sorted rows by id.

    :param id_key: returns the sort key of an id; raises ``ValueError`` for an invalid id.
    :param groups: the filters that have an index, each with a function that returns a row's value, or ``None``.
    :param ordered: the fields besides ``id`` that have an index.
    :param in_groups_only: rows are listed by group only, so there is no index of all rows.
    """

    def __init__(
        self,
        *,
        id_key: Callable[[str], Any],
        groups: Mapping[str, Callable[[View], str | None]],
        ordered: Sequence[str] = (),
        in_groups_only: bool = False,
    ) -> None:
        self.id_key = id_key
        self.groups = groups
        self._everything = () if in_groups_only else (EVERYTHING,)
        self._rows: dict[Any, View] = {}
        self._ids: dict[Group, list[Any]] = {}
        self._ordered: dict[str, list[tuple[Any, Any]]] = {field: [] for field in ordered}  # sort key, id key

    def __iter__(self) -> Iterator[View]:
        return self.walk(EVERYTHING) if self._everything else iter(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, row_id: str) -> View | None:
        """Return a row, or ``None`` if there is none with this id."""
        try:
            return self._rows.get(self.id_key(row_id))
        except ValueError:
            return None

    def add(self, row: View) -> None:
        """Add a row with a new id."""
        key = self.id_key(row["id"])
        if key in self._rows:
            raise ValueError(f"there is already an object with id {row['id']}")
        self._rows[key] = row
        for group in self._groups_of(row):
            _insert(self._ids.setdefault(group, []), key)
        for field, index in self._ordered.items():
            insort(index, (self.sort_key(row, field), key))

    def update(self, row_id: str, **changes: Any) -> View:
        """Replace fields of a row.

        :returns: the new row.
        """
        new = self._rows[self.id_key(row_id)] | changes
        self.replace(new)
        return new

    def replace(self, new: View) -> None:
        """Replace the row with the same id."""
        key = self.id_key(new["id"])
        old = self._rows[key]
        self._rows[key] = new
        before, after = self._groups_of(old), self._groups_of(new)
        for group in before - after:
            ids = self._ids[group]
            del ids[bisect_left(ids, key)]
            if not ids:
                del self._ids[group]
        for group in after - before:
            _insert(self._ids.setdefault(group, []), key)
        for field, index in self._ordered.items():
            was, now = self.sort_key(old, field), self.sort_key(new, field)
            if was != now:
                del index[bisect_left(index, (was, key))]
                insort(index, (now, key))

    def size(self, group: Group) -> int:
        """Count the rows of a group."""
        return len(self._ids.get(group, ()))

    def has_order(self, field: str) -> bool:
        """Return whether all rows can be read in the order of a field."""
        return field == "id" or field in self._ordered

    def sort_key(self, row: View, field: str) -> Any:
        """Return a row's sort key; rows without the field come first."""
        return self.id_key(row["id"]) if field == "id" else row.get(field) or ""

    def walk(self, group: Group, bounds: Iterable[Bound] = (), *, descending: bool = False) -> Iterator[View]:
        """Yield the rows of a group in the order of their ids.

        :param bounds: limits of the id.
        """
        ids = self._ids.get(group, [])
        low, high = 0, len(ids)
        for relation, key in bounds:
            place = (bisect_right if relation in ("gt", "lte") else bisect_left)(ids, key)
            low, high = (max(low, place), high) if relation in ("gt", "gte") else (low, min(high, place))
        rows = self._rows
        return (rows[ids[place]] for place in _places(low, high, descending=descending))

    def walk_by(self, field: str, bounds: Iterable[Bound] = (), *, descending: bool = False) -> Iterator[View]:
        """Yield all rows in the order of a field that has an index; ties go by id.

        :param bounds: limits of the field; rows without it are in no range.
        """
        index = self._ordered[field]
        low, high = 0, len(index)
        for relation, key in bounds:
            side = bisect_right if relation in ("gt", "lte") else bisect_left
            place = side(index, key, key=lambda entry: entry[0])
            if relation in ("gt", "gte"):
                low = max(low, place)
            else:
                low = max(low, bisect_right(index, "", key=lambda entry: entry[0]))
                high = min(high, place)
        return (self._rows[index[place][1]] for place in _places(low, high, descending=descending))

    def _groups_of(self, row: View) -> set[Group]:
        groups = {(name, value) for name, value_of in self.groups.items() if (value := value_of(row)) is not None}
        groups.update(self._everything)
        return groups


def _insert(ids: list[Any], key: Any) -> None:
    # Ids mostly increase: the new one comes last.
    if not ids or ids[-1] < key:
        ids.append(key)
    else:
        insort(ids, key)


def _places(low: int, high: int, *, descending: bool) -> range:
    return range(high - 1, low - 1, -1) if descending else range(low, high)
