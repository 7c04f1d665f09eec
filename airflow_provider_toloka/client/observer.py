"""Reports of clients and pollers about their work, for metrics. No I/O, and no rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from airflow_provider_toloka.client.models import Operation
    from airflow_provider_toloka.client.sansio import Answer
    from airflow_provider_toloka.exceptions import TolokaApiError

#: What a poller waits for.
Awaited: TypeAlias = Literal["operations", "pools"]
#: The outcome of archiving a project.
ProjectOutcome: TypeAlias = Literal["archived", "failed"]


class Observer:
    """Receives reports on the work of a client, and ignores them; subclasses measure.

    Reports come from the thread or the event loop that does the work: a method must be quick, and must not raise.
    """

    def answered(self, answer: Answer, *, seconds: float, rate: float) -> None:
        """Receive the result of a request.

        :param answer: the response, or the failure.
        :param seconds: how long the request took, without the wait for the rate limit.
        :param rate: the current request rate, per second.
        """

    def retrying(self, error: TolokaApiError) -> None:
        """Receive a retry of a failed request.

        :param error: why it failed.
        """

    def finished(self, operation: Operation) -> None:
        """Receive an awaited operation that has finished.

        :param operation: the operation; it may have failed.
        """

    def waiting(self, awaited: Awaited, count: int) -> None:
        """Receive the number of waits of a poller, with each poll and after the last wait.

        :param awaited: the kind of objects that it waits for.
        :param count: the number of waits.
        """

    def outage_began(self) -> None:
        """Receive the beginning of an outage of polling."""

    def outage_ended(self, seconds: float) -> None:
        """Receive the end of an outage of polling.

        :param seconds: the duration of the outage.
        """

    def project_ended(self, outcome: ProjectOutcome) -> None:
        """Receive the outcome of archiving a project.

        :param outcome: the outcome.
        """
