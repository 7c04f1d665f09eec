"""What operations do when they finish."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_toloka.emulator import aggregation, creation, tasks, work
from airflow_provider_toloka.emulator.store import Effect, Store
from airflow_provider_toloka.emulator.tables import View


def carry_out(store: Store, operation: View, at: float) -> Mapping[str, Any]:
    """Carry an operation out.

    :returns: the fields of the operation that this sets.
    """
    if effect := _EFFECTS.get(operation["type"]):
        return effect(store, operation, at)
    kind, _, action = operation["type"].partition(".")
    table = f"{kind.lower()}s"
    row_id = str(operation["parameters"].get(f"{kind.lower()}_id"))
    if table not in store.tables or store.tables[table].get(row_id) is None:
        return {}
    if action == "ARCHIVE":
        store.tables[table].update(row_id, status="ARCHIVED")
    elif action == "CLOSE":
        for_update = operation["id"] in store.closing_for_update
        store.closing_for_update.discard(operation["id"])
        work.close(store, table, row_id, "FOR_UPDATE" if for_update else "MANUAL", at)
    elif action == "OPEN":
        work.start(store, table, row_id, at)
    elif action == "CLONE":
        copy = creation.copy(store, table, row_id)
        return {"details": {f"{kind.lower()}_id": copy["id"]}}
    return {}


_EFFECTS: Mapping[str, Effect] = {"TASK.BATCH_CREATE": tasks.carry_out, "SOLUTION.AGGREGATE": aggregation.carry_out}
