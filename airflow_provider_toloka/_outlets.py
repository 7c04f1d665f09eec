"""Add a task's operations to the events of its outlets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context

    from airflow_provider_toloka.client.models import Operation


def describe_outlets(task: BaseOperator, context: Context, operations: Sequence[Operation], status: str = "") -> None:
    """Add the operations of a task to the ``extra`` of the events of its outlets.

    :param task: the task with the outlets.
    :param context: the task's context.
    :param operations: the task's operations; of several, the ids and the end of the last one are added.
    :param status: the status if there are no operations.
    """
    events: Any = context.get("outlet_events")
    if not task.outlets or events is None:
        return
    from airflow.providers.common.compat.assets import Asset

    for outlet in task.outlets:
        if isinstance(outlet, Asset):
            events[outlet].extra.update(_told(operations, status))


def _told(operations: Sequence[Operation], status: str) -> dict[str, Any]:
    if not operations:
        return {"status": status}
    last = max(operations, key=lambda one: (one.finished is not None, one.finished))
    ids = [operation.id for operation in operations]
    return {
        **({"operation_id": ids[0]} if len(ids) == 1 else {"operation_ids": ids}),
        "status": last.status,
        "finished": last.finished and last.finished.isoformat(),
    }
