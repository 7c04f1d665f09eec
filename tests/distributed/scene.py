"""A case on the cluster: its emulated Toloka, its runs, and the check of the final state."""

from __future__ import annotations

import contextlib
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.distributed import account
from tests.distributed.cluster import Cluster
from tests.durability.airflow_processes import Task
from tests.durability.toloka_process import TolokaProcess, connection
from tests.processes import free_port, until

#: How long a case may take that waits for nothing but the machine; it costs time only when something is broken.
PATIENCE = 420.0

_ENDED = ("success", "failed")
_UNDER_WAY = ("PENDING", "RUNNING")
_LOG_SHOWN = 6000
#: What the log of each run says in the end.
_ARCHIVED = re.compile(r"Archived project \d+|Archived \d+ project|is archived already")


@dataclass(frozen=True)
class Case:
    """What happens on the cluster, and to what.

    :param name: the test's id; the connections and the runs are named after it.
    :param text: for the table.
    :param play: runs it, and returns a short result; raises its error.
    :param state: what is in the account.
    :param toloka: options of the emulator: see ``TolokaProcess``.
    :param connections: the number of connections to it, each with identifiable requests.
    :param extra: further settings of the connections.
    :param is_alone: whether it disturbs others, or others disturb it.
    :param is_short: whether the short form has it.
    """

    name: str
    text: str
    play: Callable[[Scene], str]
    state: Callable[[], Mapping[str, Any]]
    toloka: Mapping[str, Any] = field(default_factory=dict)
    connections: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)
    is_alone: bool = False
    is_short: bool = False
    #: Known beforehand, since the environment of all workers holds the connections.
    port: int = field(default_factory=free_port)

    def connection_id(self, number: int) -> str:
        """The id of a connection; it is also the account that the requests are made under."""
        return f"{self.name}_{number}"

    @property
    def environment(self) -> dict[str, str]:
        """The connections, as Airflow reads them from the environment."""
        ids = (self.connection_id(number) for number in range(1, self.connections + 1))
        return {f"AIRFLOW_CONN_{id_.upper()}": connection(self.port, id_, **self.extra) for id_ in ids}


class Scene:
    """Where a case is played.

    :param cluster: a running one.
    :param case: the case.
    """

    def __init__(self, cluster: Cluster, case: Case) -> None:
        self.cluster = cluster
        self._case = case
        self._runs: dict[str, str] = {}
        folder = cluster.folder / "toloka" / case.name
        folder.mkdir(parents=True)
        self.toloka = TolokaProcess(folder, case.state(), port=case.port, **case.toloka)

    def play(self) -> str:
        """Play the case to its end."""
        try:
            return self._case.play(self)
        except BaseException as error:
            for run_id in self._runs:
                error.add_note(f"{run_id}: {self._summary(run_id)}\n{self.cluster.logs(run_id)[-_LOG_SHOWN:]}")
            raise
        finally:
            self.toloka.stop()

    # Runs

    def start(self, dag_id: str, number: int = 1, **conf: Any) -> str:
        """Start a run.

        :param number: of the run, and of the connection, if there are several.
        :returns: the run's id.
        """
        run_id = f"{self._case.name}-{dag_id}-{number}"
        self._runs[run_id] = dag_id
        own = self._case.connection_id(min(number, self._case.connections))
        self.cluster.trigger(dag_id, run_id, {"connection": own, **conf})
        return run_id

    def connection_id(self, number: int) -> str:
        """Return the id of a connection of the case."""
        return self._case.connection_id(number)

    def tasks(self, *runs: str) -> list[Task]:
        """Return the tasks of some runs; default: of all."""
        return self.cluster.tasks_of(*(runs or self._runs))

    def await_end(self, meanwhile: Callable[[], object] = lambda: None, seconds: float = PATIENCE) -> None:
        """Wait until all runs have ended.

        :param meanwhile: called before each check.
        """

        def all_ended() -> bool:
            meanwhile()
            tasks = self.cluster.tasks()
            states = {run_id: task.run_state for (_, run_id, _, _), task in tasks.items() if run_id in self._runs}
            return len(states) == len(self._runs) and all(state in _ENDED for state in states.values())

        with self._explained():
            until(f"{self._case.name} has ended", all_ended, seconds)

    def result(self, run_id: str) -> Any:
        """Return what the task of a run has returned."""
        return self.cluster.result(self._runs[run_id], run_id)

    # Toloka

    def hold(self, rule: str, number: int = 1, *, side: str = "after", passes: int = 0, times: int | None = 1) -> str:
        """Let the emulator hold requests of a connection, or their answers; give the fault.

        :param side: of carrying them out.
        :param passes: how many are let through before.
        :param times: how many are held; None: all.
        """
        if passes:
            self.toloka.fault(rule, self._case.connection_id(number), times=passes)
        return self.toloka.fault(rule, self._case.connection_id(number), hold=side, times=times)

    def await_held(self, *faults: str) -> None:
        """Wait until a request has met each of these faults."""

        def all_met() -> bool:
            arrived = self.toloka.arrived()
            return all(arrived[fault] for fault in faults)

        with self._explained():
            until(f"{self._case.name}: what is to be held has come", all_met, PATIENCE)

    def meet(self, held: Sequence[str]) -> float:
        """Release the held requests together once all have arrived; return the time."""
        self.await_held(*held)
        self.toloka.release(held)
        return time.time()

    def answered(self) -> set[str]:
        """Return the paths of the requests that were answered."""
        return {request["path"] for request in self.toloka.journal() if request["status"]}

    def finish_all(self) -> None:
        """Finish all unfinished operations."""
        operations = self.toloka.state()["operations"]
        if ids := [operation["id"] for operation in operations if operation["status"] in _UNDER_WAY]:
            self.toloka.finish(ids)

    # The end

    def check(self, *groups: account.Projects, tries: int = 1) -> str:
        """Check that all is archived, by one accepted POST for each object and kind, and that the tasks say so.

        :param groups: what has to be archived.
        :param tries: how many the tasks may take.
        :returns: how it ended, for the table.
        """
        seen = self.tasks()
        assert {task.state for task in seen} == {"success"}
        state = self.toloka.state()
        wanted = sum((group.operations for group in groups), Counter())
        assert account.submitted(state["operations"]) == wanted
        assert {operation["status"] for operation in state["operations"]} == {"SUCCESS"}
        statuses = account.statuses(state)
        assert {statuses[id_] for group in groups for id_ in group.all_ids} == {"ARCHIVED"}
        for run_id in self._runs:
            assert _ARCHIVED.search(self.cluster.logs(run_id)), run_id
        most = max(task.try_number for task in seen)
        assert most <= tries, Counter(task.try_number for task in seen)
        on_try = "first try" if most == 1 else f"at most {most} tries"
        return f"{len(seen)} task{'s' * (len(seen) > 1)} green, {on_try}; {wanted.total()} operations, each once"

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            error.add_note("; ".join(f"{run_id}: {self._summary(run_id)}" for run_id in self._runs))
            raise

    def _summary(self, run_id: str) -> str:
        counts = Counter((str(task.state), task.try_number) for task in self.cluster.tasks_of(run_id))
        return ", ".join(f"{count} {state} on try {number}" for (state, number), count in counts.items())
