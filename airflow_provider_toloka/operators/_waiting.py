"""The base of the operators that wait for operations, on a worker or on the triggerer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, NoReturn

from airflow.providers.common.compat.sdk import BaseOperator, conf

from airflow_provider_toloka._arguments import check_literals
from airflow_provider_toloka._durations import Duration, optional_seconds, seconds
from airflow_provider_toloka._lineage import LineageMixin
from airflow_provider_toloka._task import Deadline, operation_trigger
from airflow_provider_toloka.client.backoff import BEFORE_DEFERRING, quick_first
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.exceptions import TolokaTimeoutError
from airflow_provider_toloka.hooks.toloka import TolokaHook
from airflow_provider_toloka.operators._lines import work_of


class WaitOperator(BaseOperator):
    """Base of the operators that wait: where, how often they poll, and until when.

    :param deferrable: whether to wait on the triggerer, without a worker slot; default: Airflow's setting
        ``[operators] default_deferrable``. Operations that finish within two seconds are not deferred.
    :param poll_interval: the time between two polls of an operation: seconds, a timedelta, or a text such as
        ``"PT30S"``. The first polls come sooner.
    :param timeout: how long one try may take: seconds, a timedelta, or a text such as ``"PT30M"``; None: no limit.
        Nothing is changed after it. ``execution_timeout`` bounds a deferral too.
    :param kwargs: the parameters of every operator.
    """

    ui_color: str = "#f5d96b"

    def __init__(
        self,
        *,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: Duration = 5.0,
        timeout: Duration | None = 3600.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.timeout = timeout
        check_literals(
            self, poll_interval=partial(seconds, "poll_interval"), timeout=partial(optional_seconds, "timeout")
        )


class PollingOperator(LineageMixin, WaitOperator):
    """Base of the operators that submit operations and wait for them.

    :param toloka_conn_id: the id of the Toloka connection. (templated)
    :param kwargs: the parameters of ``WaitOperator``, and those of every operator.
    """

    template_fields: Sequence[str] = ("toloka_conn_id",)
    #: How long the worker polls before it defers, in seconds.
    before_deferring: ClassVar[float] = BEFORE_DEFERRING
    #: The name of the object that the task changes, for the log; None: not known.
    object_name: str | None = None

    def __init__(self, *, toloka_conn_id: str = "toloka_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.toloka_conn_id = toloka_conn_id

    def poll(
        self, hook: TolokaHook, operations: Sequence[Operation], at: float | None, limit: str
    ) -> Mapping[str, Operation]:
        """Wait for operations on the worker.

        :param hook: the hook of the task's connection.
        :param operations: the operations.
        :param at: the deadline, in seconds since the epoch; None: no limit.
        :param limit: the argument that set the deadline.
        :returns: by id, the operations; all have finished, or one has failed.
        :raises TolokaTimeoutError: they did not finish in time.
        """
        ids = [operation.id for operation in operations]
        intervals = quick_first(seconds("poll_interval", self.poll_interval))
        polling = hook.api.waits.poll(
            ids,
            intervals=intervals,
            deadline=at,
            limit=limit,
            on_change=lambda operation: self.log.debug("Toloka's %s", operation.summary),
        )
        return hook.run(polling)

    def poll_or_defer(
        self, hook: TolokaHook, operations: Sequence[Operation], deadline: Deadline
    ) -> Mapping[str, Operation]:
        """Wait for operations; defer a deferrable task unless they finish within two seconds.

        :param hook: the hook of the task's connection.
        :param operations: the operations.
        :param deadline: when to stop waiting.
        :returns: by id, the operations; all have finished, or one has failed.
        :raises TolokaTimeoutError: they did not finish in time; they keep running at Toloka.
        """
        self.log.info("Waiting: %s", work_of(operations))
        at = deadline.at
        if self.deferrable:
            at = time.time() + min(self.before_deferring, deadline.left())
        try:
            return self.poll(hook, operations, at, deadline.limit)
        except TolokaTimeoutError:
            if not self.deferrable or not deadline.left():
                raise
        return self.defer_for(operations, deadline)

    def defer_for(self, operations: Sequence[Operation], deadline: Deadline, paused_for: str | None = None) -> NoReturn:
        """Wait for operations on the triggerer.

        :param operations: the operations; none: pause for one interval.
        :param deadline: when to stop waiting.
        :param paused_for: the reason for a pause, for the deadline of the resumed task.
        """
        trigger = operation_trigger(
            self.toloka_conn_id,
            operations,
            poll_interval=seconds("poll_interval", self.poll_interval),
            deadline=deadline,
            carry={"paused_for": paused_for, "object_name": self.object_name},
        )
        self.defer(trigger=trigger, method_name="execute_complete", timeout=deadline.for_deferral)

    def pause(self, reason: str, deadline: Deadline) -> None:
        """Pause for one interval; a deferrable task is deferred.

        :param reason: the reason, for messages.
        :param deadline: when to stop waiting.
        :raises TolokaTimeoutError: the deadline has passed.
        """
        if not deadline.left():
            raise deadline.error(reason)
        self.log.info("Waiting: %s", reason)
        if self.deferrable:
            self.defer_for([], deadline, reason)
        time.sleep(min(seconds("poll_interval", self.poll_interval), deadline.left()))
