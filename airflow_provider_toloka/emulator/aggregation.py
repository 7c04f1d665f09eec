"""Aggregate the answers to a task (``POST /aggregated-solutions/...``).

Toloka's models estimate the quality of each Toloker. The emulator uses a majority vote, and its share of the answers
as the confidence: the format is Toloka's, the numbers are not.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from airflow_provider_toloka.emulator.errors import ApiError, field_error, invalid, invalid_fields, wrong_status
from airflow_provider_toloka.emulator.listing import read_limit, read_sort, within
from airflow_provider_toloka.emulator.store import REQUESTER_ID, Store
from airflow_provider_toloka.emulator.tables import View

LEAST_ANSWERS = 2
"""The number of accepted answers that a task needs to be aggregated."""

_RELATIONS = ("gt", "gte", "lt", "lte")


def aggregate_pool(store: Store, form: Mapping[str, Any]) -> View:
    """Start to aggregate the answers of a pool.

    :returns: the operation.
    :raises ApiError: 400 when a field or the skill does not exist; 404 when the pool does not; 409 unless it is closed.
    """
    pool, project, names = _check(store, form)
    if pool["status"] not in ("CLOSED", "ARCHIVED"):
        raise wrong_status("POOL_INAPPROPRIATE_STATUS", "CLOSED", "ARCHIVED")
    parameters: dict[str, Any] = {"pool_id": pool["id"], "algorithm": form["type"], "pool_name": pool["private_name"]}
    parameters |= {"project_id": project["id"], "requester_id": REQUESTER_ID}
    if form["type"] == "DAWID_SKENE":
        parameters["input_fields"] = sorted(project["task_spec"]["input_spec"])
        parameters |= {"missing_output_fields": [], "aggregated_output_fields": names}
    else:
        parameters["aggregated_fields"] = [{"name": name} for name in names]
        parameters["answer_weight_skill_id"] = form["answer_weight_skill_id"]
    return store.operations.submit("SOLUTION.AGGREGATE", parameters, store.clock())


def carry_out(store: Store, operation: View, _at: float) -> Mapping[str, Any]:
    """Carry out an aggregation."""
    parameters = operation["parameters"]
    fields = parameters.get("aggregated_output_fields") or [
        field["name"] for field in parameters.get("aggregated_fields", ())
    ]
    store.solutions[operation["id"]] = list(_aggregate(store, str(parameters.get("pool_id")), fields))
    return {}


def aggregate_task(store: Store, form: Mapping[str, Any]) -> View:
    """Aggregate the answers to one task.

    :returns: the aggregated answer.
    :raises ApiError: 400 when something that the form names does not exist; 404 when the pool does not; 409 when there
        are too few answers.
    """
    pool, _, names = _check(store, form)
    task_id = form.get("task_id")
    if task_id is None:
        raise invalid("task_id", "Value must be present and not equal to null", "VALUE_REQUIRED")
    task = store.tables["tasks"].get(task_id)
    if task is None or task["pool_id"] != pool["id"]:
        raise invalid("task_id", "Entity does not exist", "ENTITY_DOES_NOT_EXIST")
    for solution in _aggregate(store, pool["id"], names):
        if solution["task_id"] == task_id:
            return solution
    raise ApiError(409, "CONFLICT_STATE", f"The task has fewer than {LEAST_ANSWERS} accepted answers")


def read_page(store: Store, operation_id: str, parameters: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return a page of an operation's results.

    :raises ApiError: 404 when there is no such operation, 400 for a parameter that is wrong, 409 while it is not done.
    """
    operation = store.find("operations", operation_id)
    limit, sort, bounds = 50, None, []
    for name, value in parameters:
        ranged, _, relation = name.rpartition("_")
        if name == "limit":
            limit = read_limit(value)
        elif name == "sort":
            sort = read_sort(("task_id",), value)[0]
        elif ranged == "task_id" and relation in _RELATIONS:
            bounds.append((relation, value))
        else:
            raise invalid(name, "There is no such parameter", "VALUE_NOT_ALLOWED")
    if operation["type"] != "SOLUTION.AGGREGATE":
        raise ApiError(409, "INVALID_OPERATION_TYPE", "The operation does not aggregate")
    if operation["status"] != "SUCCESS":
        raise ApiError(409, "CONFLICT_STATE", "The operation has not succeeded")
    rows = [
        row
        for row in store.solutions.get(operation["id"], ())
        if all(within(row["task_id"], relation, bound) for relation, bound in bounds)
    ]
    if sort is None:  # in an order that clients cannot use for paging
        rows.sort(key=lambda row: zlib.crc32(row["task_id"].encode()))
    elif sort[1]:
        rows.reverse()
    return {"items": rows[:limit], "has_more": len(rows) > limit}


def _check(store: Store, form: Mapping[str, Any]) -> tuple[View, View, list[str]]:
    pool = store.find("pools", form["pool_id"])
    project = store.find("projects", pool["project_id"])
    known, names = project["task_spec"]["output_spec"], [field["name"] for field in form["fields"]]
    errors = {
        f"fields.{place}.name": field_error("VALUE_NOT_ALLOWED", "The project has no such output field")
        for place, name in enumerate(names)
        if name not in known
    }
    skill_id = form.get("answer_weight_skill_id")
    if form["type"] == "WEIGHTED_DYNAMIC_OVERLAP" and store.tables["skills"].get(skill_id or "") is None:
        errors["answer_weight_skill_id"] = field_error("ENTITY_DOES_NOT_EXIST", "Entity does not exist")
    if errors:
        raise invalid_fields(errors)
    return pool, project, names


def _aggregate(store: Store, pool_id: str, names: list[str]) -> Iterable[View]:
    # Answers are compared as JSON: they may be lists or objects.
    votes: dict[str, list[dict[str, str]]] = {}
    for assignment in store.tables["assignments"].walk(("pool_id", pool_id)):
        if assignment["status"] == "ACCEPTED":
            for task, solution in zip(assignment["tasks"], assignment["solutions"], strict=True):
                values = solution["output_values"]
                votes.setdefault(task["id"], []).append({name: json.dumps(values.get(name)) for name in names})
    for task_id in sorted(votes):
        answers = votes[task_id]
        if len(answers) < LEAST_ANSWERS:
            continue
        winners = {name: Counter(answer[name] for answer in answers).most_common(1)[0] for name in names}
        yield {
            "task_id": task_id,
            "pool_id": pool_id,
            "output_values": {name: json.loads(text) for name, (text, _) in winners.items()},
            "confidence": round(min(count for _, count in winners.values()) / len(answers), 6),
        }
