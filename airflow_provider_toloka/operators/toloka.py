"""Operators that bring something at Toloka into a wanted state, and see it through."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.providers.common.compat.sdk import BaseOperator, conf

from airflow_provider_toloka._task import (
    failing_at_once,
    first_started,
    operation_trigger,
    operations_of,
    require_positive,
    seconds,
)
from airflow_provider_toloka.archiving.plan import PoolsRule, check_pools_rule, step_of
from airflow_provider_toloka.archiving.project import Progress, change_one, retire_project
from airflow_provider_toloka.client.api.waits import timeout_message
from airflow_provider_toloka.client.backoff import BEFORE_DEFERRING, quick_first
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.client.parsing import check_id
from airflow_provider_toloka.client.resources import (
    ARCHIVE_POOL,
    ARCHIVE_PROJECT,
    ARCHIVE_TRAINING,
    CLOSE_POOL,
    CLOSE_TRAINING,
    Change,
)
from airflow_provider_toloka.exceptions import TolokaTimeoutError
from airflow_provider_toloka.hooks.toloka import TolokaHook
from airflow_provider_toloka.links.toloka import LINKS, TolokaLink, push_links

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, XComArg

    from airflow_provider_toloka.client.api import TolokaApi
    from airflow_provider_toloka.client.sansio import Flow


class TolokaChangeOperator(BaseOperator):
    """Base of the operators that change one object at Toloka: look, do what is missing, wait, look again.

    Nothing is remembered: each try, and each return from a deferral, first reads how things stand at Toloka. So a
    task may be retried, cleared, and run twice at the same time, and nothing is submitted twice.

    :param toloka_conn_id: the id of the Toloka connection; default ``toloka_default``. (templated)
    :param wait_for_completion: whether to wait until the last operation has succeeded; default True. False: the task
        ends when that is submitted.
    :param deferrable: whether to wait on the triggerer, without a worker slot; default: Airflow's setting
        ``[operators] default_deferrable``. What finishes while the worker looks is not deferred at all.
    :param poll_interval: seconds between two looks at an operation, default 5; the first ones come more quickly.
    :param timeout: how long the waits may take as a whole: seconds or a timedelta, default an hour. It counts over all
        tries; on Airflow 3.0 to 3.2, which tell a task nothing of its former tries, over each.
    """

    #: The last change that the operator makes.
    change: ClassVar[Change]
    template_fields: Sequence[str] = ("toloka_conn_id",)
    operator_extra_links: Sequence[TolokaLink] = (LINKS["project"],)
    ui_color: str = "#f5d96b"

    def __init__(
        self,
        *,
        toloka_conn_id: str = TolokaHook.default_conn_name,
        wait_for_completion: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float = 5.0,
        timeout: float | timedelta = 3600.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.toloka_conn_id = toloka_conn_id
        self.wait_for_completion = wait_for_completion
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.timeout = timeout

    @property
    def object_id(self) -> str:
        """The id of the object that is changed."""
        return check_id(self.change.resource.id_param, getattr(self, self.change.resource.id_param))

    def advance(self, api: TolokaApi, done: Sequence[Operation]) -> Flow[Progress]:  # noqa: ARG002 - for the project
        """Do all that can be done now.

        :param api: the API's calls.
        :param done: operations that were waited for, and have succeeded.
        """
        return change_one(api, self.change, self.object_id)

    def execute(self, context: Context) -> str | None:
        """Bring the object into the wanted state.

        :returns: the id of the last operation, which is also pushed as XCom ``operation`` when it has finished;
            None: it was in that state before.
        :raises AirflowFailException: no retry can mend it: a wrong argument, a refused token, no such object.
        :raises TolokaConflictError: the state at Toloka does not allow it.
        :raises TolokaOperationFailedError: an operation ended as ``FAIL``.
        :raises TolokaTimeoutError: the operations did not finish in time.
        :raises TolokaApiError: another of its kinds, by meaning.
        """
        with failing_at_once(), TolokaHook(self.toloka_conn_id) as hook:
            push_links(context, hook, self.change.resource, self.object_id)
            require_positive("timeout", self.timeout)
            require_positive("poll_interval", self.poll_interval)
        return self._go_on(context, first_started(context) + seconds(self.timeout), {})

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> str | None:
        """Go on where the wait on the triggerer ended.

        :param event: the event of ``OperationTrigger``.
        :returns: what ``execute`` returns.
        :raises AirflowFailException: as ``execute``, or the wait met what no waiting mends.
        :raises TolokaError: as ``execute``.
        """
        operations = operations_of(event)
        return self._go_on(context, event["deadline"], operations, event.get("trouble"))

    def _go_on(
        self, context: Context, deadline: float, waited: Mapping[str, Operation | None], trouble: str | None = None
    ) -> str | None:
        with failing_at_once(), TolokaHook(self.toloka_conn_id) as hook:
            while True:
                finished = self._finished(hook, waited, deadline, trouble)
                last = [operation for operation in finished if operation.type == self.change.operation_type]
                if not last:
                    progress = hook.run(self.advance(hook.api, finished))
                    if progress.is_last and not progress.operations:
                        self.log.info(
                            "Nothing to do for %s %s: it was done before.", self.change.resource.kind, self.object_id
                        )
                        return None
                    if progress.is_last and (progress.operations[0].is_finished or not self.wait_for_completion):
                        last = list(progress.operations)
                if last:
                    return self._end(hook, context, last[0])
                waited = self._wait(hook, progress, deadline)

    def _finished(
        self, hook: TolokaHook, waited: Mapping[str, Operation | None], deadline: float, trouble: str | None
    ) -> Sequence[Operation]:
        """Give the operations that have succeeded, and raise for those that failed or are late."""
        operations = [operation for operation in waited.values() if operation and operation.is_finished]
        # Another's operation that locked a pool may fail; that is no failure of this task.
        hook.run(hook.api.operations.require_success([operation for operation in operations if step_of(operation)]))
        if len(operations) < len(waited) and time.time() >= deadline:
            raise TolokaTimeoutError(timeout_message(waited, trouble))
        return operations

    def _wait(self, hook: TolokaHook, progress: Progress, deadline: float) -> Mapping[str, Operation | None]:
        ids = [operation.id for operation in progress.operations]
        for locked in progress.locked:
            self.log.info("To be looked at again: %s", locked)
        if not ids and time.time() >= deadline:
            raise TolokaTimeoutError(
                f"The wait's timeout has passed, and it is still so: {'; '.join(progress.locked)}. "
                "Run the task again to look again, or raise timeout."
            )
        if ids:
            self.log.info("Waiting for: %s", "; ".join(operation.summary for operation in progress.operations))
        if self.deferrable:
            return self._look_for_a_moment(hook, ids, deadline) or self._defer(progress.operations, deadline)
        if not ids:
            time.sleep(min(self.poll_interval, max(0.0, deadline - time.time())))
            return {}
        intervals = quick_first(self.poll_interval)
        return hook.run(hook.api.waits.poll(ids, intervals=intervals, deadline=deadline))

    def _look_for_a_moment(
        self, hook: TolokaHook, ids: Sequence[str], deadline: float
    ) -> Mapping[str, Operation | None]:
        """Give what has become of the operations, if they finish while the worker looks; else nothing."""
        moment = min(deadline, time.time() + BEFORE_DEFERRING)
        try:
            return hook.run(hook.api.waits.poll(ids, intervals=quick_first(self.poll_interval), deadline=moment))
        except TolokaTimeoutError:
            if moment == deadline:
                raise
            return {}

    def _defer(self, operations: Sequence[Operation], deadline: float) -> NoReturn:
        trigger = operation_trigger(
            self.toloka_conn_id, operations, poll_interval=self.poll_interval, deadline=deadline
        )
        self.defer(trigger=trigger, method_name="execute_complete")

    def _end(self, hook: TolokaHook, context: Context, operation: Operation) -> str:
        hook.run(hook.api.operations.require_success([operation]))
        self.log.info("Toloka's %s", operation.summary)
        if operation.is_finished:
            context["ti"].xcom_push(key="operation", value=operation.to_json())
        return operation.id


class TolokaArchiveProjectOperator(TolokaChangeOperator):
    """Archives a project, and its pools and trainings if it may (API: ``POST /projects/{id}/archive``).

    An archived project can be read, but not be brought back.

    :param project_id: the project's id. (templated)
    :param pools: what may be done to the project's pools and trainings before: ``"require_archived"`` (default):
        nothing; the task fails if one is not archived. ``"archive_closed"``: archive those that are closed; an open
        one fails the task before anything is changed. ``"close_and_archive"``: close the open ones as well, which
        stops paid work. These are waited for even with ``wait_for_completion=False``.
    :param toloka_conn_id: the id of the Toloka connection; default ``toloka_default``. (templated)
    :param wait_for_completion: whether to wait until the project is archived; default True. False: the task ends when
        that is submitted.
    :param deferrable: whether to wait on the triggerer, without a worker slot; default: Airflow's setting
        ``[operators] default_deferrable``. What finishes while the worker looks is not deferred at all.
    :param poll_interval: seconds between two looks at an operation, default 5; the first ones come more quickly.
    :param timeout: how long the waits may take as a whole: seconds or a timedelta, default an hour. It counts over all
        tries; on Airflow 3.0 to 3.2, which tell a task nothing of its former tries, over each.
    """

    change = ARCHIVE_PROJECT
    template_fields: Sequence[str] = ("project_id", "toloka_conn_id")

    def __init__(self, *, project_id: str | XComArg, pools: PoolsRule = "require_archived", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.project_id = project_id
        self.pools = pools

    def advance(self, api: TolokaApi, done: Sequence[Operation]) -> Flow[Progress]:
        """Do all that can be done now.

        :param api: the API's calls.
        :param done: operations that were waited for, and have succeeded.
        """
        check_pools_rule(self.pools)
        return retire_project(api, self.object_id, self.pools, done)


class _PoolOperator(TolokaChangeOperator):
    template_fields: Sequence[str] = ("pool_id", "toloka_conn_id")
    operator_extra_links = (LINKS["pool"], LINKS["project"])

    def __init__(self, *, pool_id: str | XComArg, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool_id = pool_id


class TolokaClosePoolOperator(_PoolOperator):
    """Closes a pool: paid work on it stops (API: ``POST /pools/{id}/close``).

    :param pool_id: the pool's id. (templated)
    :param kwargs: ``toloka_conn_id``, ``wait_for_completion``, ``deferrable``, ``poll_interval`` and ``timeout`` of
        ``TolokaChangeOperator``, and those of every operator.
    """

    change = CLOSE_POOL


class TolokaArchivePoolOperator(_PoolOperator):
    """Archives a closed pool (API: ``POST /pools/{id}/archive``).

    :param pool_id: the pool's id. (templated)
    :param kwargs: ``toloka_conn_id``, ``wait_for_completion``, ``deferrable``, ``poll_interval`` and ``timeout`` of
        ``TolokaChangeOperator``, and those of every operator.
    """

    change = ARCHIVE_POOL


class _TrainingOperator(TolokaChangeOperator):
    template_fields: Sequence[str] = ("training_id", "toloka_conn_id")
    operator_extra_links = (LINKS["training"], LINKS["project"])

    def __init__(self, *, training_id: str | XComArg, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.training_id = training_id


class TolokaCloseTrainingOperator(_TrainingOperator):
    """Closes a training (API: ``POST /trainings/{id}/close``).

    :param training_id: the training's id. (templated)
    :param kwargs: ``toloka_conn_id``, ``wait_for_completion``, ``deferrable``, ``poll_interval`` and ``timeout`` of
        ``TolokaChangeOperator``, and those of every operator.
    """

    change = CLOSE_TRAINING


class TolokaArchiveTrainingOperator(_TrainingOperator):
    """Archives a closed training that no active pool requires (API: ``POST /trainings/{id}/archive``).

    :param training_id: the training's id. (templated)
    :param kwargs: ``toloka_conn_id``, ``wait_for_completion``, ``deferrable``, ``poll_interval`` and ``timeout`` of
        ``TolokaChangeOperator``, and those of every operator.
    """

    change = ARCHIVE_TRAINING
