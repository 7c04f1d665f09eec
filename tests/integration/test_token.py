"""The token goes to Toloka, and nowhere else."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from urllib.parse import quote, quote_plus

import pytest

from airflow_provider_toloka.emulator import TolokaEmulator
from tests.conftest import ROOT

TOKENS = {
    "special": "AQ/d+$(x)[^a-z]*?{2}|%41&t=1#\\'\"<>@;,~.end",
    "legacy": "AQAD-legacy-token+with/more",
    "refused": "AQAD-a-token-that-is-refused",
}

pytestmark = pytest.mark.xdist_group("token")  # the runs are made once

# One DAG per connection, each in a separate process, because logs are set up when Airflow is imported.
_RUNS = """
import sys, os
import tests.conftest
home, names = sys.argv[1], sys.argv[2].split(",")
os.environ["AIRFLOW_HOME"] = home
os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "DEBUG"
for name in names:
    os.environ["AIRFLOW_CONN_" + name.upper()] = os.environ["TESTED_" + name.upper()]
    del os.environ["TESTED_" + name.upper()]

from airflow.utils.db import initdb
initdb()
import logging
logging.getLogger().setLevel(logging.DEBUG)
from airflow_provider_toloka.operators.toloka import TolokaArchiveProjectOperator
from airflow_provider_toloka.sensors.toloka import OperationSensor
from tests.running import new_dag, store

for name in names:
    with new_dag(toloka_conn_id=name) as dag:
        for way, deferrable in (("sync", False), ("deferrable", True)):
            good = TolokaArchiveProjectOperator(
                task_id="good_" + way, project_id="{{ 1001 }}", deferrable=deferrable, poll_interval=0.1
            )
            OperationSensor(
                task_id="sensor_" + way, operation_id=good.output, deferrable=deferrable, poke_interval=0.1
            )
            TolokaArchiveProjectOperator(task_id="conflict_" + way, project_id="1005", deferrable=deferrable)
            TolokaArchiveProjectOperator(
                task_id="late_" + way, project_id="1002", deferrable=deferrable, timeout=0.1, poll_interval=0.1
            )
            OperationSensor(task_id="missing_" + way, operation_id="999", deferrable=deferrable, poke_interval=0.1)
    store(dag)
    ended = dag.test()
    for ti in ended.get_task_instances():
        print("ended", name, ti.task_id, ti.state)
"""


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Run tasks that succeed and fail, and give all that Airflow has written down and said, by where."""
    home = tmp_path_factory.mktemp("home")
    accepted = [TOKENS[name] for name in ("special", "legacy")]
    with TolokaEmulator("demo", tokens=accepted, operation_seconds=0.5) as toloka:
        connections = {name: toloka.connection | {"password": token} for name, token in TOKENS.items()}
        connections["legacy"] = {
            "conn_type": "toloka",
            "extra": {"extra__toloka__token": TOKENS["legacy"], "extra__toloka__url": toloka.url},
        }
        given = {f"TESTED_{name.upper()}": json.dumps(connection) for name, connection in connections.items()}
        ran = subprocess.run(
            [sys.executable, "-c", _RUNS, str(home), ",".join(TOKENS)],
            cwd=ROOT,
            env=os.environ | given,
            capture_output=True,
            check=False,
            timeout=600,
        )
    # At DEBUG, dag.test() of Airflow 3 prints its own request to mask a secret. It is not made outside of dag.test().
    stdout = b"\n".join(line for line in ran.stdout.splitlines() if b"msg=MaskSecret(" not in line)
    written = {str(path.relative_to(home)): path.read_bytes() for path in home.rglob("*") if path.is_file()}
    return {"stdout": stdout, "stderr": ran.stderr} | written


def test_the_runs_have_ended_as_meant(traces: dict[str, bytes]) -> None:
    """Otherwise nothing could have leaked."""
    said = (traces["stdout"] + traces["stderr"]).decode()
    for name in ("special", "legacy"):
        for way in ("sync", "deferrable"):
            for task, state in (
                ("good", "success"),
                ("sensor", "success"),
                ("conflict", "failed"),
                ("missing", "failed"),
            ):
                assert f"ended {name} {task}_{way} {state}" in said, said[-3000:]
    for task in ("good", "conflict", "missing"):
        assert f"ended refused {task}_sync failed" in said
    assert "DEBUG" in said.upper()
    assert "GET /api/v1/projects/1001" in said  # the requests were logged
    assert any(content.startswith(b"SQLite format 3") and b"PROJECT.ARCHIVE" in content for content in traces.values())


@pytest.mark.parametrize("name", TOKENS)
def test_the_token_is_nowhere(traces: dict[str, bytes], name: str) -> None:
    token = TOKENS[name]
    forms = {
        token,
        json.dumps(token)[1:-1],
        repr(token)[1:-1],
        quote(token),
        quote(token, safe=""),
        quote_plus(token),
        base64.b64encode(token.encode()).decode(),
    }
    found = {where for where, content in traces.items() if any(form.encode() in content for form in forms)}
    assert found == set()
