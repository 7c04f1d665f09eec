"""Create tasks (``POST /tasks``): validate them against the project, immediately or in an operation."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_toloka.emulator import rules, work
from airflow_provider_toloka.emulator.errors import (
    ApiError,
    FieldErrors,
    field_error,
    invalid,
    invalid_fields,
)
from airflow_provider_toloka.emulator.schemas import TASK
from airflow_provider_toloka.emulator.store import Batch, Store
from airflow_provider_toloka.emulator.tables import View
from airflow_provider_toloka.emulator.timestamps import stamp
from airflow_provider_toloka.emulator.values import check_values

MOST_ITEMS = 5_000
"""The maximum number of tasks in a request without ``async_mode``."""
MOST_INPUT_BYTES = 1_048_576
MOST_OUTPUT_BYTES = 4_194_304
"""The maximum bytes of all ``input_values``, and of all ``output_values``, in a request."""

SWITCHES = ("allow_defaults", "skip_invalid_items", "open_pool", "async_mode")
"""The query parameters of ``POST /tasks``, besides ``operation_id``."""


@dataclass
class Outcome:
    """The results of a request's items, by their position."""

    tasks: dict[int, View] = field(default_factory=dict)
    errors: dict[int, FieldErrors] = field(default_factory=dict)


def read_switches(query: Mapping[str, str], known: Collection[str] = SWITCHES) -> dict[str, bool]:
    """Read the boolean query parameters.

    :param known: their names; the default is false.
    :raises ApiError: 400: an invalid value, or an unknown parameter.
    """
    switches = dict.fromkeys(known, False)
    for name, value in query.items():
        if name == "operation_id" and "async_mode" in known:
            continue
        if name not in known:
            raise invalid(name, "There is no such parameter", "VALUE_NOT_ALLOWED")
        if value.lower() not in ("true", "false"):
            raise invalid(name, "true or false is expected", "BOOLEAN_EXPECTED")
        switches[name] = value.lower() == "true"
    return switches


def check_size(items: Sequence[Any], length: int, *, in_background: bool) -> None:
    """Check that a request is not too large.

    :param length: bytes of its body, which contains all values.
    :raises ApiError: 413: it is too large.
    """
    if len(items) > MOST_ITEMS and not in_background:
        raise ApiError(413, message=f"At most {MOST_ITEMS} tasks are expected in a request without async_mode")
    for name, most in (("input_values", MOST_INPUT_BYTES), ("output_values", MOST_OUTPUT_BYTES)):
        if length > most and sum(map(_BYTES[name], items)) > most:
            raise ApiError(413, message=f"The {name} of a request may have {most} bytes")


def submit(store: Store, items: list[Any], switches: Mapping[str, bool], operation_id: str | None) -> View:
    """Start an operation that creates tasks.

    :param operation_id: its id, if the request contains one.
    :returns: the operation.
    :raises ApiError: 400: the id is not a UUID; 409: an operation with this id exists.
    """
    if operation_id is not None:
        try:
            uuid.UUID(operation_id)
        except ValueError as error:
            raise invalid("operation_id", "A UUID is expected", "UUID_EXPECTED") from error
        if store.tables["operations"].get(operation_id):
            message = f"There is already an operation with id {operation_id}"
            raise ApiError(409, "OPERATION_ALREADY_EXISTS", message, payload={"operation_id": operation_id})
    operation_id = operation_id or store.operations.new_id(store.clock())
    parameters = {name: value for name, value in switches.items() if name != "async_mode"}
    store.batches[operation_id] = Batch(items, parameters)
    return store.operations.submit("TASK.BATCH_CREATE", parameters, store.clock(), operation_id=operation_id)


