"""The common base of the triggers of waiting tasks: one event, and a connection that may change."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable
from typing import Any, Generic, TypeVar

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_toloka.exceptions import TolokaAuthenticationError, TolokaError
from airflow_provider_toloka.polling.poller import Poller
from airflow_provider_toloka.polling.pools import PoolPoller
from airflow_provider_toloka.triggers.sharing import read_settings, shared_poller

#: The longest time, in seconds, that an event is held for ``not_before``, however different the clocks are.
_LONGEST_HOLD = 30.0

P = TypeVar("P", Poller, PoolPoller)


class TaskTrigger(BaseTrigger, Generic[P]):
    """Base of the triggers of waiting tasks. A trigger always ends with one event, also after an error.

    :param toloka_conn_id: the id of the Toloka connection.
    :param not_before: the earliest time of the event, in seconds since the epoch; None: no limit.
        Airflow fails a task whose trigger fires before the scheduler has seen that the worker is done with it.
    """

    def __init__(self, *, toloka_conn_id: str, not_before: float | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.toloka_conn_id = toloka_conn_id
        self.not_before = not_before

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and return the event."""
        started = time.time()
        try:
            event = await self.wait()
        except Exception as error:  # noqa: BLE001 - a trigger that raises fails its task without saying why
            event = {"error": _error_json(error)}
        trigger_id: Any = self.trigger_id
        # Only a triggerer sets an id; ``dag.test`` has no scheduler that the event could be too early for.
        if self.not_before is not None and trigger_id is not None:
            await asyncio.sleep(held_until(self.not_before, started) - time.time())
        yield TriggerEvent({**event, **self.always()})

    @abstractmethod
    def wait(self) -> Awaitable[dict[str, Any]]:
        """Return the event of a wait that ended without an error.

        :raises Exception: the error that ended the wait.
        """

    @abstractmethod
    async def poll(self, poller: P) -> dict[str, Any]:
        """Wait with a poller, and return the event.

        :param poller: the poller of the connection.
        :raises Exception: the error that ended the wait.
        """

    def log_outage(self, level: int, line: str) -> None:
        """Log a line about an outage in the task's log."""
        self.log.log(level, "%s", line)

    def always(self) -> dict[str, Any]:
        """Return the fields of every event, also after an error."""
        return {}

    async def with_poller(self, kind: type[P]) -> dict[str, Any]:
        """Call :meth:`poll`, and again if Toloka refuses the token and the connection has changed since.

        :param kind: the class of the poller, which all triggers with the same configuration share.
        :returns: the event.
        :raises TolokaAuthenticationError: Toloka refuses the token, and the connection has not changed.
        """
        settings = await read_settings(self.toloka_conn_id)
        while True:
            async with shared_poller(settings, self.toloka_conn_id, kind) as poller:
                try:
                    return await self.poll(poller)
                except TolokaAuthenticationError as error:
                    refusal, since = error, poller.refused_at
            again = await read_settings(self.toloka_conn_id, since=since)
            if again == settings:
                raise refusal
            self.log.warning("Toloka refused the token; connection %r has changed since", self.toloka_conn_id)
            settings = again


def held_until(not_before: float, started: float) -> float:
    """Return until when a trigger holds its event, in seconds since the epoch.

    :param not_before: the trigger's argument, by the worker's clock.
    :param started: when the trigger began to run, by this machine's clock.
    """
    return min(not_before, started + _LONGEST_HOLD)


def _error_json(error: Exception) -> dict[str, Any]:
    if isinstance(error, TolokaError):
        return error.to_json()
    return {"class": type(error).__name__, "message": str(error)}
