"""Operators that open pools and trainings once per run."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_toloka._arguments import check_literals, literal_id, read_id
from airflow_provider_toloka._lineage import source_of, toloka_place
from airflow_provider_toloka._outlets import describe_outlets
from airflow_provider_toloka._task import ALREADY_DONE
from airflow_provider_toloka.client.api.opening import open_it
from airflow_provider_toloka.client.resources import OPEN_POOL, OPEN_TRAINING, POOL, TRAINING, Change
from airflow_provider_toloka.exceptions import TolokaApiError, TolokaLockedError
from airflow_provider_toloka.links.toloka import LINKS
from airflow_provider_toloka.operators._labelling import WaitingOperator, read_and_link, waited_for
from airflow_provider_toloka.operators._lines import already_line, done_line

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, XComArg

    from airflow_provider_toloka._task import Deadline
    from airflow_provider_toloka.client.models import Operation
    from airflow_provider_toloka.hooks.toloka import TolokaHook


class _OpenOperator(WaitingOperator):
    change: ClassVar[Change]

    def advance(
        self, context: Context, hook: TolokaHook, deadline: Deadline, waited: Mapping[str, Operation | None] | None
    ) -> str:
        """Open it, unless it was opened since the run started.

        :param hook: the hook of the task's connection.
        :param deadline: when the try ends.
        :param waited: the operation of a deferred task; it is not submitted again.
        :returns: the id of the operation; ``"already done"``: it was already open.
        :raises AirflowFailException: an invalid argument, or a permanent error.
        :raises TolokaConflictError: it cannot be opened; the message has the remedy.
        :raises TolokaOperationFailedError: the operation failed.
        :raises TolokaTimeoutError: the operation did not finish in time; it keeps running at Toloka.
        """
        started = time.monotonic()
        resource = self.change.resource
        object_id = read_id(resource, getattr(self, resource.id_param))
        operation = waited_for(waited)
        name = None
        try:
            name = read_and_link(context, hook, resource, object_id).private_name
        except TolokaApiError:
            if operation is None:
                raise  # else it has been opened, and an outage should not hide that
        if operation is None:
            operation = self._open(context, hook, deadline, object_id)
        if operation is None:
            self.log.info("%s", already_line(self.change, object_id, name))
            describe_outlets(self, context, [], ALREADY_DONE)
            return ALREADY_DONE
        source = source_of(hook.api.settings)
        self._add_lineage(operation_ids=[operation.id], source=source)
        (operation,) = self.settle(hook, [operation], deadline)
        hook.run(hook.api.operations.require_success([operation]))
        self._add_lineage(outputs=[toloka_place(source, resource, object_id, change="ALTER")])
        describe_outlets(self, context, [operation])
        seconds = time.monotonic() - started
        self.log.info("%s", done_line(self.change, object_id, name, operation, seconds=seconds))
        return operation.id

    def _open(self, context: Context, hook: TolokaHook, deadline: Deadline, object_id: str) -> Operation | None:
        """Submit the operation; wait while the object is locked."""
        started = context["dag_run"].start_date
        reason = deadline.paused_for
        while True:
            try:
                opening = open_it(hook.api.calls, hook.api.changes, self.change, object_id, started)
                return hook.run(deadline.bounds(opening, reason))
            except TolokaLockedError as error:
                reason = str(error)
                self.pause(reason, deadline)


class TolokaOpenPoolOperator(_OpenOperator):
    """Open a pool, which starts paid work (API: ``POST /pools/{id}/open``).

    A pool that was opened since the DAG run started is not opened again, even if it has closed since, so that a retry
    does not pay twice for a pool that completes within seconds. A cleared run opens it again, because it starts anew.

    :param pool_id: the pool's id, or the address of its page. (templated)
    :param kwargs: the parameters of ``PollingOperator``, and those of every operator.
    """

    change = OPEN_POOL
    template_fields: Sequence[str] = ("pool_id", "toloka_conn_id")
    operator_extra_links = (LINKS["pool"], LINKS["project"])

    def __init__(self, *, pool_id: str | XComArg, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool_id = pool_id
        check_literals(self, pool_id=literal_id(POOL))


class TolokaOpenTrainingOperator(_OpenOperator):
    """Open a training; Tolokers see its tasks while it is open (API: ``POST /trainings/{id}/open``).

    :param training_id: the training's id, or the address of its page. (templated)
    :param kwargs: the parameters of ``PollingOperator``, and those of every operator.
    """

    change = OPEN_TRAINING
    template_fields: Sequence[str] = ("training_id", "toloka_conn_id")
    operator_extra_links = (LINKS["training"], LINKS["project"])

    def __init__(self, *, training_id: str | XComArg, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.training_id = training_id
        check_literals(self, training_id=literal_id(TRAINING))
