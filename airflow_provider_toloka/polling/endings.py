"""Decide when a wait for several operations is over. No I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
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
    There may be ten thousand of these: each has few objects, because every garbage collection scans all of them. To
    save bound methods, an instance is its own callback: for the future of an operation, and for the deadline's timer.

    :param waits: by id, the waits for the operations.
    :param groups: the ids of each group.
    :param context: the context of the callbacks.
    :param fail_fast: whether a failed operation ends its group.
    :param gather: seconds to continue after the first group has ended.
    :param empty_after: after how many seconds a group without operations ends.
    """

    __slots__ = (
        "_context",
        "_empty_timer",
        "_fail_fast",
        "_gather",
        "_groups",
        "_running",
        "_timer",
        "_waits",
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
        self._waits = waits
        self._groups = groups
        self._context = context
        self._fail_fast = fail_fast
        self._gather = gather
        self._running = len(waits)
        # Cheaper than asyncio.timeout.
        self._timer: asyncio.TimerHandle | None = None
        self._empty_timer: asyncio.TimerHandle | None = None
        if not all(groups):
            self._empty_timer = asyncio.get_running_loop().call_later(empty_after, self._end_group)
        for wait in waits.values():
            wait.finished.add_done_callback(self, context=context)

    def after(self, seconds: float) -> None:
        """End the wait after this many seconds, if it does not end earlier."""
        loop = asyncio.get_running_loop()
        time = loop.time() + max(0.0, seconds)
        if self._timer is None or time < self._timer.when():
            if self._timer:
                self._timer.cancel()
            self._timer = loop.call_at(time, self, context=self._context)

    def close(self) -> None:
        """Stop waiting."""
        for timer in (self._timer, self._empty_timer):
            if timer:
                timer.cancel()
        for wait in self._waits.values():
            wait.finished.remove_done_callback(self)

    def __call__(self, finished: asyncio.Future[Operation] | None = None) -> None:
        """Record the end of an operation; end the wait if a group has ended.

        :param finished: the operation's future; None: the deadline has passed.
        """
        error = None if finished is None or finished.cancelled() else finished.exception()
        if finished is None or (error and not isinstance(error, TolokaNotFoundError)):
            # The deadline has passed, or the error affects all operations.
            self._end()
            return
        self._running -= 1
        ends_group = finished.cancelled() or bool(error) or (self._fail_fast and finished.result().failed)
        if ends_group or self._has_finished_group():
            self._end_group()

    def _has_finished_group(self) -> bool:
        if len(self._groups) == 1:  # counting is enough, and the group may be large
            return not self._running
        return any(group and all(self._waits[id_].finished.done() for id_ in group) for group in self._groups)

    def _end_group(self) -> None:
        if not self._gather or not self._running:
            self._end()
        else:
            self.after(self._gather)

    def _end(self) -> None:
        if not self.is_over.done():
            self.is_over.set_result(None)
