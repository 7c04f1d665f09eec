"""Wait for operations on the triggerer, without a worker slot. Changes nothing at Toloka."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from airflow_provider_toloka.client.backoff import backing_off, every
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.polling.endings import Outcome
from airflow_provider_toloka.polling.poller import Poller
from airflow_provider_toloka.triggers.packing import pack, unpack
from airflow_provider_toloka.triggers.task import TaskTrigger


class OperationTrigger(TaskTrigger[Poller]):
    """Wait until all operations have finished, or one has failed, or the deadline has passed.

    The trigger always ends with one event, with each operation in its last known state, and the unfinished ones:
    ``{"operations": {id: operation}, "unfinished": [id], "errors": {id: error}, "trouble": …, "deadline": …,
    "limit": …, "groups": …, "carry": …}``; ``trouble`` is why the last poll failed, if it did. An error that ends every
    wait, such as a refused token, is ``{"error": error, "deadline": …, "limit": …, "groups": …, "carry": …}``. An error
    is what ``TolokaError.to_json`` returns, or ``{"class": name, "message": text}`` for one that is not this package's.

    An outage of the API does not end a wait. All triggers with the same configuration share one poller, so that many
    send hardly more requests than one. When Toloka refuses the token, the connection is read again: if it has changed,
    the wait continues with it.

    :param operation_ids: the operations' ids; with no ids and no groups, the trigger pauses for one interval, or until
        the deadline.
    :param groups: instead of ``operation_ids``, by any name, the ids of the operations that belong together. The wait
        ends when the first group has ended: all of its operations have finished, or one has failed or does not exist.
        A group without ids ends after one interval.
    :param submitted: when the first operation was submitted, in ISO 8601; None: unknown.
    :param poll_interval: seconds between two polls.
    :param longest_interval: seconds; the interval doubles with each poll up to this; None: the interval is constant.
    :param deadline: when to stop waiting, in seconds since the epoch; None: never.
    :param limit: the name of the argument that set the deadline, for error messages; returned in the event.
    :param gather: seconds to continue after the first group has ended, so that other groups can end in the same event.
    :param fail_fast: whether a failed operation ends its group, or the wait.
    :param carry: any JSON value; returned in the event.
    :param packed: for the trigger's own use: ``operation_ids``, ``groups`` and ``carry`` in the compressed form in
        which Airflow stores them when they are long.
    """

    def __init__(
        self,
        *,
        toloka_conn_id: str,
        operation_ids: Sequence[str] = (),
        groups: Mapping[str, Sequence[str]] | None = None,
        submitted: str | None = None,
        poll_interval: float = 5.0,
        longest_interval: float | None = None,
        deadline: float | None = None,
        limit: str = "timeout",
        not_before: float | None = None,
        gather: float = 2.0,
        fail_fast: bool = True,
        carry: Any = None,
        packed: str | None = None,
    ) -> None:
        super().__init__(toloka_conn_id=toloka_conn_id, not_before=not_before)
        self.operation_ids = list(operation_ids)
        self.groups = groups
        self.submitted = submitted
        self.poll_interval = poll_interval
        self.longest_interval = longest_interval
        self.deadline = deadline
        self.limit = limit
        self.gather = gather
        self.fail_fast = fail_fast
        self.carry = carry
        if packed is not None:
            self.operation_ids, self.groups, self.carry = unpack(packed)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the path of the class, and its arguments as plain JSON values."""
        packed = pack([self.operation_ids, self.groups, self.carry])
        long = {"operation_ids": self.operation_ids, "groups": self.groups, "carry": self.carry}
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "toloka_conn_id": self.toloka_conn_id,
                "submitted": self.submitted,
                "poll_interval": self.poll_interval,
                "longest_interval": self.longest_interval,
                "deadline": self.deadline,
                "limit": self.limit,
                "not_before": self.not_before,
                "gather": self.gather,
                "fail_fast": self.fail_fast,
                **({"packed": packed} if packed else long),
            },
        )

    def wait(self) -> Awaitable[dict[str, Any]]:
        """Return the event of a wait that ended without an error."""
        return self.with_poller(Poller) if any(self._groups()) else self._pause()

    async def poll(self, poller: Poller) -> dict[str, Any]:
        """Wait with a poller, and return the event.

        :param poller: the poller of the connection.
        """
        groups = self._groups()
        submitted = datetime.fromisoformat(self.submitted) if self.submitted else None
        is_constant = self.poll_interval >= self._longest
        outcome = await poller.wait_for_any(
            groups,
            submitted=dict.fromkeys(itertools.chain.from_iterable(groups), submitted),
            intervals=every(self._longest) if is_constant else partial(backing_off, self.poll_interval, self._longest),
            seconds=self._seconds_left(),
            fail_fast=self.fail_fast,
            gather=self.gather if self.groups else 0.0,
            empty_after=self._longest,
            on_change=self._log_change,
            on_outage=self.log_outage,
        )
        return self._event(outcome)

    async def _pause(self) -> dict[str, Any]:
        left = self._seconds_left()
        await asyncio.sleep(self._longest if left is None else min(self._longest, left))
        return self._event(Outcome({}))

    def _groups(self) -> Sequence[Sequence[str]]:
        return list(self.groups.values()) if self.groups else (self.operation_ids,)

    @property
    def _longest(self) -> float:
        return self.longest_interval or self.poll_interval

    def always(self) -> dict[str, Any]:
        """Return what every event has, also after an error."""
        return {"deadline": self.deadline, "limit": self.limit, "groups": self.groups, "carry": self.carry}

    def _seconds_left(self) -> float | None:
        return None if self.deadline is None else self.deadline - time.time()

    def _event(self, outcome: Outcome) -> dict[str, Any]:
        if not self.groups:
            for error in outcome.errors.values():
                raise error
        return {
            "operations": {
                id_: operation.to_json() if operation else None for id_, operation in outcome.operations.items()
            },
            "unfinished": outcome.unfinished,
            "errors": {id_: error.to_json() for id_, error in outcome.errors.items()},
            "trouble": str(outcome.trouble) if outcome.trouble else None,
        }

    def _log_change(self, operation: Operation) -> None:
        # The task itself logs how it ended, when it is back from the triggerer.
        if not operation.is_finished:
            self.log.info("Toloka's %s", operation.summary)
