"""The progress of the work on a pool: which tasks are left, and for whom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from airflow_provider_toloka.emulator.tables import View


def is_training_task(task: View) -> bool:
    """Return whether a task has a hint."""
    return bool(task.get("known_solutions") and task.get("message_on_unknown_solution"))


class Shift:
    """The work on one pool.

    Each Toloker gets the general tasks in their order, each once. ``remaining_overlap`` of a task decreases with every
    assignment. Control and training tasks are assigned repeatedly in rotation.

    ``left`` is how often general tasks have to be assigned yet, ``busy`` who is working, and ``ends`` when the active
    assignments end (seconds since 1970), and whether in time.
    """

    def __init__(self) -> None:
        self.general: list[View] = []
        self.control: list[View] = []
        self.training: list[View] = []
        self.left = 0
        self.busy: set[int] = set()
        self.ends: dict[str, tuple[float, bool]] = {}
        self._places: dict[str, int] = {}
        self._first = 0
        self._next: dict[int, int] = defaultdict(int)
        self._met: dict[int, bytearray] = defaultdict(bytearray)
        self._dealt: dict[int, int] = defaultdict(int)

    def add(self, tasks: Iterable[View]) -> None:
        """Add new tasks of the pool."""
        for task in tasks:
            if is_training_task(task):
                self.training.append(task)
            elif task.get("known_solutions"):
                self.control.append(task)
            else:
                self._places[task["id"]] = len(self.general)
                self.general.append(task)
                self.left += self._open(task)

    @property
    def is_empty(self) -> bool:
        """Whether the pool has no tasks."""
        return not (self.general or self.control or self.training)

    @property
    def is_exhausted(self) -> bool:
        """Whether the pool has general tasks, and all of them have been assigned."""
        return bool(self.general) and self.left == 0 and not any(task["infinite_overlap"] for task in self.general)

    def replace(self, task: View) -> None:
        """Replace the task with the same id."""
        for tasks in (self.control, self.training):
            tasks[:] = [task if one["id"] == task["id"] else one for one in tasks]
        place = self._places.get(task["id"])
        if place is not None:
            self.left += self._open(task) - self._open(self.general[place])
            self.general[place] = task
            self._rewind(place)

    def take(self, toloker: int, size: int, fewest: int) -> list[View]:
        """Assign general tasks to a Toloker.

        :param size: the number of tasks.
        :param fewest: assign none if there are fewer.
        """
        found = list(self._offers(toloker, size))
        if not found:
            self._next[toloker] = len(self.general)
        if len(found) < max(1, fewest):
            return []
        met = self._met[toloker]
        met.extend(bytes(len(self.general) - len(met)))
        for place in found:
            met[place] = 1
            task = self.general[place]
            if not task["infinite_overlap"]:
                task["remaining_overlap"] -= 1
                self.left -= 1
        self._next[toloker] = found[-1] + 1
        return [self.general[place] for place in found]

    def deal(self, toloker: int, count: int, tasks: list[View], *, once: bool) -> list[View]:
        """Assign control or training tasks to a Toloker, in rotation.

        :param once: whether to leave out tasks that the Toloker has had.
        """
        start = self._dealt[toloker]
        if once:
            count = min(count, len(tasks) - start)
        dealt = [tasks[(start + place) % len(tasks)] for place in range(count)] if tasks and count > 0 else []
        self._dealt[toloker] += len(dealt)
        return dealt

    def met(self, toloker: int, tasks: Iterable[View]) -> None:
        """Record that a Toloker has had tasks."""
        seen = self._met[toloker]
        seen.extend(bytes(len(self.general) - len(seen)))
        for task in tasks:
            if (place := self._places.get(task["id"])) is not None:
                seen[place] = 1

    def give_back(self, tasks: Iterable[View]) -> None:
        """Take unfinished tasks back from a Toloker, for others."""
        for task in tasks:
            place = self._places.get(task["id"])
            if place is not None and not self.general[place]["infinite_overlap"]:
                self.general[place]["remaining_overlap"] += 1
                self.left += 1
                self._rewind(place)

    def _rewind(self, place: int) -> None:
        self._first = min(self._first, place)
        for toloker, reached in self._next.items():
            self._next[toloker] = min(reached, place)

    def _offers(self, toloker: int, size: int) -> Iterator[int]:
        if size == 0:
            return
        while self._first < len(self.general) and not self._open(self.general[self._first], infinite=1):
            self._first += 1
        met = self._met[toloker]
        for place in range(max(self._first, self._next[toloker]), len(self.general)):
            if (place >= len(met) or not met[place]) and self._open(self.general[place], infinite=1):
                yield place
                size -= 1
                if not size:
                    return

    @staticmethod
    def _open(task: View, infinite: int = 0) -> int:
        return infinite if task["infinite_overlap"] else int(task["remaining_overlap"])
