"""A sensor that waits until a pool is closed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    PokeReturnValue,
)

from airflow_provider_toloka._arguments import check_literals, literal_id, read_id
from airflow_provider_toloka._settling import settling_seconds
from airflow_provider_toloka._task import Deadline, failing_at_once
from airflow_provider_toloka.client.api.waits import look_up
from airflow_provider_toloka.client.models import Pool
from airflow_provider_toloka.client.resources import POOL
from airflow_provider_toloka.client.waiting import ends_wait
from airflow_provider_toloka.exceptions import TolokaApiError, TolokaNotFoundError, error_from_json
from airflow_provider_toloka.hooks.toloka import TolokaHook
from airflow_provider_toloka.labelling.closing import check_reasons, outcome
from airflow_provider_toloka.links.toloka import LINKS
from airflow_provider_toloka.operators._labelling import link_to
from airflow_provider_toloka.sensors._base import TolokaSensor

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, XComArg

    from airflow_provider_toloka.triggers.pools import PoolTrigger

_UNCHECKED = ("ACTIVE", "SUBMITTED")


class TolokaPoolSensor(TolokaSensor):
    """Wait until a pool is closed (API: ``GET /pools/{id}``).

    A pool that closes for a reason not in ``reasons`` fails the task immediately, and the message says what to do, such
    as to top up the account. A pool that was closed for an update opens again by itself, so the wait continues. An
    outage of the API does not end the wait.

    All deferred waits of a connection share one list of pools.

    :param pool_id: the pool's id, or the address of its page. (templated)
    :param reasons: the reasons for closing that count as success: ``COMPLETED``, ``MANUAL``, ``EXPIRED``,
        ``NOT_ENOUGH_BALANCE``, ``ASSIGNMENTS_LIMIT_EXCEEDED``, ``BLOCKED``, ``FOR_UPDATE``. (templated)
    :param answers_checked: whether to wait until all answers are accepted or rejected, too. A pool with
        ``auto_accept_solutions=false`` closes before that.
    :param kwargs: the parameters of ``TolokaSensor``, and those of every sensor.
    """

    template_fields: Sequence[str] = ("pool_id", "reasons", "toloka_conn_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {"reasons": "json"}
    operator_extra_links = (LINKS["pool"], LINKS["project"])
    ui_color: str = "#f5e6a8"

    def __init__(
        self,
        *,
        pool_id: str | XComArg,
        reasons: str | Sequence[str] = ("COMPLETED",),
        answers_checked: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_id = pool_id
        self.reasons = reasons
        self.answers_checked = answers_checked
        check_literals(self, pool_id=literal_id(POOL), reasons=check_reasons)
        #: Whether a poke has read the pool.
        self._has_heard = False

    def poke(self, context: Context) -> PokeReturnValue:
        """Poll the pool once; defer if it is not closed and the sensor is deferrable.

        :returns: with ``{"pool_id": …, "status": …, "last_close_reason": …}`` when the wait is over.
        :raises AirflowFailException: the pool closed for another reason, or a permanent error.
        :raises AirflowSensorTimeout: it did not close in time.
        """
        pool: Pool | None = None
        trouble: str | None = None
        deadline = self._deadline_in(context)
        with failing_at_once(), TolokaHook(self.toloka_conn_id) as hook:
            pool_id, reasons = read_id(POOL, self.pool_id), check_reasons(self.reasons)
            try:
                pool = hook.run(look_up(lambda: hook.api.pools.get(pool_id)))
                self._has_heard = True
                self._link(context, hook, pool)
                if self._is_over(pool, reasons) and not (self.answers_checked and self._are_unchecked(hook, pool_id)):
                    return PokeReturnValue(is_done=True, xcom_value=_result(pool))
            except TolokaApiError as error:
                if isinstance(error, TolokaNotFoundError) or ends_wait(error, is_first=not self._has_heard):
                    raise
                trouble = str(error)
                self.log.warning("Could not poll pool %s; still waiting: %s", pool_id, error)
        if self._is_last_poke(context):
            raise self._timed_out(pool, trouble, deadline.limit)
        if self.deferrable:
            # A deferral is not an Exception, so the base class, which handles soft_fail and never_fail, lets it pass.
            self.defer(
                trigger=self._trigger(pool_id, reasons, pool, deadline),
                method_name="execute_complete",
                timeout=deadline.for_deferral,
            )
        return PokeReturnValue(is_done=False)

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return the result of the wait on the triggerer.

        :param event: the event of ``PoolTrigger``.
        :returns: ``{"pool_id": …, "status": …, "last_close_reason": …}``.
        :raises AirflowFailException: the pool closed for another reason, or a permanent error ended the wait.
        :raises TolokaError: another error ended the wait.
        :raises AirflowSensorTimeout: it did not close in time.
        """
        if "error" in event:
            with failing_at_once():
                raise error_from_json(event["error"])
        pool = Pool.from_json(event["pool"]) if event["pool"] else None
        if pool is not None:
            with failing_at_once(), TolokaHook(self.toloka_conn_id) as hook:
                self._link(context, hook, pool)
                # No request: an outage at this moment would fail a task that has waited for days.
                is_checked = event["checked"] or not self.answers_checked
                if self._is_over(pool, check_reasons(self.reasons)) and is_checked:
                    return _result(pool)
        raise self._timed_out(pool, event.get("trouble"), Deadline.from_event(event).limit)

    def _timed_out(self, pool: Pool | None, trouble: str | None, limit: str) -> AirflowSensorTimeout:
        last = "it was never seen" if pool is None else f"it is {pool.status}"
        checked = ", and answers may be unchecked" if self.answers_checked else ""
        return AirflowSensorTimeout(
            f"Timed out ({limit}): pool {self.pool_id} did not close: {last}{checked}. "
            f"Clear the task to resume waiting, or increase {limit}."
            + (f" The last poll failed: {trouble}" if trouble else "")
        )

    @staticmethod
    def _link(context: Context, hook: TolokaHook, pool: Pool) -> None:
        if "ti" in context:
            link_to(context, hook, POOL, pool.project_id, pool.id)

    def _is_over(self, pool: Pool, reasons: Sequence[str]) -> bool:
        judged = outcome(pool, reasons)
        if judged.problem is not None:
            raise AirflowFailException(judged.problem)
        self.log.info("%s", judged.note)
        return judged.is_over

    def _are_unchecked(self, hook: TolokaHook, pool_id: str) -> bool:
        are_left = hook.run(hook.api.assignments.are_there(pool_id=pool_id, statuses=_UNCHECKED))
        if are_left:
            self.log.info("Pool %s has assignments that are not accepted or rejected yet", pool_id)
        return are_left

    def _trigger(self, pool_id: str, reasons: Sequence[str], pool: Pool | None, deadline: Deadline) -> PoolTrigger:
        # Imported here because this import doubles the time that parsing a DAG file takes.
        from airflow_provider_toloka.triggers.pools import PoolTrigger

        return PoolTrigger(
            toloka_conn_id=self.toloka_conn_id,
            pool_id=pool_id,
            reasons=list(reasons),
            last_started=pool.last_started.isoformat() if pool and pool.last_started else None,
            answers_checked=self.answers_checked,
            poll_interval=self.poke_interval,
            deadline=deadline.at,
            limit=deadline.limit,
            not_before=time.time() + settling_seconds(),
        )


def _result(pool: Pool) -> dict[str, Any]:
    return {"pool_id": pool.id, "status": pool.status, "last_close_reason": pool.last_close_reason}
