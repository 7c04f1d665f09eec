"""A sensor that waits for Toloka's operations, whoever started them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider_toloka._task import failing_at_once, first_started, first_submitted, operations_of
from airflow_provider_toloka.client.api.waits import timeout_message
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.client.parsing import check_id
from airflow_provider_toloka.client.resources import WITH_A_PAGE
from airflow_provider_toloka.exceptions import TolokaApiError, TolokaOperationFailedError
from airflow_provider_toloka.hooks.toloka import TolokaHook
from airflow_provider_toloka.links.toloka import LINKS, push_links

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, XComArg

    from airflow_provider_toloka.triggers.toloka import OperationTrigger

_A_DAY = 86_400.0


class OperationSensor(BaseSensorOperator):
    """Pokes Toloka's ``/operations`` until one operation, or each of several, has succeeded.

    Returns the finished operation, or the list of them, as XCom. An operation that ended as ``FAIL`` fails the task at
    once. An outage of the API is no failure: the sensor goes on until its ``timeout``, which counts from the first try
    in all three modes (on Airflow 3.0 to 3.2, which tell a task nothing of its former tries, from each try).

    :param operation_id: the id of an operation, or a list of ids; None, also in the list: nothing to wait for, as
        ``TolokaArchiveProjectOperator`` returns it for a project archived before. (templated)
    :param toloka_conn_id: the id of the Toloka connection; default ``toloka_default``. (templated)
    :param deferrable: whether to wait on the triggerer, without a worker slot; default: Airflow's setting
        ``[operators] default_deferrable``.
    :param kwargs: as those of every sensor: ``poke_interval`` (seconds, 60), ``timeout`` (seconds; Airflow's setting
        ``[sensors] default_timeout``, 7 days), ``mode``, ``soft_fail``, ``exponential_backoff``, ``max_wait``.
    """

    template_fields: Sequence[str] = ("operation_id", "toloka_conn_id")
    operator_extra_links = tuple(LINKS.values())
    ui_color: str = "#f5e6a8"

    def __init__(
        self,
        *,
        operation_id: str | Sequence[str | None] | XComArg | None,
        toloka_conn_id: str = TolokaHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.operation_id = operation_id
        self.toloka_conn_id = toloka_conn_id
        self.deferrable = deferrable

    def pre_execute(self, context: Any) -> None:
        """Check what to wait for, and until when.

        Not in ``execute``: Airflow 2 takes a base class's ``execute`` that is called from there for a nested operator.
        """
        super().pre_execute(context)
        self._deadline = first_started(context) + self.timeout
        with failing_at_once(), TolokaHook(self.toloka_conn_id) as hook:
            self._watch = hook.api.waits.watch(self._operation_ids())
            self._seen = self._watch.seen

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once; defer if that is not enough and the sensor is deferrable.

        :returns: with the finished operation, or the list of them, as JSON values; None: there was nothing to wait for.
        :raises AirflowFailException: one ended as ``FAIL``, or no retry can mend it.
        :raises AirflowSensorTimeout: they did not finish in time.
        """
        trouble = None
        if self._seen:
            with failing_at_once(), TolokaHook(self.toloka_conn_id) as hook:
                hook.run(hook.api.waits.look(self._watch))
            trouble = self._watch.trouble
            self._push_links(context, self._seen)
        if self._have_succeeded(self._seen, self._deadline, trouble):
            return PokeReturnValue(is_done=True, xcom_value=self._result(self._seen))
        if self.deferrable:
            # Not an Exception: the base class lets it pass, and handles soft_fail and never_fail for all else.
            self.defer(trigger=self._trigger(), method_name="execute_complete")
        return PokeReturnValue(is_done=False)

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> Any:
        """Give the result of the wait on the triggerer.

        :param event: the event of ``OperationTrigger``.
        :returns: the finished operation, or the list of them, as JSON values.
        :raises AirflowFailException: one ended as ``FAIL``, or no waiting mends it.
        :raises AirflowSensorTimeout: they did not finish in time.
        """
        seen = operations_of(event)
        self._push_links(context, seen)
        for operation in seen.values():
            if operation:
                self.log.info("Toloka's %s", operation.summary)
        trouble = event.get("trouble")
        if not self._have_succeeded(seen, event["deadline"], trouble):
            raise AirflowSensorTimeout(timeout_message(seen, trouble))
        return self._result(seen)

    def _operation_ids(self) -> list[str]:
        given: Any = self.operation_id if self._is_list else [self.operation_id]
        return [check_id("operation_id", id_) for id_ in given if id_ is not None]

    @property
    def _is_list(self) -> bool:
        return not isinstance(self.operation_id, (str, int, type(None)))

    def _push_links(self, context: Context, seen: Mapping[str, Operation | None]) -> None:
        """Link to what the operation works on, if there is one operation only, and it works on one object."""
        operation = next(iter(seen.values())) if len(seen) == 1 else None
        given = operation.parameters if operation else {}
        resource = next((one for one in WITH_A_PAGE.values() if given.get(one.id_param)), None)
        if resource is None or LINKS["project"].get_link(self, ti_key=context["ti"]):
            return
        with TolokaHook(self.toloka_conn_id) as hook:
            try:
                push_links(context, hook, resource, check_id(resource.id_param, given[resource.id_param]))
            except (TolokaApiError, ValueError) as error:
                self.log.info("No link to the %s of operation %s: %s", resource.kind, ", ".join(seen), error)

    def _have_succeeded(self, seen: Mapping[str, Operation | None], deadline: float, trouble: object) -> bool:
        failed = [operation for operation in seen.values() if operation and operation.failed]
        if failed:
            with failing_at_once(), TolokaHook(self.toloka_conn_id) as hook:
                try:
                    hook.run(hook.api.operations.require_success(failed))
                except TolokaOperationFailedError as error:
                    raise AirflowFailException(str(error)) from error
        if all(operation and operation.is_finished for operation in seen.values()):
            return True
        if time.time() >= deadline:
            raise AirflowSensorTimeout(timeout_message(seen, trouble))
        return False

    def _result(self, seen: Mapping[str, Operation | None]) -> Any:
        operations = [operation.to_json() for operation in seen.values() if operation]
        return operations if self._is_list else next(iter(operations), None)

    def _trigger(self) -> OperationTrigger:
        # Imported here, because it costs every parse of a DAG file as much as all the rest.
        from airflow_provider_toloka.triggers.toloka import OperationTrigger

        longest = self.max_wait.total_seconds() if self.max_wait else _A_DAY
        return OperationTrigger(
            toloka_conn_id=self.toloka_conn_id,
            operation_ids=list(self._seen),
            submitted=first_submitted([operation for operation in self._seen.values() if operation]),
            poll_interval=self.poke_interval,
            longest_interval=longest if self.exponential_backoff else None,
            deadline=self._deadline,
        )
