"""The reachability of Toloka, shared by the parts of a poller. No I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from airflow_provider_toloka.client.observer import Observer
from airflow_provider_toloka.client.waiting import Outage
from airflow_provider_toloka.exceptions import TolokaApiError, TolokaAuthenticationError


class Contact:
    """Whether requests succeed.

    :param fail_all: called with an error that ends every wait.
    :param observer: receives that an outage of the list begins and ends.
    """

    def __init__(self, fail_all: Callable[[Exception], None], observer: Observer) -> None:
        self._fail_all = fail_all
        #: Whether any response was received.
        self.has_heard = False
        #: Why the last request failed; None: it did not.
        self.trouble: TolokaApiError | None = None
        #: When Toloka last refused the token, in the event loop's time; None: never.
        self.refused_at: float | None = None
        #: The outage of the list, which affects all waits.
        self.of_list = Outage("Listing Toloka's finished operations", observer=observer)

    def heard(self) -> None:
        """Record a response."""
        self.trouble = None
        self.has_heard = True

    def end_all(self, error: Exception) -> None:
        """End every wait."""
        if isinstance(error, TolokaAuthenticationError):
            self.refused_at = asyncio.get_running_loop().time()
        self._fail_all(error)
