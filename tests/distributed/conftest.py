"""One cluster for all cases: those that disturb nobody side by side, then each of the others alone."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

import pytest

from tests.distributed import disturbed, quiet, rates
from tests.distributed.cluster import Cluster, Size
from tests.distributed.scene import Case, Scene

IS_SHORT = os.environ.get("CASES") == "short"
ALL = sorted((*quiet.CASES, *rates.CASES, *disturbed.CASES), key=lambda case: case.is_alone)
CASES = [case for case in ALL if case.is_short or not IS_SHORT]
SIZE = Size(schedulers=1, triggerers=1, workers=1) if IS_SHORT else Size()

#: So many cases at once keep two cores busy.
AT_ONCE = 4


class Results:
    """How cases have ended; the first question plays those that disturb nobody.

    :param cases: those that were asked for.
    """

    def __init__(self, cluster: Cluster, cases: Sequence[Case]) -> None:
        self._cluster = cluster
        self._outcomes: dict[str, Future[str]] = {}
        self._cases = cases
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._scenes: list[Scene] = []

    def of(self, case: Case) -> str:
        """Return a case's result; raise its error."""
        for one in self._cases:
            if not one.is_alone and one.name not in self._outcomes:
                self._outcomes[one.name] = self._pool.submit(self._play, one)
        if case.name not in self._outcomes:
            wait(self._outcomes.values())
            self._outcomes[case.name] = self._pool.submit(self._play, case)
        return self._outcomes[case.name].result()

    def are_complete(self) -> bool:
        """Return whether all cases were requested."""
        return {case.name for case in self._cases} == {case.name for case in ALL}

    def stop(self) -> None:
        """Begin with no further case; those that are played miss their Toloka, and fail."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for scene in self._scenes:
            scene.toloka.stop()

    def _play(self, case: Case) -> str:
        scene = Scene(self._cluster, case)
        self._scenes.append(scene)
        return scene.play()


@pytest.fixture(scope="session")
def results(request: pytest.FixtureRequest) -> Iterator[Results]:
    asked = [item.callspec.params["case"] for item in request.session.items if hasattr(item, "callspec")]
    environment = {name: value for case in asked for name, value in case.environment.items()}
    cluster = Cluster(SIZE, environment)
    try:
        cluster.start()
        played = Results(cluster, asked)
        try:
            yield played
        finally:
            played.stop()
    finally:
        cluster.stop()
