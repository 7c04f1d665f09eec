"""The labelling calls of ``TolokaClient``: create, fill and collect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from airflow_provider_toloka.client.api.aggregation import Method
from airflow_provider_toloka.client.models import Operation, Pool, Project, Training
from airflow_provider_toloka.client.running import Runner
from airflow_provider_toloka.client.work import ACCEPTED, REJECTED, AggregatedSolution, Assignment, Skill, Task


class LabellingMethods(Runner):
    """The calls of the API for labelling, as methods."""

    def create_project(self, project: Mapping[str, Any], *, key: str) -> Project:
        """Return the project with a key; create it if it does not exist (API: ``POST /projects``).

        The key is stored in the project. If a project with the key exists, it is returned, and nothing is created.
        After a lost response, the project is searched for before the form is sent again.

        :param project: the form; see the API's description.
        :param key: identifies the project: 1 to 100 letters, digits or any of ``_ . : @ / + -``.
        :raises ValueError: the key cannot be one.
        :raises TolokaRequestError: Toloka does not accept the form; ``payload`` has the fields.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.run(self.api.projects.ensure(project, key=key))

    def create_training(self, training: Mapping[str, Any], *, key: str) -> Training:
        """Return the training with a key; create it if it does not exist (API: ``POST /trainings``).

        The key is stored in the training. If a training with the key exists, it is returned, and nothing is created.
        After a lost response, the training is searched for before the form is sent again.

        :param training: the form; see the API's description.
        :param key: identifies the training: 1 to 100 letters, digits or any of ``_ . : @ / + -``.
        :raises ValueError: the key cannot be one.
        :raises TolokaRequestError: Toloka does not accept the form; ``payload`` has the fields.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.run(self.api.trainings.ensure(training, key=key))

    def create_pool(self, pool: Mapping[str, Any], *, key: str) -> Pool:
        """Return the pool with a key; create it if it does not exist (API: ``POST /pools``).

        The key is stored in the pool. If a pool with the key exists, it is returned, and nothing is created. After
        a lost response, the pool is searched for before the form is sent again.

        :param pool: the form; see the API's description.
        :param key: identifies the pool: 1 to 100 letters, digits or any of ``_ . : @ / + -``.
        :raises ValueError: the key cannot be one.
        :raises TolokaRequestError: Toloka does not accept the form; ``payload`` has the fields.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.run(self.api.pools.ensure(pool, key=key))

    def add_tasks(
        self,
        tasks: Sequence[Mapping[str, Any]],
        *,
        operation_id: str,
        allow_defaults: bool = True,
        skip_invalid: bool = False,
    ) -> Operation:
        """Add tasks in one request, once for each operation id (API: ``POST /tasks``).

        Tasks cannot be deleted. ``TolokaAddTasksOperator`` adds any number of them.

        :param tasks: at most 5,000 forms, each with its ``pool_id``, and 1,048,576 bytes of ``input_values`` in all.
        :param operation_id: a UUID chosen by the caller. Toloka executes each id once.
        :param allow_defaults: whether tasks without an overlap take the pool's default.
        :param skip_invalid: whether valid tasks are added if others are not.
        :returns: the operation, which may have been submitted before, or be finished.
        :raises ValueError: the operation id cannot be one.
        :raises TolokaLockedError: another operation is running on the pool.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.run(
            self.api.tasks.add(
                tasks, operation_id=operation_id, allow_defaults=allow_defaults, skip_invalid=skip_invalid
            )
        )

    def list_tasks(self, /, **filters: str | datetime) -> Iterator[Task]:
        """Iterate over tasks (API: ``GET /tasks``).

        :param filters: ``pool_id``, ``overlap``, and ``id_``, ``created_``, ``overlap_`` each with ``gt``, ``gte``,
            ``lt``, ``lte``; a time without a zone is in UTC.
        :returns: tasks by id; each page is read when it is reached.
        :raises ValueError: the list has no such filter.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.walk(self.api.tasks.listing(**filters))

    def open_pool(self, pool_id: str, *, opened_since: datetime | None = None) -> Operation | None:
        """Open a pool, which starts paid work on it (API: ``POST /pools/{id}/open``).

        :param pool_id: the pool's id.
        :param opened_since: a pool that was opened after this time is not opened again, even if it has closed since;
            None: only an open one is not.
        :returns: the operation, which may have been submitted before, or be finished; None: the pool is open.
        :raises ValueError: the id cannot be one.
        :raises TolokaConflictError: the pool cannot be opened: it is empty or archived, or the balance is too low.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.run(self.api.pools.open(pool_id, opened_since=opened_since))

    def open_training(self, training_id: str, *, opened_since: datetime | None = None) -> Operation | None:
        """Open a training (API: ``POST /trainings/{id}/open``).

        :param training_id: the training's id.
        :param opened_since: see :meth:`open_pool`.
        :returns: the operation, which may have been submitted before, or be finished; None: the training is open.
        :raises ValueError: the id cannot be one.
        :raises TolokaConflictError: the training cannot be opened.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.run(self.api.trainings.open(training_id, opened_since=opened_since))

    def get_assignment(self, assignment_id: str) -> Assignment:
        """Return an assignment (API: ``GET /assignments/{id}``).

        :param assignment_id: the assignment's id.
        :raises ValueError: the id cannot be one.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.run(self.api.assignments.get(assignment_id))

    def list_assignments(self, /, **filters: str | datetime) -> Iterator[Assignment]:
        """Iterate over assignments (API: ``GET /assignments``).

        An assignment may change its status while the list is read: it is stable when the pool is closed and nothing is
        ``ACTIVE`` or ``SUBMITTED``.

        :param filters: one of ``pool_id``, ``task_suite_id``, ``task_id``; ``status`` (several with commas between),
            ``user_id``, and ``id_``, ``created_``, ``submitted_``, ``accepted_``, ``rejected_``, ``skipped_``,
            ``expired_`` each with ``gt``, ``gte``, ``lt``, ``lte``; a time without a zone is in UTC.
        :returns: assignments by id; each page is read when it is reached.
        :raises ValueError: the list has no such filter.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.walk(self.api.assignments.listing(**filters))

    def accept_assignment(self, assignment_id: str, *, public_comment: str | None = None) -> Assignment:
        """Accept an assignment, which pays the Toloker (API: ``PATCH /assignments/{id}``).

        Acceptance cannot be undone. An assignment that is already accepted is not changed, whatever the comment.

        :param assignment_id: the assignment's id.
        :param public_comment: a comment for the Toloker; at most 2,048 characters.
        :returns: the assignment, ``ACCEPTED``.
        :raises ValueError: the id cannot be one, or the comment is too long.
        :raises TolokaConflictError: it is neither ``SUBMITTED`` nor ``REJECTED``.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.run(self.api.assignments.decide(assignment_id, ACCEPTED, public_comment))

    def reject_assignment(self, assignment_id: str, *, public_comment: str) -> Assignment:
        """Reject an assignment: the Toloker is not paid (API: ``PATCH /assignments/{id}``).

        Its pool cannot be archived for 9 days. An assignment that is already rejected is not changed, whatever the
        comment.

        :param assignment_id: the assignment's id.
        :param public_comment: why, for the Toloker; at most 2,048 characters.
        :returns: the assignment, ``REJECTED``.
        :raises ValueError: it is ``ACCEPTED``, the id cannot be one, or the comment is too long.
        :raises TolokaConflictError: it is not ``SUBMITTED``.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.run(self.api.assignments.decide(assignment_id, REJECTED, public_comment))

    def aggregate_pool(
        self,
        pool_id: str,
        *,
        fields: Sequence[str],
        method: Method,
        skill_id: str | None = None,
        since: datetime | None = None,
    ) -> Operation:
        """Aggregate a closed pool's accepted answers (API: ``POST /aggregated-solutions/aggregate-by-pool``).

        :param pool_id: the pool's id. Each task needs an overlap of at least 2.
        :param fields: the output fields to aggregate; exactly one for ``DAWID_SKENE``.
        :param method: ``DAWID_SKENE`` or ``WEIGHTED_DYNAMIC_OVERLAP``.
        :param skill_id: the skill that weights the answers; for ``WEIGHTED_DYNAMIC_OVERLAP`` only.
        :param since: the same aggregation, submitted after this time and after the pool closed, is returned instead of
            a new one; None: only an unfinished one is.
        :returns: the operation, which may have been submitted before, or be finished.
        :raises ValueError: an argument is wrong.
        :raises TolokaConflictError: the pool is not closed.
        :raises TolokaRateLimitError: more than 5 aggregations per minute, 30 per hour or 200 per day.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.run(
            self.api.aggregation.start(pool_id, fields=fields, method=method, skill_id=skill_id, since=since)
        )

    def list_aggregated(self, operation_id: str) -> Iterator[AggregatedSolution]:
        """Iterate over the results of an aggregation (API: ``GET /aggregated-solutions/{operation_id}``).

        :param operation_id: the id of the aggregation.
        :returns: results by task id; each page is read when it is reached. Toloka allows 5 pages per minute.
        :raises ValueError: the id cannot be one.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.walk(self.api.aggregation.listing(operation_id))

    def list_skills(self, /, **filters: str | datetime) -> Iterator[Skill]:
        """Iterate over skills (API: ``GET /skills``).

        :param filters: ``name``, ``global``, and ``id_``, ``created_``, ``modified_`` each with ``gt``, ``gte``,
            ``lt``, ``lte``; a time without a zone is in UTC.
        :returns: skills by id; each page is read when it is reached.
        :raises ValueError: the list has no such filter.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.walk(self.api.skills.listing(**filters))

    def find_or_create_skill(self, name: str, **more: Any) -> Skill:
        """Return the skill with a name; create it if it does not exist (API: ``POST /skills``).

        :param name: the skill's name.
        :param more: further fields of its form, such as ``hidden``.
        :raises ValueError: the name is empty.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        return self.run(self.api.skills.find_or_create(name, more))
