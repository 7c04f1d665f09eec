"""One campaign for each Airflow: it plays all cases that are asked for, and the tests tell how each has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.conftest import ROOT
from tests.durability.campaign import Campaign
from tests.durability.cases import Case
from tests.durability.postgres import Postgres

AIRFLOWS = {"3.3": ROOT / ".venv" / "bin", "2.11": ROOT / ".venv-2.11" / "bin"}


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def outcome(request: pytest.FixtureRequest, postgres: Postgres) -> Iterator[Callable[[str, Case], str]]:
    """Give how a case has ended on a version of Airflow; it raises what it has failed with."""
    asked: dict[str, list[Case]] = {}
    for item in request.session.items:
        callspec = getattr(item, "callspec", None)
        if callspec and {"airflow", "case"} <= callspec.params.keys():
            asked.setdefault(callspec.params["airflow"], []).append(callspec.params["case"])
    with ExitStack() as stack:
        campaigns = {}
        for airflow, cases in asked.items():
            campaigns[airflow] = Campaign(AIRFLOWS[airflow], cases, postgres)
            stack.callback(campaigns[airflow].stop)
        yield lambda airflow, case: campaigns[airflow].outcome(case)
