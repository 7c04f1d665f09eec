"""What is done to which way of waiting, and how it has to end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.durability import labelling

ARCHIVING = ("archive_wait", "archive_deferrable")
WITH_STAGES = ("pools_wait", "pools_deferrable", "cleanup_wait", "cleanup_deferrable")
CHANGING = (*ARCHIVING, *WITH_STAGES)
SENSORS = ("sensor_poke", "sensor_reschedule", "sensor_deferrable")
ALL = (*CHANGING, *SENSORS)
DEFERRABLE = tuple(variant for variant in ALL if variant.endswith("deferrable"))
WAITING = tuple(variant for variant in ALL if variant.endswith(("wait", "poke")))

#: The tasks of the DAG that labels data, each with the path of its POST. All but the first two can be retried at once.
LABELLING = {
    "labelling create_project": "/projects",
    "labelling create_pool": "/pools",
    "labelling add_tasks": "/tasks",
    "labelling open_pool": "/pools/*/open",
    "labelling aggregate": "/aggregated-solutions/aggregate-by-pool",
    "labelling archive_project": "/projects/*/archive",
}
IDEMPOTENT = ("labelling add_tasks", "labelling open_pool", "labelling archive_project")
LABELLING_DEFERRED = ("labelling add_tasks", "labelling wait")
#: How the variants are called in the table.
TITLES = {
    "archive_wait": "archive, wait",
    "archive_deferrable": "archive, deferrable",
    "pools_wait": "project with pools, wait",
    "pools_deferrable": "project with pools, deferrable",
    "cleanup_wait": "clean-up, wait",
    "cleanup_deferrable": "clean-up, deferrable",
    "sensor_poke": "sensor, poke",
    "sensor_reschedule": "sensor, reschedule",
    "sensor_deferrable": "sensor, deferrable",
    "labelling create_project": "labelling: create a project",
    "labelling create_pool": "labelling: create a pool",
    "labelling add_tasks": "labelling: add tasks",
    "labelling open_pool": "labelling: open the pool",
    "labelling wait": "labelling: wait for the pool",
    "labelling export_answers": "labelling: export the answers",
    "labelling aggregate": "labelling: aggregate the answers",
    "labelling archive_project": "labelling: archive the project",
}


@dataclass(frozen=True)
class Event:
    """Something that happens to a task.

    :param name: for the test's id.
    :param text: for the table.
    :param instant: when: a key of ``INSTANTS``.
    :param act: what is done then: see ``campaign.py``.
    :param variants: to which ways of waiting.
    :param tries: how many tries the task takes at least.
    :param state: how the task ends.
    """

    name: str
    text: str
    instant: str
    act: str
    variants: tuple[str, ...]
    tries: int = 2
    state: str = "success"


EVENTS = (
    Event("killed-before-post", "task process killed before the POST", "before", "kill task", CHANGING),
    Event(
        "killed-post-on-its-way",
        "… while the POST is on its way; it arrives later",
        "sent",
        "kill task",
        (*CHANGING, *IDEMPOTENT),
    ),
    Event("killed-before-answer", "… between POST and answer", "unanswered", "kill task", (*CHANGING, *LABELLING)),
    Event("killed-after-answer", "… after the answer", "answered", "kill task", CHANGING),
    Event("killed-between-stages", "… between pools and project", "stage", "kill task", WITH_STAGES),
    Event("killed-looking", "… during its first poll", "looking", "kill task", SENSORS),
    Event("killed-reading", "… while it reads", "reading", "kill task", ("labelling export_answers",)),
    Event("killed-waiting", "… while it waits", "waiting", "kill task", (*WAITING, "sensor_reschedule")),
    Event("worker-killed", "executor's worker killed while the task waits", "waiting", "kill worker", WAITING),
    Event(
        "worker-killed-before-answer",
        "executor's worker killed between POST and answer",
        "unanswered",
        "kill worker",
        (*(variant for variant in CHANGING if variant in DEFERRABLE), "labelling create_pool", "labelling add_tasks"),
        1,
    ),
    Event("cleared-deferred", "cleared while deferred", "deferred", "clear", (*DEFERRABLE, *LABELLING_DEFERRED)),
    Event("cleared-after-success", "cleared after its success", "ended", "clear", ALL),
    Event("marked-failed-deferred", "marked failed while deferred", "deferred", "mark failed", DEFERRABLE, 1, "failed"),
    Event("marked-failed-running", "marked failed while it waits", "waiting", "mark failed", WAITING, 1, "failed"),
    Event("paused", "DAG paused while it waits, and unpaused", "waiting", "pause", ALL, 1),
    Event(
        "triggerer-taken-over",
        "triggerer killed, another takes over",
        "deferred",
        "take over",
        (*DEFERRABLE, *LABELLING_DEFERRED),
        1,
    ),
    Event(
        "triggerer-restarted",
        "triggerer killed and started again",
        "deferred",
        "restart triggerer",
        (*DEFERRABLE, *LABELLING_DEFERRED),
        1,
    ),
    Event("scheduler-restarted", "scheduler killed and started again", "waiting", "restart scheduler", ALL, 1),
    Event("toloka-restarted", "Toloka gone while it waits, and back", "waiting", "restart toloka", ALL, 1),
    Event(
        "toloka-restarted-before-answer",
        "Toloka gone between POST and answer, and back",
        "unanswered",
        "restart toloka",
        CHANGING,
        1,
    ),
)

#: What disturbs all cases at once, in this order, after those that are disturbed one by one.
SHARED = ("take over", "restart triggerer", "restart scheduler", "restart toloka")


@dataclass(frozen=True)
class Case:
    """One event that happens to one way of waiting.

    :param number: identifies its projects and its requests.
    """

    event: Event
    variant: str
    number: int

    @property
    def id(self) -> str:
        """The test's id."""
        return f"{self.event.name}-{self.variant}"

    @property
    def name(self) -> str:
        """The connection, the account and the run; the project's name begins with it."""
        return f"case_{self.number}"

    @property
    def dag_id(self) -> str:
        """The DAG to run: a separate one if it has to be paused."""
        dag_id = self.variant.partition(" ")[0]
        return f"{dag_id}_paused" if self.event.act == "pause" else dag_id

    @property
    def task_id(self) -> str:
        """The task to which it happens."""
        return self.variant.partition(" ")[2] or "task"

    @property
    def is_labelling(self) -> bool:
        """Whether the run creates its project and its pool."""
        return self.dag_id == "labelling"

    @property
    def project_name(self) -> str:
        """The project's name."""
        return f"{self.name} project"

    @property
    def project_id(self) -> str:
        """The project that is archived, or that the awaited operation archives."""
        return str(10_000 + self.number)

    @property
    def pool_ids(self) -> tuple[str, ...]:
        """The pools that are archived before."""
        first = 20_000 + 10 * self.number
        if self.variant.startswith("pools"):
            return str(first), str(first + 1)
        return (str(first),) if self.variant.startswith("cleanup") else ()

    @property
    def operation_id(self) -> str | None:
        """The operation that is waited for, if the task submits none."""
        return f"{self.number:024x}" if self.variant in SENSORS else None

    @property
    def first_post(self) -> str:
        """The path of the first change; with several pools, of any of them; when labelling, of the task's change."""
        if self.is_labelling:
            return LABELLING.get(self.variant, "")
        if self.variant.startswith("pools"):
            return f"/pools/{self.pool_ids[0]}/close"
        return f"/pools/{self.pool_ids[0]}/archive" if self.pool_ids else self.last_post

    @property
    def last_post(self) -> str:
        """The path of the last change."""
        return f"/projects/{self.project_id}/archive"

    @property
    def conf(self) -> dict[str, Any]:
        """What the run is started with."""
        # A pool that somebody waits for stays open for a while after its last answer.
        closes_after = 60 if self.variant == "labelling wait" else 0
        given = labelling.conf(self.name, self.project_name, closes_after=closes_after)
        return {**given, "project_id": self.project_id, "operation_id": self.operation_id}

    @property
    def objects(self) -> tuple[str, ...]:
        """All that is archived in the end; when labelling, Toloka chooses the ids."""
        return (self.project_id, *self.pool_ids)

    @property
    def wanted_operations(self) -> Counter[str]:
        """All possible operations on them, no matter who submitted them."""
        closed = [f"POOL.CLOSE {self.pool_ids[0]}"] if self.variant.startswith("pools") else []
        pools = [f"POOL.ARCHIVE {pool_id}" for pool_id in self.pool_ids]
        return Counter([*closed, *pools, f"PROJECT.ARCHIVE {self.project_id}"])


