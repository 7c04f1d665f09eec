"""What was passed to ``OperationSensor`` and comes to nothing fails: it may be the trace of a task that failed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import jinja2
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, task

from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.sensors.toloka import OperationSensor
from tests.running import new_dag, run, run_logged

pytestmark = pytest.mark.usefixtures("airflow_database")

each_mode = pytest.mark.parametrize(
    "mode",
    [{"mode": "poke"}, {"mode": "reschedule"}, {"deferrable": True}],
    ids=["poke", "reschedule", "deferrable"],
)
REMEDY = 'If there is nothing to wait for, set it to ["already done"].'


@each_mode
@pytest.mark.parametrize("given", [[], ()], ids=str)
def test_an_empty_list_fails_at_the_first_try(toloka: TolokaEmulator, mode: dict[str, Any], given: Any) -> None:
    ended, _ = run_logged(OperationSensor, operation_id=given, retries=3, **mode)
    assert (ended.state, ended.tries) == ("failed", 1)
    assert ended.error.startswith("operation_id has no ids. If it comes from mapped tasks, check that they ran ")
    assert ended.error.endswith(REMEDY)
    assert toloka.requests == []


@pytest.mark.parametrize(
    "given",
    [set(), {"1"}, {}, {"1": "2"}, b"1", 1.5, True, timedelta(1), iter(["1"]), object()],
    ids=lambda given: type(given).__name__,
)
def test_what_is_neither_an_id_nor_a_list_is_refused(toloka: TolokaEmulator, given: Any) -> None:
    sensor = OperationSensor(task_id="a", operation_id="1")
    sensor.operation_id = given  # as a rendered template
    with pytest.raises(AirflowFailException, match=r"^operation_id should be an id"):
        sensor.poke({})
    assert toloka.requests == []


def test_a_misspelt_name_in_a_native_template_is_refused(toloka: TolokaEmulator) -> None:
    sensor = OperationSensor(task_id="a", operation_id="1")
    undefined: Any = jinja2.Undefined(name="ids")  # with template_undefined
    sensor.operation_id = undefined
    with pytest.raises(AirflowFailException, match=r"^operation_id is empty"):
        sensor.poke({})
    assert toloka.requests == []


@pytest.mark.parametrize("outcome", ["failed", "returned nothing", "returned ids"])
def test_results_of_mapped_tasks(toloka: TolokaEmulator, outcome: str) -> None:
    ids = [toloka.add_operation("POOL.CLOSE", status="SUCCESS")["id"] for _ in range(2)]
    seen: list[Any] = []

    class Recorded(OperationSensor):
        def poke(self, context: Any) -> Any:
            seen.append(self.operation_id)
            return super().poke(context)

    with new_dag() as dag:

        @task
        def submit(id_: str) -> str | None:
            if outcome == "failed":
                raise ValueError("no")
            return id_ if outcome == "returned ids" else None

        submitted: Any = submit.expand(id_=ids)
        Recorded(task_id="wait", operation_id=submitted, poke_interval=0.1, trigger_rule="all_done")
    wait = run(dag).tasks["wait"]
    if outcome == "returned ids":
        assert [one["id"] for one in wait.result] == ids
        assert isinstance(seen[0], Sequence)
    else:
        assert (wait.state, wait.tries) == ("failed", 1)
        # Airflow 2 renders them to None.
        assert wait.error.startswith(("operation_id has no ids", "operation_id is empty (None)"))
        assert toloka.requests == []
