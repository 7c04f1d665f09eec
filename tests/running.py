"""DAGs of the tests, run for real: by Airflow's own ``dag.test()``, on the tests' metadata database."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from typing import Any

from airflow.providers.common.compat.sdk import DAG, BaseOperator
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS, AIRFLOW_V_3_2_PLUS

from airflow_provider_toloka.emulator import TolokaEmulator

BUNDLE = "tests"
_OUR_LOGS = ("", "airflow.task")  # Airflow 2 keeps the logs of tasks from the root's handlers


@dataclass(frozen=True)
class Ended:
    """How a task ended.

    :param tries: how many tries it took.
    :param result: what it returned.
    :param operation: its XCom ``operation``.
    :param errors: what its tries failed with.
    """

    state: str
    tries: int
    result: Any = None
    operation: Any = None
    errors: list[BaseException] = field(default_factory=list)

    @property
    def error(self) -> str:
        """The text of the last error."""
        return str(self.errors[-1])


@dataclass(frozen=True)
class Run:
    """How a DAG ended.

    :param tasks: by task id, and by task id and map index where it is mapped.
    :param log: all that was logged and printed.
    """

    state: str
    tasks: dict[str | tuple[str, int], Ended]
    log: str
    dag_run: Any = None

    @property
    def deferrals(self) -> int:
        """How often a task went to the triggerer."""
        return self.log.count("[DAG TEST] running trigger in line")


class _Errors(list[tuple[tuple[str, int], BaseException]]):
    def note(self, context: Any) -> None:
        ti = context["ti"]
        self.append(((ti.task_id, ti.map_index), context["exception"]))


def new_dag(*, render_native: bool = False, **default_args: Any) -> DAG:
    """Make an empty DAG, whose tasks are retried without delay and note their errors."""
    errors = _Errors()
    noting = {"on_failure_callback": errors.note, "on_retry_callback": errors.note}
    return DAG(
        f"test-{uuid.uuid4()}",
        schedule=None,
        render_template_as_native_obj=render_native,
        default_args={"retry_delay": timedelta(0), **noting, **default_args},
    )


def errors_of(dag: DAG) -> _Errors:
    callback: Any = dag.default_args.get("on_failure_callback")
    return callback.__self__ if callback else _Errors()


def store(dag: DAG) -> None:
    """Register a DAG in Airflow 3 that is not in a file of a DAG folder."""
    if AIRFLOW_V_3_0_PLUS:
        from airflow.dag_processing.bundles.manager import DagBundlesManager

        # Its home was another one before Airflow 3.2.
        where = "airflow.dag_processing.dagbag" if AIRFLOW_V_3_2_PLUS else "airflow.models.dagbag"
        home: Any = import_module(where)
        bundles: Any = DagBundlesManager
        bundles().sync_bundles_to_db()
        bag = home.DagBag(dag_folder=os.devnull)
        bag.bag_dag(dag)
        home.sync_bag_to_db(bag, BUNDLE, None)


@contextlib.contextmanager
def everything_logged(level: int = logging.INFO) -> Iterator[io.StringIO]:
    """Collect what is logged and printed."""
    collected = io.StringIO()
    handler = logging.StreamHandler(collected)
    loggers = [logging.getLogger(name) for name in _OUR_LOGS]
    before = [(list(logger.handlers), logger.level) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(level)
    try:
        with contextlib.redirect_stdout(collected):
            yield collected
    finally:
        for logger, (handlers, was) in zip(loggers, before, strict=True):
            logger.handlers[:] = handlers  # dag.test() of Airflow 2 leaves one behind
            logger.setLevel(was)


def run(dag: DAG) -> Run:
    """Run a DAG to its end."""
    store(dag)
    with everything_logged() as log:
        dag_run: Any = dag.test()
    return Run(str(dag_run.state), ended_tasks(dag, dag_run), log.getvalue(), dag_run)


def ended_tasks(dag: DAG, dag_run: Any) -> dict[str | tuple[str, int], Ended]:
    """Read how the tasks of a run ended."""
    tasks: dict[str | tuple[str, int], Ended] = {}
    for ti in dag_run.get_task_instances():
        key = (ti.task_id, ti.map_index)

        def pull(name: str, ti: Any = ti) -> Any:
            return ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index, key=name)

        tasks[key if ti.map_index >= 0 else ti.task_id] = Ended(
            state=str(ti.state),
            tries=ti.try_number,
            result=pull("return_value"),
            operation=pull("operation"),
            errors=[error for failed, error in errors_of(dag) if failed == key],
        )
    return tasks


def run_task(operator: type[BaseOperator], **arguments: Any) -> Ended:
    """Run a DAG of one task to its end."""
    ended, _ = run_logged(operator, **arguments)
    return ended


def run_logged(operator: type[BaseOperator], **arguments: Any) -> tuple[Ended, Run]:
    """Run a DAG of one task to its end; give the run too."""
    with new_dag() as dag:
        operator(task_id="task", **arguments)
    ran = run(dag)
    return ran.tasks["task"], ran


def posts(toloka: TolokaEmulator) -> list[str]:
    """Return the paths of all requests for changes."""
    return [request.path for request in toloka.requests if request.method == "POST"]


def run_try(dag: DAG, dag_run: Any, task_id: str = "task") -> None:
    """Run one more try of a task whose run has ended, as a scheduler and a worker do."""
    from airflow.utils.session import create_session

    task = dag.get_task(task_id)
    with create_session() as session:
        ti = dag_run.get_task_instance(task_id, session=session)
        ti.try_number += 1
        ti.state = "scheduled"
        session.merge(ti)
    if AIRFLOW_V_3_0_PLUS:
        from airflow.sdk.definitions.dag import _run_task

        _run_task(ti=ti, task=task)
    else:
        ti.task = task
        with contextlib.suppress(Exception):  # it raises what the task has failed with
            ti.run(ignore_all_deps=True)


def clear(dag: DAG, dag_run: Any) -> None:
    """Clear a run, as the button does."""
    from airflow.models.taskinstance import clear_task_instances
    from airflow.utils.session import create_session

    with create_session() as session:
        known: dict[str, Any] = {} if AIRFLOW_V_3_0_PLUS else {"dag": dag}
        clear_task_instances(dag_run.get_task_instances(session=session), session, **known)
