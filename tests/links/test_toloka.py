"""The extra links that Airflow shows for a task, after each possible course of the task."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
import requests
from airflow.models.taskinstancekey import TaskInstanceKey
from airflow.providers.common.compat.sdk import BaseOperator, XCom
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

from airflow_provider_toloka.client.resources import WITH_A_PAGE
from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.hooks.toloka import TolokaHook
from airflow_provider_toloka.links.toloka import LINKS, TolokaLink, TolokaReportLink, push_account_link, push_links
from airflow_provider_toloka.operators.toloka import (
    TolokaArchivePoolOperator,
    TolokaArchiveProjectOperator,
    TolokaArchiveTrainingOperator,
    TolokaClosePoolOperator,
    TolokaCloseTrainingOperator,
)
from airflow_provider_toloka.sensors.toloka import OperationSensor
from tests.operators.test_toloka import both_ways
from tests.running import Run, new_dag, run

pytestmark = pytest.mark.usefixtures("airflow_database")

PROJECT, POOL, TRAINING = "Toloka project", "Toloka pool", "Toloka training"


@pytest.fixture(scope="module", autouse=True)
def everybody_is_admin() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS", "True")
        patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "made-up" * 10)
        yield


@functools.cache
def rest_api() -> Any:
    """Return a client of Airflow's REST API, which its pages use."""
    from airflow.api_fastapi.app import create_app
    from fastapi.testclient import TestClient

    client = TestClient(create_app(apps="core"))
    client.headers["Authorization"] = f"Bearer {client.get('/auth/token').json()['access_token']}"
    return client


def shown(dag: Any, ran: Run) -> dict[str, str]:
    """Return the links on the task's page, by button."""
    if AIRFLOW_V_3_0_PLUS:
        path = f"/api/v2/dags/{dag.dag_id}/dagRuns/{ran.dag_run.run_id}/taskInstances/task/links"
        found = rest_api().get(path).json()["extra_links"]
    else:
        # The web server knows the DAG only so.
        serialized: Any = import_module("airflow.serialization.serialized_objects").SerializedDAG
        task = serialized.from_dict(json.loads(json.dumps(serialized.to_dict(dag)))).get_task("task")
        [ti] = ran.dag_run.get_task_instances()
        found = {name: task.get_extra_links(ti, name) for name in task.extra_links}
    return {name: url for name, url in found.items() if url}


def links_of(operator: type[BaseOperator], *, state: str = "success", **arguments: Any) -> dict[str, str]:
    """Run a task; give the links that its page shows then."""
    with new_dag() as dag:
        interval = "poke_interval" if operator is OperationSensor else "poll_interval"
        operator(task_id="task", **{interval: 0.1, **arguments})
    ran = run(dag)
    assert ran.tasks["task"].state == state
    return shown(dag, ran)


def page(toloka: TolokaEmulator, path: str) -> str:
    return f"{toloka.url}/requester/project/{path}"


@both_ways
def test_a_project_that_is_archived(toloka: TolokaEmulator, deferrable: bool) -> None:
    assert links_of(TolokaArchiveProjectOperator, project_id="1001", deferrable=deferrable) == {
        PROJECT: page(toloka, "1001")
    }


@both_ways
def test_a_project_that_was_archived_before(toloka: TolokaEmulator, deferrable: bool) -> None:
    assert links_of(TolokaArchiveProjectOperator, project_id="1006", deferrable=deferrable) == {
        PROJECT: page(toloka, "1006")
    }


@both_ways
def test_an_operation_that_runs_already(toloka: TolokaEmulator, deferrable: bool) -> None:
    toloka.add_operation("PROJECT.ARCHIVE", status="RUNNING", finishes_in=1, parameters={"project_id": "1001"})
    assert links_of(TolokaArchiveProjectOperator, project_id="1001", deferrable=deferrable) == {
        PROJECT: page(toloka, "1001")
    }
    assert len(toloka.operations) == 1


@pytest.mark.parametrize(
    "arguments",
    [{"project_id": "1005"}, {"project_id": "77"}, {"project_id": "1001", "pools": "{{ none }}"}],
    ids=["pools that are not archived", "no such project", "a wrong argument"],
)
def test_a_task_that_fails_before_it_has_changed_anything(toloka: TolokaEmulator, arguments: dict[str, Any]) -> None:
    links = links_of(TolokaArchiveProjectOperator, state="failed", **arguments)
    assert links == {PROJECT: page(toloka, arguments["project_id"])}


@both_ways
def test_an_operation_that_fails(toloka: TolokaEmulator, deferrable: bool) -> None:
    toloka.fail_next("PROJECT.ARCHIVE")
    links = links_of(TolokaArchiveProjectOperator, state="failed", project_id="1001", deferrable=deferrable)
    assert links == {PROJECT: page(toloka, "1001")}


