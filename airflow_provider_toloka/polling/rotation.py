"""Which operations are read by their ids in turn, however the list is doing. Pure: no I/O, no clock."""

from __future__ import annotations

import heapq

from airflow_provider_toloka.polling.wait import Wait


class Rotation:
    """The waits by the time of their last look by id, the oldest first. Those that have finished drop out."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Wait]] = []
        self._number = 0

    def put(self, wait: Wait, looked: float) -> None:
        """Give a wait its place, instead of the one that it has.

        :param looked: when its operation was read last, or when there was nothing to read yet.
        """
        self._number += 1
        wait.turn = self._number
        heapq.heappush(self._heap, (looked, self._number, wait))

    def take(self, before: float) -> Wait | None:
        """Return the wait whose last look is the oldest, and remove it.

        :param before: only if that look is as old as this.
        """
        while self._heap and (self._heap[0][0] <= before or self._is_void(self._heap[0])):
            one = heapq.heappop(self._heap)
            if not self._is_void(one):
                return one[2]
        return None

    def forget_finished(self) -> None:
        """Drop the waits that have finished."""
        self._heap = [one for one in self._heap if not self._is_void(one)]
        heapq.heapify(self._heap)

    @staticmethod
    def _is_void(one: tuple[float, int, Wait]) -> bool:
        _, number, wait = one
        return wait.turn != number or wait.finished.done()
