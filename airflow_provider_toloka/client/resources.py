"""The kinds of objects at Toloka, with their names in the API.

API: "Projects", "Pools", "Trainings", "Operations".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from airflow_provider_toloka.client.models import ARCHIVED, CLOSED, OPEN, Operation, Pool, Project, Training
from airflow_provider_toloka.client.work import ASSIGNMENT_TIMES, Assignment, Skill, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A kind of object.

    :param kind: its name in messages, and in types and parameters of operations: ``project``.
    :param path: its name in the API's paths: ``projects``.
    :param model: the class for its JSON.
    :param filters: the value filters of its list.
    :param ranges: the range filters of its list, besides the id's.
    :param page: the path of its page on Toloka's site, with ``{project_id}`` and ``{id}`` for the ids.
    """

    kind: str
    path: str
    model: Any
    filters: tuple[str, ...]
    ranges: tuple[str, ...]
    page: str | None = None

    @property
    def id_param(self) -> str:
        """The parameter with its id, in Airflow and in the API: ``project_id``."""
        return f"{self.kind}_id"

    def operation_type(self, action: str) -> str:
        """Return the type of the operations for an action: ``PROJECT.ARCHIVE``."""
        return f"{self.kind}.{action}".upper()

    def id_in(self, operation: Operation) -> str | None:
        """Return the id of the object of this kind that an operation works on; None: there is none."""
        value = operation.parameters.get(self.id_param)
        return None if value is None else str(value)

    def page_at(self, site: str, project_id: str, object_id: str = "") -> str:
        """Return the address of an object's page.

        :param site: the address of Toloka's site: ``Settings.site``.
        :param project_id: the id of the project, or of the object's project.
        :param object_id: the object's id, unless it is a project.
        """
        ids = {"project_id": quote(project_id, safe=""), "id": quote(object_id, safe="")}
        return site + (self.page or "").format_map(ids)

    def works_on(self, operation: Operation, object_id: str) -> bool:
        """Return whether an operation works on one object of this kind."""
        return operation.type.startswith(f"{self.kind.upper()}.") and self.id_in(operation) == object_id


PROJECT = Resource(
    kind="project",
    path="projects",
    model=Project,
    filters=("status", "owner"),
    ranges=("created",),
    page="/requester/project/{project_id}",
)
POOL = Resource(
    kind="pool",
    path="pools",
    model=Pool,
    filters=("status", "project_id"),
    ranges=("created", "last_started"),
    page="/requester/project/{project_id}/pool/{id}",
)
TRAINING = Resource(
    kind="training",
    path="trainings",
    model=Training,
    filters=("status", "project_id"),
    ranges=("created", "last_started"),
    page="/requester/project/{project_id}/training/{id}",
)
OPERATION = Resource(
    kind="operation",
    path="operations",
    model=Operation,
    filters=("type", "status"),
    ranges=("submitted", "finished"),
)
TASK = Resource(
    kind="task",
    path="tasks",
    model=Task,
    filters=("pool_id", "overlap"),
    ranges=("created", "overlap"),
)
ASSIGNMENT = Resource(
    kind="assignment",
    path="assignments",
    model=Assignment,
    filters=("status", "pool_id", "task_suite_id", "task_id", "user_id"),
    ranges=ASSIGNMENT_TIMES,
)
SKILL = Resource(
    kind="skill",
    path="skills",
    model=Skill,
    filters=("name", "global"),
    ranges=("created", "modified"),
)

#: The objects that have a page on Toloka's site, by kind.
WITH_A_PAGE: Mapping[str, Resource] = {resource.kind: resource for resource in (PROJECT, POOL, TRAINING)}


@dataclass(frozen=True, slots=True)
class Change:
    """A call that brings an object into a wanted state with an operation.

    :param resource: the kind of object.
    :param action: the last part of the call's path.
    :param wanted: the states in which nothing is left to do.
    """

    resource: Resource
    action: str
    wanted: tuple[str, ...]

    @property
    def operation_type(self) -> str:
        """The type of the operation that the call starts."""
        return self.resource.operation_type(self.action)


ARCHIVE_PROJECT = Change(PROJECT, "archive", (ARCHIVED,))
CLOSE_POOL = Change(POOL, "close", (CLOSED, ARCHIVED))
ARCHIVE_POOL = Change(POOL, "archive", (ARCHIVED,))
CLOSE_TRAINING = Change(TRAINING, "close", (CLOSED, ARCHIVED))
ARCHIVE_TRAINING = Change(TRAINING, "archive", (ARCHIVED,))
OPEN_POOL = Change(POOL, "open", (OPEN,))
OPEN_TRAINING = Change(TRAINING, "open", (OPEN,))

#: The changes that archiving uses, by operation type.
CHANGES: Mapping[str, Change] = {
    change.operation_type: change
    for change in (ARCHIVE_PROJECT, CLOSE_POOL, ARCHIVE_POOL, CLOSE_TRAINING, ARCHIVE_TRAINING)
}
