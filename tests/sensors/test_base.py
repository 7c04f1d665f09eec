"""What the sensors have in common."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_toloka.sensors.pool import TolokaPoolSensor
from airflow_provider_toloka.sensors.toloka import OperationSensor


@pytest.fixture(params=[(OperationSensor, "operation_id"), (TolokaPoolSensor, "pool_id")], ids=["operation", "pool"])
def make(request: pytest.FixtureRequest) -> Any:
    sensor, name = request.param
    return lambda **arguments: sensor(task_id="wait", **{name: "1"}, **arguments)


@pytest.mark.parametrize("given", [90, "90", "PT1M30S", timedelta(seconds=90)])
def test_durations_may_be_given_in_any_form(make: Any, given: Any) -> None:
    arguments = {"poke_interval": given, "timeout": given, "max_wait": given}
    sensor = make(**arguments)
    with DAG("defaults", schedule=None, default_args=arguments):
        by_default = make()
    for one in (sensor, by_default):
        assert (one.poke_interval, one.timeout, one.max_wait) == (90, 90, timedelta(seconds=90))


def test_an_argument_counts_more_than_a_default(make: Any) -> None:
    with DAG("defaults", schedule=None, default_args={"poke_interval": "PT1M", "timeout": 60, "max_wait": "1h"}):
        sensor = make(poke_interval=30, timeout="PT2M", max_wait=None)
    assert (sensor.poke_interval, sensor.timeout, sensor.max_wait) == (30, 120, None)


@pytest.mark.parametrize("name", ["poke_interval", "timeout", "max_wait"])
@pytest.mark.parametrize("given", ["soon", "", "0", "{{ params.wait }}"])
def test_other_texts_are_refused_when_the_dag_is_parsed(make: Any, name: str, given: str) -> None:
    with pytest.raises(ValueError, match=f"{name} should be a duration above 0"):
        make(**{name: given})
