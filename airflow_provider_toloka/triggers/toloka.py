"""Waiting on the triggerer, which costs no worker slot. Nothing is changed at Toloka from here."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

from airflow.providers.common.compat.sdk import AirflowNotFoundException
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_toloka.client.backoff import backing_off
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.exceptions import TolokaError
from airflow_provider_toloka.hooks.toloka import TolokaHook
from airflow_provider_toloka.polling.poller import Poller


class OperationTrigger(BaseTrigger):
    """Waits until all operations have finished, or one has failed, or the deadline has passed.

    It always ends with one event: ``{"operations": {id: operation}, "deadline": …, "trouble": …, "carry": …}`` with
    what is known of each operation, finished or not, and why the last look brought no news, if it did not; or
    ``{"error": "…"}`` for what no waiting mends. An outage of the API ends no wait. All triggers of one connection
    share one poller, so that many cost hardly more requests than one.

    :param toloka_conn_id: the id of the Toloka connection.
    :param operation_ids: the operations' ids; none at all: it pauses for one interval, or until the deadline.
    :param submitted: when Toloka says the first of them was submitted, in ISO 8601; None: not known.
    :param poll_interval: seconds between two looks; default 5.
    :param longest_interval: seconds; the interval doubles with each look until it is as long as this; None: it stays.
    :param deadline: when to give up, in seconds since the epoch; None: never.
    :param fail_fast: whether an operation that has failed ends the wait; default True.
    :param carry: any JSON value, which comes back in the event.
    """

    def __init__(
        self,
        *,
        toloka_conn_id: str,
        operation_ids: Sequence[str],
        submitted: str | None = None,
        poll_interval: float = 5.0,
        longest_interval: float | None = None,
        deadline: float | None = None,
        fail_fast: bool = True,
        carry: Any = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.toloka_conn_id = toloka_conn_id
        self.operation_ids = list(operation_ids)
        self.submitted = submitted
        self.poll_interval = poll_interval
        self.longest_interval = longest_interval
        self.deadline = deadline
        self.fail_fast = fail_fast
        self.carry = carry

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give the path of the class, and its arguments as plain JSON values."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "toloka_conn_id": self.toloka_conn_id,
                "operation_ids": self.operation_ids,
                "submitted": self.submitted,
                "poll_interval": self.poll_interval,
                "longest_interval": self.longest_interval,
                "deadline": self.deadline,
                "fail_fast": self.fail_fast,
                "carry": self.carry,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and give the event."""
        if not self.operation_ids:
            left = math.inf if self.deadline is None else max(0.0, self.deadline - time.time())
            await asyncio.sleep(min(self.poll_interval, left))
        submitted = datetime.fromisoformat(self.submitted) if self.submitted else None
        try:
            async with shared_poller(self.toloka_conn_id) as poller:
                operations = await poller.wait_for(
                    dict.fromkeys(self.operation_ids, submitted),
                    intervals=lambda: backing_off(self.poll_interval, self.longest_interval or self.poll_interval),
                    seconds=None if self.deadline is None else self.deadline - time.time(),
                    fail_fast=self.fail_fast,
                    on_change=self._log_change,
                )
                trouble = str(poller.trouble) if poller.trouble else None
        except (TolokaError, ValueError, AirflowNotFoundException) as error:
            yield TriggerEvent({"error": str(error)})
            return
        known = {id_: operation.to_json() if operation else None for id_, operation in operations.items()}
        yield TriggerEvent(
            {"operations": known, "deadline": self.deadline, "trouble": trouble, "carry": self.carry},
        )

    def _log_change(self, operation: Operation) -> None:
        # The task itself tells how it ended, when it is back from the triggerer.
        if not operation.is_finished:
            self.log.info("Toloka's %s", operation.summary)


class _Shared:
    """A poller, and how many use it."""

    def __init__(self, toloka_conn_id: str) -> None:
        self.users = 0
        self._stack = AsyncExitStack()
        # A task of its own: the user that came first may be cancelled while the others still wait for it.
        self.opening = asyncio.create_task(self._open(toloka_conn_id))

    async def _open(self, toloka_conn_id: str) -> Poller:
        client = await TolokaHook(toloka_conn_id).read_async_client()
        return await self._stack.enter_async_context(Poller(await self._stack.enter_async_context(client)))

    async def close(self) -> None:
        self.opening.cancel()
        await asyncio.gather(self.opening, return_exceptions=True)
        await self._stack.aclose()


#: By event loop (a triggerer has one, ``dag.test`` one for each trigger), then by connection.
_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Shared]] = WeakKeyDictionary()


@asynccontextmanager
async def shared_poller(toloka_conn_id: str) -> AsyncIterator[Poller]:
    """Give the poller of a connection; it is closed when the last user leaves.

    :param toloka_conn_id: the id of the Toloka connection.
    """
    pollers = _shared.setdefault(asyncio.get_running_loop(), {})
    shared = pollers.get(toloka_conn_id)
    if shared is None:
        shared = pollers[toloka_conn_id] = _Shared(toloka_conn_id)
    shared.users += 1
    try:
        yield shared.opening.result() if shared.opening.done() else await asyncio.shield(shared.opening)
    finally:
        shared.users -= 1
        if shared.users == 0:
            del pollers[toloka_conn_id]
            await shared.close()
