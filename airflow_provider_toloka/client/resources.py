"""The kinds of objects at Toloka: each is one row of a table, and what the API calls it stands nowhere else.

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

    :param kind: its name for people, and in operations' types and parameters: ``project``.
    :param path: the list that it is in, as the API's paths name it: ``projects``.
    :param model: the class that its JSON is read into.
    :param filters: the filters by value of its list.
    :param ranges: the filters by range of its list, besides the id's.
    :param page: its page on Toloka's site, below the host; ``{project_id}`` and ``{id}`` stand for the ids.
    """

    kind: str
    path: str
    model: Any
    filters: tuple[str, ...]
    ranges: tuple[str, ...]
    page: str | None = None

    @property
    def id_param(self) -> str:
        """The parameter that holds its id, in Airflow as in the API: ``project_id``."""
        return f"{self.kind}_id"

    def operation_type(self, action: str) -> str:
        """Return the type of the operations that carry an action out: ``PROJECT.ARCHIVE``."""
        return f"{self.kind}.{action}".upper()

    def id_in(self, operation: Operation) -> str | None:
        """Return the id of the object of this kind that an operation works on; None: it works on no such object."""
        value = operation.parameters.get(self.id_param)
        return None if value is None else str(value)

    def page_at(self, site: str, project_id: str, object_id: str = "") -> str:
        """Return the address of an object's page.

        :param site: where Toloka's site is: ``Settings.site``.
        :param project_id: the project that it is, or is in.
        :param object_id: its own id, where it is not a project.
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

#: What a person can look at on Toloka's site, by kind.
WITH_A_PAGE: Mapping[str, Resource] = {resource.kind: resource for resource in (PROJECT, POOL, TRAINING)}


@dataclass(frozen=True, slots=True)
class Change:
    """A call that brings one object into a wanted state, through an operation.

    :param resource: what is changed.
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

#: The changes that archiving consists of, by the type of their operations.
CHANGES: Mapping[str, Change] = {
    change.operation_type: change
    for change in (ARCHIVE_PROJECT, CLOSE_POOL, ARCHIVE_POOL, CLOSE_TRAINING, ARCHIVE_TRAINING)
}
