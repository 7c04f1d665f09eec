"""Where the objects of an account are kept: rows with an index for every order and filter that the API offers.

A page of 300 out of 80,000 pools costs a binary search and 301 steps, whichever way it is sorted. A filter has the same
indexes for each of its values, so that a page of one project's pools does not step over all the others.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

View = dict[str, Any]
"""An object as the API shows it. Never changed in place: ``Table.update`` puts a new one there."""

Group = tuple[str, str]
"""A filter and its value, such as ``("status", "OPEN")``."""

EVERYTHING: Group = ("", "")
_Index = list[tuple[Any, Any]]  # (sort key, id key): ties go by id


class Table:
    """Rows by id, kept sorted.

    :param id_key: makes the sort key of an id; raises ``ValueError`` for a text that cannot be one.
    :param sorts: the fields that the list can be sorted by, or limited to a range of, besides ``id``.
    :param groups: filter name → function that gives a row's value for it, or ``None``.
    """

    def __init__(
        self,
        *,
        id_key: Callable[[str], Any],
        sorts: Sequence[str],
        groups: Mapping[str, Callable[[View], str | None]],
    ) -> None:
        self.id_key = id_key
        self.sorts = ("id", *sorts)
        self.groups = groups
        self._rows: dict[Any, View] = {}
        self._indexes: dict[tuple[Group, str], _Index] = {}

    def __iter__(self) -> Iterator[View]:
        return self.walk(EVERYTHING, "id")

    def get(self, row_id: str) -> View | None:
        """Return a row, or ``None`` when there is none with this id."""
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
        for place, entry in self._entries(row):
            insort(self._indexes.setdefault(place, []), entry)

    def update(self, row_id: str, **changes: Any) -> View:
        """Replace fields of a row.

        :returns: the new row.
        """
        key = self.id_key(row_id)
        old = self._rows[key]
        new = old | changes
        self._rows[key] = new
        before, after = set(self._entries(old)), set(self._entries(new))
        for place, entry in before - after:
            index = self._indexes[place]
            del index[bisect_left(index, entry)]
            if not index:
                del self._indexes[place]
        for place, entry in after - before:
            insort(self._indexes.setdefault(place, []), entry)
        return new

    def size(self, group: Group) -> int:
        """Count the rows of a group."""
        return len(self._indexes.get((group, "id"), ()))

    def sort_key(self, row: View, field: str) -> Any:
        """Return what a row is sorted by; a row that lacks the field comes first."""
        return self.id_key(row["id"]) if field == "id" else row.get(field) or ""

    def walk(
        self,
        group: Group,
        field: str,
        bounds: Iterable[tuple[str, Any]] = (),
        *,
        descending: bool = False,
    ) -> Iterator[View]:
        """Yield the rows of a group in the order of one field.

        :param bounds: pairs of ``gt``, ``gte``, ``lt`` or ``lte`` and a key; a row that lacks the field is in no range.
        """
        index = self._indexes.get((group, field), [])
        low, high = 0, len(index)
        for relation, key in bounds:
            side = bisect_right if relation in ("gt", "lte") else bisect_left
            place = side(index, key, key=lambda entry: entry[0])
            if relation in ("gt", "gte"):
                low = max(low, place)
            else:
                low = low if field == "id" else max(low, bisect_right(index, "", key=lambda entry: entry[0]))
                high = min(high, place)
        places = range(high - 1, low - 1, -1) if descending else range(low, high)
        return (self._rows[index[place][1]] for place in places)

    def _entries(self, row: View) -> Iterator[tuple[tuple[Group, str], tuple[Any, Any]]]:
        groups = [EVERYTHING]
        groups += [(name, value) for name, value_of in self.groups.items() if (value := value_of(row)) is not None]
        id_key = self.id_key(row["id"])
        for field in self.sorts:
            entry = (self.sort_key(row, field), id_key)
            for group in groups:
                yield (group, field), entry
