"""A run that labels data: what it is started with, and what it has to leave behind."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.durability.toloka_process import objects_of, submitted

#: What a run uploads, a task each; two Tolokers answer each of them.
IMAGES = [f"https://example.com/{number}.jpg" for number in range(6)]

_ON_POOL = ("TASK.BATCH_CREATE", "POOL.OPEN", "SOLUTION.AGGREGATE", "POOL.ARCHIVE")
_ON_PROJECT = ("SOLUTION.AGGREGATE", "PROJECT.ARCHIVE")

State = Mapping[str, Sequence[Mapping[str, Any]]]


def conf(connection_id: str, project_name: str, *, closes_after: int = 0) -> dict[str, Any]:
    """Return what a run of the DAG ``labelling`` is started with.

    :param connection_id: the connection, after which its files are named, too.
    :param closes_after: how many seconds the pool stays open after its last answer.
    """
    return {
        "case": connection_id,
        "project_name": project_name,
        "closes_after": closes_after,
        "tasks": [{"input_values": {"image": image}} for image in IMAGES],
    }


def objects(state: State, project_name: str) -> tuple[str, ...]:
    """Return the ids of the projects with a name, and of their pools."""
    projects = [row["id"] for row in state.get("projects", ()) if row["public_name"] == project_name]
    return (*projects, *(row["id"] for row in state.get("pools", ()) if row["project_id"] in projects))


def check(state: State, project_name: str, folder: Path, connection_id: str) -> str:
    """Check that a run has made everything once; return what it has made."""
    project_id, pool_id = ids = objects(state, project_name)  # one of each
    rows = [*state["projects"], *state["pools"]]
    assert {row["id"]: row["status"] for row in rows if row["id"] in ids} == dict.fromkeys(ids, "ARCHIVED")
    operations = [one for one in state["operations"] if objects_of(one).intersection(ids)]
    assert {operation["status"] for operation in operations} == {"SUCCESS"}
    wanted = [*(f"{kind} {pool_id}" for kind in _ON_POOL), *(f"{kind} {project_id}" for kind in _ON_PROJECT)]
    counts = submitted(operations, ids)
    assert counts == Counter(wanted), counts
    images = [task["input_values"]["image"] for task in state["tasks"] if task["pool_id"] == pool_id]
    assert sorted(images) == sorted(IMAGES)
    answers, result = (_rows(folder / f"{connection_id}-{name}.jsonl") for name in ("answers", "result"))
    assert Counter(row["input"]["image"] for row in answers) == Counter(2 * IMAGES)
    assert len({(row["assignment_id"], row["task_id"]) for row in answers}) == len(answers)
    assert len(result) == len({row["task_id"] for row in result}) == len(IMAGES)
    return f"1 project, 1 pool, {len(images)} tasks, {len(answers)} answers"


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