@both_ways
def test_a_second_try(toloka: TolokaEmulator, deferrable: bool) -> None:
    toloka.fail_next("PROJECT.ARCHIVE")
    links = links_of(TolokaArchiveProjectOperator, project_id="1001", deferrable=deferrable, retries=1)
    assert links == {PROJECT: page(toloka, "1001")}


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="Airflow 2.11 does not read links when a task ends")
def test_an_xcom_that_the_next_try_clears_as_it_is_read(
    toloka: TolokaEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = XCom.get_all

    def read_and_clear(**place: str) -> Any:
        found = read(**place)
        XCom.delete(**place, map_index=-1)
        return found

    monkeypatch.setattr(XCom, "get_all", read_and_clear)
    assert links_of(TolokaArchiveProjectOperator, project_id="1001") == {PROJECT: page(toloka, "1001")}


@both_ways
@pytest.mark.parametrize("closed_before", [True, False])
def test_a_pool_and_its_project(toloka: TolokaEmulator, deferrable: bool, closed_before: bool) -> None:
    toloka.add_pool("1001", id="21", status="CLOSED" if closed_before else "OPEN")
    for operator in (TolokaClosePoolOperator, TolokaArchivePoolOperator):
        assert links_of(operator, pool_id="21", deferrable=deferrable) == {
            PROJECT: page(toloka, "1001"),
            POOL: page(toloka, "1001/pool/21"),
        }


def test_a_pool_that_cannot_be_archived(toloka: TolokaEmulator) -> None:
    toloka.add_pool("1001", id="21", status="OPEN")
    assert links_of(TolokaArchivePoolOperator, state="failed", pool_id="21") == {
        PROJECT: page(toloka, "1001"),
        POOL: page(toloka, "1001/pool/21"),
    }


@pytest.mark.usefixtures("toloka")
def test_a_pool_that_does_not_exist_has_no_page() -> None:
    assert links_of(TolokaClosePoolOperator, state="failed", pool_id="77") == {}


@both_ways
def test_a_training_and_its_project(toloka: TolokaEmulator, deferrable: bool) -> None:
    toloka.add_training("1001", id="31", status="OPEN")
    for operator in (TolokaCloseTrainingOperator, TolokaArchiveTrainingOperator):
        assert links_of(operator, training_id="31", deferrable=deferrable) == {
            PROJECT: page(toloka, "1001"),
            TRAINING: page(toloka, "1001/training/31"),
        }


MODES: dict[str, dict[str, Any]] = {
    "poke": {"mode": "poke"},
    "reschedule": {"mode": "reschedule"},
    "deferrable": {"deferrable": True},
}
each_mode = pytest.mark.parametrize("mode", MODES.values(), ids=MODES)


@each_mode
@pytest.mark.parametrize("outcome", ["SUCCESS", "FAIL"])
def test_the_sensor_leads_to_what_the_operation_works_on(
    toloka: TolokaEmulator, mode: dict[str, Any], outcome: str
) -> None:
    toloka.add_pool("1001", id="21", status="OPEN")
    state = "success" if outcome == "SUCCESS" else "failed"
    for parameters, links in (
        ({"project_id": "1001"}, {PROJECT: page(toloka, "1001")}),
        ({"pool_id": "21"}, {PROJECT: page(toloka, "1001"), POOL: page(toloka, "1001/pool/21")}),
    ):
        operation = toloka.add_operation(
            "ANALYTICS", status="RUNNING", finishes_in=0.5, outcome=outcome, parameters=parameters
        )
        assert links_of(OperationSensor, state=state, operation_id=operation["id"], **mode) == links


@each_mode
def test_the_sensor_has_no_link_where_the_operation_names_nothing_that_has_a_page(
    toloka: TolokaEmulator, mode: dict[str, Any]
) -> None:
    for parameters in (None, {"pool_id": "77"}, {"pool_id": "../../x"}):
        operation = toloka.add_operation("TASK.BATCH_CREATE", parameters=parameters)
        assert links_of(OperationSensor, operation_id=operation["id"], **mode) == {}


def test_the_sensor_that_waits_for_several_has_no_link(toloka: TolokaEmulator) -> None:
    ids = [toloka.add_operation("PROJECT.ARCHIVE", parameters={"project_id": "1001"})["id"] for _ in range(2)]
    assert links_of(OperationSensor, operation_id=ids) == {}


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS)
def test_a_link_never_raises(link: Any) -> None:
    with new_dag():
        task = TolokaArchiveProjectOperator(task_id="task", project_id="1001")
    assert link.get_link(task, ti_key=TaskInstanceKey("no such", "task", "run")) == ""


class Pushed(dict[str, str]):
    """The XComs that a task pushes."""

    def xcom_push(self, key: str, value: str) -> None:
        self[key] = value


def test_each_link_leads_to_a_page_of_the_emulator(toloka: TolokaEmulator) -> None:
    toloka.add_pool("1001", id="21")
    toloka.add_training("1001", id="31")
    pushed, hook = Pushed(), TolokaHook()
    context: Any = {"ti": pushed}
    push_account_link(context, hook.api.settings.site)
    for resource, id_ in zip(WITH_A_PAGE.values(), ("1001", "21", "31"), strict=True):
        push_links(context, hook, resource, id_)
    # A report is a file, and not on Toloka's site.
    assert pushed.keys() == {link().xcom_key for link in TolokaLink.__subclasses__() if link is not TolokaReportLink}
    for url in pushed.values():
        assert url.startswith(f"{toloka.url}/requester")
        assert requests.get(url, timeout=60).status_code == 200, url