def carry_out(store: Store, operation: View, at: float) -> Mapping[str, Any]:
    """Carry out an operation that creates tasks.

    :returns: its status, and its details: the numbers of all, valid and created tasks.
    """
    batch = store.batches.pop(operation["id"], None)
    if batch is None:
        return {}
    outcome = create(store, batch.items, batch.parameters, at)
    done, wrong = len(outcome.tasks), len(outcome.errors)
    log = store.operations.logs[operation["id"]] = _log(batch.items, outcome)
    if batch.parameters["open_pool"]:
        log += [
            open_pool(store, pool_id) for pool_id in dict.fromkeys(task["pool_id"] for task in outcome.tasks.values())
        ]
    total = len(batch.items)
    details = {"total_count": total, "valid_count": total - wrong, "not_valid_count": wrong}
    details |= {"success_count": done, "failed_count": total - done}
    return {"details": details, "status": "SUCCESS" if done or not total else "FAIL"}


def create(store: Store, items: Sequence[Any], parameters: Mapping[str, bool], at: float) -> Outcome:
    """Create tasks: the valid ones if the parameters allow it, else all or none."""
    outcome = Outcome()
    checks = _Checks(store, allow_defaults=parameters["allow_defaults"])
    kept = {}
    for place, item in enumerate(items):
        errors: FieldErrors = {}
        form = checks.read(item, errors)
        if errors:
            outcome.errors[place] = errors
        else:
            kept[place] = form
    if outcome.errors and not parameters["skip_invalid_items"]:
        return outcome
    now = stamp(at)
    by_pool: dict[str, list[View]] = {}
    for place, form in kept.items():
        task = outcome.tasks[place] = {"id": store.new_id(form["pool_id"], at), "created": now} | form
        by_pool.setdefault(form["pool_id"], []).append(task)
    for pool_id, tasks in by_pool.items():
        put(store, pool_id, tasks)
        work.go_on(store, pool_id, at)
    return outcome


def create_now(store: Store, items: Sequence[Any], parameters: Mapping[str, bool], *, single: bool) -> dict[str, Any]:
    """Create tasks in one request.

    :param single: whether the request was one task, and not a list.
    :returns: the task, or the created tasks and the errors of the others, by their positions.
    :raises ApiError: 400: there were errors, and no task was created.
    """
    outcome = create(store, items, parameters, store.clock())
    errors = {str(place): error for place, error in outcome.errors.items()}
    if errors and not outcome.tasks:
        raise invalid_fields(errors["0"] if single else errors)
    if parameters["open_pool"]:
        for pool_id in dict.fromkeys(task["pool_id"] for task in outcome.tasks.values()):
            open_pool(store, pool_id)
    if single:
        return outcome.tasks[0]
    return {
        "items": {str(place): task for place, task in outcome.tasks.items()},
        "validation_errors": errors,
    }


def put(store: Store, pool_id: str, tasks: Sequence[View]) -> None:
    """Add new tasks to a pool."""
    for task in tasks:
        store.tables["tasks"].add(task)
    work.shift_of(store, pool_id).add(tasks)


def change(store: Store, task_id: str, form: Mapping[str, Any], *, or_least: bool) -> View:
    """Change a task's overlap, which is the number of Tolokers who do it, or its solutions.

    :param or_least: whether to raise an overlap that is too low to the number of assignments.
    :raises ApiError: 404: no such task; 400: the overlap is too low.
    """
    task = store.find("tasks", task_id)
    changed = task | {name: value for name, value in form.items() if not name.endswith("overlap")}
    if not {"overlap", "infinite_overlap"}.isdisjoint(form):
        given = 0 if task["infinite_overlap"] else task["overlap"] - task["remaining_overlap"]
        overlap = None if form.get("infinite_overlap") else form.get("overlap", task.get("overlap", 1))
        if overlap is not None and overlap < given:
            if not or_least:
                raise invalid("overlap", f"{given} Tolokers have the task already", "VALUE_LESS_THAN_MIN")
            overlap = given
        changed = _without_overlap(changed) | _overlap(overlap, given)
    store.tables["tasks"].replace(changed)
    work.shift_of(store, task["pool_id"]).replace(changed)
    work.go_on(store, task["pool_id"], store.clock())
    return changed


