"""Receive every operation that finishes on an account, no matter who started it. No I/O, no clock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Self

from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.polling.wait import Wait

#: An operation may appear in the list with a delay: each list begins this long before the end of the last one.
OVERLAP = timedelta(seconds=1)


class Cursor:
    """The position in an account's operations, so that each is reported once.

    :param finished: all operations that finished up to this time, in Toloka's time, have been reported.
    :param ids: the reported operations of the last moments.
    :param latest: none of these operations finished after this time; default: ``finished``.
    """

    def __init__(self, finished: datetime, ids: Iterable[str] = (), latest: datetime | None = None) -> None:
        self._finished = finished
        self._known = dict.fromkeys(ids, latest or finished)

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> Self:
        """Create it from :meth:`to_json`'s value."""
        latest = json.get("latest")
        return cls(
            datetime.fromisoformat(json["finished"]),
            json["ids"],
            None if latest is None else datetime.fromisoformat(latest),
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        state: dict[str, Any] = {"finished": self._finished.isoformat(), "ids": list(self._known)}
        latest = max(self._known.values(), default=self._finished)
        return state if latest <= self._finished else {**state, "latest": latest.isoformat()}

    @property
    def since(self) -> datetime:
        """The time from which the list has to be read."""
        return self._finished - OVERLAP

    def is_new(self, operation: Operation, *, until: datetime | None = None) -> bool:
        """Return whether an operation is new, and record it.

        :param operation: a finished operation; they arrive in the order in which they finished.
        :param until: an operation that finished after this time may be missing from the list, although a later one is
            in it: the position does not advance beyond it; None: the list has no such gaps.
        """
        time = operation.finished
        if time is None or time < self.since or operation.id in self._known:
            return False
        self._known[operation.id] = time
        position = time if until is None else min(time, until)
        if position > self._finished:
            self._finished = position
            self._known = {id_: known for id_, known in self._known.items() if known >= self.since}
        return True


class Listener(Wait):
    """Receives every operation in the list, without end.

    :param since: the time from which the list has to be read, in Toloka's time.
    """

    def __init__(self, since: datetime) -> None:
        super().__init__("", asyncio.get_running_loop().create_future())
        self.since = since
        self._heard: list[Operation] = []
        self._changed = asyncio.Event()
        self.finished.add_done_callback(lambda _: self._changed.set())

    def hear(self, operations: Iterable[Operation]) -> None:
        """Receive a page of the list."""
        self._heard += operations
        self._changed.set()

    async def news(self) -> list[Operation]:
        """Wait for the next part of the list.

        :returns: its operations, in the order in which they finished; some may have been returned before.
        :raises Exception: an error that ends every wait.
        """
        await self._changed.wait()
        self._changed.clear()
        if self.finished.done():
            self.finished.result()
        heard, self._heard = self._heard, []
        return heard
