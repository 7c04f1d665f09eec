"""Settings of the emulated Toloka, including behaviour that the API's description leaves open."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from airflow_provider_toloka.emulator.operations import Duration

ArchivedAnswer = Literal["204", "409", "operation"]
"""The possible answers to archiving an archived project, which the API's description does not specify."""

Answers = Callable[[dict[str, Any]], dict[str, Any]]
"""Returns the correct ``output_values`` for a task's ``input_values``."""


@dataclass(frozen=True)
class Tolokers:
    """The simulated Tolokers, who work on open pools.

    Each takes one task suite after another, and no task twice. Completing a pool with an overlap of n takes at least n
    Tolokers.

    :param count: their number.
    :param seconds: how long a task suite takes, in seconds, or a range to draw from. After more than the pool's
        ``assignment_max_duration_seconds``, the suite expires.
    :param mistakes: the share of wrong answers, from 0 to 1.
    :param answers: returns the correct answers. Default: the ``known_solutions``, or answers that match the project's
        ``output_spec``, always the same for the same input.
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

    :param archived_project_answer: the answer to archiving an archived project.
    :param quotas: whether to enforce the quotas for creating and aggregating.
    :param accounts: the accounts allowed in ``X-Act-Under-Account-ID``, besides the requester's own; ``None``: any.
    :param list_lag: how many seconds lists do not show a project, pool or training that was created by a request.
    :param keep_metadata: whether to keep the ``metadata`` of created objects.
    :param tolokers: the Tolokers who work on open pools; ``None``: none.
    """

    archived_project_answer: ArchivedAnswer = "operation"
    quotas: bool = True
    accounts: Collection[str] | None = ()
    list_lag: float = 0
    keep_metadata: bool = True
    tolokers: Tolokers | None = field(default=None)

    def change(self, **changes: Any) -> None:
        """Change settings, as they come in JSON: ``tolokers`` may be an object.

        :raises ValueError: an unknown setting, or an invalid value.
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
