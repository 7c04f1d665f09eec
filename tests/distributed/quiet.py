"""Cases that many play side by side: nothing of Airflow is disturbed."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.distributed.account import Projects, state, statuses, submitted
from tests.distributed.scene import Case, Scene
from tests.durability import labelling
from tests.processes import until

TWENTY_MINUTES = 1200

MAPPED = Projects(60, pools=1, first=1000, name="mapped")
STALE = Projects(60, pools=2, first=2000)
FEW = Projects(20)
ONE = Projects(1, pools=3)


def mapped_and_clean_up(mapped: Projects, stale: Projects) -> Any:
    """Make the case of mapped archives and a clean-up at once."""

    def play(scene: Scene) -> str:
        scene.start("archive_mapped", project_ids=list(mapped.ids))
        scene.start("clean_up", pattern="stale *")
        most = 0

        def look() -> None:
            nonlocal most
            most = max(most, sum(task.state == "deferred" for task in scene.tasks()))

        scene.await_end(look, 600)
        ended = scene.check(mapped, stale)
        assert most > 0, "none has waited on a triggerer"
        return ended

    return play


def two_runs(scene: Scene) -> str:
    held = [scene.hold("GET /projects", number) for number in (1, 2)]
    runs = [scene.start("clean_up", number, pattern="stale *") for number in (1, 2)]
    scene.meet(held)
    scene.await_end()
    results = [scene.result(run_id) for run_id in runs]
    for result in results:
        assert not result["failed"]
        seen = [*result["archived"], *result["already_archived"]]
        assert {project["id"] for project in seen} == set(FEW.ids)
    return scene.check(FEW)


def three_dags(scene: Scene) -> str:
    held = [scene.hold("GET /operations", number) for number in (1, 2, 3)]
    for number, dag_id in enumerate(("archive_one", "archive_two", "archive_three"), 1):
        scene.start(dag_id, number, project_id=ONE.ids[0])
    scene.meet(held)
    scene.await_end()
    return scene.check(ONE)


def whole_lives(scene: Scene) -> str:
    names = [f"Images {number}" for number in (1, 2, 3)]
    for number, name in enumerate(names, 1):
        scene.start("labelling", number, **labelling.conf(scene.connection_id(number), name))
    scene.await_end()
    tasks = scene.tasks()
    assert {task.state for task in tasks} == {"success"}
    assert max(task.try_number for task in tasks) == 1
    state_ = scene.toloka.state()
    made = {
        labelling.check(state_, name, scene.cluster.folder, scene.connection_id(number))
        for number, name in enumerate(names, 1)
    }
    return f"{len(tasks)} tasks green, first try; each run: {made.pop()}"


def toloka_away(scene: Scene) -> str:
    # The pools are archived then, and no project is yet.
    held = scene.hold("POST /projects/*/archive", side="before", times=None)
    scene.start("clean_up", pattern="stale *")
    scene.await_held(held)
    scene.toloka.kill()
    time.sleep(30)
    scene.toloka.start()
    scene.await_end()
    return scene.check(FEW, tries=3)


def wrong_clock(scene: Scene) -> str:
    scene.start("clean_up_on_worker", pattern="stale *")
    scene.start("archive_one", 2, project_id=ONE_BESIDE.ids[0])
    scene.await_end()
    ended = scene.check(FEW, ONE_BESIDE)
    times = [request["at"] for request in scene.toloka.journal() if request["account"].endswith("_1")]
    seconds = max(times) - min(times)
    # Two stages of operations; with the wrong time, their ends were noticed late.
    assert seconds < 3 * 2 * CLOCK_OPERATION, f"{seconds:.0f} s"
    return ended


ONE_BESIDE = Projects(1, pools=0, first=9000, name="beside")
CLOCK_OPERATION = 6
USED, OTHERS = Projects(1, pools=2, first=1000), Projects(5, pools=2, first=1001)


def meanwhile(act: Any) -> Any:
    """Return the case of a user who uses a project right after a clean-up has read it."""

    def play(scene: Scene) -> str:
        held = scene.hold("GET /trainings")
        run_id = scene.start("clean_up_closing", pattern="stale *")
        scene.await_held(held)
        until("projects and pools are read", lambda: {"/projects", "/pools"} <= scene.answered())
        added, status = act(scene)
        scene.toloka.release([held])
        scene.await_end()
        state_ = scene.toloka.state()
        used = USED.ids[0]
        its_pools = [row["id"] for row in state_["pools"] if row["project_id"] == used]
        submitted_ = submitted(state_["operations"])
        on_used = Counter({one: count for one, count in submitted_.items() if one.split()[1] in (used, *its_pools)})
        # Its other pools may be archived: they were idle, and Toloka is not asked about each project anew.
        idle = [id_ for id_ in USED.pool_ids(used) if f"POOL.OPEN {id_}" not in added]
        archived = on_used & Counter(f"POOL.ARCHIVE {id_}" for id_ in idle)
        assert on_used - archived == added
        seen = statuses(state_)
        assert seen[used] == "ACTIVE"
        assert {seen[id_] for id_ in OTHERS.all_ids} == {"ARCHIVED"}
        assert {task.state for task in scene.tasks()} == {"success"}
        assert [one["id"] for one in scene.result(run_id)["in_use"]] == [used]
        aside = f", its idle pools archived: {archived.total()}" if archived else ""
        return f"left alone and reported as in use: {status}{aside}; the other {OTHERS.count} projects archived"

    return play


def open_a_pool(scene: Scene) -> tuple[Counter[str], str]:
    pool_id = USED.pool_ids(USED.ids[0])[0]
    scene.toloka.change(f"/pools/{pool_id}/open")

    def is_open() -> bool:
        return statuses(scene.toloka.state())[pool_id] == "OPEN"

    until("the pool is open", is_open)
    return Counter([f"POOL.OPEN {pool_id}"]), "its pool stays open"


def begin_to_open(scene: Scene) -> tuple[Counter[str], str]:
    pool_id = USED.pool_ids(USED.ids[0])[0]
    scene.toloka.change(f"/pools/{pool_id}/open")
    return Counter([f"POOL.OPEN {pool_id}"]), "its pool is opened"


def make_a_pool(scene: Scene) -> tuple[Counter[str], str]:
    expires = (datetime.now(UTC) + timedelta(days=30)).replace(tzinfo=None).isoformat(timespec="milliseconds")
    form = {
        "project_id": USED.ids[0],
        "private_name": "made meanwhile",
        "may_contain_adult_content": False,
        "will_expire": expires,
        "reward_per_assignment": 0.01,
        "assignment_max_duration_seconds": 600,
        "defaults": {"default_overlap_for_new_task_suites": 1},
    }
    scene.toloka.change("/pools", form)
    return Counter(), "its new pool stays"


def _used() -> dict[str, Any]:
    given: dict[str, Any] = state(USED, OTHERS)
    # Toloka opens only a pool that has tasks, and says how they are put together.
    pool_id = USED.pool_ids(USED.ids[0])[0]
    [pool] = [row for row in given["pools"] if row["id"] == pool_id]
    pool["mixer_config"] = {"real_tasks_count": 1, "golden_tasks_count": 0, "training_tasks_count": 0}
    given["tasks"] = [{"pool_id": pool_id, "input_values": {"image": "https://example.com/1.jpg"}}]
    return given


CASES = (
    Case(
        "sixty",
        "60 mapped deferrable archives and a clean-up of 60 projects at once",
        mapped_and_clean_up(MAPPED, STALE),
        lambda: state(MAPPED, STALE),
        {"operation_seconds": "10-20"},
        is_alone=True,
    ),
    Case(
        "two_runs",
        "two runs of one clean-up",
        two_runs,
        lambda: state(FEW),
        {"operation_seconds": 4},
        connections=2,
        is_short=True,
    ),
    Case(
        "three_dags",
        "one project archived by three DAGs at the same time",
        three_dags,
        lambda: state(ONE),
        {"operation_seconds": 4},
        connections=3,
        is_short=True,
    ),
    Case(
        "whole_lives",
        "three runs that create, fill, open, export, aggregate and archive a project",
        whole_lives,
        dict,
        {"operation_seconds": 4, "tolokers": 3},
        connections=3,
    ),
    Case(
        "toloka_away",
        "Toloka away for 30 s, between the pools and the projects",
        toloka_away,
        lambda: state(FEW),
        {"operation_seconds": 4},
        is_short=True,
    ),
    *(
        Case(
            f"clock_{how}",
            f"Toloka's clock 20 minutes {how}",
            wrong_clock,
            lambda: state(FEW, ONE_BESIDE),
            {"operation_seconds": CLOCK_OPERATION, "clock": seconds},
            connections=2,
        )
        for how, seconds in (("ahead", TWENTY_MINUTES), ("behind", -TWENTY_MINUTES))
    ),
    Case(
        "pool_opened",
        "somebody opens a pool during a clean-up",
        meanwhile(open_a_pool),
        _used,
        {"operation_seconds": 2},
    ),
    Case(
        "pool_opening",
        "a pool is being opened during a clean-up",
        meanwhile(begin_to_open),
        _used,
        {"operation_seconds": 60},
    ),
    Case(
        "pool_made", "somebody makes a pool during a clean-up", meanwhile(make_a_pool), _used, {"operation_seconds": 2}
    ),
)
