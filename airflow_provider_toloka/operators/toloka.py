"""Operators that bring objects at Toloka into a wanted state."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, cast, get_args

from airflow.providers.common.compat.sdk import AirflowSkipException
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_toloka._arguments import check_literals, read_choice, read_id
from airflow_provider_toloka._durations import seconds
from airflow_provider_toloka._lineage import source_of, toloka_place
from airflow_provider_toloka._outlets import describe_outlets
from airflow_provider_toloka._task import ALREADY_DONE, Deadline, failing_at_once, operations_of
from airflow_provider_toloka.archiving.plan import PoolsRule, step_of
from airflow_provider_toloka.archiving.project import Progress, change_one, retire_project
from airflow_provider_toloka.client.api.waits import timeout_message
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.client.resources import (
    ARCHIVE_POOL,
    ARCHIVE_PROJECT,
    ARCHIVE_TRAINING,
    CLOSE_POOL,
    CLOSE_TRAINING,
    PROJECT,
    Change,
)
from airflow_provider_toloka.exceptions import TolokaError, TolokaPostponedError, TolokaTimeoutError
from airflow_provider_toloka.hooks.toloka import TolokaHook
from airflow_provider_toloka.links.toloka import LINKS, TolokaLink, push_links
from airflow_provider_toloka.operators._waiting import PollingOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, XComArg

    from airflow_provider_toloka.client.api import TolokaApi
    from airflow_provider_toloka.client.sansio import Flow


#: What to do when an object can be changed only in a few days.
OnConflict: TypeAlias = Literal["fail", "skip"]


class TolokaChangeOperator(PollingOperator):
    """Base of the operators that change one object at Toloka.

    The operator is stateless: every try, and every return from a deferral, starts by reading the current state from
    Toloka, and submits what is missing. Tasks can be retried, cleared, and run twice at the same time.

    :param wait_for_completion: whether to wait until the last operation has succeeded. False: the task ends when the
        operation is submitted.
    :param kwargs: the parameters of ``PollingOperator``, and those of every operator.
    """

    #: The last change that the operator makes.
    change: ClassVar[Change]
    operator_extra_links: Sequence[TolokaLink] = (LINKS["project"],)

    def __init__(self, *, wait_for_completion: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.wait_for_completion = wait_for_completion

    @property
    def object_id(self) -> str:
        """The object's id."""
        return read_id(self.change.resource, getattr(self, self.change.resource.id_param))

    def check(self) -> None:
        """Check all arguments, before the first request.

        :raises ValueError: an argument is invalid.
        """
        seconds("poll_interval", self.poll_interval)
        self.object_id  # noqa: B018 - it raises

    def advance(self, api: TolokaApi, done: Sequence[Operation]) -> Flow[Progress]:  # noqa: ARG002 - for the project
        """Submit everything that can be done now.

        :param api: the API's calls.
        :param done: operations that were waited for and have succeeded.
        """
        return change_one(api, self.change, self.object_id)

    def execute(self, context: Context) -> str:
        """Bring the object into the wanted state.

        :returns: the id of the last operation, which is also pushed as XCom ``operation`` when it has finished;
            ``"already done"``: the object was already in that state.
        :raises AirflowFailException: an invalid argument, or a permanent error.
        :raises TolokaConflictError: the object's state does not allow the change.
        :raises TolokaOperationFailedError: an operation ended as ``FAIL``.
        :raises TolokaTimeoutError: the operations did not finish in time.
        :raises TolokaApiError: a request failed; see the other subclasses.
        """
        with failing_at_once(), TolokaHook(self.toloka_conn_id) as hook:
            needs_no_request = self.change.resource is PROJECT
            if needs_no_request:
                push_links(context, hook, self.change.resource, self.object_id)
            self.check()
            deadline = Deadline.of_try(self, context, self.timeout)
            if not needs_no_request:
                push_links(context, hook, self.change.resource, self.object_id)
            name_map_index(context, self.object_id)
        return self._proceed(context, deadline, {})

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> str:
        """Continue after the wait on the triggerer.

        :param event: the event of ``OperationTrigger``.
        :returns: what ``execute`` returns.
        :raises AirflowFailException: as ``execute``.
        :raises TolokaError: as ``execute``, or the error that ended the wait.
        """
        with self._counting_failures():
            operations = operations_of(event)
        return self._proceed(context, Deadline.from_event(event), operations, event.get("trouble"))

    def _proceed(
        self, context: Context, deadline: Deadline, waited: Mapping[str, Operation | None], trouble: str | None = None
    ) -> str:
        started = time.monotonic()
        with self._counting_failures() as hook:
            while True:
                finished = self._finished(hook, waited)
                last = [operation for operation in finished if operation.type == self.change.operation_type]
                if not last:
                    if waited and not deadline.left():
                        # The deadline has passed: change nothing more.
                        raise TolokaTimeoutError(timeout_message(waited, trouble, deadline.limit))
                    progress = hook.run(self.advance(hook.api, finished))
                    if progress.is_last and not progress.operations:
                        self.log.info("%s %s: already done", self.change.resource.kind.capitalize(), self.object_id)
                        describe_outlets(self, context, [], ALREADY_DONE)
                        return ALREADY_DONE
                    if progress.is_last and (progress.operations[0].is_finished or not self.wait_for_completion):
                        last = list(progress.operations)
                if last:
                    return self._end(hook, context, last[0], time.monotonic() - started)
                waited = self._wait(hook, progress, deadline)

    @contextmanager
    def _counting_failures(self) -> Iterator[TolokaHook]:
        """Yield a hook; report a project that cannot be archived to its observer."""
        with failing_at_once(), TolokaHook(self.toloka_conn_id) as hook:
            try:
                yield hook
            except TolokaError as error:
                if self.change is ARCHIVE_PROJECT and not isinstance(error, TolokaPostponedError):
                    hook.api.observer.project_ended("failed")
                raise

    def _finished(self, hook: TolokaHook, waited: Mapping[str, Operation | None]) -> Sequence[Operation]:
        """Return the finished operations; raise if one of them has failed."""
        if waited:
            self._note_operations(hook, list(waited))
        operations = [operation for operation in waited.values() if operation and operation.is_finished]
        # An operation of another user that locked a pool may fail without failing this task.
        hook.run(hook.api.operations.require_success([operation for operation in operations if step_of(operation)]))
        return operations

    def _wait(self, hook: TolokaHook, progress: Progress, deadline: Deadline) -> Mapping[str, Operation | None]:
        if not progress.operations:
            self.pause("; ".join(progress.locked), deadline)
            return {}
        for locked in progress.locked:
            self.log.info("Waiting: %s", locked)
        self._note_operations(hook, [operation.id for operation in progress.operations])
        self.log.info("Waiting: %s", "; ".join(map(_told, progress.operations)))
        return self.poll_or_defer(hook, progress.operations, deadline)

    def _note_operations(self, hook: TolokaHook, ids: Sequence[str]) -> None:
        self._add_lineage(operation_ids=ids, source=source_of(hook.api.settings))

    def _end(self, hook: TolokaHook, context: Context, operation: Operation, duration: float) -> str:
        self._note_operations(hook, [operation.id])
        hook.run(hook.api.operations.require_success([operation]))
        describe_outlets(self, context, [operation])
        if operation.is_finished:
            place = toloka_place(source_of(hook.api.settings), self.change.resource, self.object_id, change="ALTER")
            self._add_lineage(outputs=[place])
            if self.change is ARCHIVE_PROJECT:
                hook.api.observer.project_ended("archived")
            began = operation.submitted or operation.finished
            if began and operation.finished:
                duration = max(duration, (operation.finished - began).total_seconds())
            done = {"archive": "Archived", "close": "Closed", "open": "Opened"}[self.change.action]
            self.log.info("%s %s %s in %.0f s", done, self.change.resource.kind, self.object_id, duration)
            context["ti"].xcom_push(key="operation", value=operation.to_json())
        else:
            self.log.info("Submitted: %s", _told(operation))
        return operation.id


