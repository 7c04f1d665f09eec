"""Tasks, assignments, aggregated answers and skills as frozen dataclasses, created from the API's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from airflow_provider_toloka.client.parsing import (
    InvalidModelError,
    read_id,
    read_number,
    read_object,
    read_text,
    read_time,
    read_word,
)

SUBMITTED, ACCEPTED, REJECTED = "SUBMITTED", "ACCEPTED", "REJECTED"
ASSIGNMENT_STATUSES = (ACCEPTED, "ACTIVE", "EXPIRED", REJECTED, "SKIPPED", SUBMITTED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A task of a pool or a training (API: ``GET /tasks``).

    :param id: the task's id.
    :param pool_id: its pool or training.
    :param input_values: what Tolokers see.
    :param known_solutions: the correct answers of a control or training task, unchanged; empty: there are none.
    :param overlap: the number of Tolokers who should answer it; None: unlimited or unknown.
    :param created: when it was created.
    """

    id: str
    pool_id: str
    input_values: Mapping[str, Any] = field(default_factory=dict, hash=False)
    known_solutions: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    overlap: float | None = None
    created: datetime | None = None

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> Self:
        """Create it from the API's JSON."""
        return cls(
            id=read_id(json),
            pool_id=read_id(json, "pool_id"),
            input_values=read_object(json, "input_values"),
            known_solutions=_objects(json, "known_solutions"),
            overlap=read_number(json, "overlap"),
            created=read_time(json, "created"),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """One Toloker's answers to one suite of tasks (API: ``GET /assignments/{id}``).

    :param id: the assignment's id.
    :param status: ``ACTIVE``, ``SUBMITTED``, ``ACCEPTED``, ``REJECTED``, ``SKIPPED`` or ``EXPIRED``.
    :param pool_id: the suite's pool.
    :param task_suite_id: the suite's id.
    :param user_id: the Toloker's id.
    :param reward: what the Toloker gets, in US dollars.
    :param tasks: the tasks, unchanged.
    :param solutions: the answers, unchanged, in the order of the tasks; empty: there are none yet.
    :param public_comment: the comment for the Toloker on acceptance or rejection.
    :param created: when the suite was assigned.
    :param submitted: when it was answered.
    :param accepted: when the answers were accepted.
    :param rejected: when they were rejected.
    :param skipped: when the Toloker skipped the suite.
    :param expired: when the Toloker's time expired.
    """

    id: str
    status: str
    pool_id: str | None = None
    task_suite_id: str | None = None
    user_id: str | None = None
    reward: float | None = None
    tasks: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    solutions: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    public_comment: str | None = None
    created: datetime | None = None
    submitted: datetime | None = None
    accepted: datetime | None = None
    rejected: datetime | None = None
    skipped: datetime | None = None
    expired: datetime | None = None

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> Self:
        """Create it from the API's JSON."""
        tasks, solutions = _objects(json, "tasks"), _objects(json, "solutions")
        if solutions and len(solutions) != len(tasks):
            raise InvalidModelError("solutions", f"one answer for each of {len(tasks)} tasks", len(solutions))
        return cls(
            id=read_id(json),
            status=read_word(json, "status"),
            pool_id=read_text(json, "pool_id"),
            task_suite_id=read_text(json, "task_suite_id"),
            user_id=read_text(json, "user_id"),
            reward=read_number(json, "reward"),
            tasks=tasks,
            solutions=solutions,
            public_comment=read_text(json, "public_comment"),
            **{name: read_time(json, name) for name in ASSIGNMENT_TIMES},
        )


ASSIGNMENT_TIMES = ("created", "submitted", "accepted", "rejected", "skipped", "expired")


@dataclass(frozen=True, kw_only=True, slots=True)
class AggregatedSolution:
    """An answer aggregated from several Tolokers' answers (API: ``GET /aggregated-solutions/{operation_id}``).

    :param task_id: the task's id.
    :param pool_id: the task's pool.
    :param output_values: the answer.
    :param confidence: its confidence, from 0 to 1.
    """

    task_id: str
    pool_id: str | None = None
    output_values: Mapping[str, Any] = field(default_factory=dict, hash=False)
    confidence: float | None = None

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> Self:
        """Create it from the API's JSON."""
        return cls(
            task_id=read_id(json, "task_id"),
            pool_id=read_text(json, "pool_id"),
            output_values=read_object(json, "output_values"),
            confidence=read_number(json, "confidence"),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Skill:
    """A skill of Tolokers (API: ``GET /skills/{id}``).

    :param id: the skill's id.
    :param name: its name, for the requester.
    :param created: when it was created.
    """

    id: str
    name: str
    created: datetime | None = None

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> Self:
        """Create it from the API's JSON."""
        return cls(id=read_id(json), name=read_text(json, "name") or "", created=read_time(json, "created"))


def _objects(json: Mapping[str, Any], key: str) -> tuple[Mapping[str, Any], ...]:
    value = json.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise InvalidModelError(key, "a list of objects", value)
    return tuple(value)
