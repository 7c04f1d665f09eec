"""How the emulated Toloka behaves where its settings say, and where the API's description leaves it open."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from airflow_provider_toloka.emulator.operations import Duration

ArchivedAnswer = Literal["204", "409", "operation"]
"""How the archiving of an archived project is answered. The API's description does not say; each of these may be."""

Answers = Callable[[dict[str, Any]], dict[str, Any]]
"""Gives the right ``output_values`` for a task's ``input_values``."""


@dataclass(frozen=True)
class Tolokers:
    """The people who work on open pools.

    Each takes one task suite after another and no task twice. A pool whose tasks have an overlap of n is completed by
    n Tolokers or more.

    :param count: how many there are.
    :param seconds: how long one takes for a task suite, in seconds, or a lowest and highest number to draw from.
        Who takes longer than the pool's ``assignment_max_duration_seconds`` loses the suite.
    :param mistakes: the part of the answers that is wrong, from 0 to 1.
    :param answers: gives the right answers. By default they are those that ``known_solutions`` name, or such as fit
        the project's ``output_spec``, always the same for the same input.
    """

    count: int = 10
    seconds: Duration = 0
    mistakes: float = 0
    answers: Answers | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        low, high = self.seconds if isinstance(self.seconds, tuple) else (self.seconds, self.seconds)
        if self.count < 0 or not 0 <= low <= high or not 0 <= self.mistakes <= 1:
            raise ValueError(f"a count, seconds and a part from 0 to 1 are expected, not {self}")


@dataclass
class Options:
    """The settings of an emulator, which can be changed while it runs.

    :param archived_project_answer: how the archiving of an archived project is answered.
    :param quotas: count what is created and aggregated, and answer 429 when a quota is used up.
    :param accounts: the accounts that ``X-Act-Under-Account-ID`` may name, besides the requester's own; ``None`` for
        any.
    :param list_lag: seconds for which lists do not show a project, pool or training that was created by a request.
    :param keep_metadata: keep the ``metadata`` of what is created; otherwise it is dropped.
    :param tolokers: who works on open pools; ``None`` for nobody.
    """

    archived_project_answer: ArchivedAnswer = "operation"
    quotas: bool = True
    accounts: Collection[str] | None = ()
    list_lag: float = 0
    keep_metadata: bool = True
    tolokers: Tolokers | None = field(default=None)

    def change(self, **changes: Any) -> None:
        """Change settings, as they come in JSON: ``tolokers`` may be an object.

        :raises ValueError: for one that there is not, or a value that makes no sense.
        """
        if unknown := set(changes) - {known.name for known in fields(self)}:
            raise ValueError(f"there are no options {', '.join(sorted(unknown))}")
        if isinstance(people := changes.get("tolokers"), dict):
            taken = people.get("seconds", 0)
            seconds = (float(taken[0]), float(taken[1])) if isinstance(taken, list) else float(taken)
            changes["tolokers"] = Tolokers(**people | {"seconds": seconds})
        if changes.get("archived_project_answer", "204") not in ("204", "409", "operation"):
            raise ValueError("archived_project_answer is '204', '409' or 'operation'")
        for name, value in changes.items():
            setattr(self, name, value)
