"""Operators that bring objects at Toloka into a wanted state."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from airflow_provider_toloka._arguments import check_literals, literal_id
from airflow_provider_toloka._outlets import describe_outlets
from airflow_provider_toloka._task import POSTPONED
from airflow_provider_toloka.archiving.plan import APPEAL, PoolsRule
from airflow_provider_toloka.archiving.project import Progress, look_at_project, retire_project
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.client.resources import (
    ARCHIVE_POOL,
    ARCHIVE_PROJECT,
    ARCHIVE_TRAINING,
    CLOSE_POOL,
    CLOSE_TRAINING,
    POOL,
    PROJECT,
    TRAINING,
)
from airflow_provider_toloka.exceptions import TolokaPostponedError
from airflow_provider_toloka.links.toloka import LINKS
from airflow_provider_toloka.operators._changing import TolokaChangeOperator
from airflow_provider_toloka.operators._lines import postponed_line
from airflow_provider_toloka.operators._rules import OnConflict, read_on_conflict, read_pools

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, XComArg

    from airflow_provider_toloka.client.api import TolokaApi
    from airflow_provider_toloka.client.sansio import Flow


class TolokaArchiveProjectOperator(TolokaChangeOperator):
    """Archive a project, optionally with its pools and trainings (API: ``POST /projects/{id}/archive``).

    An archived project can be read, but not restored.

    :param project_id: the project's id, or the address of its page on Toloka's site. (templated)
    :param pools: what the task may do to the project's pools and trainings first. ``"require_archived"``: nothing; the
        task fails if one is not archived. ``"archive_closed"``: archive closed ones; an open one fails the task before
        anything is changed. ``"close_and_archive"``: also close open ones, which stops paid work.
        The task waits for these even with ``wait_for_completion=False``. (templated)
    :param on_conflict: what to do when the project can be archived only in a few days, because a pool has rejected
        answers: ``"fail"`` fails the task immediately, without retries; ``"skip"`` leaves the project to a later run:
        the task succeeds with ``"postponed"``, and pushes the date as XCom ``postponed_until``.
    :param kwargs: the parameters of ``TolokaChangeOperator``, and those of every operator.
    """

    change = ARCHIVE_PROJECT
    template_fields: Sequence[str] = ("project_id", "pools", "toloka_conn_id")

    def __init__(
        self,
        *,
        project_id: str | XComArg,
        pools: PoolsRule | str = "require_archived",
        on_conflict: OnConflict = "fail",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.project_id = project_id
        self.pools = pools
        self.on_conflict = on_conflict
        check_literals(self, project_id=literal_id(PROJECT), pools=read_pools, on_conflict=read_on_conflict)

    def check(self) -> None:
        """Check all arguments, before the first request.

        :raises ValueError: an argument is invalid.
        """
        super().check()
        read_pools(self.pools)
        read_on_conflict(self.on_conflict)

    def advance(self, api: TolokaApi, done: Sequence[Operation]) -> Flow[Progress]:
        """Submit everything that can be done now.

        :param api: the API's calls.
        :param done: operations that were waited for and have succeeded.
        """
        snapshot = yield from look_at_project(api, self.object_id)
        self.object_name = snapshot.project.public_name
        return (yield from retire_project(api, self.object_id, cast("PoolsRule", self.pools), done, snapshot))

    def _proceed(self, context: Context, *args: Any) -> str:
        try:
            return super()._proceed(context, *args)
        except TolokaPostponedError as error:
            if self.on_conflict == "fail":
                raise
            self.log.debug("Postponed: %s", error)
            until = error.until or datetime.now(UTC) + APPEAL
            name, reason = self.object_name, error.reason
            self.log.info("%s", postponed_line(self.change, self.object_id, name, until=until, reason=reason))
            context["ti"].xcom_push(key="postponed_until", value=until.isoformat())
            describe_outlets(self, context, [], POSTPONED)
            return POSTPONED


class _PoolOperator(TolokaChangeOperator):
    """Base of the operators that change a pool.

    :param pool_id: the pool's id, or the address of its page. (templated)
    :param kwargs: the parameters of ``TolokaChangeOperator``, and those of every operator.
    """

    template_fields: Sequence[str] = ("pool_id", "toloka_conn_id")
    operator_extra_links = (LINKS["pool"], LINKS["project"])

    def __init__(self, *, pool_id: str | XComArg, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pool_id = pool_id
        check_literals(self, pool_id=literal_id(POOL))


class TolokaClosePoolOperator(_PoolOperator):
    """Close a pool, which stops paid work on it (API: ``POST /pools/{id}/close``)."""

    change = CLOSE_POOL


class TolokaArchivePoolOperator(_PoolOperator):
    """Archive a closed pool (API: ``POST /pools/{id}/archive``)."""

    change = ARCHIVE_POOL


class _TrainingOperator(TolokaChangeOperator):
    """Base of the operators that change a training.

    :param training_id: the training's id, or the address of its page. (templated)
    :param kwargs: the parameters of ``TolokaChangeOperator``, and those of every operator.
    """

    template_fields: Sequence[str] = ("training_id", "toloka_conn_id")
    operator_extra_links = (LINKS["training"], LINKS["project"])

    def __init__(self, *, training_id: str | XComArg, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.training_id = training_id
        check_literals(self, training_id=literal_id(TRAINING))


class TolokaCloseTrainingOperator(_TrainingOperator):
    """Close a training (API: ``POST /trainings/{id}/close``)."""

    change = CLOSE_TRAINING


class TolokaArchiveTrainingOperator(_TrainingOperator):
    """Archive a closed training that no active pool requires (API: ``POST /trainings/{id}/archive``)."""

    change = ARCHIVE_TRAINING
