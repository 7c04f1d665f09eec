"""A sensor that waits for Toloka's operations, no matter who started them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    PokeReturnValue,
)

from airflow_provider_toloka._arguments import check_literals, is_nothing, require
from airflow_provider_toloka._outlets import describe_outlets
from airflow_provider_toloka._settling import settling_seconds
from airflow_provider_toloka._task import (
    ALREADY_DONE,
    POSTPONED,
    Deadline,
    failing_at_once,
    first_submitted,
    operations_of,
)
from airflow_provider_toloka._text import shown
from airflow_provider_toloka.client.api.waits import Watch, timeout_message
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.client.parsing import check_id
from airflow_provider_toloka.client.resources import WITH_A_PAGE
from airflow_provider_toloka.exceptions import TolokaApiError, TolokaOperationFailedError
from airflow_provider_toloka.hooks.toloka import TolokaHook
from airflow_provider_toloka.links.toloka import LINKS, push_links
from airflow_provider_toloka.sensors._base import TolokaSensor

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, XComArg

    from airflow_provider_toloka.triggers.toloka import OperationTrigger

_A_DAY = 86_400.0
#: What operators return instead of an id.
_NOTHING = (ALREADY_DONE, POSTPONED)


class OperationSensor(TolokaSensor):
    """Wait until one or more operations have succeeded (API: ``GET /operations``).

    Returns the finished operation, or the list of them, as XCom. An operation that ends as ``FAIL`` fails the task
    immediately. An outage of the API does not end the wait.

    :param operation_id: the id of an operation, or a list of ids. ``"already done"`` and ``"postponed"``, also in a
        list, mean that there is nothing to wait for; this package's operators return them. None, an empty text or an
        empty list fails the task, because no operation was passed. (templated)
    :param kwargs: the parameters of ``TolokaSensor``, and those of every sensor.
    """

    template_fields: Sequence[str] = ("operation_id", "toloka_conn_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {"operation_id": "json"}
    operator_extra_links = tuple(LINKS.values())
    ui_color: str = "#f5e6a8"

    def __init__(
        self,
        *,
        operation_id: str | Sequence[str] | XComArg,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.operation_id = operation_id
        check_literals(self, operation_id=_check_literal)
        #: What is known of the operations, from the first poke on.
        self._watch: Watch | None = None
        self._has_links = False

    def poke(self, context: Context) -> PokeReturnValue:
        """Poll once; defer if an operation is unfinished and the sensor is deferrable.

        :returns: with the finished operation, or the list of them, as JSON values; None: there was nothing to wait for.
        :raises AirflowFailException: one ended as ``FAIL``, or a permanent error.
        :raises AirflowSensorTimeout: they did not finish in time.
        """
        with failing_at_once(), TolokaHook(self.toloka_conn_id) as hook:
            if self._watch is None:
                self._watch = hook.api.waits.watch(self._operation_ids())
            watch, deadline = self._watch, self._deadline_in(context)
            if watch.seen:
                hook.run(hook.api.waits.look(watch))
                self._push_links(context, watch.seen)
        is_over = self._is_last_poke(context)
        if self._have_succeeded(watch.seen):
            return PokeReturnValue(is_done=True, xcom_value=self._result(context, watch.seen))
        if is_over:
            raise AirflowSensorTimeout(timeout_message(watch.seen, watch.trouble, deadline.limit))
        if self.deferrable:
            # A deferral is not an Exception, so the base class, which handles soft_fail and never_fail, lets it pass.
            self.defer(
                trigger=self._trigger(watch.seen, deadline),
                method_name="execute_complete",
                timeout=deadline.for_deferral,
            )
        return PokeReturnValue(is_done=False)

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> Any:
        """Return the result of the wait on the triggerer.

        :param event: the event of ``OperationTrigger``.
        :returns: the finished operation, or the list of them, as JSON values.
        :raises AirflowFailException: one ended as ``FAIL``, or a permanent error.
        :raises AirflowSensorTimeout: they did not finish in time.
        """
        with failing_at_once():
            seen = operations_of(event)
        self._push_links(context, seen)
        for operation in seen.values():
            if operation:
                self.log.info("Toloka's %s", operation.summary)
        if not self._have_succeeded(seen):
            limit = Deadline.from_event(event).limit
            raise AirflowSensorTimeout(timeout_message(seen, event.get("trouble"), limit))
        return self._result(context, seen)

    def _operation_ids(self) -> list[str]:
        whole: Any = self.operation_id
        if self._is_list and (isinstance(whole, bytes) or not isinstance(whole, Sequence)):
            raise ValueError(f"operation_id should be an id or a list of ids, but is {shown(whole)}.")
        read = [_read_id(given) for given in self._given]
        if not read:
            raise ValueError(
                "operation_id has no ids. If it comes from mapped tasks, check that they ran and returned ids. "
                f'If there is nothing to wait for, set it to ["{ALREADY_DONE}"].'
            )
        return [id_ for id_ in read if id_ not in _NOTHING]

    @property
    def _given(self) -> Sequence[Any]:
        given: Any = self.operation_id
        return given if self._is_list else [given]

    @property
    def _is_list(self) -> bool:
        return not (isinstance(self.operation_id, (str, int)) or is_nothing(self.operation_id))

    def _push_links(self, context: Context, seen: Mapping[str, Operation | None]) -> None:
        """Link to the operation's object, if there is only one operation with one object."""
        operation = next(iter(seen.values())) if len(seen) == 1 else None
        given = operation.parameters if operation else {}
        resource = next((one for one in WITH_A_PAGE.values() if given.get(one.id_param)), None)
        if resource is None or "ti" not in context or self._has_links:
            return
        self._has_links = True
        with TolokaHook(self.toloka_conn_id) as hook:
            try:
                push_links(context, hook, resource, check_id(resource.id_param, given[resource.id_param]))
            except (TolokaApiError, ValueError) as error:
                self.log.info("No link to the %s of operation %s: %s", resource.kind, ", ".join(seen), error)

    def _have_succeeded(self, seen: Mapping[str, Operation | None]) -> bool:
        failed = [operation for operation in seen.values() if operation and operation.failed]
        if failed:
            with failing_at_once(TolokaOperationFailedError), TolokaHook(self.toloka_conn_id) as hook:
                hook.run(hook.api.operations.require_success(failed))
        return all(operation and operation.is_finished for operation in seen.values())

    def _result(self, context: Context, seen: Mapping[str, Operation | None]) -> Any:
        operations = [operation for operation in seen.values() if operation]
        describe_outlets(self, context, operations, POSTPONED if POSTPONED in self._given else ALREADY_DONE)
        told = [operation.to_json() for operation in operations]
        return told if self._is_list else next(iter(told), None)

    def _trigger(self, seen: Mapping[str, Operation | None], deadline: Deadline) -> OperationTrigger:
        # Imported here because this import doubles the time that parsing a DAG file takes.
        from airflow_provider_toloka.triggers.toloka import OperationTrigger

        longest = self.max_wait.total_seconds() if self.max_wait else _A_DAY
        return OperationTrigger(
            toloka_conn_id=self.toloka_conn_id,
            operation_ids=list(seen),
            submitted=first_submitted([operation for operation in seen.values() if operation]),
            poll_interval=self.poke_interval,
            longest_interval=longest if self.exponential_backoff else None,
            deadline=deadline.at,
            limit=deadline.limit,
            not_before=time.time() + settling_seconds(),
        )


def _read_id(value: Any) -> str:
    """Return the id of an operation, or what an operator returns instead."""
    require("operation_id", value, 'An operator of this package that had nothing to do returns "already done".')
    return str(value) if value in _NOTHING else check_id("operation_id", value)


def _check_literal(value: Any) -> None:
    """Check an id or a list of ids; None is refused when the task runs."""
    for one in value if isinstance(value, (list, tuple)) else [value]:
        if one is not None:
            _read_id(one)
