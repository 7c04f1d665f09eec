"""Each fault meets each component; see ``catalog.py`` and ``components.py``."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any, TypeAlias

import pytest

from airflow_provider_toloka.client import waiting
from airflow_provider_toloka.client.retry import RetryPolicy
from airflow_provider_toloka.client.transports import sync as transport
from airflow_provider_toloka.operators._changing import TolokaChangeOperator
from tests.certificates import Authority
from tests.faults.accounts import accounts
from tests.faults.catalog import FAULTS, STAYS, Fault, is_met
from tests.faults.components import COLUMNS, TIMED_OUT, Outcome

#: The first test of a column measures all of it.
pytestmark = pytest.mark.timeout(600)

#: What the responses of all faults of a column may add to the peak memory, in bytes: eight calls of the hook run at
#: the same time, and the servers are in the same process.
MEMORY = 300_000_000


@dataclass(frozen=True)
class Column:
    """What was measured of a component.

    :param outcomes: by the fault's name.
    :param memory: what it added to the memory's peak, in bytes.
    """

    outcomes: dict[str, Outcome]
    memory: int


Measured: TypeAlias = Callable[[str], Column]
LONGEST_SLEEP = 0.1
POLICY = RetryPolicy()
HURRIED_TIME = SimpleNamespace(
    sleep=lambda seconds: time.sleep(min(seconds, LONGEST_SLEEP)), time=time.time, monotonic=time.monotonic
)


def cases() -> Iterator[Any]:
    for column in COLUMNS:
        for fault in FAULTS:
            if is_met(fault, column):
                yield pytest.param(
                    column, fault, id=f"{column}-{fault.name}", marks=pytest.mark.xdist_group(f"faults, {column}")
                )


@pytest.fixture(scope="session")
def measured(
    request: pytest.FixtureRequest,
    airflow_database: None,  # noqa: ARG001 - for the DAGs
    authority: Authority,
) -> Measured:
    """Let all faults that were chosen meet a component, once."""
    chosen = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]

    @cache
    def of(column: str) -> Future[Column]:
        future: Future[Column] = Future()
        try:
            future.set_result(measure(column))
        except Exception as error:  # noqa: BLE001 - each of the column's tests raises it
            future.set_exception(error)
        return future

    def measure(column: str) -> Column:
        met = [params["fault"] for params in chosen if params["column"] == column and "fault" in params]
        with accounts(met, authority) as ready, pytest.MonkeyPatch.context() as patch:
            if "hook" not in column:
                # Tasks run one after the other, and are not to sleep for minutes. How long it should be is seen
                # with the hook, and in the tests of the waits.
                patch.setattr(transport, "time", HURRIED_TIME)
                patch.setattr(waiting, "LONGEST_PAUSE", LONGEST_SLEEP)
                patch.setattr(TolokaChangeOperator, "before_deferring", 0.0)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            outcomes = COLUMNS[column](ready)
            return Column(outcomes, 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))

    return lambda column: of(column).result()


def told(fault: Fault, column: str) -> tuple[str, ...]:
    """Set the expected results of a fault: any of these."""
    stays = STAYS in column
    if fault.kind == "harmless" or (fault.kind == "endless" and (not stays or "hook" in column)):
        return ("succeeded",)
    if stays:
        # It affects the very first request, unless it is for the polls of the wait.
        meets_all = column.startswith("operator") or ("operator" in column and (fault.is_away or fault.group == "TLS"))
        is_permanent = fault.error == "TolokaTlsError"
        at_once = "hook" in column or is_permanent or (meets_all and fault.kind != "endless")
        return (fault.error,) if at_once else (TIMED_OUT,)
    if column.endswith("hook, a read"):
        gives_up = fault.kind != "passes" or fault.outlasts_a_call
        # aiohttp itself sends a request again whose connection is gone at once.
        return (fault.error,) if gives_up else ("retried, succeeded", "succeeded")
    if column.endswith("hook, a change"):
        return (fault.error,) if fault.kind == "too long" else ("retried, succeeded", "succeeded")
    if "operator" in column and fault.kind == "too long":
        return (f"{fault.error}; the next try succeeded",)
    return ("succeeded",)


@pytest.mark.parametrize(
    "column", [pytest.param(column, marks=pytest.mark.xdist_group(f"faults, {column}")) for column in COLUMNS]
)
def test_memory_stays_bounded(column: str, measured: Measured) -> None:
    assert measured(column).memory < MEMORY


@pytest.mark.parametrize(("column", "fault"), list(cases()))
def test_fault(column: str, fault: Fault, measured: Measured, record_property: Callable[[str, Any], None]) -> None:
    outcome = measured(column).outcomes[fault.name]
    record_property("outcome", [column, fault.name, outcome.told])
    assert outcome.told in (*told(fault, column), *fault.differs), outcome.error
    if outcome.error:
        assert fault.remedy in outcome.error
        assert outcome.error.isprintable()  # one line
        assert " object at 0x" not in outcome.error
    if "hook" in column:
        # The rate controller waits as long as Toloka asks; a refused request counts against the policy's time only.
        asked = min(POLICY.total_wait, fault.asked * (1 if outcome.told.endswith("succeeded") else 1000))
        assert outcome.seconds < 6 * (fault.timeout if fault.timeout < 5 else 1) + 20 + asked
        assert not outcome.slept or outcome.slept[0] >= fault.asked
    assert outcome.archivings <= 1
    if "change" in column or ("operator" in column and "succeeded" in outcome.told):
        assert outcome.archivings == int("Error" not in outcome.told or "next try" in outcome.told)
    if "operator" in column and "succeeded" in outcome.told:
        assert outcome.is_archived
