"""Common parts of the labelling operators: keys, links, and waits that are resumed by repeating the work."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_toloka._arguments import read_pool_id
from airflow_provider_toloka._durations import seconds
from airflow_provider_toloka._task import Deadline, failing_at_once, operations_of
from airflow_provider_toloka.client.models import PENDING, Operation
from airflow_provider_toloka.client.resources import POOL, PROJECT, TRAINING, Resource
from airflow_provider_toloka.client.stamps import check_key
from airflow_provider_toloka.exceptions import TolokaNotFoundError
from airflow_provider_toloka.hooks.toloka import TolokaHook
from airflow_provider_toloka.labelling.keys import task_key
from airflow_provider_toloka.links.toloka import LINKS, TolokaLink
from airflow_provider_toloka.operators._waiting import PollingOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_toloka.client.models import Pool, Training


def key_of(context: Context, hook: TolokaHook, given: str | None) -> str:
    """Return the key of a task: the parameter, or the task's own.

    :param context: the task's context.
    :param hook: reads the account's id.
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
    """Link a task to an object and its project, without a request."""
    site = hook.api.settings.site
    if resource is not PROJECT:
        context["ti"].xcom_push(LINKS[resource.kind].xcom_key, resource.page_at(site, project_id, object_id))
    context["ti"].xcom_push(LINKS["project"].xcom_key, PROJECT.page_at(site, project_id))


def read_and_link(context: Context, hook: TolokaHook, resource: Resource, object_id: str) -> Pool | Training:
    """Read a pool or training, and link the task to it."""
    found: Pool | Training = hook.run(hook.api.calls.get_one(resource, object_id))
    link_to(context, hook, resource, found.project_id, found.id)
    return found


def find_pool(context: Context, hook: TolokaHook, pool_id: object) -> Pool | Training:
    """Read the pool or training with an id, and link the task to it."""
    id_ = read_pool_id(pool_id)
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


class WaitingOperator(PollingOperator):
    """Base of the operators that submit operations, wait for them, and then continue.

    After a wait, a task continues with the operation that it waited for, or repeats all of its work: operations that it
    has submitted are found, and not submitted again.
    """

    operator_extra_links: Sequence[TolokaLink] = (LINKS["pool"], LINKS["project"])

    @abstractmethod
    def advance(
        self, context: Context, hook: TolokaHook, deadline: Deadline, waited: Mapping[str, Operation | None] | None
    ) -> Any:
        """Do the work, or continue with it.

        :param context: the task's context.
        :param hook: the hook of the task's connection.
        :param deadline: when to stop waiting.
        :param waited: by id, the operations that a deferred task has waited for, in their last known state; empty: it
            paused; None: this try was not deferred.
        """

    def execute(self, context: Context) -> Any:
        """Do the work; see the class."""
        with failing_at_once(), TolokaHook(self.toloka_conn_id) as hook:
            seconds("poll_interval", self.poll_interval)
            return self.advance(context, hook, Deadline.of_try(self, context, self.timeout), None)

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> Any:
        """Continue after the wait on the triggerer.

        :param event: the event of ``OperationTrigger``.
        :returns: what ``execute`` returns.
        """
        with failing_at_once(), TolokaHook(self.toloka_conn_id) as hook:
            return self.advance(context, hook, Deadline.from_event(event), operations_of(event))

    def settle(self, hook: TolokaHook, operations: Sequence[Operation], deadline: Deadline) -> list[Operation]:
        """Wait for operations; defer a deferrable task unless they finish within two seconds.

        :returns: the finished operations; if one has failed, others may be unfinished.
        :raises TolokaTimeoutError: they did not finish in time; they keep running at Toloka.
        """
        left = [operation for operation in operations if not operation.is_finished]
        if not left:
            return list(operations)
        seen = self.poll_or_defer(hook, left, deadline)
        return [seen.get(operation.id, operation) for operation in operations]


def waited_for(waited: Mapping[str, Operation | None] | None) -> Operation | None:
    """Return the operation of a task that submits one.

    A failed operation is returned too. Toloka's lists are no substitute: a search for an operation to reuse leaves out
    failed ones, and a task that repeats its work would submit it again.

    :param waited: see ``WaitingOperator.advance``.
    :returns: the operation; None: the task has not waited for one.
    """
    for id_, operation in (waited or {}).items():
        return operation or Operation(id=id_, type="UNKNOWN", status=PENDING)
    return None
