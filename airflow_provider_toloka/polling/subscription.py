"""Hearing of every operation that finishes on an account, whoever started it. No I/O, no clock."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Self

from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.polling.wait import Wait

#: An operation may show in the list a little after its finish: each list begins so long before the end of the last.
OVERLAP = timedelta(seconds=1)


class Cursor:
    """Up to where one has heard of the operations of an account, so that each is told once.

    :param finished: everything that finished up to then is known, in Toloka's time.
    :param ids: the operations that are known of the last moments before.
    """

    def __init__(self, finished: datetime, ids: Iterable[str] = ()) -> None:
        self._finished = finished
        self._known = dict.fromkeys(ids, finished)

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> Self:
        """Make it from :meth:`to_json`'s value."""
        return cls(datetime.fromisoformat(json["finished"]), json["ids"])

    def to_json(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return {"finished": self._finished.isoformat(), "ids": list(self._known)}

    @property
    def since(self) -> datetime:
        """From where the list has to be read."""
        return self._finished - OVERLAP

    def is_new(self, operation: Operation) -> bool:
        """Tell whether one has not heard of an operation yet; from then on, one has.

        :param operation: a finished operation; they come in the order of their finish.
        """
        time = operation.finished
        if time is None or time < self.since or operation.id in self._known:
            return False
        self._known[operation.id] = time
        if time > self._finished:
            self._finished = time
            self._known = {id_: known for id_, known in self._known.items() if known >= self.since}
        return True


class Listener(Wait):
    """Hears of every operation of the list; a wait without an end.

    :param since: from where the list has to be read for it, in Toloka's time.
    """

    def __init__(self, since: datetime) -> None:
        super().__init__("", asyncio.get_running_loop().create_future())
        self.since = since
        self._heard: list[Operation] = []
        self._changed = asyncio.Event()
        self.finished.add_done_callback(lambda _: self._changed.set())

    def hear(self, operations: Iterable[Operation]) -> None:
        """Be told of a page of the list."""
        self._heard += operations
        self._changed.set()

    async def news(self) -> list[Operation]:
        """Wait until more of the list was read.

        :returns: the operations in it, in the order of their finish; some may have come before.
        :raises Exception: what no waiting mends.
        """
        await self._changed.wait()
        self._changed.clear()
        if self.finished.done():
            self.finished.result()
        heard, self._heard = self._heard, []
        return heard
