"""The content of an emulated account as a Python interface: fill, read, save and load it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from airflow_provider_toloka.emulator.account import Account
from airflow_provider_toloka.emulator.seeds import seed_state
from airflow_provider_toloka.emulator.tables import View
from airflow_provider_toloka.emulator.timestamps import Moment


class Content:
    """The content of an account.

    :param account: the account; each method holds its lock.
    """

    def __init__(self, account: Account) -> None:
        self._account = account

    def add_project(self, public_name: str = "A project", *, status: str = "ACTIVE", **fields: Any) -> View:
        """Add a project.

        :param public_name: its name.
        :param status: ``ACTIVE`` or ``ARCHIVED``.
        :param fields: any other field of ``ProjectViewV1``, such as ``id``, ``created`` or ``private_comment``.
            Times are seconds since 1970, datetimes, or text as the API has it.
        :returns: the project, as the API shows it.
        """
        with self._account.lock:
            return dict(self._account.add_project(public_name, status, **fields))

    def add_pool(
        self,
        project_id: str,
        *,
        status: str = "CLOSED",
        active_assignments: int = 0,
        last_rejected: Moment | None = None,
        training_id: str | None = None,
        **fields: Any,
    ) -> View:
        """Add a pool.

        :param project_id: the project it is in.
        :param status: ``OPEN``, ``CLOSED``, ``LOCKED`` or ``ARCHIVED``.
        :param active_assignments: the number of active assignments; while there are any, it cannot be archived.
        :param last_rejected: when an assignment was last rejected; for 9 days after that, it cannot be archived.
        :param training_id: the training it requires.
        :param fields: any other field of ``PoolViewV1``, such as ``id``, ``created`` or ``last_started``.
        :returns: the pool, as the API shows it.
        """
        with self._account.lock:
            pool = self._account.add_pool(project_id, status, active_assignments, last_rejected, training_id, **fields)
            return dict(pool)

    def add_training(self, project_id: str, *, status: str = "CLOSED", **fields: Any) -> View:
        """Add a training.

        :param project_id: the project it is in.
        :param status: ``OPEN``, ``CLOSED``, ``LOCKED`` or ``ARCHIVED``.
        :param fields: any other field of ``TrainingViewV1``, such as ``id``, ``created`` or ``last_started``.
        :returns: the training, as the API shows it.
        """
        with self._account.lock:
            return dict(self._account.add_training(project_id, status, **fields))

    def add_skill(self, name: str, **fields: Any) -> View:
        """Add a skill.

        :param name: its name.
        :param fields: any other field of ``SkillViewV1``.
        :returns: the skill, as the API shows it.
        """
        with self._account.lock:
            return dict(self._account.add_skill(name, **fields))

    def add_tasks(self, pool_id: str, inputs: Iterable[Mapping[str, Any]], **fields: Any) -> list[View]:
        """Add tasks, without validation against the project's specification.

        :param pool_id: their pool or training.
        :param inputs: the ``input_values`` of each.
        :param fields: fields of ``TaskViewV1`` that all of them have, such as ``overlap`` or ``known_solutions``. By
            default the overlap is the pool's; it is infinite in a training, and where there are known solutions.
        :returns: the tasks, as the API shows them.
        """
        with self._account.lock:
            return [dict(task) for task in self._account.add_tasks(pool_id, map(dict, inputs), **fields)]

    def add_assignment(
        self,
        pool_id: str,
        tasks: Sequence[str],
        *,
        status: str = "SUBMITTED",
        outputs: Sequence[Mapping[str, Any]] | None = None,
        **fields: Any,
    ) -> View:
        """Add an assignment in a given state.

        :param pool_id: the pool it is in.
        :param tasks: the ids of its tasks.
        :param status: ``ACTIVE``, ``SUBMITTED``, ``ACCEPTED``, ``REJECTED``, ``SKIPPED`` or ``EXPIRED``.
        :param outputs: the ``output_values`` of its answers, one per task.
        :param fields: any other field of ``AssignmentViewV1``, such as ``user_id``, ``submitted`` or
            ``public_comment``.
        :returns: the assignment, as the API shows it.
        """
        with self._account.lock:
            values = None if outputs is None else [dict(output) for output in outputs]
            return dict(self._account.add_assignment(pool_id, tasks, status, values, **fields))

    def add_operation(
        self,
        type: str,  # noqa: A002  the API's own name
        *,
        status: str = "SUCCESS",
        finishes_in: float | None = None,
        outcome: str = "SUCCESS",
        log: list[dict[str, Any]] | None = None,
        **fields: Any,
    ) -> View:
        """Add an operation.

        :param type: such as ``PROJECT.ARCHIVE``; unknown types are accepted.
        :param status: ``PENDING``, ``RUNNING``, ``SUCCESS`` or ``FAIL``.
        :param finishes_in: seconds until it ends, for one that is not finished; without it, it never ends.
        :param outcome: how it ends then: ``SUCCESS``, with the effect that its type has, or ``FAIL``.
        :param log: the answer to ``GET /operations/{id}/log``.
        :param fields: any other field, such as ``id``, ``parameters``, ``details`` or ``progress``; ``None`` is shown
            as null.
        :returns: the operation, as the API shows it.
        """
        with self._account.lock:
            return dict(self._account.add_operation(type, status, finishes_in, outcome, log, **fields))

    def load(self, seed: str | Path | Mapping[str, Any]) -> None:
        """Replace the content of the account.

        :param seed: as for the class.
        :raises ValueError: it is not the state of an account.
        """
        with self._account.lock:
            self._account.load(seed_state(seed, self._account.clock()))

    def state(self) -> dict[str, Any]:
        """Return the content of the account, in the form that ``seed`` accepts."""
        with self._account.lock:
            return self._account.dump()

    @property
    def projects(self) -> dict[str, View]:
        """The projects, by id."""
        return self._snapshot("projects")

    @property
    def pools(self) -> dict[str, View]:
        """The pools, by id."""
        return self._snapshot("pools")

    @property
    def trainings(self) -> dict[str, View]:
        """The trainings, by id."""
        return self._snapshot("trainings")

    @property
    def skills(self) -> dict[str, View]:
        """The skills, by id."""
        return self._snapshot("skills")

    @property
    def tasks(self) -> dict[str, View]:
        """The tasks of all pools and trainings, by id."""
        return self._snapshot("tasks")

    @property
    def assignments(self) -> dict[str, View]:
        """The assignments of all pools, by id."""
        return self._snapshot("assignments")

    @property
    def operations(self) -> dict[str, View]:
        """The operations, by id."""
        return self._snapshot("operations")

    @property
    def balance(self) -> float:
        """The requester's money, in dollars."""
        with self._account.lock:
            self._account.settle()
            return self._account.balance

    @balance.setter
    def balance(self, dollars: float) -> None:
        with self._account.lock:
            self._account.balance = dollars

    def _snapshot(self, kind: str) -> dict[str, View]:
        with self._account.lock:
            now = self._account.settle()
            present = self._account.operations.present
            return {row["id"]: dict(present(row, now)) for row in self._account.tables[kind]}
