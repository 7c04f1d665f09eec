"""Airflow's metrics (StatsD, OpenTelemetry) for clients and pollers; ``docs/metrics.md`` lists them."""

from __future__ import annotations

import logging
import re
import socket
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_toloka.client.observer import Awaited, Observer, ProjectOutcome
from airflow_provider_toloka.client.sansio import Answer, Response

if TYPE_CHECKING:
    from airflow_provider_toloka.client.config import Settings
    from airflow_provider_toloka.client.models import Operation
    from airflow_provider_toloka.exceptions import TolokaApiError

log = logging.getLogger(__name__)

#: Options of Airflow's section [metrics]: without any of them, metrics are off.
_SWITCHES = ("statsd_on", "statsd_datadog_enabled", "otel_on")
_TOO_MANY_REQUESTS = 429
#: A gauge is sent at most once in this many seconds.
_GAUGE_SECONDS = 1.0
#: What Airflow accepts in a metric's name, which includes the tags in InfluxDB's format.
_INVALID = re.compile(r"[^\w.-]", re.ASCII)


def observer_for(settings: Settings, toloka_conn_id: str, *, is_triggerer: bool = False) -> Observer:
    """Return an observer that measures a connection's client; with metrics off, it does nothing.

    :param settings: the connection's settings.
    :param toloka_conn_id: the id of the Toloka connection.
    :param is_triggerer: whether to count waits, which is for triggerers only.
    """
    # Imported here, because the command line and the metadata work without Airflow.
    from airflow.providers.common.compat.sdk import conf

    if not any(conf.getboolean("metrics", switch, fallback=False) for switch in _SWITCHES):
        return Observer()
    tags = {"environment": settings.environment, "toloka_conn_id": _INVALID.sub("_", toloka_conn_id)}
    return (_TriggererObserver if is_triggerer else _StatsObserver)(tags)


class _StatsObserver(Observer):
    def __init__(self, tags: dict[str, str]) -> None:
        # Imported here, because most processes that import an operator never send a request.
        from airflow.providers.common.compat.sdk import Stats

        self._stats: Any = Stats
        self._tags = tags
        self._gauged = -_GAUGE_SECONDS

    def answered(self, answer: Answer, *, seconds: float, rate: float) -> None:
        status = str(answer.status) if isinstance(answer, Response) else answer.kind.replace(" ", "_")
        self._send("incr", "toloka.requests", status=status)
        self._send("timing", "toloka.request.duration", timedelta(seconds=seconds), status=status)
        if status == str(_TOO_MANY_REQUESTS):
            self._send("incr", "toloka.requests.rate_limited")
        now = time.monotonic()
        if now >= self._gauged + _GAUGE_SECONDS:
            self._gauged = now
            self._send("gauge", "toloka.requests_per_second", rate)

    def retrying(self, error: TolokaApiError) -> None:
        self._send("incr", "toloka.requests.retried", error=type(error).__name__)

    def finished(self, operation: Operation) -> None:
        if operation.submitted and operation.finished:
            taken = max(timedelta(0), operation.finished - operation.submitted)
            tags = {"type": _INVALID.sub("_", operation.type), "status": operation.status}
            self._send("timing", "toloka.operation.duration", taken, **tags)

    def outage_began(self) -> None:
        self._send("incr", "toloka.polling.outages")

    def outage_ended(self, seconds: float) -> None:
        self._send("timing", "toloka.polling.outage_duration", timedelta(seconds=seconds))

    def project_ended(self, outcome: ProjectOutcome) -> None:
        self._send("incr", f"toloka.projects.{outcome}")

    def _send(self, method: str, name: str, *values: object, **tags: str) -> None:
        try:
            getattr(self._stats, method)(name, *values, tags={**self._tags, **tags})
        except Exception as error:  # noqa: BLE001 - a lost metric must not fail a task
            log.debug("Could not send the metric %s: %s", name, error)


class _TriggererObserver(_StatsObserver):
    def waiting(self, awaited: Awaited, count: int) -> None:
        # Each triggerer has its own waits.
        self._send("gauge", f"toloka.waits.{awaited}", count, hostname=_INVALID.sub("_", socket.gethostname()))
