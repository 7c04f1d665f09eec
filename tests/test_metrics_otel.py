"""The metrics, as an OpenTelemetry collector receives them from a task."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from airflow_provider_toloka.emulator import TolokaEmulator
from tests.conftest import ROOT

pytest.importorskip("opentelemetry.proto")

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (  # type: ignore[import-not-found, unused-ignore]
    ExportMetricsServiceRequest,
)

#: A task that archives a project, in a process of its own, which sends its metrics when it ends: Airflow 2.11 does not
#: send those of the last interval by itself.
PROGRAM = """
import os, sys
connection = os.environ.pop("CONNECTION")
import tests.conftest
os.environ["AIRFLOW_CONN_TOLOKA_DEFAULT"] = connection
from airflow.utils.db import initdb
initdb()
from airflow_provider_toloka.operators.toloka import TolokaArchiveProjectOperator
from tests.running import run_task
ended = run_task(TolokaArchiveProjectOperator, project_id=sys.argv[1], poll_interval=0.1, deferrable=False)
assert ended.state == "success", ended
from opentelemetry import metrics
metrics.get_meter_provider().force_flush()
"""


class Collector(HTTPServer):
    """An OpenTelemetry collector of the tests: it keeps the metrics that it receives."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        #: By name, the last data points.
        self.points: dict[str, list[Any]] = {}
        self.bodies = b""


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        """Receive metrics."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies += body
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                data = getattr(metric, metric.WhichOneof("data"))
                self.server.points[metric.name] = list(data.data_points)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


def tags(point: Any) -> dict[str, str]:
    return {attribute.key: attribute.value.string_value for attribute in point.attributes}


def test_a_collector_receives_the_metrics_of_a_task() -> None:
    with Collector() as collector, TolokaEmulator() as toloka:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        project = toloka.add_project("Secret name")
        environment = {
            **os.environ,
            "CONNECTION": json.dumps(toloka.connection),
            "AIRFLOW__METRICS__OTEL_ON": "True",
            "AIRFLOW__METRICS__OTEL_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__OTEL_PORT": str(collector.server_port),
            "AIRFLOW__METRICS__OTEL_INTERVAL_MILLISECONDS": "200",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        }
        ran = subprocess.run(
            [sys.executable, "-c", PROGRAM, project["id"]],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        collector.shutdown()
        assert ran.returncode == 0, ran.stdout + ran.stderr
        sent, token = len(toloka.requests), toloka.token
    counted = collector.points["airflow.toloka.requests"]
    assert sum(point.as_int or point.as_double for point in counted) == sent
    assert {tags(point)["environment"] for point in counted} == {"custom"}
    assert "airflow.toloka.projects.archived" in collector.points
    assert token.encode() not in collector.bodies
    assert b"Secret" not in collector.bodies
