"""Calls for projects, pools and trainings (API: "Projects", "Pools", "Trainings"). No I/O.

``TolokaClient`` documents the calls for users.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

from airflow_provider_toloka.client.api.calls import Calls, Listing
from airflow_provider_toloka.client.api.changes import Changes
from airflow_provider_toloka.client.api.creation import Creation
from airflow_provider_toloka.client.api.opening import open_it
from airflow_provider_toloka.client.models import ACTIVE, Operation, Pool, Project, Training
from airflow_provider_toloka.client.parsing import check_id, read_object
from airflow_provider_toloka.client.resources import (
    ARCHIVE_POOL,
    ARCHIVE_PROJECT,
    ARCHIVE_TRAINING,
    CLOSE_POOL,
    CLOSE_TRAINING,
    OPEN_POOL,
    OPEN_TRAINING,
    POOL,
    PROJECT,
    TRAINING,
    Change,
    Resource,
)
from airflow_provider_toloka.client.sansio import Flow
from airflow_provider_toloka.client.stamps import bears, check_key, stamped

Model = TypeVar("Model", Project, Pool, Training)


class _Objects(Generic[Model]):
    resource: ClassVar[Resource]
    archiving: ClassVar[Change]

    def __init__(self, calls: Calls, changes: Changes, creation: Creation) -> None:
        self._calls = calls
        self._changes = changes
        self._creation = creation

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

    def ensure(self, form: Mapping[str, Any], *, key: str, was_tried: bool = False) -> Flow[Model]:
        """Return the object with a key; create it if it does not exist (API: ``POST /{path}``).

        :param was_tried: whether an earlier try may have sent the form.
        """
        key, kind = check_key(key), self.resource.kind
        found: Model = yield from self._creation.ensure(
            self.resource,
            stamped(kind, form, key),
            is_wanted=lambda json: bears(kind, json, key),
            filters=self._where(form),
            was_tried=was_tried,
        )
        return found

    def _where(self, form: Mapping[str, Any]) -> dict[str, str]:
        """Return list filters that match an object created from a form."""
        return {"project_id": check_id("project_id", form.get("project_id"))}


class _Closable(_Objects[Model]):
    opening: ClassVar[Change]
    closing: ClassVar[Change]

    def open(self, object_id: str, *, opened_since: datetime | None = None) -> Flow[Operation | None]:
        """Open one (API: ``POST /{path}/{id}/open``); see ``open_it``."""
        return (yield from open_it(self._calls, self._changes, self.opening, object_id, opened_since))

    def close(self, object_id: str) -> Flow[Operation | None]:
        """Close one (API: ``POST /{path}/{id}/close``)."""
        return (yield from self._changes.make(self.closing, object_id))


class Projects(_Objects[Project]):
    """Calls for projects."""

    resource = PROJECT
    archiving = ARCHIVE_PROJECT

    def field_types(self, project_id: str) -> Flow[dict[str, str]]:
        """Read the types of a project's fields (API: ``GET /projects/{id}``, ``task_spec``).

        :returns: by column name of Toloka's files: ``INPUT:image``, ``GOLDEN:result``.
        """
        project_id = check_id("project_id", project_id)
        reader, answer = yield from self._calls.get(f"/{PROJECT.path}/{project_id}", f"read project {project_id}")

        def read(json: Mapping[str, Any]) -> dict[str, str]:
            spec = read_object(json, "task_spec")
            parts = {"INPUT": read_object(spec, "input_spec"), "GOLDEN": read_object(spec, "output_spec")}
            return {
                f"{prefix}:{name}": str(one.get("type"))
                for prefix, fields in parts.items()
                for name, one in fields.items()
                if isinstance(one, Mapping)
            }

        return reader.model(answer, read)

    def _where(self, form: Mapping[str, Any]) -> dict[str, str]:  # noqa: ARG002 - see the base class
        return {"status": ACTIVE}


class Pools(_Closable[Pool]):
    """Calls for pools."""

    resource = POOL
    archiving = ARCHIVE_POOL
    opening = OPEN_POOL
    closing = CLOSE_POOL


class Trainings(_Closable[Training]):
    """Calls for trainings."""

    resource = TRAINING
    archiving = ARCHIVE_TRAINING
    opening = OPEN_TRAINING
    closing = CLOSE_TRAINING
