"""What the operators that label data share: keys, links, and waits that are resumed by doing the same again."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import BaseOperator, conf

from airflow_provider_toloka._task import (
    failing_at_once,
    operation_trigger,
    operations_of,
    require_positive,
    seconds,
)
from airflow_provider_toloka.client.api.waits import timeout_message
from airflow_provider_toloka.client.backoff import BEFORE_DEFERRING, quick_first
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.client.parsing import check_id
from airflow_provider_toloka.client.resources import POOL, PROJECT, TRAINING, Resource
from airflow_provider_toloka.client.stamps import check_key
from airflow_provider_toloka.exceptions import TolokaNotFoundError, TolokaTimeoutError
from airflow_provider_toloka.hooks.toloka import TolokaHook
from airflow_provider_toloka.labelling.keys import task_key
from airflow_provider_toloka.links.toloka import LINKS, TolokaLink

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_toloka.client.models import Pool, Training


def key_of(context: Context, hook: TolokaHook, given: str | None) -> str:
    """Return the key of what a task creates: the one that the user gave, or the task's own.

    :param context: the task's.
    :param hook: reads whose account it is.
    :param given: the parameter ``key``.
    """
    if given is not None:
        return check_key(given)
    settings, ti = hook.api.settings, context["ti"]
    return task_key(
        base_url=settings.base_url,
        account_id=settings.act_under_account_id or hook.get_requester().id,
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        task_id=ti.task_id,
        map_index=ti.map_index if ti.map_index is not None else -1,
    )


def link_to(context: Context, hook: TolokaHook, resource: Resource, project_id: str, object_id: str = "") -> None:
    """Let a task link to an object, and to the project that it is in; nothing is read."""
    site = hook.api.settings.site
    if resource is not PROJECT:
        context["ti"].xcom_push(LINKS[resource.kind].xcom_key, resource.page_at(site, project_id, object_id))
    context["ti"].xcom_push(LINKS["project"].xcom_key, PROJECT.page_at(site, project_id))


def find_pool(context: Context, hook: TolokaHook, pool_id: object) -> Pool | Training:
    """Read the pool, or the training, of an id, and let the task's link to a pool lead to it."""
    id_ = check_id("pool_id", pool_id)
    found: Pool | Training
    try:
        found, resource = hook.get_pool(id_), POOL
    except TolokaNotFoundError as error:
        try:
            found, resource = hook.get_training(id_), TRAINING
        except TolokaNotFoundError:
            raise error from None
    link_to(context, hook, PROJECT, found.project_id)
    page = resource.page_at(hook.api.settings.site, found.project_id, found.id)
    context["ti"].xcom_push(LINKS["pool"].xcom_key, page)
    return found


class WaitingOperator(BaseOperator):
    """Base of the operators that submit operations, wait for them, and then need what they submitted once more.

    Resumed after a wait, a task does all of it again: what it has submitted is found, not submitted again.

    :param toloka_conn_id: the id of the Toloka connection; default ``toloka_default``. (templated)
    :param deferrable: whether to wait on the triggerer, without a worker slot; default: Airflow's setting
        ``[operators] default_deferrable``.
    :param poll_interval: seconds between two polls of an operation, default 5; the first ones come sooner.
    :param timeout: how long a try may wait: seconds or a timedelta, default an hour.
    """

    template_fields: Sequence[str] = ("toloka_conn_id",)
    operator_extra_links: Sequence[TolokaLink] = (LINKS["pool"], LINKS["project"])
    ui_color: str = "#f5d96b"

    def __init__(
        self,
        *,
        toloka_conn_id: str = TolokaHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float = 5.0,
        timeout: float | timedelta = 3600.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.toloka_conn_id = toloka_conn_id
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.timeout = timeout

    @abstractmethod
    def advance(self, context: Context, hook: TolokaHook, deadline: float, *, resumed: bool) -> Any:
        """Do all, or go on with it.

        :param context: the task's.
        :param hook: calls Toloka.
        :param deadline: when to give up waiting, in seconds since the epoch.
        :param resumed: whether this try has waited on the triggerer before.
        """

    def execute(self, context: Context) -> Any:
        """Do all of it; see the class."""
        with failing_at_once():
            require_positive("timeout", self.timeout)
            require_positive("poll_interval", self.poll_interval)
        deadline = time.time() + seconds(self.timeout)
        with failing_at_once(), TolokaHook(self.toloka_conn_id) as hook:
            return self.advance(context, hook, deadline, resumed=False)

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> Any:
        """Go on where the wait on the triggerer ended.

        :param event: the event of ``OperationTrigger``.
        :returns: what ``execute`` returns.
        """
        operations_of(event)
        with failing_at_once(), TolokaHook(self.toloka_conn_id) as hook:
            return self.advance(context, hook, event["deadline"], resumed=True)

    def settle(self, hook: TolokaHook, operations: Sequence[Operation], deadline: float) -> list[Operation]:
        """Wait for operations; a deferrable task is deferred unless they finish within a moment.

        :returns: the operations, finished; if one has failed, the others may be not.
        :raises TolokaTimeoutError: they did not finish in time; they keep running at Toloka.
        """
        left = [operation for operation in operations if not operation.is_finished]
        if not left:
            return list(operations)
        self.log.info("Waiting for: %s", "; ".join(operation.summary for operation in left[:5]))
        moment = min(deadline, time.time() + BEFORE_DEFERRING) if self.deferrable else deadline
        try:
            seen = hook.run(
                hook.api.waits.poll(
                    [operation.id for operation in left], intervals=quick_first(self.poll_interval), deadline=moment
                )
            )
        except TolokaTimeoutError:
            if moment >= deadline:
                raise TolokaTimeoutError(timeout_message({one.id: one for one in left})) from None
            trigger = operation_trigger(self.toloka_conn_id, left, poll_interval=self.poll_interval, deadline=deadline)
            self.defer(trigger=trigger, method_name="execute_complete", timeout=_backstop(deadline))
        return [seen.get(operation.id, operation) for operation in operations]

    def pause(self, reason: object, deadline: float) -> None:
        """Let one interval pass; a deferrable task is deferred for it.

        :param reason: why, for a person.
        :raises TolokaTimeoutError: the deadline has passed.
        """
        left = deadline - time.time()
        if left <= 0:
            raise TolokaTimeoutError(f"Timed out (timeout): {reason} Clear the task to resume, or increase timeout.")
        self.log.info("Trying again in %g s: %s", self.poll_interval, reason)
        if self.deferrable:
            self._defer([], deadline)
        time.sleep(min(self.poll_interval, left))

    def _defer(self, operations: Sequence[Operation], deadline: float) -> NoReturn:
        trigger = operation_trigger(
            self.toloka_conn_id, operations, poll_interval=self.poll_interval, deadline=deadline
        )
        self.defer(trigger=trigger, method_name="execute_complete", timeout=_backstop(deadline))


def _backstop(deadline: float) -> timedelta:
    """Return when the scheduler is to give up a deferral whose trigger nobody runs: a little after the deadline."""
    return timedelta(seconds=max(0.0, deadline - time.time()) + 60)
