"""The labelling calls of ``AsyncTolokaClient``: create, fill and collect."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from airflow_provider_toloka.client.api.aggregation import Method
from airflow_provider_toloka.client.models import Operation, Pool, Project, Training
from airflow_provider_toloka.client.running import AsyncRunner
from airflow_provider_toloka.client.work import ACCEPTED, REJECTED, AggregatedSolution, Assignment, Skill, Task


class AsyncLabellingMethods(AsyncRunner):
    """The calls of the API for labelling, with the names, parameters and results of ``TolokaClient``'s methods."""

    async def create_project(self, project: Mapping[str, Any], *, key: str) -> Project:
        """Return the project with a key; create it if it does not exist; see ``TolokaClient``."""
        return await self.run(self.api.projects.ensure(project, key=key))

    async def create_training(self, training: Mapping[str, Any], *, key: str) -> Training:
        """Return the training with a key; create it if it does not exist; see ``TolokaClient``."""
        return await self.run(self.api.trainings.ensure(training, key=key))

    async def create_pool(self, pool: Mapping[str, Any], *, key: str) -> Pool:
        """Return the pool with a key; create it if it does not exist; see ``TolokaClient``."""
        return await self.run(self.api.pools.ensure(pool, key=key))

    async def add_tasks(
        self,
        tasks: Sequence[Mapping[str, Any]],
        *,
        operation_id: str,
        allow_defaults: bool = True,
        skip_invalid: bool = False,
    ) -> Operation:
        """Add tasks in one request, once for each operation id; see ``TolokaClient``."""
        return await self.run(
            self.api.tasks.add(
                tasks, operation_id=operation_id, allow_defaults=allow_defaults, skip_invalid=skip_invalid
            )
        )

    def list_tasks(self, /, **filters: str | datetime) -> AsyncIterator[Task]:
        """Iterate over tasks; see ``TolokaClient``."""
        return self.walk(self.api.tasks.listing(**filters))

    async def open_pool(self, pool_id: str, *, opened_since: datetime | None = None) -> Operation | None:
        """Open a pool, which starts paid work on it; see ``TolokaClient``."""
        return await self.run(self.api.pools.open(pool_id, opened_since=opened_since))

    async def open_training(self, training_id: str, *, opened_since: datetime | None = None) -> Operation | None:
        """Open a training; see ``TolokaClient``."""
        return await self.run(self.api.trainings.open(training_id, opened_since=opened_since))

    async def get_assignment(self, assignment_id: str) -> Assignment:
        """Return an assignment; see ``TolokaClient``."""
        return await self.run(self.api.assignments.get(assignment_id))

    def list_assignments(self, /, **filters: str | datetime) -> AsyncIterator[Assignment]:
        """Iterate over assignments; see ``TolokaClient``."""
        return self.walk(self.api.assignments.listing(**filters))

    async def accept_assignment(self, assignment_id: str, *, public_comment: str | None = None) -> Assignment:
        """Accept an assignment, which pays the Toloker; see ``TolokaClient``."""
        return await self.run(self.api.assignments.decide(assignment_id, ACCEPTED, public_comment))

    async def reject_assignment(self, assignment_id: str, *, public_comment: str) -> Assignment:
        """Reject an assignment: the Toloker is not paid; see ``TolokaClient``."""
        return await self.run(self.api.assignments.decide(assignment_id, REJECTED, public_comment))

    async def aggregate_pool(
        self,
        pool_id: str,
        *,
        fields: Sequence[str],
        method: Method,
        skill_id: str | None = None,
        since: datetime | None = None,
    ) -> Operation:
        """Aggregate a closed pool's accepted answers; see ``TolokaClient``."""
        return await self.run(
            self.api.aggregation.start(pool_id, fields=fields, method=method, skill_id=skill_id, since=since)
        )

    def list_aggregated(self, operation_id: str) -> AsyncIterator[AggregatedSolution]:
        """Iterate over the results of an aggregation; see ``TolokaClient``."""
        return self.walk(self.api.aggregation.listing(operation_id))

    def list_skills(self, /, **filters: str | datetime) -> AsyncIterator[Skill]:
        """Iterate over skills; see ``TolokaClient``."""
        return self.walk(self.api.skills.listing(**filters))

    async def find_or_create_skill(self, name: str, **more: Any) -> Skill:
        """Return the skill with a name; create it if it does not exist; see ``TolokaClient``."""
        return await self.run(self.api.skills.find_or_create(name, more))
