"""One campaign per Airflow runs all requested cases, and the tests report the results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from tests.conftest import ROOT
from tests.durability.campaign import Campaign
from tests.durability.cases import Case
from tests.durability.postgres import Postgres

AIRFLOWS = {"3.3": ROOT / ".venv" / "bin", "2.11": ROOT / ".venv-2.11" / "bin"}


class Outcomes:
    """How cases have ended; the first question starts Airflow, and plays all that were asked for.

    :param asked: the cases, by version of Airflow.
    """

    def __init__(self, asked: dict[str, list[Case]], postgres: Postgres) -> None:
        self._asked = asked
        self._campaigns: dict[str, Campaign] = {}
        for airflow, cases in asked.items():
            self._campaigns[airflow] = Campaign(AIRFLOWS[airflow], cases, postgres)

    def of(self, airflow: str, case: Case) -> str:
        """Return a case's result; raise its error."""
        return self._campaigns[airflow].outcome(case)

    def are_complete(self, airflows: Iterable[str], cases: Iterable[Case]) -> bool:
        """Return whether all of these were requested."""
        return all(set(cases) <= set(self._asked.get(airflow, ())) for airflow in airflows)

    def stop(self) -> None:
        """End all processes."""
        for campaign in self._campaigns.values():
            campaign.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest, postgres: Postgres) -> Iterator[Outcomes]:
    asked: dict[str, list[Case]] = {}
    for item in request.session.items:
        callspec = getattr(item, "callspec", None)
        if callspec and {"airflow", "case"} <= callspec.params.keys():
            asked.setdefault(callspec.params["airflow"], []).append(callspec.params["case"])
    played = Outcomes(asked, postgres)
    yield played
    played.stop()
