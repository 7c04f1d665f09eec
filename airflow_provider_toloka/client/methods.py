"""The calls of the API as methods of ``TolokaClient`` and ``TolokaHook``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from airflow_provider_toloka._durations import Duration
from airflow_provider_toloka.client.api.waits import log_change
from airflow_provider_toloka.client.labelling_methods import LabellingMethods
from airflow_provider_toloka.client.models import Operation, Pool, Project, Requester, Training


class ClientMethods(LabellingMethods):
    """The calls of the API as methods."""

    def now(self) -> datetime:
        """Return Toloka's time, in UTC, from its responses; before the first response, send a request.

        Compare this time, rather than this machine's, with the times in Toloka's responses.
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

        Toloka keeps the logs of batch operations for a month, and has none for other operations.

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
        :raises TolokaConflictError: one of its pools is not archived.
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
        poll_interval: Duration = 5.0,
        timeout: Duration | None = 3600.0,
        on_change: Callable[[Operation], None] = log_change,
    ) -> Operation:
        """Wait until an operation has succeeded (API: "Tracking operations").

        An outage of the API does not end the wait.

        :param operation_id: the operation's id.
        :param poll_interval: the time between two polls: seconds, a timedelta, or a text such as ``"PT30S"``; the first
            ones come sooner.
        :param timeout: the longest wait: seconds, a timedelta, or a text such as ``"PT30M"``; None: no limit.
        :param on_change: called with the operation when its status or progress has changed; default: logs it.
        :returns: the operation, finished as ``SUCCESS``.
        :raises ValueError: the id cannot be one, or an argument is not a duration; nothing was requested.
        :raises TolokaOperationFailedError: it ended as ``FAIL``.
        :raises TolokaTimeoutError: it did not finish in time; it keeps running at Toloka.
        :raises TolokaApiError: Toloka refuses the token, or the operation does not exist.
        """
        return self.run(
            self.api.waits.wait_for(operation_id, poll_interval=poll_interval, timeout=timeout, on_change=on_change)
        )
