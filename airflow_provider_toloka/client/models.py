"""Toloka's objects as frozen dataclasses, created from the API's JSON. No I/O.

The classes have the fields that this package uses; all others are ignored. A value of the wrong type is an
``InvalidModelError``. Unknown statuses and types are kept, because Toloka may add some. Times are in UTC, and plain
datetimes, which are fastest to create: a large account has hundreds of thousands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from airflow_provider_toloka.client.parsing import (
    read_id,
    read_number,
    read_object,
    read_optional_id,
    read_text,
    read_time,
    read_word,
    storable,
)

ACTIVE, OPEN, CLOSED, LOCKED, ARCHIVED = "ACTIVE", "OPEN", "CLOSED", "LOCKED", "ARCHIVED"
PENDING, RUNNING, SUCCESS, FAIL = "PENDING", "RUNNING", "SUCCESS", "FAIL"


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One asynchronous operation (API: ``GET /operations/{id}``).

    :param id: 24 hexadecimal digits, or a UUID.
    :param type: such as ``PROJECT.ARCHIVE``.
    :param status: ``PENDING``, ``RUNNING``, ``SUCCESS`` or ``FAIL``.
    :param submitted: when it was submitted; None: unknown.
    :param started: when it started; None: not yet, or unknown.
    :param finished: when it finished; None: not yet, or unknown.
    :param progress: in percent; None: unknown.
    :param parameters: the objects that it works on, such as ``{"project_id": "1001"}``.
    :param details: Toloka's details of the outcome.
    """

    id: str
    type: str
    status: str
    submitted: datetime | None = None
    started: datetime | None = None
    finished: datetime | None = None
    progress: float | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    details: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> Self:
        """Create it from the API's JSON, or from ``to_json``'s."""
        return cls(
            id=read_id(json),
            type=read_word(json, "type"),
            status=read_word(json, "status"),
            submitted=read_time(json, "submitted"),
            started=read_time(json, "started"),
            finished=read_time(json, "finished"),
            progress=read_number(json, "progress"),
            parameters=storable(read_object(json, "parameters")),
            details=storable(read_object(json, "details")),
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, for an XCom or a trigger's event."""
        times = {"submitted": self.submitted, "started": self.started, "finished": self.finished}
        return {
            "id": self.id,
            "type": self.type,
            "status": self.status,
            **{name: time.isoformat() if time else None for name, time in times.items()},
            "progress": self.progress,
            "parameters": dict(self.parameters),
            "details": dict(self.details),
        }

    @property
    def summary(self) -> str:
        """Its state, for messages."""
        progress = "" if self.progress is None else f", progress {self.progress:g} %"
        return f"operation {self.id} ({self.type}) is {self.status}{progress}"

    @property
    def is_finished(self) -> bool:
        """Whether it has ended, as ``SUCCESS`` or as ``FAIL``."""
        return self.status in (SUCCESS, FAIL)

    @property
    def failed(self) -> bool:
        """Whether it has ended as ``FAIL``."""
        return self.status == FAIL


@dataclass(frozen=True, kw_only=True, slots=True)
class Requester:
    """The account that the token belongs to (API: ``GET /requester``).

    :param id: the account's id.
    :param name: its public name, in English if there is one.
    :param balance: in US dollars.
    """

    id: str
    name: str | None = None
    balance: float | None = None

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> Self:
        """Create it from the API's JSON."""
        names = read_object(json, "public_name")
        name = names.get("EN") or next(iter(names.values()), None)
        if isinstance(name, str):
            return cls(id=read_id(json), name=storable(name), balance=read_number(json, "balance"))
        return cls(id=read_id(json), balance=read_number(json, "balance"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """A project (API: ``GET /projects/{id}``).

    :param id: the project's id.
    :param status: ``ACTIVE`` or ``ARCHIVED``.
    :param public_name: the name that Tolokers see.
    :param private_comment: the comment that only the requester sees.
    :param created: when it was created.
    """

    id: str
    status: str
    public_name: str | None = None
    private_comment: str | None = None
    created: datetime | None = None

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> Self:
        """Create it from the API's JSON."""
        return cls(
            id=read_id(json),
            status=read_word(json, "status"),
            public_name=read_text(json, "public_name"),
            private_comment=read_text(json, "private_comment"),
            created=read_time(json, "created"),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """A training (API: ``GET /trainings/{id}``).

    :param id: the training's id.
    :param project_id: the project that it belongs to.
    :param status: ``OPEN``, ``CLOSED``, ``LOCKED`` or ``ARCHIVED``.
    :param private_name: the name that only the requester sees.
    :param created: when it was created.
    :param last_started: when it was last opened; None: never.
    :param last_stopped: when it was last closed; None: never.
    :param last_close_reason: such as ``MANUAL``; None: it was never closed.
    """

    id: str
    project_id: str
    status: str
    private_name: str | None = None
    created: datetime | None = None
    last_started: datetime | None = None
    last_stopped: datetime | None = None
    last_close_reason: str | None = None

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> Self:
        """Create it from the API's JSON."""
        return cls(**_of_training(json))

    @property
    def last_activity(self) -> datetime | None:
        """The latest time at which it was created, started or stopped."""
        latest = self.created
        for time in (self.last_started, self.last_stopped):
            if time is not None and (latest is None or time > latest):
                latest = time
        return latest


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool(Training):
    """A pool (API: ``GET /pools/{id}``): all that a training has, and the training that it requires, if any.

    :param training_id: the training that Tolokers have to pass first; None: none.
    """

    training_id: str | None = None

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> Self:
        """Create it from the API's JSON."""
        requirement = read_object(read_object(json, "quality_control"), "training_requirement")
        return cls(**_of_training(json), training_id=read_optional_id(requirement, "training_pool_id"))


def _of_training(json: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": read_id(json),
        "project_id": read_id(json, "project_id"),
        "status": read_word(json, "status"),
        "private_name": read_text(json, "private_name"),
        "created": read_time(json, "created"),
        "last_started": read_time(json, "last_started"),
        "last_stopped": read_time(json, "last_stopped"),
        "last_close_reason": read_text(json, "last_close_reason"),
    }