class _Checks:
    # Reads a pool and its project once for all of its items.
    def __init__(self, store: Store, *, allow_defaults: bool) -> None:
        self._store = store
        self._allow_defaults = allow_defaults
        self._pools: dict[str, tuple[View, dict[str, Any]]] = {}

    def read(self, item: Any, errors: FieldErrors) -> View:
        form: View = TASK.read(item, "", errors)
        if errors:
            return form
        pool, spec = self._pool(form["pool_id"])
        if not pool:
            errors["pool_id"] = field_error("ENTITY_DOES_NOT_EXIST", "Entity does not exist")
            return form
        if pool["status"] == "ARCHIVED":
            errors["pool_id"] = field_error("VALUE_NOT_ALLOWED", "The pool is archived")
        errors.update(check_values(form["input_values"], spec["input_spec"], "input_values"))
        for name in ("known_solutions", "baseline_solutions"):
            for place, solution in enumerate(form.get(name, ())):
                path = f"{name}.{place}.output_values"
                errors.update(check_values(solution["output_values"], spec["output_spec"], path))
        if not pool.get("reward_per_assignment", 1) and not form.get("known_solutions"):
            message = "Only training and control tasks can be uploaded to zero-price pools"
            errors["known_solutions"] = field_error("VALUE_REQUIRED", message)
        return _UNRESERVED | _without_overlap(form) | _overlap(self._overlap_of(form, pool, errors))

    def _overlap_of(self, form: View, pool: View, errors: FieldErrors) -> int | None:
        if form.get("infinite_overlap"):
            return None
        if "overlap" in form:
            return int(form["overlap"])
        if not self._allow_defaults:
            errors["overlap"] = field_error("VALUE_REQUIRED", "Value must be present and not equal to null")
            return 1
        defaults = pool.get("defaults")
        if defaults is None or form.get("known_solutions"):
            return None  # every Toloker gets training and control tasks
        return int(defaults.get("default_overlap_for_new_tasks") or defaults["default_overlap_for_new_task_suites"])

    def _pool(self, pool_id: str) -> tuple[View, dict[str, Any]]:
        if pool_id not in self._pools:
            kind = self._store.pool_kind(pool_id)
            pool = self._store.find(kind, pool_id) if kind else {}
            spec = self._store.find("projects", pool["project_id"])["task_spec"] if pool else {}
            self._pools[pool_id] = (pool, spec)
        return self._pools[pool_id]


_UNRESERVED: View = {"reserved_for": [], "unavailable_for": []}


def _without_overlap(task: View) -> View:
    return {name: value for name, value in task.items() if not name.endswith("overlap")}


def _overlap(overlap: int | None, given: int = 0) -> View:
    if overlap is None:
        return {"infinite_overlap": True}
    return {"overlap": overlap, "infinite_overlap": False, "remaining_overlap": overlap - given}


def open_pool(store: Store, pool_id: str) -> dict[str, Any]:
    """Open the pool or training of new tasks, if it can be opened.

    :returns: the entry for the operation's log.
    """
    kind = store.pool_kind(pool_id)
    entry = {"type": "POOL_OPEN", "success": True, "input": {"pool_id": pool_id}, "output": {}}
    try:
        rules.act(store, "trainings" if kind == "trainings" else "pools", pool_id, "open")
    except ApiError as error:
        return entry | {"success": False, "output": {"code": error.code, "message": error.message}}
    return entry


def _log(items: Sequence[Any], outcome: Outcome) -> list[dict[str, Any]]:
    log = []
    for place, item in enumerate(items):
        if task := outcome.tasks.get(place):
            log.append({"type": "TASK_CREATE", "success": True, "input": item, "output": {"task_id": task["id"]}})
        elif errors := outcome.errors.get(place):
            log.append({"type": "TASK_VALIDATE", "success": False, "input": item, "output": errors})
    return log


def _input_bytes(item: Any) -> int:
    return _size(item.get("input_values")) if isinstance(item, dict) else 0


def _output_bytes(item: Any) -> int:
    solutions = item.get("known_solutions") if isinstance(item, dict) else None
    known = solutions if isinstance(solutions, list) else []
    return sum(_size(solution.get("output_values")) for solution in known if isinstance(solution, dict))


def _size(values: Any) -> int:
    return 0 if values is None else len(json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode())


_BYTES = {"input_values": _input_bytes, "output_values": _output_bytes}
