"""Cases in which something of the cluster dies, stops or is away."""

from __future__ import annotations

import time

from tests.distributed.account import Projects, state
from tests.distributed.scene import PATIENCE, Case, Scene
from tests.durability.toloka_process import NEVER
from tests.processes import until

STALE = Projects(30)
ALONE = Projects(12, pools=0, first=5000, name="alone")
MANY = Projects(20, pools=1)

TRIGGERER_STOPPED = 90
BROKER_AWAY = 40
DATABASE_AWAY = 5


def worker_killed(scene: Scene) -> str:
    held = scene.hold("POST /pools/*/archive", passes=20)
    run_id = scene.start("clean_up", pattern="stale *")
    scene.await_held(held)
    pid = until("the task's process is known", lambda: scene.tasks(run_id)[0].pid)
    worker = scene.cluster.worker_of(pid or 0)
    scene.cluster.kill_all(worker)
    scene.toloka.release([held])
    try:
        scene.await_end()
    finally:
        scene.cluster.start_worker(worker)
        scene.cluster.await_worker(worker)
    ended = scene.check(STALE, tries=2)
    assert scene.tasks()[0].try_number == 2
    return ended


def _owners(scene: Scene) -> list[str | None]:
    """Return the triggerers that have the tasks' triggers."""
    triggers = scene.cluster.triggers()
    return [triggers.get(task.trigger_id or 0) for task in scene.tasks()]


def triggerer_stopped(scene: Scene) -> str:
    for number, project_id in enumerate(ALONE.ids, 1):
        scene.start("archive_one", number, project_id=project_id)
    until("all wait on a triggerer", lambda: all(_owners(scene)), PATIENCE)
    before = _owners(scene)
    stopped = max(scene.cluster.triggerers, key=before.count)
    scene.cluster.pause_part(stopped)
    began = time.monotonic()
    try:
        until("the other takes over", lambda: stopped not in _owners(scene), PATIENCE)
        time.sleep(max(0.0, TRIGGERER_STOPPED - (time.monotonic() - began)))
    finally:
        scene.cluster.continue_part(stopped)
    # Two wait for the same operations now.
    scene.finish_all()
    scene.await_end()
    return f"{scene.check(ALONE)}; {before.count(stopped)} waits taken over"


def broker_killed(scene: Scene) -> str:
    for number, project_id in enumerate(MANY.ids, 1):
        scene.start("archive_patiently", number, project_id=project_id)
    until("some have begun", lambda: sum(bool(task.pid) for task in scene.tasks()) >= 4, PATIENCE)
    scene.cluster.redis.kill()
    time.sleep(BROKER_AWAY)
    scene.cluster.redis.start()
    scene.await_end()
    return scene.check(MANY, tries=6)


def database_restarted(scene: Scene) -> str:
    for number, project_id in enumerate(ALONE.ids, 1):
        scene.start("archive_one", number, project_id=project_id)
    run_id = scene.start("clean_up_on_worker", pattern="stale *")
    until("the clean-up waits", lambda: "POST" in {request["method"] for request in scene.toloka.journal()}, PATIENCE)
    until("it runs", lambda: scene.tasks(run_id)[0].state == "running", PATIENCE)
    restarted = scene.cluster.restart_postgres(DATABASE_AWAY)
    scene.await_end(scene.finish_all)
    ended = scene.check(ALONE, STALE, tries=4)
    return f"{ended}; started again: {', '.join(sorted(restarted)) or 'nothing'}"


CASES = (
    Case(
        "worker_killed",
        "a worker killed amid a clean-up, with all its processes",
        worker_killed,
        lambda: state(STALE),
        {"operation_seconds": 4},
        is_alone=True,
    ),
    Case(
        "triggerer_stopped",
        f"a triggerer stopped for {TRIGGERER_STOPPED} s and continued, so that two run the same triggers",
        triggerer_stopped,
        lambda: state(ALONE),
        {"operation_seconds": NEVER},
        is_alone=True,
    ),
    Case(
        "broker_killed",
        f"Redis killed for {BROKER_AWAY} s; `retry_delay` 30 s",
        broker_killed,
        lambda: state(MANY),
        {"operation_seconds": "5-10"},
        is_alone=True,
    ),
    Case(
        "database_restarted",
        f"PostgreSQL restarted, away for {DATABASE_AWAY} s",
        database_restarted,
        lambda: state(ALONE, STALE),
        {"operation_seconds": NEVER},
        is_alone=True,
    ),
)
