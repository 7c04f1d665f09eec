"""The base of the operators that change one object at Toloka."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_toloka._arguments import read_id
from airflow_provider_toloka._durations import seconds
from airflow_provider_toloka._lineage import source_of, toloka_place
from airflow_provider_toloka._outlets import describe_outlets
from airflow_provider_toloka._task import ALREADY_DONE, Deadline, failing_at_once, operations_of
from airflow_provider_toloka.archiving.plan import step_of
from airflow_provider_toloka.archiving.project import Progress, change_one
from airflow_provider_toloka.client.api.waits import timeout_message
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.client.resources import ARCHIVE_PROJECT, PROJECT, Change
from airflow_provider_toloka.exceptions import TolokaError, TolokaPostponedError, TolokaTimeoutError
from airflow_provider_toloka.hooks.toloka import TolokaHook
from airflow_provider_toloka.links.toloka import LINKS, TolokaLink
from airflow_provider_toloka.operators._labelling import link_to, read_and_link
from airflow_provider_toloka.operators._lines import already_line, done_line, work_of
from airflow_provider_toloka.operators._waiting import PollingOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_toloka.client.api import TolokaApi
    from airflow_provider_toloka.client.sansio import Flow


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
            ``"already done"``: the object was already in that state; ``"postponed"``: see ``on_conflict``.
        :raises AirflowFailException: an invalid argument, or a permanent error.
        :raises TolokaConflictError: the object's state does not allow the change.
        :raises TolokaOperationFailedError: an operation ended as ``FAIL``.
        :raises TolokaTimeoutError: the operations did not finish in time.
        :raises TolokaApiError: a request failed; see the other subclasses.
        """
        with failing_at_once():
            with TolokaHook(self.toloka_conn_id) as hook:
                resource = self.change.resource
                if resource is PROJECT:
                    link_to(context, hook, PROJECT, self.object_id)
                self.check()
                deadline = Deadline.of_try(self, context, self.timeout)
                if resource is not PROJECT:
                    self.object_name = read_and_link(context, hook, resource, self.object_id).private_name
                name_map_index(context, self.object_id)
            return self._proceed(context, deadline, {})

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> str:
        """Continue after the wait on the triggerer.

        :param event: the event of ``OperationTrigger``.
        :returns: what ``execute`` returns.
        :raises AirflowFailException: as ``execute``.
        :raises TolokaError: as ``execute``, or the error that ended the wait.
        """
        with failing_at_once():
            with self._counting_failures():
                operations = operations_of(event)
            self.object_name = (event.get("carry") or {}).get("object_name")
            return self._proceed(context, Deadline.from_event(event), operations, event.get("trouble"))

    def _proceed(
        self,
        context: Context,
        deadline: Deadline,
        waited: Mapping[str, Operation | None],
        trouble: str | None = None,
    ) -> str:
        started = time.monotonic()
        reason = deadline.paused_for
        with self._counting_failures() as hook:
            while True:
                finished = self._finished(hook, waited)
                last = [operation for operation in finished if operation.type == self.change.operation_type]
                if not last:
                    if waited and not deadline.left():
                        # The deadline has passed: change nothing more.
                        raise TolokaTimeoutError(timeout_message(waited, trouble, deadline.limit))
                    progress = hook.run(deadline.bounds(self.advance(hook.api, finished), reason))
                    if progress.is_last and not progress.operations:
                        self.log.info("%s", already_line(self.change, self.object_id, self.object_name))
                        describe_outlets(self, context, [], ALREADY_DONE)
                        return ALREADY_DONE
                    if progress.is_last and (progress.operations[0].is_finished or not self.wait_for_completion):
                        last = list(progress.operations)
                if last:
                    return self._end(hook, context, last[0], time.monotonic() - started)
                waited = self._wait(hook, progress, deadline)
                reason = "; ".join(progress.locked) or None

    @contextmanager
    def _counting_failures(self) -> Iterator[TolokaHook]:
        """Yield a hook; report a project that cannot be archived to its observer."""
        with TolokaHook(self.toloka_conn_id) as hook:
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
            done = done_line(self.change, self.object_id, self.object_name, operation, seconds=duration)
            self.log.info("%s", done)
            context["ti"].xcom_push(key="operation", value=operation.to_json())
        else:
            self.log.info("Submitted: %s", work_of([operation]))
            self.log.debug("Toloka's %s", operation.summary)
        return operation.id


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
