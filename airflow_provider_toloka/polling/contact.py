"""What is known of Toloka's being there, for all parts of a poller. No I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from airflow_provider_toloka.client.observer import Observer
from airflow_provider_toloka.client.waiting import Outage
from airflow_provider_toloka.exceptions import TolokaApiError, TolokaAuthenticationError


class Contact:
    """Whether requests bring news.

    :param fail_all: called with an error that ends every wait.
    :param observer: receives that an outage of the list begins and ends.
    """

    def __init__(self, fail_all: Callable[[Exception], None], observer: Observer) -> None:
        self._fail_all = fail_all
        #: Whether anything was ever received.
        self.has_heard = False
        #: Why the last request brought no news; None: it did.
        self.trouble: TolokaApiError | None = None
        #: When Toloka refused the token last, in the event loop's time; None: never.
        self.refused_at: float | None = None
        #: The outage of the list, which concerns all who wait.
        self.of_list = Outage("Listing Toloka's finished operations", observer=observer)

    def heard(self) -> None:
        """Take note of an answer."""
        self.trouble = None
        self.has_heard = True

    def end_all(self, error: Exception) -> None:
        """End every wait."""
        if isinstance(error, TolokaAuthenticationError):
            self.refused_at = asyncio.get_running_loop().time()
        self._fail_all(error)
