"""Toloka's API as plain calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from airflow_provider_toloka.client.api import TolokaApi
from airflow_provider_toloka.client.api.calls import Listing
from airflow_provider_toloka.client.api.waits import log_change
from airflow_provider_toloka.client.config import KEYS, Settings, unknown_keys
from airflow_provider_toloka.client.labelling_methods import LabellingMethods
from airflow_provider_toloka.client.models import Operation, Pool, Project, Requester, Training
from airflow_provider_toloka.client.observer import Observer
from airflow_provider_toloka.client.retry import RetryPolicy
from airflow_provider_toloka.client.sansio import Answer, Flow, Request, drive

if TYPE_CHECKING:
    import requests

T = TypeVar("T")


class Transport(Protocol):
    """What carries the requests of a :class:`TolokaClient`."""

    requests: int

    def send(self, request: Request) -> Answer:
        """Send a request; return what came of it."""

    def sleep(self, seconds: float) -> float:
        """Let seconds pass; return the time after them, in seconds since the epoch."""

    def close(self) -> None:
        """Close the connections."""


class ClientMethods(LabellingMethods):
    """The calls of the API, as methods of whoever has them (``api``) and can run them (``run``)."""

    @property
    def api(self) -> TolokaApi:
        """The calls as flows."""
        raise NotImplementedError

    def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end.

        :param flow: a call of :attr:`api`.
        :returns: the flow's result.
        """
        raise NotImplementedError

    def walk(self, listing: Listing[T]) -> Iterator[T]:
        """Iterate over a list of the API; each page is read when it is reached.

        :param listing: a list of :attr:`api`.
        """
        last_id = None
        while True:
            page = self.run(listing.page(last_id))
            yield from page.items
            last_id = page.last_id
            if last_id is None:
                return

    def now(self) -> datetime:
        """Return the time at Toloka, in UTC, as its answers tell it; before the first answer, this asks for one.

        Compare this time, rather than this machine's, with the times in Toloka's answers.
        """
        return self.run(self.api.now())

    def get_requester(self) -> Requester:
        """Return the account that the token belongs to (API: ``GET /requester``).

        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.run(self.api.get_requester())

    def get_project(self, project_id: str) -> Project:
        """Return a project (API: ``GET /projects/{id}``).

        :param project_id: the project's id.
        :raises ValueError: the id cannot be one.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.run(self.api.projects.get(project_id))

    def get_pool(self, pool_id: str) -> Pool:
        """Return a pool (API: ``GET /pools/{id}``).

        :param pool_id: the pool's id.
        :raises ValueError: the id cannot be one.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.run(self.api.pools.get(pool_id))

    def get_training(self, training_id: str) -> Training:
        """Return a training (API: ``GET /trainings/{id}``).

        :param training_id: the training's id.
        :raises ValueError: the id cannot be one.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.run(self.api.trainings.get(training_id))

    def get_operation(self, operation_id: str) -> Operation:
        """Return an operation in its current state (API: ``GET /operations/{id}``).

        :param operation_id: the operation's id.
        :raises ValueError: the id cannot be one.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.run(self.api.operations.get(operation_id))

    def get_operation_log(self, operation_id: str) -> list[dict[str, Any]]:
        """Return an operation's log (API: ``GET /operations/{id}/log``).

        Toloka keeps one for a month, and for batch operations only.

        :param operation_id: the operation's id.
        :returns: entries of ``type``, ``success``, ``input``, ``output``.
        :raises ValueError: the id cannot be one.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.run(self.api.operations.get_log(operation_id))

    def list_projects(self, /, **filters: str | datetime) -> Iterator[Project]:
        """Iterate over projects (API: ``GET /projects``).

        :param filters: ``status``, ``owner``, and ``id_``, ``created_`` each with ``gt``, ``gte``, ``lt``, ``lte``;
            a time without a zone is in UTC.
        :returns: projects by id; each page is read when it is reached.
        :raises ValueError: the list has no such filter.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.walk(self.api.projects.listing(**filters))

    def list_pools(self, /, **filters: str | datetime) -> Iterator[Pool]:
        """Iterate over pools (API: ``GET /pools``).

        :param filters: ``status``, ``project_id``, and ``id_``, ``created_``, ``last_started_`` each with ``gt``,
            ``gte``, ``lt``, ``lte``; a time without a zone is in UTC.
        :returns: pools by id; each page is read when it is reached.
        :raises ValueError: the list has no such filter.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.walk(self.api.pools.listing(**filters))

    def list_trainings(self, /, **filters: str | datetime) -> Iterator[Training]:
        """Iterate over trainings (API: ``GET /trainings``).

        :param filters: see :meth:`list_pools`.
        :returns: trainings by id; each page is read when it is reached.
        :raises ValueError: the list has no such filter.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.walk(self.api.trainings.listing(**filters))

    def list_operations(self, /, **filters: str | datetime) -> Iterator[Operation]:
        """Iterate over operations (API: ``GET /operations``).

        :param filters: ``type``, ``status``, and ``id_``, ``submitted_``, ``finished_`` each with ``gt``, ``gte``,
            ``lt``, ``lte``; a time without a zone is in UTC.
        :returns: operations by id; each page is read when it is reached.
        :raises ValueError: the list has no such filter.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.walk(self.api.operations.listing(**filters))

    def archive_project(self, project_id: str) -> Operation | None:
        """Archive a project whose pools are all archived (API: ``POST /projects/{id}/archive``).

        :param project_id: the project's id.
        :returns: the operation, which may have been submitted before, or be finished; None: it is archived already.
        :raises ValueError: the id cannot be one.
        :raises TolokaConflictError: a pool of it is not archived.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.run(self.api.projects.archive(project_id))

    def close_pool(self, pool_id: str) -> Operation | None:
        """Close a pool, which stops paid work on it (API: ``POST /pools/{id}/close``).

        :param pool_id: the pool's id.
        :returns: the operation, which may have been submitted before, or be finished; None: it is not open.
        :raises ValueError: the id cannot be one.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.run(self.api.pools.close(pool_id))

    def archive_pool(self, pool_id: str) -> Operation | None:
        """Archive a closed pool (API: ``POST /pools/{id}/archive``).

        :param pool_id: the pool's id.
        :returns: the operation, which may have been submitted before, or be finished; None: it is archived already.
        :raises ValueError: the id cannot be one.
        :raises TolokaConflictError: it is open, or has active or recently rejected assignments.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.run(self.api.pools.archive(pool_id))

    def close_training(self, training_id: str) -> Operation | None:
        """Close a training (API: ``POST /trainings/{id}/close``).

        :param training_id: the training's id.
        :returns: the operation, which may have been submitted before, or be finished; None: it is not open.
        :raises ValueError: the id cannot be one.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.run(self.api.trainings.close(training_id))

    def archive_training(self, training_id: str) -> Operation | None:
        """Archive a closed training that no active pool requires (API: ``POST /trainings/{id}/archive``).

        :param training_id: the training's id.
        :returns: the operation, which may have been submitted before, or be finished; None: it is archived already.
        :raises ValueError: the id cannot be one.
        :raises TolokaConflictError: it is open, or a pool that requires it is not archived.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.run(self.api.trainings.archive(training_id))

    def wait_for_operation(
        self,
        operation_id: str,
        *,
        poll_interval: float = 5.0,
        timeout: float | None = 3600.0,
        on_change: Callable[[Operation], None] = log_change,
    ) -> Operation:
        """Wait until an operation has succeeded (API: "Tracking operations").

        An outage of the API does not fail the wait.

        :param operation_id: the operation's id.
        :param poll_interval: seconds between two polls; the first ones come sooner.
        :param timeout: seconds that the wait may take as a whole; None: no limit.
        :param on_change: called with the operation when its status or progress has changed; default: logs it.
        :returns: the operation, finished as ``SUCCESS``.
        :raises ValueError: the id cannot be one.
        :raises TolokaOperationFailedError: it ended as ``FAIL``.
        :raises TolokaTimeoutError: it did not finish in time; it keeps running at Toloka.
        :raises TolokaApiError: the token is refused, or the id stays unknown.
        """
        return self.run(
            self.api.waits.wait_for(operation_id, poll_interval=poll_interval, timeout=timeout, on_change=on_change)
        )


class TolokaClient(ClientMethods):
    """Toloka's API for any Python program. A context manager; it keeps its HTTP connections until it is closed.

    Failed requests are retried, and nothing is submitted twice: a call that changes something looks first, and looks
    again when its answer is lost.

    :param settings: the token, the address and the limits: see :meth:`from_token`.
    :param retry: how failed requests are retried; default: as often as the settings say.
    :param transport: what carries the requests; default: the ``requests`` library.
    :param observer: receives reports on the work, for metrics; default: nobody.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        retry: RetryPolicy | None = None,
        transport: Transport | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._api = TolokaApi(settings, retry, observer)
        self._transport = transport

    @classmethod
    def from_token(
        cls, token: str, *, url: str | None = None, retry: RetryPolicy | None = None, **options: Any
    ) -> Self:
        """Return a client for a token.

        :param token: an OAuth token or an API key.
        :param url: the host or base URL of the API; default: the environment's.
        :param retry: how failed requests are retried.
        :param options: ``environment``, ``act_under_account_id``, ``timeout``, ``retries`` and the other settings of
            an Airflow connection's extra.
        :raises ValueError: an option is unknown, or a value cannot be used; the message names it.
        """
        return cls(settings_for(token, url, options), retry=retry)

    @property
    def api(self) -> TolokaApi:
        """The calls as flows."""
        return self._api

    @property
    def transport(self) -> Transport:
        """What carries the requests; opened at the first use."""
        if self._transport is None:
            from airflow_provider_toloka.client.transports.sync import RequestsTransport

            self._transport = RequestsTransport(self.api.settings, observer=self.api.observer)
        return self._transport

    def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end.

        :param flow: a call of :attr:`api`.
        :returns: the flow's result.
        """
        return drive(flow, self.transport.send, self.transport.sleep)

    @property
    def requests_sent(self) -> int:
        """How many requests were sent, retries included."""
        return self.transport.requests

    @property
    def session(self) -> requests.Session:
        """The ``requests`` session of the default transport, for calls that this class does not have.

        Token and account are sent to the connection's own origin only. A request without ``timeout`` has the
        connection's. Redirects are not followed, and certificates are checked against the connection's trust store,
        whatever ``verify`` is.

        :raises TypeError: the client was given a transport of another kind.
        """
        from airflow_provider_toloka.client.transports.sync import RequestsTransport

        if not isinstance(self.transport, RequestsTransport):
            raise TypeError("This client was given a transport of its own, which has no requests session.")
        return self.transport.session

    def close(self) -> None:
        """Close the HTTP connections; the next call opens new ones."""
        if self._transport is not None:
            self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def settings_for(token: str, url: str | None, options: Mapping[str, Any]) -> Settings:
    """Return the settings for a token; see :meth:`TolokaClient.from_token`."""
    if unknown := unknown_keys(options):
        raise ValueError(f"Unknown option {', '.join(unknown)}. Options: {', '.join(KEYS)}.")
    return Settings.from_connection(password=token, host=url, extra=options)
