"""The calls about projects, pools and trainings (API: "Projects", "Pools", "Trainings"). No I/O.

What the calls do for a user is documented once, in ``TolokaClient``.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Generic, TypeVar

from airflow_provider_toloka.client.api.calls import Calls, Listing
from airflow_provider_toloka.client.api.changes import Changes
from airflow_provider_toloka.client.models import Operation, Pool, Project, Training
from airflow_provider_toloka.client.resources import (
    ARCHIVE_POOL,
    ARCHIVE_PROJECT,
    ARCHIVE_TRAINING,
    CLOSE_POOL,
    CLOSE_TRAINING,
    POOL,
    PROJECT,
    TRAINING,
    Change,
    Resource,
)
from airflow_provider_toloka.client.sansio import Flow

Model = TypeVar("Model", Project, Pool, Training)


class _Objects(Generic[Model]):
    resource: ClassVar[Resource]
    archiving: ClassVar[Change]

    def __init__(self, calls: Calls, changes: Changes) -> None:
        self._calls = calls
        self._changes = changes

    def get(self, object_id: str) -> Flow[Model]:
        """Read one (API: ``GET /{path}/{id}``)."""
        found: Model = yield from self._calls.get_one(self.resource, object_id)
        return found

    def listing(self, /, **filters: str | datetime) -> Listing[Model]:
        """Return the list of all (API: ``GET /{path}``)."""
        return self._calls.list_all(self.resource, filters)

    def archive(self, object_id: str) -> Flow[Operation | None]:
        """Archive one (API: ``POST /{path}/{id}/archive``)."""
        return (yield from self._changes.make(self.archiving, object_id))


class _Closable(_Objects[Model]):
    closing: ClassVar[Change]

    def close(self, object_id: str) -> Flow[Operation | None]:
        """Close one (API: ``POST /{path}/{id}/close``)."""
        return (yield from self._changes.make(self.closing, object_id))


class Projects(_Objects[Project]):
    """The calls about projects."""

    resource = PROJECT
    archiving = ARCHIVE_PROJECT


class Pools(_Closable[Pool]):
    """The calls about pools."""

    resource = POOL
    archiving = ARCHIVE_POOL
    closing = CLOSE_POOL


class Trainings(_Closable[Training]):
    """The calls about trainings."""

    resource = TRAINING
    archiving = ARCHIVE_TRAINING
    closing = CLOSE_TRAINING
