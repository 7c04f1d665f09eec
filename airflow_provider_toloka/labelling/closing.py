"""Decide whether a wait for a pool is over. Pure.

API: ``PoolViewV1.status`` and ``last_close_reason``. A CLOSED pool may never have been opened, or may open again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from airflow_provider_toloka._text import shown
from airflow_provider_toloka.client.models import ARCHIVED, CLOSED, Pool

REASONS = (
    "MANUAL",
    "EXPIRED",
    "COMPLETED",
    "NOT_ENOUGH_BALANCE",
    "ASSIGNMENTS_LIMIT_EXCEEDED",
    "BLOCKED",
    "FOR_UPDATE",
)

_REMEDIES = {
    "NOT_ENOUGH_BALANCE": "Top up the account, and open the pool again",
    "EXPIRED": "Not all tasks are done: set a later will_expire, and open the pool again",
    "MANUAL": "It was closed manually: open it again",
    "BLOCKED": "Toloka has blocked the account: ask Toloka's support",
    "ASSIGNMENTS_LIMIT_EXCEEDED": "Use another pool for the rest",
}


@dataclass(frozen=True)
class Outcome:
    """The state of a wait for a pool.

    :param is_over: whether the wait is over.
    :param problem: why the wait has failed; None: it has not.
    :param note: a description of the pool's state.
    """

    is_over: bool
    note: str
    problem: str | None = None


def outcome(pool: Pool, reasons: Collection[str]) -> Outcome:
    """Return the state of a wait for a pool.

    :param pool: the pool.
    :param reasons: the reasons for closing that the wait is for.
    """
    reason = pool.last_close_reason
    if pool.last_started is None:
        if pool.status == ARCHIVED:
            note = f"Pool {pool.id} was archived without having been opened"
            return Outcome(True, note, f"{note}. Open a pool before you wait for it.")
        return Outcome(False, f"Pool {pool.id} was never opened")
    if pool.status not in (CLOSED, ARCHIVED) or reason is None:
        return Outcome(False, f"Pool {pool.id} is {pool.status}")
    note = f"Pool {pool.id} is {pool.status}, closed as {reason}"
    if reason in reasons:
        return Outcome(True, note)
    if reason == "FOR_UPDATE" and pool.status == CLOSED:
        # API: the pool opens again by itself within 15 minutes.
        return Outcome(False, f"{note}, and will open again")
    remedy = _REMEDIES.get(reason, "Open it again")
    wanted = ", ".join(reasons)
    return Outcome(
        True, note, f"Pool {pool.id} was closed as {reason}, not as {wanted}. {remedy}, or allow {reason} in reasons."
    )


def check_reasons(reasons: object) -> tuple[str, ...]:
    """Return a parameter's reasons for closing.

    :param reasons: a list of reasons, or one.
    :raises ValueError: a reason is unknown.
    """
    given = (reasons,) if isinstance(reasons, str) else tuple(reasons) if isinstance(reasons, Collection) else ()
    if not given or not set(given) <= set(REASONS):
        raise ValueError(f"reasons should be one or more of {', '.join(REASONS)}, but is {shown(reasons)}.")
    return given
