"""Simulated Tolokers: they take task suites from open pools and answer them; a complete pool closes."""

from __future__ import annotations

from typing import Any

from airflow_provider_toloka.emulator import assignments
from airflow_provider_toloka.emulator.operations import draw
from airflow_provider_toloka.emulator.options import Tolokers
from airflow_provider_toloka.emulator.shifts import Shift
from airflow_provider_toloka.emulator.store import Store
from airflow_provider_toloka.emulator.tables import View
from airflow_provider_toloka.emulator.timestamps import seconds, stamp
from airflow_provider_toloka.emulator.values import make_values

_USERS = "5d2f8c1e9b7a40638e4f1a2c"
_TRIES = 8  # to find a wrong answer that differs from the correct one


def user_id(toloker: int) -> str:
    """Return the id of a Toloker: 32 hex digits that end with the Toloker's number."""
    return f"{_USERS}{toloker:08x}"


def toloker_of(user: str) -> int | None:
    """Return the Toloker with an id, or ``None`` if there is none."""
    return int(user[-8:], 16) if user.startswith(_USERS) and len(user) == len(_USERS) + 8 else None


def shift_of(store: Store, pool_id: str) -> Shift:
    """Return the progress of the work on a pool or training."""
    if (shift := store.shifts.get(pool_id)) is None:
        shift = store.shifts[pool_id] = Shift()
    return shift


def close(store: Store, kind: str, pool_id: str, reason: str, at: float) -> None:
    """Close a pool or training."""
    store.tables[kind].update(pool_id, status="CLOSED", last_stopped=stamp(at), last_close_reason=reason)


def start(store: Store, kind: str, pool_id: str, at: float) -> None:
    """Open a pool or training."""
    pool = store.tables[kind].update(pool_id, status="OPEN", last_started=stamp(at))
    if kind == "pools":
        plan_expiry(store, pool, at)
        go_on(store, pool_id, at)


def plan_expiry(store: Store, pool: View, at: float) -> None:
    """Close an open pool when it expires."""
    store.agenda.plan(max(at, seconds(pool["will_expire"])), lambda later: _expire(store, pool["id"], later))


def go_on(store: Store, pool_id: str, at: float) -> None:
    """Notify the Tolokers that a pool may have tasks."""
    pool = store.tables["pools"].get(pool_id)
    if pool is None or pool["status"] != "OPEN":
        return
    if people := store.options.tolokers:
        busy = shift_of(store, pool_id).busy
        for toloker in range(people.count):
            if toloker not in busy:
                store.agenda.plan(at, lambda later, toloker=toloker: _take(store, pool_id, toloker, later))  # type: ignore[misc]
    _close_if_done(store, pool_id, at)


def take_up(store: Store, assignment: View, toloker: int, ends: float, *, in_time: bool) -> None:
    """End an active assignment at a time, with answers if that is in time."""
    shift = shift_of(store, assignment["pool_id"])
    shift.busy.add(toloker)
    shift.ends[assignment["id"]] = (ends, in_time)
    store.agenda.plan(ends, lambda later: _end(store, assignment, toloker, later))


def _take(store: Store, pool_id: str, toloker: int, at: float) -> None:
    pool, people, shift = store.tables["pools"].get(pool_id), store.options.tolokers, shift_of(store, pool_id)
    if pool is None or pool["status"] != "OPEN" or people is None or toloker in shift.busy:
        return
    if pool["reward_per_assignment"] > store.balance:
        close(store, "pools", pool_id, "NOT_ENOUGH_BALANCE", at)
        return
    suite = _suite(pool, shift, toloker)
    if suite:
        assignment = assignments.assign(store, pool, user_id(toloker), suite, at)
        lasts, longest = draw(people.seconds, store.random), pool["assignment_max_duration_seconds"]
        take_up(store, assignment, toloker, at + min(lasts, longest), in_time=lasts < longest)


def _suite(pool: View, shift: Shift, toloker: int) -> list[View]:
    mixer = pool.get("mixer_config") or {}
    size = mixer.get("real_tasks_count", 0)
    fewest = 1 if mixer.get("force_last_assignment", True) else mixer.get("min_real_tasks_count", size)
    general = shift.take(toloker, size, fewest)
    if size and not general and shift.general:
        return []
    once = not general
    control = shift.deal(toloker, mixer.get("golden_tasks_count", 0), shift.control, once=once)
    training = shift.deal(toloker, mixer.get("training_tasks_count", 0), shift.training, once=once)
    return training + control + general


def _end(store: Store, assignment: View, toloker: int, at: float) -> None:
    pool_id = assignment["pool_id"]
    pool, shift = store.tables["pools"].get(pool_id) or {}, shift_of(store, pool_id)
    _, in_time = shift.ends.pop(assignment["id"])
    shift.busy.discard(toloker)
    if in_time:
        project = store.tables["projects"].get(pool["project_id"]) or {}
        answers = [_answer(store, project["task_spec"]["output_spec"], task) for task in assignment["tasks"]]
        assignments.submit(store, pool, assignment["id"], answers, at)
    else:
        shift.give_back(assignment["tasks"])
        assignments.expire(store, assignment, at)
        go_on(store, pool_id, at)
        return
    _close_if_done(store, pool_id, at)
    store.agenda.plan(at, lambda later: _take(store, pool_id, toloker, later))


def _answer(store: Store, specs: dict[str, Any], task: View) -> dict[str, Any]:
    people = store.options.tolokers or Tolokers()
    right = _right_answer(people, specs, task)
    if people.mistakes and store.random.random() < people.mistakes:
        variant = store.random.randrange(1, 1000)
        for step in range(_TRIES):
            wrong = make_values(specs, task["input_values"], variant + step)
            if wrong != right:
                return wrong
    return right


def _right_answer(people: Tolokers, specs: dict[str, Any], task: View) -> dict[str, Any]:
    if people.answers:
        return people.answers(task["input_values"])
    if known := task.get("known_solutions"):
        return dict(known[0]["output_values"])
    return make_values(specs, task["input_values"])


def _close_if_done(store: Store, pool_id: str, at: float) -> None:
    pool, shift = store.tables["pools"].get(pool_id), shift_of(store, pool_id)
    if pool and pool["status"] == "OPEN" and shift.is_exhausted and not shift.ends:
        delay = pool.get("auto_close_after_complete_delay_seconds", 0)
        store.agenda.plan(at + delay, lambda later: _complete(store, pool_id, later))


def _complete(store: Store, pool_id: str, at: float) -> None:
    pool, shift = store.tables["pools"].get(pool_id), shift_of(store, pool_id)
    if pool and pool["status"] == "OPEN" and shift.is_exhausted and not shift.ends:
        close(store, "pools", pool_id, "COMPLETED", at)


def _expire(store: Store, pool_id: str, at: float) -> None:
    pool = store.tables["pools"].get(pool_id)
    if pool and pool["status"] == "OPEN" and seconds(pool["will_expire"]) <= at:
        close(store, "pools", pool_id, "EXPIRED", at)