#: What the emulator holds back so that the task stands still at an instant, one after the other: a request's path
#: (with the case's own ones filled in), how many are let through before, and on which side of carrying it out.
INSTANTS: dict[str, tuple[tuple[str, int, str], ...]] = {
    "before": (("GET /operations", 0, "after"),),
    "sent": (("POST {first}", 0, "before"),),
    "unanswered": (("POST {first}", 0, "after"),),
    "stage": (("POST {last}", 0, "before"),),
    "looking": (("GET /operations/*", 0, "after"),),
    "reading": (("GET /assignments", 0, "after"),),
    "ended": (),
    "deferred": (),
}


def holds(case: Case) -> tuple[tuple[str, int, str], ...]:
    """Return the held requests of a case."""
    instant = case.event.instant
    if instant == "answered":
        # A deferrable task is held before Airflow learns of the deferral; another one at its first poll.
        return (("GET /deferring" if case.variant in DEFERRABLE else "GET /operations/*", 0, "after"),)
    if instant == "waiting":
        passes = 1 if case.variant == "sensor_reschedule" else 2
        return () if case.variant in DEFERRABLE else (("GET /operations/*", passes, "after"),)
    return INSTANTS[instant]


def all_cases() -> list[Case]:
    """Return all cases."""
    pairs = [(event, variant) for event in EVENTS for variant in event.variants]
    return [Case(event, variant, number) for number, (event, variant) in enumerate(pairs, 1)]


def account(cases: Sequence[Case]) -> dict[str, list[dict[str, Any]]]:
    """Return an account with the objects of the cases, long idle."""
    created = (datetime.now(UTC) - timedelta(days=400)).replace(tzinfo=None).isoformat(timespec="milliseconds")
    state: dict[str, list[dict[str, Any]]] = {"projects": [], "pools": [], "operations": []}
    for case in cases:
        if case.is_labelling:
            continue
        project = {"id": case.project_id, "public_name": case.project_name, "created": created}
        state["projects"].append(project)
        for pool_id in case.pool_ids:
            is_open = case.variant.startswith("pools") and pool_id == case.pool_ids[0]
            state["pools"].append(
                {
                    "project_id": case.project_id,
                    "id": pool_id,
                    "status": "OPEN" if is_open else "CLOSED",
                    "created": created,
                }
            )
        if case.operation_id:
            state["operations"].append(
                {
                    "id": case.operation_id,
                    "type": "PROJECT.ARCHIVE",
                    "status": "RUNNING",
                    "finishes_in": 1_000_000,
                    "parameters": {"project_id": case.project_id},
                }
            )
    return state
