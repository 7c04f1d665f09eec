"""Assignments: task suites that Tolokers have taken (``PATCH /assignments``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_toloka.emulator.errors import wrong_status
from airflow_provider_toloka.emulator.store import REQUESTER_ID, Store
from airflow_provider_toloka.emulator.tables import View
from airflow_provider_toloka.emulator.timestamps import stamp

_DAY = 24 * 60 * 60
_CENT_PARTS = 6  # decimal places of money


def charge(store: Store, amount: float) -> None:
    """Take money from the account, or return it if the amount is negative."""
    store.balance = round(store.balance - amount, _CENT_PARTS)


def assign(store: Store, pool: View, user_id: str, tasks: Sequence[View], at: float) -> View:
    """Assign a task suite to a Toloker, and reserve its reward."""
    charge(store, pool["reward_per_assignment"])
    assignment = {
        "id": store.new_id(pool["id"], at),
        "task_suite_id": store.new_id(pool["id"], at),
        "pool_id": pool["id"],
        "user_id": user_id,
        "status": "ACTIVE",
        "reward": pool["reward_per_assignment"],
        "tasks": list(tasks),
        "mixed": True,
        "automerged": False,
        "created": stamp(at),
        "owner": {"id": REQUESTER_ID, "myself": True},
    }
    store.tables["assignments"].add(assignment)
    return assignment


def submit(store: Store, pool: View, assignment_id: str, answers: Sequence[dict[str, Any]], at: float) -> View:
    """Submit the answers of an active assignment, and accept them if the pool has automatic acceptance."""
    now = stamp(at)
    changes: dict[str, Any] = {"status": "SUBMITTED", "submitted": now}
    changes["solutions"] = [{"output_values": values} for values in answers]
    if pool["auto_accept_solutions"]:
        changes |= {"status": "ACCEPTED", "accepted": now}
    elif days := pool.get("auto_accept_period_day"):
        store.agenda.plan(at + days * _DAY, lambda later: _accept_unread(store, assignment_id, later))
    return store.tables["assignments"].update(assignment_id, **changes)


def expire(store: Store, assignment: View, at: float) -> None:
    """Expire an active assignment."""
    charge(store, -assignment["reward"])
    store.tables["assignments"].update(assignment["id"], status="EXPIRED", expired=stamp(at))


def judge(store: Store, assignment_id: str, form: dict[str, Any]) -> View:
    """Accept or reject an assignment.

    :param form: ``status`` and ``public_comment``.
    :raises ApiError: 404: no such assignment; 409: not submitted, and not rejected in order to be accepted.
    """
    assignment, at = store.find("assignments", assignment_id), store.clock()
    appropriate = ("SUBMITTED", "REJECTED") if form["status"] == "ACCEPTED" else ("SUBMITTED",)
    if assignment["status"] not in appropriate:
        raise wrong_status("INAPPROPRIATE_STATUS", *appropriate)
    changes = dict(form)
    if form["status"] == "ACCEPTED":
        changes["accepted"] = stamp(at)
        if assignment["status"] == "REJECTED":
            charge(store, assignment["reward"])
    else:
        changes["rejected"] = stamp(at)
        charge(store, -assignment["reward"])
    return store.tables["assignments"].update(assignment_id, **changes)


def _accept_unread(store: Store, assignment_id: str, at: float) -> None:
    assignment = store.tables["assignments"].get(assignment_id)
    if assignment and assignment["status"] == "SUBMITTED":
        store.tables["assignments"].update(assignment_id, status="ACCEPTED", accepted=stamp(at))
