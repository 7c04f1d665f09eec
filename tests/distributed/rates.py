"""Cases about speed: many clean-ups at once on one account, whose limit none of them knows the others' part of."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable

from tests.distributed.account import Projects, state
from tests.distributed.scene import Case, Scene

LIMIT = 300
OPERATION = 0.5
#: Of the time that the account's limit and the operations leave to all.
REACH = 1.5
MOST_REFUSED = 0.10
UNEVEN = 2.0


def _groups(tasks: int, projects: int) -> list[Projects]:
    return [Projects(projects, first=1000 * number, name=f"group{number}") for number in range(1, tasks + 1)]


def at_once(tasks: int, projects: int) -> Callable[[Scene], str]:
    """Make the case of some clean-ups that begin at the same moment."""

    def play(scene: Scene) -> str:
        groups = _groups(tasks, projects)
        held = [scene.hold("GET /**", number) for number in range(1, tasks + 1)]
        for number in range(1, tasks + 1):
            scene.start("clean_up_on_worker", number, pattern=f"group{number} *")
        began = scene.meet(held)
        scene.await_end()
        ended = scene.check(*groups)
        requests = [request for request in scene.toloka.journal() if request["at"] >= began]
        by_task: dict[str, float] = defaultdict(float)
        for request in requests:
            by_task[request["account"]] = max(by_task[request["account"]], request["at"] - began)
        seconds, fastest = max(by_task.values()), min(by_task.values())
        posts = sum(group.operations.total() for group in groups)
        bound = posts / LIMIT + 2 * OPERATION
        refused = Counter(request["status"] for request in requests)[429] / len(requests)
        measured = (
            f"{seconds:.1f} s, bound {bound:.1f} s: {seconds / bound:.2f} ×; {refused:.1%} of the requests refused; "
            f"slowest task {seconds / fastest:.1f} × the fastest"
        )
        assert seconds <= REACH * bound, measured
        assert refused <= MOST_REFUSED, measured
        assert seconds <= UNEVEN * fastest, measured
        return f"{ended}; {measured}"

    return play


CASES = tuple(
    Case(
        f"at_once_{tasks}",
        f"{tasks} clean-ups of {projects} projects at once on one account, limit {LIMIT}/s",
        at_once(tasks, projects),
        lambda tasks=tasks, projects=projects: state(*_groups(tasks, projects)),  # type: ignore[misc]
        {"operation_seconds": OPERATION, "requests_per_second": LIMIT},
        connections=tasks,
        # They wait for each other before they begin.
        extra={"timeout": 600},
        is_alone=True,
    )
    for tasks, projects in ((4, 100), (14, 60))
)
