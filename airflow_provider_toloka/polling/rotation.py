"""The rotation in which operations are read by id, independently of the list. Pure: no I/O, no clock."""

from __future__ import annotations

import heapq

from airflow_provider_toloka.polling.wait import Wait


class Rotation:
    """The waits by the time of their last read by id, the oldest first. Finished waits are dropped."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Wait]] = []
        self._number = 0

    def put(self, wait: Wait, looked: float) -> None:
        """Set a wait's position.

        :param looked: when its operation was last read, or when it was added.
        """
        self._number += 1
        wait.turn = self._number
        heapq.heappush(self._heap, (looked, self._number, wait))

    def take(self, before: float) -> Wait | None:
        """Remove and return the wait with the oldest read.

        :param before: only if that read is at least as old as this.
        """
        while self._heap and (self._heap[0][0] <= before or self._is_void(self._heap[0])):
            one = heapq.heappop(self._heap)
            if not self._is_void(one):
                return one[2]
        return None

    def forget_finished(self) -> None:
        """Drop finished waits."""
        self._heap = [one for one in self._heap if not self._is_void(one)]
        heapq.heapify(self._heap)

    @staticmethod
    def _is_void(one: tuple[float, int, Wait]) -> bool:
        _, number, wait = one
        return wait.turn != number or wait.finished.done()
