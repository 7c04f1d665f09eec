"""Decide when a wait for several operations is over. No I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.exceptions import TolokaApiError, TolokaNotFoundError
from airflow_provider_toloka.polling.wait import Wait


@dataclass(frozen=True)
class Outcome:
    """The operations at the end of a wait.

    :param operations: by id, each operation in its last known state; None: it was never seen.
    :param errors: by id, why an operation cannot be waited for.
    :param trouble: why the last poll failed; None: it did not.
    """

    operations: Mapping[str, Operation | None]
    errors: Mapping[str, TolokaApiError] = field(default_factory=dict)
    trouble: TolokaApiError | None = None

    @property
    def unfinished(self) -> list[str]:
        """The ids of the unfinished operations."""
        return [
            id_
            for id_, operation in self.operations.items()
            if id_ not in self.errors and not (operation and operation.is_finished)
        ]


class Ending:
    """The end of a wait: the first group of operations has ended, and others had some time to end as well.

    A group has ended when all its operations have finished, or one of them has failed or cannot be waited for.

    :param waits: by id, the waits for the operations.
    :param groups: the ids of each group.
    :param fail_fast: whether a failed operation ends its group.
    :param gather: seconds to continue after the first group has ended.
    :param empty_after: after how many seconds a group without operations ends.
    """

    def __init__(
        self,
        waits: Mapping[str, Wait],
        groups: Sequence[Collection[str]],
        *,
        fail_fast: bool,
        gather: float,
        empty_after: float,
    ) -> None:
        self.is_over = asyncio.Event()
        self._fail_fast = fail_fast
        self._gather = gather
        self._left = [len(set(group)) for group in groups]
        self._groups_of: dict[str, list[int]] = {id_: [] for id_ in waits}
        self._running = len(waits)
        self._is_gathering = False
        self._timers: list[asyncio.TimerHandle] = []
        self._callbacks: list[tuple[Wait, Callable[[asyncio.Future[Operation]], None]]] = []
        for number, group in enumerate(groups):
            for id_ in set(group):
                self._groups_of[id_].append(number)
            if not group:
                self._after(empty_after, self._end_group)
        for wait in waits.values():
            callback = self._callback(wait.operation_id)
            self._callbacks.append((wait, callback))
            wait.finished.add_done_callback(callback)

    def after(self, seconds: float) -> None:
        """End the wait after this many seconds."""
        self._after(seconds, self.is_over.set)

    def close(self) -> None:
        """Stop waiting."""
        for timer in self._timers:
            timer.cancel()
        for wait, callback in self._callbacks:
            wait.finished.remove_done_callback(callback)

    def _after(self, seconds: float, callback: Callable[[], object]) -> None:
        # Cheaper than asyncio.timeout; there may be ten thousand waits.
        self._timers.append(asyncio.get_running_loop().call_later(max(0.0, seconds), callback))

    def _callback(self, operation_id: str) -> Callable[[asyncio.Future[Operation]], None]:
        return lambda future: self._ended(operation_id, future)

    def _ended(self, operation_id: str, future: asyncio.Future[Operation]) -> None:
        error = None if future.cancelled() else future.exception()
        if error and not isinstance(error, TolokaNotFoundError):
            # This affects all operations.
            self.is_over.set()
            return
        ends_group = future.cancelled() or bool(error) or (self._fail_fast and future.result().failed)
        self._running -= 1
        for number in self._groups_of[operation_id]:
            self._left[number] = 0 if ends_group else self._left[number] - 1
            if self._left[number] <= 0:
                self._end_group()

    def _end_group(self) -> None:
        if not self._gather or not self._running:
            self.is_over.set()
        elif not self._is_gathering:
            self._is_gathering = True
            self.after(self._gather)
