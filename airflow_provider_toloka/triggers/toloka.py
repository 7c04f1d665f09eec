"""Waiting on the triggerer, which costs no worker slot. Nothing is changed at Toloka from here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowNotFoundException
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_toloka.exceptions import TolokaError
from airflow_provider_toloka.hooks.toloka import TolokaHook
from airflow_provider_toloka.models import Operation
from airflow_provider_toloka.waiting import backing_off


class OperationTrigger(BaseTrigger):
    """Waits until all operations have finished, or one has failed, or the deadline has passed.

    It always ends with one event: ``{"operations": {id: operation}, "deadline": …}`` with what is known of each
    operation, finished or not; or ``{"error": "…"}`` for what no waiting mends. An outage of the API is none of both.

    :param toloka_conn_id: the id of the Toloka connection.
    :param operation_ids: the operations; none at all: it pauses for one interval.
    :param poll_interval: seconds between two looks.
    :param deadline: when to give up, in seconds since the epoch; None: never.
    :param longest_interval: seconds; the interval doubles with each look until it is as long as this; None: it stays.
    """

    def __init__(
        self,
        *,
        toloka_conn_id: str,
        operation_ids: Sequence[str],
        poll_interval: float = 5.0,
        deadline: float | None = None,
        longest_interval: float | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.toloka_conn_id = toloka_conn_id
        self.operation_ids = list(operation_ids)
        self.poll_interval = poll_interval
        self.deadline = deadline
        self.longest_interval = longest_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give the path of the class, and its arguments as plain JSON values."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "toloka_conn_id": self.toloka_conn_id,
                "operation_ids": self.operation_ids,
                "poll_interval": self.poll_interval,
                "deadline": self.deadline,
                "longest_interval": self.longest_interval,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait, and give the event."""
        intervals = backing_off(self.poll_interval, self.longest_interval or self.poll_interval)
        if not self.operation_ids:
            await asyncio.sleep(self.poll_interval)
        try:
            async with TolokaHook(self.toloka_conn_id) as hook:
                api = await hook.api_async()
                operations = await hook.run_async(
                    api.poll_operations(
                        self.operation_ids,
                        intervals=intervals,
                        deadline=self.deadline,
                        on_change=self._log_change,
                    )
                )
        except (TolokaError, ValueError, AirflowNotFoundException) as error:
            yield TriggerEvent({"error": str(error)})
            return
        known = {id_: operation.to_json() if operation else None for id_, operation in operations.items()}
        yield TriggerEvent({"operations": known, "deadline": self.deadline})

    def _log_change(self, operation: Operation) -> None:
        self.log.info("Toloka's %s", operation.summary)


def operations_of(event: Mapping[str, Any]) -> dict[str, Operation | None]:
    """Read the event of an :class:`OperationTrigger`.

    :param event: the event.
    :returns: by id, what is known of each operation, finished or not; None: it was never seen.
    :raises AirflowFailException: the wait met what no waiting mends.
    """
    if "error" in event:
        raise AirflowFailException(event["error"])
    return {id_: Operation.from_json(json) if json else None for id_, json in event["operations"].items()}
