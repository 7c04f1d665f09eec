"""The content of a case's account, and its expected final state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any


@dataclass(frozen=True)
class Projects:
    """Some projects that nobody has used for a year.

    :param count: how many.
    :param pools: how many closed pools each of them has.
    :param first: the first one's id; those of the pools are made of their project's.
    :param name: what their names begin with.
    """

    count: int
    pools: int = 2
    first: int = 1000
    name: str = "stale"
    ids: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ids", tuple(str(self.first + number) for number in range(self.count)))

    def pool_ids(self, project_id: str) -> tuple[str, ...]:
        """The ids of a project's pools."""
        return tuple(f"{project_id}{number:02}" for number in range(self.pools))

    @property
    def all_ids(self) -> tuple[str, ...]:
        """The ids of the projects and of their pools."""
        return (*self.ids, *(pool_id for id_ in self.ids for pool_id in self.pool_ids(id_)))

    @property
    def operations(self) -> Counter[str]:
        """All operations that it takes to archive them."""
        pools = (f"POOL.ARCHIVE {pool_id}" for id_ in self.ids for pool_id in self.pool_ids(id_))
        return Counter([*pools, *(f"PROJECT.ARCHIVE {id_}" for id_ in self.ids)])


def state(*groups: Projects) -> dict[str, list[dict[str, Any]]]:
    """Return an account with these projects."""
    created = (datetime.now(UTC) - timedelta(days=400)).replace(tzinfo=None).isoformat(timespec="milliseconds")
    given: dict[str, list[dict[str, Any]]] = {"projects": [], "pools": []}
    for group in groups:
        for id_ in group.ids:
            given["projects"].append({"id": id_, "public_name": f"{group.name} {id_}", "created": created})
            given["pools"] += [
                {"id": pool_id, "project_id": id_, "status": "CLOSED", "created": created}
                for pool_id in group.pool_ids(id_)
            ]
    return given


def submitted(operations: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """Count operations by type and object, such as ``POOL.ARCHIVE 100001``: each is one accepted POST."""
    return Counter(
        f"{operation['type']} {object_id}"
        for operation in operations
        for name, object_id in operation["parameters"].items()
        if name in ("project_id", "pool_id", "training_id")
    )


def statuses(account: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, str]:
    """Return the statuses of all projects and pools, by id."""
    return {row["id"]: row["status"] for name in ("projects", "pools") for row in account[name]}
