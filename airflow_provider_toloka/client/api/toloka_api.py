"""Toloka's API as flows: each endpoint once. No I/O."""

from __future__ import annotations

from datetime import datetime

from airflow_provider_toloka.client.api.calls import (
    ARCHIVE_POOL,
    ARCHIVE_PROJECT,
    ARCHIVE_TRAINING,
    CLOSE_POOL,
    CLOSE_TRAINING,
    Listing,
)
from airflow_provider_toloka.client.api.operations import Waits
from airflow_provider_toloka.client.models import Operation, Pool, Project, Requester, Training
from airflow_provider_toloka.client.sansio import Flow


class TolokaApi(Waits):
    """The calls of the API, as flows.

    A call that changes something looks first, and does only what is missing. When the answer to it is lost, it looks
    again before it is sent again: nothing is submitted twice.
    """

    def get_requester(self) -> Flow[Requester]:
        """Get the account that the token belongs to (API: ``GET /requester``).

        :returns: the account's id, name and balance.
        :raises TolokaApiError: one of its kinds, by meaning.
        """
        reader, answer = yield from self.get("/requester", "read the account")
        return reader.model(answer, Requester.from_json)

    def get_project(self, project_id: str) -> Flow[Project]:
        """Get a project (API: ``GET /projects/{id}``).

        :param project_id: the project's id.
        :returns: the project.
        :raises ValueError: it is no id.
        :raises TolokaApiError: one of its kinds, by meaning.
        """
        return (yield from self.get_one("projects", "project_id", project_id, Project.from_json))

    def get_pool(self, pool_id: str) -> Flow[Pool]:
        """Get a pool (API: ``GET /pools/{id}``).

        :param pool_id: the pool's id.
        :returns: the pool.
        :raises ValueError: it is no id.
        :raises TolokaApiError: one of its kinds, by meaning.
        """
        return (yield from self.get_one("pools", "pool_id", pool_id, Pool.from_json))

    def get_training(self, training_id: str) -> Flow[Training]:
        """Get a training (API: ``GET /trainings/{id}``).

        :param training_id: the training's id.
        :returns: the training.
        :raises ValueError: it is no id.
        :raises TolokaApiError: one of its kinds, by meaning.
        """
        return (yield from self.get_one("trainings", "training_id", training_id, Training.from_json))

    def list_projects(self, /, **filters: str | datetime) -> Listing[Project]:
        """List projects (API: ``GET /projects``).

        :param filters: ``status``, ``owner``, and ``id_``, ``created_`` each with ``gt``, ``gte``, ``lt``, ``lte``.
        :returns: projects, read page by page as you go on.
        :raises ValueError: a filter that the list does not have.
        :raises TolokaApiError: one of its kinds, by meaning.
        """
        return self.list_all("projects", Project.from_json, filters, ("status", "owner"), ("created",))

    def list_pools(self, /, **filters: str | datetime) -> Listing[Pool]:
        """List pools (API: ``GET /pools``).

        :param filters: ``status``, ``project_id``, and ``id_``, ``created_``, ``last_started_`` each with ``gt``,
            ``gte``, ``lt``, ``lte``.
        :returns: pools, read page by page as you go on.
        :raises ValueError: a filter that the list does not have.
        :raises TolokaApiError: one of its kinds, by meaning.
        """
        return self.list_all("pools", Pool.from_json, filters, ("status", "project_id"), ("created", "last_started"))

    def list_trainings(self, /, **filters: str | datetime) -> Listing[Training]:
        """List trainings (API: ``GET /trainings``).

        :param filters: as those of pools.
        :returns: trainings, read page by page as you go on.
        :raises ValueError: a filter that the list does not have.
        :raises TolokaApiError: one of its kinds, by meaning.
        """
        return self.list_all(
            "trainings", Training.from_json, filters, ("status", "project_id"), ("created", "last_started")
        )

    def list_operations(self, /, **filters: str | datetime) -> Listing[Operation]:
        """List operations (API: ``GET /operations``).

        :param filters: ``type``, ``status``, and ``id_``, ``submitted_``, ``finished_`` each with ``gt``, ``gte``,
            ``lt``, ``lte``.
        :returns: operations, read page by page as you go on.
        :raises ValueError: a filter that the list does not have.
        :raises TolokaApiError: one of its kinds, by meaning.
        """
        return self.list_all("operations", Operation.from_json, filters, ("type", "status"), ("submitted", "finished"))

    def archive_project(self, project_id: str) -> Flow[Operation | None]:
        """Archive a project, whose pools are all archived (API: ``POST /projects/{id}/archive``).

        :param project_id: the project's id.
        :returns: the operation, which may run since before, or be finished; None: it is archived already.
        :raises ValueError: it is no id.
        :raises TolokaConflictError: a pool of it is not archived.
        :raises TolokaApiError: another of its kinds, by meaning.
        """
        return (yield from self.change(ARCHIVE_PROJECT, project_id))

    def close_pool(self, pool_id: str) -> Flow[Operation | None]:
        """Close a pool: its tasks are no longer given out (API: ``POST /pools/{id}/close``).

        :param pool_id: the pool's id.
        :returns: the operation, which may run since before, or be finished; None: it is not open.
        :raises ValueError: it is no id.
        :raises TolokaApiError: one of its kinds, by meaning.
        """
        return (yield from self.change(CLOSE_POOL, pool_id))

    def archive_pool(self, pool_id: str) -> Flow[Operation | None]:
        """Archive a closed pool (API: ``POST /pools/{id}/archive``).

        :param pool_id: the pool's id.
        :returns: the operation, which may run since before, or be finished; None: it is archived already.
        :raises ValueError: it is no id.
        :raises TolokaConflictError: it is open, or has active or newly rejected assignments.
        :raises TolokaApiError: another of its kinds, by meaning.
        """
        return (yield from self.change(ARCHIVE_POOL, pool_id))

    def close_training(self, training_id: str) -> Flow[Operation | None]:
        """Close a training (API: ``POST /trainings/{id}/close``).

        :param training_id: the training's id.
        :returns: the operation, which may run since before, or be finished; None: it is not open.
        :raises ValueError: it is no id.
        :raises TolokaApiError: one of its kinds, by meaning.
        """
        return (yield from self.change(CLOSE_TRAINING, training_id))

    def archive_training(self, training_id: str) -> Flow[Operation | None]:
        """Archive a closed training that no active pool requires (API: ``POST /trainings/{id}/archive``).

        :param training_id: the training's id.
        :returns: the operation, which may run since before, or be finished; None: it is archived already.
        :raises ValueError: it is no id.
        :raises TolokaConflictError: it is open, or a pool that requires it is not archived.
        :raises TolokaApiError: another of its kinds, by meaning.
        """
        return (yield from self.change(ARCHIVE_TRAINING, training_id))
