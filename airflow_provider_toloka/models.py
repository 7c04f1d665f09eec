"""What Toloka's API speaks of, as frozen dataclasses made from its JSON. No I/O.

Fields are those this package uses; all others of an answer are passed over. A value of the wrong type is an
``InvalidModelError``, an unknown status or type is kept as it is: Toloka may add some. Times are in UTC, and plain
datetimes: a big account has hundreds of thousands, and these are made and collected fastest.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from airflow_provider_toloka.showing import shown

_ID = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,100}", re.ASCII)
#: So deep, the free-form parts of an answer are kept; no serializer has trouble with that.
_DEEPEST = 20
#: Beyond, a whole number fits into no column and no message of Airflow's.
_LARGEST_INT = 2**63 - 1
#: At the very ends of the calendar, one cannot reckon.
_EARLIEST, _LATEST = datetime(2, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)

ACTIVE, OPEN, CLOSED, LOCKED, ARCHIVED = "ACTIVE", "OPEN", "CLOSED", "LOCKED", "ARCHIVED"
PENDING, RUNNING, SUCCESS, FAIL = "PENDING", "RUNNING", "SUCCESS", "FAIL"


class InvalidModelError(ValueError):
    """The JSON is not the object that it should be.

    :param field: which field of it.
    :param expected: what that should be, in words.
    :param value: what it is.
    """

    def __init__(self, field: str, expected: str, value: object) -> None:
        super().__init__(field, expected, value)
        self.field = field
        self.expected = expected
        self.value = value

    def __str__(self) -> str:
        return f"{self.field!r} should be {self.expected}, but is {shown(self.value)}"


def check_id(name: str, value: object) -> str:
    """Give the id as a text that may stand in a URL path.

    :param name: the parameter that holds it, for the error.
    :param value: a text of at most 100 ``A-Z a-z 0-9 _ -``, or a whole number.
    :raises ValueError: it is anything else; empty or ``None``, also as a template renders them.
    """
    text = str(value) if type(value) is int and abs(value) <= _LARGEST_INT else value
    if not isinstance(text, str) or not _ID.fullmatch(text) or text == "None":
        raise ValueError(
            f"{name} should be an id of letters, digits, '_' and '-', but is {shown(value)}. "
            "If it comes from a template or an XCom, check that this renders to an id."
        )
    return text


def check_truth(name: str, value: object) -> bool:
    """Give a truth value that may come as a text: from a connection's extra, or from a template.

    :param name: what holds it, for the error.
    :param value: a bool, or ``true`` or ``false`` in any case.
    :raises ValueError: it is anything else.
    """
    if str(value).lower() not in ("true", "false"):
        raise ValueError(f"{name} is {shown(value)}; it should be true or false.")
    return str(value).lower() == "true"


def _word(json: Mapping[str, Any], key: str) -> str:
    value = json.get(key)
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise InvalidModelError(key, "a word of letters, digits, '_', '-' and '.'", value)
    return value


def _id(json: Mapping[str, Any], key: str = "id") -> str:
    value = json.get(key)
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise InvalidModelError(key, "an id of letters, digits, '_' and '-'", value)
    return value


def _optional_text(json: Mapping[str, Any], key: str) -> str | None:
    value = json.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidModelError(key, "a text", value)
    return _storable_text(value)


def _mapping(json: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = json.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidModelError(key, "an object", value)
    return value


def _time(json: Mapping[str, Any], key: str) -> datetime | None:
    value = json.get(key)
    if not value:
        return None
    try:
        # Toloka writes UTC without a zone; one call less for each of so many times tells.
        time = datetime.fromisoformat(value + "Z")
    except (TypeError, ValueError):
        time = _time_with_zone(value)
    if not _EARLIEST < time < _LATEST:
        raise InvalidModelError(key, "an ISO 8601 time", value)
    return time


def _time_with_zone(value: Any) -> datetime:
    try:
        time = datetime.fromisoformat(value)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return _LATEST


def _number(json: Mapping[str, Any], key: str) -> float | None:
    value = json.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= sys.float_info.max:
        raise InvalidModelError(key, "a number", value)
    return value if abs(value) <= _LARGEST_INT else float(value)


def storable(value: Any, deepest: int = _DEEPEST) -> Any:
    """Give a free-form JSON value as every database and serializer takes it.

    :param value: as it came.
    :param deepest: how deep it may nest; what lies deeper is left out.
    """
    if isinstance(value, str):
        return _storable_text(value)
    if isinstance(value, dict):
        return {_storable_text(key): storable(one, deepest - 1) for key, one in value.items()} if deepest else "…"
    if isinstance(value, list):
        return [storable(one, deepest - 1) for one in value] if deepest else "…"
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and abs(value) > _LARGEST_INT:
        return str(value)
    return value


def _storable_text(text: str) -> str:
    # PostgreSQL takes no NUL, and nothing takes the half of a character that stands alone.
    return text if text.isprintable() else text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One asynchronous operation (API: ``GET /operations/{id}``).

    :param id: 24 hexadecimal digits, or a UUID.
    :param type: such as ``PROJECT.ARCHIVE``.
    :param status: ``PENDING``, ``RUNNING``, ``SUCCESS`` or ``FAIL``.
    :param submitted: when it was; None: Toloka does not tell.
    :param started: when it was; None: not yet, or Toloka does not tell.
    :param finished: when it was; None: not yet, or Toloka does not tell.
    :param progress: in percent; None: Toloka does not tell.
    :param parameters: what it works on, such as ``{"project_id": "1001"}``.
    :param details: what Toloka tells of its outcome.
    """

    id: str
    type: str
    status: str
    submitted: datetime | None = None
    started: datetime | None = None
    finished: datetime | None = None
    progress: float | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> Self:
        """Make it from the API's JSON, or from ``to_json``'s."""
        return cls(
            id=_id(json),
            type=_word(json, "type"),
            status=_word(json, "status"),
            submitted=_time(json, "submitted"),
            started=_time(json, "started"),
            finished=_time(json, "finished"),
            progress=_number(json, "progress"),
            parameters=storable(_mapping(json, "parameters")),
            details=storable(_mapping(json, "details")),
        )

    def to_json(self) -> dict[str, Any]:
        """Give plain JSON values, fit for an XCom or a trigger's event."""
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
        """How it stands, for a person."""
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
        """Make it from the API's JSON."""
        names = _mapping(json, "public_name")
        name = names.get("EN") or next(iter(names.values()), None)
        if isinstance(name, str):
            return cls(id=_id(json), name=_storable_text(name), balance=_number(json, "balance"))
        return cls(id=_id(json), balance=_number(json, "balance"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """A project (API: ``GET /projects/{id}``).

    :param id: the project's id.
    :param status: ``ACTIVE`` or ``ARCHIVED``.
    :param public_name: the name that Tolokers see.
    :param private_comment: the comment that only the requester sees.
    :param created: when it was.
    """

    id: str
    status: str
    public_name: str | None = None
    private_comment: str | None = None
    created: datetime | None = None

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> Self:
        """Make it from the API's JSON."""
        return cls(
            id=_id(json),
            status=_word(json, "status"),
            public_name=_optional_text(json, "public_name"),
            private_comment=_optional_text(json, "private_comment"),
            created=_time(json, "created"),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """A training (API: ``GET /trainings/{id}``).

    :param id: the training's id.
    :param project_id: the project that it belongs to.
    :param status: ``OPEN``, ``CLOSED``, ``LOCKED`` or ``ARCHIVED``.
    :param private_name: the name that only the requester sees.
    :param created: when it was.
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
        """Make it from the API's JSON."""
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

    :param training_id: the training that Tolokers have to pass before; None: none.
    """

    training_id: str | None = None

    @classmethod
    def from_json(cls, json: Mapping[str, Any]) -> Self:
        """Make it from the API's JSON."""
        requirement = _mapping(_mapping(json, "quality_control"), "training_requirement")
        return cls(**_of_training(json), training_id=_optional_text(requirement, "training_pool_id"))


def _of_training(json: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": _id(json),
        "project_id": _id(json, "project_id"),
        "status": _word(json, "status"),
        "private_name": _optional_text(json, "private_name"),
        "created": _time(json, "created"),
        "last_started": _time(json, "last_started"),
        "last_stopped": _time(json, "last_stopped"),
        "last_close_reason": _optional_text(json, "last_close_reason"),
    }
