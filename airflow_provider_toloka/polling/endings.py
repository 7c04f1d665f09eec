"""Decide when a wait for several operations is over. No I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import Context
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
    There may be ten thousand of these: each has few objects, because every garbage collection scans all of them.

    :param waits: by id, the waits for the operations.
    :param groups: the ids of each group.
    :param context: the context of the callbacks.
    :param fail_fast: whether a failed operation ends its group.
    :param gather: seconds to continue after the first group has ended.
    :param empty_after: after how many seconds a group without operations ends.
    """

    __slots__ = (
        "_context",
        "_fail_fast",
        "_gather",
        "_groups_of",
        "_is_gathering",
        "_left",
        "_running",
        "_timers",
        "is_over",
    )

    def __init__(
        self,
        waits: Mapping[str, Wait],
        groups: Sequence[Collection[str]],
        *,
        context: Context,
        fail_fast: bool,
        gather: float,
        empty_after: float,
    ) -> None:
        #: Done when the wait is over.
        self.is_over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._context = context
        self._fail_fast = fail_fast
        self._gather = gather
        self._left = [len(set(group)) for group in groups]
        self._running = len(waits)
        self._is_gathering = False
        #: The groups of each operation, by the future of its finish.
        self._groups_of: dict[asyncio.Future[Operation], tuple[int, ...]] = {}
        for number, group in enumerate(groups):
            for id_ in set(group):
                finished = waits[id_].finished
                self._groups_of[finished] = (*self._groups_of.get(finished, ()), number)
        self._timers: tuple[asyncio.TimerHandle, ...] = ()
        if not all(groups):
            self._after(empty_after, self._end_group)
        for finished in self._groups_of:
            finished.add_done_callback(self._ended, context=context)

    def after(self, seconds: float) -> None:
        """End the wait after this many seconds."""
        self._after(seconds, self._end)

    def close(self) -> None:
        """Stop waiting."""
        for timer in self._timers:
            timer.cancel()
        for finished in self._groups_of:
            finished.remove_done_callback(self._ended)

    def _after(self, seconds: float, callback: Callable[[], object]) -> None:
        # Cheaper than asyncio.timeout.
        timer = asyncio.get_running_loop().call_later(max(0.0, seconds), callback, context=self._context)
        self._timers = (*self._timers, timer)

    def _end(self) -> None:
        if not self.is_over.done():
            self.is_over.set_result(None)

    def _ended(self, finished: asyncio.Future[Operation]) -> None:
        error = None if finished.cancelled() else finished.exception()
        if error and not isinstance(error, TolokaNotFoundError):
            # This affects all operations.
            self._end()
            return
        ends_group = finished.cancelled() or bool(error) or (self._fail_fast and finished.result().failed)
        self._running -= 1
        for number in self._groups_of[finished]:
            self._left[number] = 0 if ends_group else self._left[number] - 1
            if self._left[number] <= 0:
                self._end_group()

    def _end_group(self) -> None:
        if not self._gather or not self._running:
            self._end()
        elif not self._is_gathering:
            self._is_gathering = True
            self.after(self._gather)