class TolokaArchiveProjectOperator(TolokaChangeOperator):
    """Archive a project, optionally with its pools and trainings (API: ``POST /projects/{id}/archive``).

    An archived project can be read, but not restored.

    :param project_id: the project's id, or the address of its page on Toloka's site. (templated)
    :param pools: what the task may do to the project's pools and trainings first. ``"require_archived"``: nothing; the
        task fails if one is not archived. ``"archive_closed"``: archive closed ones; an open one fails the task before
        anything is changed. ``"close_and_archive"``: also close open ones, which stops paid work.
        The task waits for these even with ``wait_for_completion=False``. (templated)
    :param on_conflict: what to do when the project can be archived only in a few days, because a pool has rejected
        answers: ``"fail"`` fails the task immediately, without retries; ``"skip"`` skips it.
    :param kwargs: the parameters of ``TolokaChangeOperator``, and those of every operator.
    """

    change = ARCHIVE_PROJECT
    template_fields: Sequence[str] = ("project_id", "pools", "toloka_conn_id")

    def __init__(
        self,
        *,
        project_id: str | XComArg,
        pools: PoolsRule | str = "require_archived",
        on_conflict: OnConflict = "fail",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.project_id = project_id
        self.pools = pools
        self.on_conflict = on_conflict
        check_literals(self, pools=partial(_read_rule, "pools"), on_conflict=_read_on_conflict)

    def check(self) -> None:
        """Check all arguments, before the first request.

        :raises ValueError: an argument is invalid.
        """
        super().check()
        _read_rule("pools", self.pools)
        _read_on_conflict(self.on_conflict)

    def advance(self, api: TolokaApi, done: Sequence[Operation]) -> Flow[Progress]:
        """Submit everything that can be done now.

        :param api: the API's calls.
        :param done: operations that were waited for and have succeeded.
        :raises AirflowSkipException: it can be archived only in a few days, and ``on_conflict`` is ``"skip"``.
        """
        try:
            return (yield from retire_project(api, self.object_id, cast("PoolsRule", self.pools), done))
        except TolokaPostponedError as error:
            if self.on_conflict == "skip":
                raise AirflowSkipException(str(error)) from error
            raise


def _told(operation: Operation) -> str:
    return f"{step_of(operation) or operation.type} (operation {operation.id})"


def _read_rule(name: str, value: Any) -> str:
    return read_choice(name, value, get_args(PoolsRule))


def _read_on_conflict(value: Any) -> str:
    return read_choice("on_conflict", value, get_args(OnConflict))


def name_map_index(context: Context, name: str) -> None:
    """Set the displayed name of a mapped task, unless its author has set one.

    :param context: the task's context.
    :param name: the name, such as the id of its project.
    """
    own: Any = context
    map_index = context["ti"].map_index
    # Airflow 2 renders the name with its whole context, and warns about every deprecated key in it.
    if AIRFLOW_V_3_0_PLUS and map_index is not None and map_index >= 0 and not own.get("map_index_template"):
        own["map_index_template"] = name


class _PoolOperator(TolokaChangeOperator):
    """Base of the operators that change a pool.

    :param pool_id: the pool's id, or the address of its page. (templated)
    :param kwargs: the parameters of ``TolokaChangeOperator``, and those of every operator.
    """

    template_fields: Sequence[str] = ("pool_id", "toloka_conn_id")
    operator_extra_links = (LINKS["pool"], LINKS["project"])

    def __init__(self, *, pool_id: str | XComArg, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool_id = pool_id


class TolokaClosePoolOperator(_PoolOperator):
    """Close a pool, which stops paid work on it (API: ``POST /pools/{id}/close``)."""

    change = CLOSE_POOL


class TolokaArchivePoolOperator(_PoolOperator):
    """Archive a closed pool (API: ``POST /pools/{id}/archive``)."""

    change = ARCHIVE_POOL


class _TrainingOperator(TolokaChangeOperator):
    """Base of the operators that change a training.

    :param training_id: the training's id, or the address of its page. (templated)
    :param kwargs: the parameters of ``TolokaChangeOperator``, and those of every operator.
    """

    template_fields: Sequence[str] = ("training_id", "toloka_conn_id")
    operator_extra_links = (LINKS["training"], LINKS["project"])

    def __init__(self, *, training_id: str | XComArg, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.training_id = training_id


class TolokaCloseTrainingOperator(_TrainingOperator):
    """Close a training (API: ``POST /trainings/{id}/close``)."""

    change = CLOSE_TRAINING


class TolokaArchiveTrainingOperator(_TrainingOperator):
    """Archive a closed training that no active pool requires (API: ``POST /trainings/{id}/archive``)."""

    change = ARCHIVE_TRAINING
