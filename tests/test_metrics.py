"""The metrics, as a StatsD server receives them from a task and from Airflow's own triggerer."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections import defaultdict
from threading import Thread
from typing import Any

import pytest

from airflow_provider_toloka._metrics import observer_for
from airflow_provider_toloka.client.config import Settings
from airflow_provider_toloka.client.observer import Observer
from airflow_provider_toloka.client.sansio import Response
from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.hooks.toloka import TolokaHook
from tests.conftest import ROOT
from tests.pages import table

pytest.importorskip("statsd")
#: The program that sends the metrics runs once.
pytestmark = pytest.mark.xdist_group("metrics")

SETTINGS = Settings(token="made-up")
ANSWER = Response(200, {}, b"", 0.0)


class StatsD:
    """A StatsD server of the tests: it keeps what it receives. A context manager."""

    def __enter__(self) -> StatsD:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        #: By name, the values with their kinds, such as ``1|c``, and their tags.
        self.received: dict[str, list[tuple[str, dict[str, str]]]] = defaultdict(list)
        self.text = ""
        self._thread = Thread(target=self._receive)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    def stop(self) -> None:
        """Receive what is on its way, and no more."""
        if self._thread.is_alive():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"", self._socket.getsockname())
            self._thread.join()
            self._socket.close()

    def _receive(self) -> None:
        while data := self._socket.recv(65_536):
            self.text += data.decode() + "\n"
            for line in data.decode().splitlines():
                name, _, value = line.partition(":")
                name, *tags = name.split(",")
                self.received[name].append((value, dict(tag.split("=") for tag in tags)))

    def names(self) -> set[str]:
        """Return the names of this package's metrics."""
        return {name.removeprefix("airflow.") for name in self.received if name.startswith("airflow.toloka.")}

    def total(self, name: str, **tags: str) -> int:
        """Return the sum of a counter."""
        own = [value for value, has in self.received[f"airflow.{name}"] if tags.items() <= has.items()]
        assert all(value.endswith("|c") for value in own)
        return sum(int(value.removesuffix("|c")) for value in own)

    def values(self, name: str, kind: str, **tags: str) -> list[float]:
        """Return the values of a gauge (``g``) or of a duration (``ms``)."""
        own = [value for value, has in self.received[f"airflow.{name}"] if tags.items() <= has.items()]
        assert all(value.endswith(f"|{kind}") for value in own)
        return [float(value.removesuffix(f"|{kind}")) for value in own]


@pytest.fixture(scope="module")
def statsd(tmp_path_factory: pytest.TempPathFactory) -> StatsD:
    """Return a server's data from a task, a batch and a triggerer."""
    log = tmp_path_factory.mktemp("metrics") / "triggerer.log"
    with StatsD() as server, TolokaEmulator(operation_seconds=0.3) as toloka:
        project = toloka.add_project("Secret name")
        operation = toloka.add_operation("POOL.OPEN", status="RUNNING", finishes_in=20)
        toloka.fault("GET /projects/*", status=429, headers={"Retry-After": "1"})
        toloka.fault(f"GET /operations/{operation['id']}", times=2, status=503)
        environment = {
            **os.environ,
            "CONNECTION": json.dumps(toloka.connection),
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_PORT": str(server.port),
            "AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED": "True",
        }
        command = [sys.executable, "-m", "tests.metered", project["id"], operation["id"], str(log)]
        ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr + (log.read_text() if log.exists() else "")
        server.stop()
        assert toloka.token not in server.text
        assert "Secret" not in server.text
        server.sent = len(toloka.requests)  # type: ignore[attr-defined]
        server.ids = {project["id"], operation["id"]}  # type: ignore[attr-defined]
        return server


def test_every_request_is_counted_and_measured(statsd: Any) -> None:
    assert statsd.total("toloka.requests") == statsd.sent
    assert statsd.total("toloka.requests", status="200") > 3
    assert statsd.total("toloka.requests", status="503") == 2
    durations = statsd.values("toloka.request.duration", "ms")
    assert len(durations) == statsd.sent
    assert all(0 < duration < 30_000 for duration in durations)
    assert all(0 < rate <= 300 for rate in statsd.values("toloka.requests_per_second", "g"))


def test_a_429_and_its_retry_are_counted(statsd: Any) -> None:
    assert statsd.total("toloka.requests.rate_limited") == 1
    assert statsd.total("toloka.requests.retried", error="TolokaRateLimitError") == 1


def test_operations_are_measured_by_type(statsd: Any) -> None:
    (archived,) = statsd.values("toloka.operation.duration", "ms", type="PROJECT.ARCHIVE", status="SUCCESS")
    assert 200 < archived < 5_000
    (opened,) = statsd.values("toloka.operation.duration", "ms", type="POOL.OPEN", status="SUCCESS")
    assert 19_000 < opened < 25_000


def test_projects_are_counted_by_outcome(statsd: Any) -> None:
    assert statsd.total("toloka.projects.archived") == 1
    assert statsd.total("toloka.projects.failed") == 1


def test_the_triggerer_reports_its_waits_and_outages(statsd: Any) -> None:
    waits = statsd.values("toloka.waits.operations", "g", toloka_conn_id="toloka_default")
    assert (waits[0], waits[-1]) == (1, 0)
    assert statsd.total("toloka.polling.outages") == 1
    (outage,) = statsd.values("toloka.polling.outage_duration", "ms")
    assert outage > 0


def test_each_metric_has_the_connection_and_no_id(statsd: Any) -> None:
    for name in statsd.names():
        assert not statsd.ids & set(re.split(r"\W", name))
        for _, tags in statsd.received[f"airflow.{name}"]:
            assert {"environment": "custom", "toloka_conn_id": "toloka_default"}.items() <= tags.items()


def test_the_page_lists_the_metrics(statsd: Any) -> None:
    listed = {cell.strip("`") for cell, *_ in table("docs/metrics.md", "The metrics")}
    assert statsd.names() <= listed
    assert listed - statsd.names() == {"toloka.waits.pools"}


@pytest.mark.usefixtures("toloka")
def test_with_metrics_off_nothing_is_measured() -> None:
    with TolokaHook() as hook:
        assert type(hook.api.observer) is Observer


def test_a_backend_that_fails_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.providers.common.compat.sdk import Stats

    def fail(*_: object, **__: object) -> None:
        raise OSError("no such host")

    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_ON", "True")
    observer = observer_for(SETTINGS, "my conn")
    assert type(observer) is not Observer
    for method in ("incr", "timing", "gauge"):
        monkeypatch.setattr(Stats, method, fail, raising=False)
    observer.answered(ANSWER, seconds=0.1, rate=50.0)
    observer.project_ended("archived")
