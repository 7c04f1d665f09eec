"""What meets the faults: the hook, the operator, the sensor and the trigger; and what came of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.client.retry import RetryPolicy
from airflow_provider_toloka.client.sansio import Flow, Sleep
from airflow_provider_toloka.exceptions import TolokaError
from airflow_provider_toloka.hooks.toloka import TolokaHook
from airflow_provider_toloka.operators.toloka import TolokaArchiveProjectOperator
from airflow_provider_toloka.sensors.toloka import OperationSensor
from airflow_provider_toloka.triggers.toloka import OperationTrigger
from tests.faults.accounts import ANY, ARCHIVE, LOOK, READ, Account
from tests.running import Ended, new_dag, run

T = TypeVar("T")

#: Seconds that a wait may take when the fault stays.
WAIT = 0.2
#: Seconds that reading a project may take on a busy machine.
READING = 1.0
TIMED_OUT = "timed out, with the reason"


@dataclass(frozen=True)
class Outcome:
    """What came of a fault.

    :param told: in a few words.
    :param error: the text of the error that the user sees; empty: there is none.
    :param seconds: how long it took, without the sleeps between two tries of the hook.
    :param slept: what the hook would have slept between two tries, in seconds.
    :param archivings: how many operations were submitted to archive the project.
    :param is_archived: how the project ended.
    """

    told: str
    error: str = ""
    seconds: float = 0.0
    slept: tuple[float, ...] = ()
    archivings: int = 0
    is_archived: bool = False


Measure = Callable[[list[Account]], dict[str, Outcome]]


class HurriedHook(TolokaHook):
    """Skips the sleeps between two attempts: only the clock of its flows advances.

    :param account: what it leads to.
    :param lasts: the fault ends after this many seconds; None: never.
    """

    def __init__(self, account: Account, lasts: float | None) -> None:
        super().__init__(account.connection_id, retry_policy=RetryPolicy(jitter=lambda longest: longest))
        self.slept: list[float] = []
        self._account = account
        self._lasts = lasts

    def run(self, flow: Flow[T]) -> T:
        return super().run(self._hurry(flow))

    def _hurry(self, flow: Flow[T]) -> Flow[T]:
        started = time.time()
        try:
            step = next(flow)
            while True:
                if isinstance(step, Sleep):
                    if step.seconds:  # else it asks for the time
                        self.slept.append(step.seconds)
                    if self._lasts is not None and sum(self.slept) > self._lasts:
                        self._account.mend()
                        self._lasts = None
                    step = flow.send(started + sum(self.slept))
                else:
                    step = flow.send((yield step))
        except StopIteration as stop:
            result: T = stop.value
            return result


def _call(account: Account, lasts: float | None, call: Callable[[HurriedHook], Any]) -> Outcome:
    hook = HurriedHook(account, lasts)
    started = time.monotonic()
    try:
        call(hook)
        told, error = "retried, succeeded" if hook.slept else "succeeded", ""
    except TolokaError as raised:
        told, error = type(raised).__name__, str(raised)
    return Outcome(
        told=told,
        error=error,
        seconds=time.monotonic() - started,
        slept=tuple(hook.slept),
        archivings=account.archivings,
        is_archived=account.is_archived,
    )


def _plain(name: str) -> Callable[[HurriedHook, str], Any]:
    def call(hook: HurriedHook, project_id: str) -> Any:
        with hook:
            return getattr(hook, name)(project_id)

    return call


def _async(name: str) -> Callable[[HurriedHook, str], Any]:
    def call(hook: HurriedHook, project_id: str) -> Any:
        async def main() -> Any:
            client = hook.async_client()
            run = client.run
            client.run = lambda flow: run(hook._hurry(flow))  # type: ignore[method-assign]
            async with client:
                return await getattr(client, name)(project_id)

        return asyncio.run(main())

    return call


def hook(call: Callable[[HurriedHook, str], Any], rule: str, *, stays: bool = False) -> Measure:
    """Measure a call of the hook, for many accounts at the same time."""

    def measure(accounts: list[Account]) -> dict[str, Outcome]:
        def one(account: Account) -> Outcome:
            lasts = None if stays else account.fault.lasts
            account.spoil(rule, account.fault.times if lasts is None and not stays else None)
            return _call(account, lasts, lambda hook: call(hook, account.project_id))

        with ThreadPoolExecutor(8) as pool:
            return dict(zip((account.fault.name for account in accounts), pool.map(one, accounts), strict=True))

    return measure


def operator(*, deferrable: bool, stays: bool = False) -> Measure:
    """Measure the task that archives a project: one task for each account, in one run of a DAG."""

    def measure(accounts: list[Account]) -> dict[str, Outcome]:
        with new_dag(retries=0 if stays else 1) as dag:
            for account in accounts:
                if not stays:
                    account.spoil(ARCHIVE, account.fault.times)
                    account.spoil(LOOK, account.fault.looks)
                else:
                    # What stays is met before anything was done, or else in the wait.
                    account.spoil(LOOK if deferrable else ANY, None)
                TolokaArchiveProjectOperator(
                    task_id=account.connection_id,
                    toloka_conn_id=account.connection_id,
                    project_id=account.project_id,
                    deferrable=deferrable,
                    poll_interval=0.05,
                    # It reads the project first, and submits nothing after the timeout.
                    timeout=_patience(account, stays=stays) + READING,
                )
        return _ended(accounts, run(dag).tasks)

    return measure


def sensor(*, deferrable: bool, stays: bool = False) -> Measure:
    """Measure the task that waits for an operation: one task for each account, in one run of a DAG."""

    def measure(accounts: list[Account]) -> dict[str, Outcome]:
        with new_dag(retries=0) as dag:
            for account in accounts:
                account.spoil(LOOK, None if stays else account.fault.looks)
                OperationSensor(
                    task_id=account.connection_id,
                    toloka_conn_id=account.connection_id,
                    operation_id=account.add_operation(0.1),
                    deferrable=deferrable,
                    poke_interval=0.05,
                    timeout=_patience(account, stays=stays),
                )
        return _ended(accounts, run(dag).tasks)

    return measure


def trigger(*, stays: bool = False) -> Measure:
    """Measure the wait on the triggerer: all on one event loop."""

    async def one(account: Account) -> Outcome:
        account.spoil(LOOK, None if stays else account.fault.looks)
        started = time.monotonic()
        waiting = OperationTrigger(
            toloka_conn_id=account.connection_id,
            operation_ids=[account.add_operation(0.1)],
            poll_interval=0.05,
            deadline=time.time() + _patience(account, stays=stays),
        )
        (event,) = [event async for event in waiting.run()]
        payload: Any = event.payload
        seconds = time.monotonic() - started
        if "error" in payload:
            return Outcome(told=payload["error"]["class"], error=payload["error"]["summary"], seconds=seconds)
        (operation,) = payload["operations"].values()
        if operation and operation["status"] == "SUCCESS":
            return Outcome(told="succeeded", seconds=seconds)
        return Outcome(
            told=TIMED_OUT, error=payload["trouble"] or Operation.from_json(operation).summary, seconds=seconds
        )

    async def all_of(accounts: list[Account]) -> list[Outcome]:
        return await asyncio.gather(*(one(account) for account in accounts))

    def measure(accounts: list[Account]) -> dict[str, Outcome]:
        outcomes = asyncio.run(all_of(accounts))
        return {account.fault.name: outcome for account, outcome in zip(accounts, outcomes, strict=True)}

    return measure


def _patience(account: Account, *, stays: bool) -> float:
    # It counts from a task's first try, and the second comes when all others have had their first.
    return WAIT if stays and account.fault.kind != "harmless" else 900.0


def _ended(accounts: list[Account], tasks: dict[Any, Ended]) -> dict[str, Outcome]:
    outcomes = {}
    for account in accounts:
        task = tasks[account.connection_id]
        told = "; ".join(_meaning(error) for error in task.errors)
        if told and task.state == "success":
            told += "; the next try succeeded"
        outcomes[account.fault.name] = Outcome(
            told=told or "succeeded",
            error=task.error if task.errors else "",
            archivings=account.archivings,
            is_archived=account.is_archived,
        )
    return outcomes


def _meaning(error: BaseException) -> str:
    """Return the class of the error, or of the error that Airflow's own one stands for."""
    name = type((isinstance(error, AirflowFailException) and error.__context__) or error).__name__
    return TIMED_OUT if name in ("TolokaTimeoutError", "AirflowSensorTimeout") else name


#: By column of the table: what meets the fault, and when.
COLUMNS: dict[str, Measure] = {
    "hook, a read": hook(_plain("get_project"), READ),
    "hook, a change": hook(_plain("archive_project"), ARCHIVE),
    "hook, a read, it stays": hook(_plain("get_project"), READ, stays=True),
    "async hook, a read": hook(_async("get_project"), READ),
    "async hook, a change": hook(_async("archive_project"), ARCHIVE),
    "async hook, a read, it stays": hook(_async("get_project"), READ, stays=True),
    "operator": operator(deferrable=False),
    "operator, it stays": operator(deferrable=False, stays=True),
    "deferrable operator": operator(deferrable=True),
    "deferrable operator, it stays": operator(deferrable=True, stays=True),
    "sensor": sensor(deferrable=False),
    "sensor, it stays": sensor(deferrable=False, stays=True),
    "deferrable sensor": sensor(deferrable=True),
    "deferrable sensor, it stays": sensor(deferrable=True, stays=True),
    "trigger": trigger(),
    "trigger, it stays": trigger(stays=True),
}
