"""Keep the outcome of every project over deferrals and tries, because archiving cannot be undone.

On Airflow 3.3, the record is in the task's state store, which survives retries and clears. On older versions, it is in
an XCom, which lasts for one try: a later try sees at Toloka which projects are archived, but not which try did it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_toloka.reporting.report import Report, ReportedProject

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

_KEY = "toloka_record"


def lasts(context: Context) -> bool:
    """Return whether the record survives a try.

    :param context: the task's.
    """
    return context.get("task_state_store") is not None


def load(context: Context) -> list[ReportedProject]:
    """Return the stored entries.

    :param context: the task's.
    """
    store: Any = context.get("task_state_store")
    if store is not None:
        kept = store.get(_KEY)
    else:
        ti: Any = context["ti"]
        kept = ti.xcom_pull(task_ids=ti.task_id, key=_KEY, map_indexes=ti.map_index)
    return [ReportedProject.from_json(entry) for entry in kept or ()]


def save(context: Context, entries: Iterable[ReportedProject]) -> None:
    """Store the entries.

    :param context: the task's.
    :param entries: all entries, including those that were loaded.
    """
    kept = [{name: value for name, value in one.to_json().items() if value not in (None, "", 0)} for one in entries]
    store: Any = context.get("task_state_store")
    if store is not None:
        store.set(_KEY, kept)
    else:
        context["ti"].xcom_push(key=_KEY, value=kept)


def keep(context: Context, entries: Iterable[ReportedProject]) -> list[ReportedProject]:
    """Merge newer entries into the record, and store it; a project that was archived stays archived.

    :param context: the task's.
    :param entries: the entries of this try.
    :returns: all entries.
    """
    some_time = datetime(1970, 1, 1, tzinfo=UTC)
    report = Report(environment="", as_of=some_time, created=some_time, projects=tuple(entries))
    merged = list(report.after(load(context)).projects)
    save(context, merged)
    return merged
