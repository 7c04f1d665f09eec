"""What clients and pollers report about their work, so that it can be measured. No I/O, and no rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from airflow_provider_toloka.client.models import Operation
    from airflow_provider_toloka.client.sansio import Answer
    from airflow_provider_toloka.exceptions import TolokaApiError

#: What a poller waits for.
Awaited: TypeAlias = Literal["operations", "pools"]
#: What became of a project that was to be archived.
ProjectOutcome: TypeAlias = Literal["archived", "failed"]


class Observer:
    """Receives reports on the work of a client, and ignores them; subclasses measure.

    Reports come from the thread or the event loop that does the work: a method must be quick, and must not raise.
    """

    def answered(self, answer: Answer, *, seconds: float, rate: float) -> None:
        """Receive what came of a request.

        :param answer: the response, or what happened in its place.
        :param seconds: how long the request took, without the wait for its turn.
        :param rate: how many requests may be sent in a second now.
        """

    def retrying(self, error: TolokaApiError) -> None:
        """Receive that a failed request is about to be retried.

        :param error: why it failed.
        """

    def finished(self, operation: Operation) -> None:
        """Receive an operation that was waited for, and is seen to have finished.

        :param operation: the operation; it may have failed.
        """

    def waiting(self, awaited: Awaited, count: int) -> None:
        """Receive the number of waits of a poller; this is called with each poll, and when the last wait has ended.

        :param awaited: what it waits for.
        :param count: the number of waits.
        """

    def outage_began(self) -> None:
        """Receive that polling has begun to fail."""

    def outage_ended(self, seconds: float) -> None:
        """Receive that polling works again.

        :param seconds: how long it failed.
        """

    def project_ended(self, outcome: ProjectOutcome) -> None:
        """Receive what became of a project that was to be archived.

        :param outcome: whether it is archived.
        """
