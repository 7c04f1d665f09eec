"""What OpenLineage's own provider writes into a file about the tasks of real DAG runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from airflow.providers.common.compat.assets import Asset
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_toloka._lineage import Place, file_place
from airflow_provider_toloka.assets.toloka import convert_asset_to_openlineage
from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.emulator.options import Tolokers
from tests.conftest import ROOT
from tests.operators.test_labelling import TASKS, make_pool

pytest.importorskip("airflow.providers.openlineage")
#: The program runs once.
pytestmark = pytest.mark.xdist_group("lineage")


@dataclass
class Traced:
    """What the program did, and what the events tell.

    :param results: what each task returned.
    :param events: the event at the end of each task.
    """

    source: str
    pool: tuple[str, str]
    folder: Path
    operations: dict[str, Any]
    results: dict[str, Any]
    events: dict[str, dict[str, Any]]

    def external(self, task: str) -> str:
        """Return the operation id in an event."""
        facet = self.events[task]["run"]["facets"]["externalQuery"]
        assert facet["source"] == self.source
        operation_id: str = facet["externalQueryId"]
        assert operation_id in self.operations
        return operation_id

    def datasets(self, task: str, side: str) -> list[tuple[str, str]]:
        """Return the names of the inputs or outputs in an event."""
        return [(one["namespace"], one["name"]) for one in self.events[task][side]]

    def changes(self, task: str) -> list[str]:
        """Return the changes of the outputs."""
        return [one["facets"]["lifecycleStateChange"]["lifecycleStateChange"] for one in self.events[task]["outputs"]]


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Traced:
    """Run the program once."""
    folder = tmp_path_factory.mktemp("lineage")
    (folder / "tasks.jsonl").write_text("".join(json.dumps(task) + "\n" for task in TASKS))
    transport = {"type": "file", "log_file_path": str(folder / "events.jsonl"), "append": True}
    with TolokaEmulator("demo", operation_seconds=0.3, tolokers=Tolokers(count=4), quotas=False) as toloka:
        pool_id = make_pool(toloka)
        toloka.fail_next("PROJECT.ARCHIVE")
        environment = {
            **os.environ,
            "CONNECTION": json.dumps(toloka.connection),
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
        }
        command = [sys.executable, "-m", "tests.traced", str(folder), pool_id]
        ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        text = (folder / "events.jsonl").read_text()
        assert toloka.token not in text
        source = f"toloka://{urlsplit(toloka.url).netloc}"
        operations = dict(toloka.operations)
    events = [json.loads(line) for line in text.splitlines()]
    ended = [event for event in events if event["eventType"] in ("COMPLETE", "FAIL")]
    return Traced(
        source,
        (source, f"pools/{pool_id}"),
        folder,
        operations,
        json.loads((folder / "results.json").read_text()),
        {event["job"]["name"].rpartition(".")[2]: event for event in ended},
    )


@pytest.mark.parametrize(("task", "project_id"), [("archive", "1001"), ("archive_deferred", "1002")])
def test_an_archived_project_is_a_dataset_that_was_altered(traced: Traced, task: str, project_id: str) -> None:
    assert traced.events[task]["eventType"] == "COMPLETE"
    assert traced.datasets(task, "outputs") == [(traced.source, f"projects/{project_id}")]
    assert traced.changes(task) == ["ALTER"]
    assert traced.external(task) == traced.results[task]


def test_a_failed_task_tells_its_operation(traced: Traced) -> None:
    event = traced.events["archive_fails"]
    assert (event["eventType"], event["outputs"]) == ("FAIL", [])
    assert traced.operations[traced.external("archive_fails")]["status"] == "FAIL"


def test_a_failed_batch_tells_what_is_archived(traced: Traced) -> None:
    assert traced.events["archive_many"]["eventType"] == "FAIL"
    assert traced.datasets("archive_many", "outputs") == [(traced.source, "projects/1003")]
    assert traced.changes("archive_many") == ["ALTER"]


def test_a_created_project_is_a_new_dataset(traced: Traced) -> None:
    assert traced.datasets("create", "outputs") == [(traced.source, f"projects/{traced.results['create']}")]
    assert traced.changes("create") == ["CREATE"]


def test_uploaded_tasks_lead_from_the_file_to_the_pool(traced: Traced) -> None:
    event = traced.events["add"]
    assert traced.datasets("add", "inputs") == [("file", str(traced.folder / "tasks.jsonl"))]
    assert event["inputs"][0]["inputFacets"]["inputStatistics"]["rowCount"] == len(TASKS)
    assert traced.datasets("add", "outputs") == [traced.pool]
    assert event["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == len(TASKS)
    assert [traced.external("add")] == traced.results["add"]["operation_ids"]


def test_an_opened_pool_is_a_dataset_that_was_altered(traced: Traced) -> None:
    assert traced.datasets("open", "outputs") == [traced.pool]
    assert traced.external("open") == traced.results["open"]


@pytest.mark.parametrize(("task", "file"), [("export", "answers.jsonl"), ("aggregate", "result.jsonl")])
def test_answers_lead_from_the_pool_to_the_file(traced: Traced, task: str, file: str) -> None:
    assert traced.datasets(task, "inputs") == [traced.pool]
    assert traced.datasets(task, "outputs") == [("file", str(traced.folder / file))]
    rows = traced.events[task]["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"]
    assert rows == traced.results[task]["rows"] == len((traced.folder / file).read_text().splitlines()) > 0


def test_an_aggregation_tells_its_operation(traced: Traced) -> None:
    assert traced.external("aggregate") == traced.results["aggregate"]["operation_id"]


def test_an_asset_is_the_dataset_that_operators_tell(traced: Traced) -> None:
    dataset = convert_asset_to_openlineage(Asset("toloka://toloka.dev/projects/1001"), None)
    assert (dataset.namespace, dataset.name) == ("toloka://toloka.dev", "projects/1001")
    assert traced.datasets("archive", "outputs") == [(traced.source, dataset.name)]


def test_files_are_named_as_openlineage_names_them() -> None:
    assert file_place(ObjectStoragePath("file:///tmp/a.csv"), 3) == Place("file", "/tmp/a.csv", 3)  # noqa: S108
    assert file_place("s3://my_conn@bucket/a/b.csv") == Place("s3://bucket", "a/b.csv")
