"""The common base of the sensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseSensorOperator, conf

from airflow_provider_toloka import _settling
from airflow_provider_toloka._durations import seconds
from airflow_provider_toloka._task import Deadline

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

#: Airflow's own timeout, whose message has no reason, counts from slightly earlier than ours, in seconds.
_EARLIER = 0.1
_DURATIONS = ("poke_interval", "timeout", "max_wait")


class TolokaSensor(BaseSensorOperator):
    """Base of the sensors. In mode ``reschedule``, it is not started again before Airflow can handle that.

    Airflow fails a task that it starts again before the scheduler has seen that the worker has finished with it, such
    as one with a ``poke_interval`` of 5 seconds (apache/airflow issue 67287).

    :param toloka_conn_id: the id of the Toloka connection. (templated)
    :param deferrable: whether to wait on the triggerer, without a worker slot; default: Airflow's setting
        ``[operators] default_deferrable``.
    :param kwargs: the parameters of every sensor. ``poke_interval``, ``timeout`` and ``max_wait`` may also be a text
        such as ``"PT30M"``.
    """

    def __init__(
        self,
        *,
        toloka_conn_id: str = "toloka_default",
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        # Airflow itself accepts numbers and timedeltas.
        given = {**(kwargs.get("default_args") or {}), **kwargs}
        kwargs |= {name: seconds(name, given[name]) for name in _DURATIONS if isinstance(given.get(name), str)}
        super().__init__(**kwargs)
        self.toloka_conn_id = toloka_conn_id
        self.deferrable = deferrable
        self._deadline: Deadline | None = None

    def _deadline_in(self, context: Context) -> Deadline:
        """Return until when the try waits, counted from its first poke."""
        if self._deadline is None:
            self._deadline = Deadline.of_try(self, context, self.timeout)
        return self._deadline

    def _is_last_poke(self, context: Context) -> bool:
        """Return whether Airflow would time out next."""
        # In mode "reschedule" each poke is a process of its own, and Airflow itself knows when the first one was.
        return self.mode == "poke" and self._deadline_in(context).left() <= _EARLIER

    def _get_next_poke_interval(self, *args: Any, **kwargs: Any) -> float:
        interval: float = super()._get_next_poke_interval(*args, **kwargs)
        return max(interval, _settling.settling_seconds()) if self.reschedule else interval
