"""Toloka's API as flows, one per endpoint. No I/O.

A call that changes something reads the current state first, and submits only what is missing. When a response is lost,
it reads the state again before it retries, so nothing is submitted twice.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from airflow_provider_toloka.client.api.aggregation import Aggregation
from airflow_provider_toloka.client.api.assignments import Assignments
from airflow_provider_toloka.client.api.calls import Calls
from airflow_provider_toloka.client.api.changes import Changes
from airflow_provider_toloka.client.api.creation import Creation
from airflow_provider_toloka.client.api.objects import Pools, Projects, Trainings
from airflow_provider_toloka.client.api.operations import Operations
from airflow_provider_toloka.client.api.skills import Skills
from airflow_provider_toloka.client.api.tasks import Tasks
from airflow_provider_toloka.client.api.waits import Waits
from airflow_provider_toloka.client.config import Settings
from airflow_provider_toloka.client.models import Requester
from airflow_provider_toloka.client.observer import Observer
from airflow_provider_toloka.client.retry import RetryPolicy
from airflow_provider_toloka.client.sansio import Flow
from airflow_provider_toloka.exceptions import TolokaApiError


class TolokaApi:
    """The calls of the API as flows, grouped by resource.

    :param settings: the connection's settings.
    :param retry: the retry policy; default: as in the settings.
    :param observer: receives reports on the work, for metrics; default: nobody.
    """

    def __init__(self, settings: Settings, retry: RetryPolicy | None = None, observer: Observer | None = None) -> None:
        self.settings = settings
        self.observer = observer or Observer()
        self.calls = Calls(settings, retry, self.observer)
        self.changes = Changes(self.calls)
        self.creation = Creation(self.calls)
        self.projects = Projects(self.calls, self.changes, self.creation)
        self.pools = Pools(self.calls, self.changes, self.creation)
        self.trainings = Trainings(self.calls, self.changes, self.creation)
        self.operations = Operations(self.calls)
        self.waits = Waits(self.operations, self.observer)
        self.tasks = Tasks(self.calls, self.operations)
        self.assignments = Assignments(self.calls)
        self.aggregation = Aggregation(self.calls)
        self.skills = Skills(self.calls, self.creation)
        self._has_asked_time = False

    def now(self) -> Flow[datetime]:
        """Return Toloka's time; request it if no response has contained it yet."""
        if not self.calls.clock.is_known and not self._has_asked_time:
            # Any response will do, even an error.
            with suppress(TolokaApiError):
                yield from self.calls.get("/requester", "read the time", retry=False)
            self._has_asked_time = True
        return self.calls.clock.now()

    def get_requester(self) -> Flow[Requester]:
        """Read the account that the token belongs to (API: ``GET /requester``)."""
        reader, answer = yield from self.calls.get("/requester", "read the account")
        return reader.model(answer, Requester.from_json)
