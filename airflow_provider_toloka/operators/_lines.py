"""Log lines of the operators that change one object. Pure functions that return text.

The ids of operations are in the result, and in the log at DEBUG only.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from airflow_provider_toloka._text import shown
from airflow_provider_toloka.client.models import Operation
from airflow_provider_toloka.client.resources import ARCHIVE_PROJECT, WITH_A_PAGE, Change
from airflow_provider_toloka.reporting import log_lines
from airflow_provider_toloka.reporting.words import cut, date, duration

_DONE = {"archive": "Archived", "close": "Closed", "open": "Opened"}
_ALREADY = {"archive": "is archived", "close": "is closed", "open": "was opened"}


def done_line(change: Change, object_id: str, name: str | None, operation: Operation, *, seconds: float) -> str:
    """Return the outcome: ``Closed pool 2001 'English' in 3 s``.

    :param change: the change.
    :param object_id: the object's id.
    :param name: its name; None: not known.
    :param operation: the operation that made the change.
    :param seconds: the duration of the task so far; the operation's counts if it is longer.
    """
    if operation.submitted and operation.finished:
        seconds = max(seconds, (operation.finished - operation.submitted).total_seconds())
    if change is ARCHIVE_PROJECT:
        return log_lines.archived_line(object_id, name, seconds=seconds)
    return f"{_DONE[change.action]} {_named(change, object_id, name)} in {duration(seconds)}"


def already_line(change: Change, object_id: str, name: str | None) -> str:
    """Return the outcome when nothing was left to do: ``Pool 2001 'English' is closed already``.

    :param change: the change.
    :param object_id: the object's id.
    :param name: its name; None: not known.
    """
    if change is ARCHIVE_PROJECT:
        return log_lines.already_line(object_id, name)
    return f"{_capitalized(_named(change, object_id, name))} {_ALREADY[change.action]} already"


def postponed_line(change: Change, object_id: str, name: str | None, *, until: datetime, reason: str) -> str:
    """Return the outcome: ``Project 1007 'Toys' is postponed to 2026-12-01: rejected answers in pool 2009``.

    :param change: the change.
    :param object_id: the object's id.
    :param name: its name; None: not known.
    :param until: when it can be changed.
    :param reason: why not before.
    """
    return f"{_capitalized(_named(change, object_id, name))} is postponed to {date(until)}: {reason}"


def work_of(operations: Iterable[Operation]) -> str:
    """Return what operations do: ``archive pool 2004; archive pool 2005``.

    :param operations: the operations; one without an object is described by its type.
    """
    return "; ".join(dict.fromkeys(map(_work, operations)))


def _work(operation: Operation) -> str:
    kind, _, action = operation.type.partition(".")
    resource = WITH_A_PAGE.get(kind.lower())
    object_id = resource.id_in(operation) if resource else None
    return f"{action.lower()} {kind.lower()} {object_id}" if object_id else operation.type


def _capitalized(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}"


def _named(change: Change, object_id: str, name: str | None) -> str:
    return f"{change.resource.kind} {object_id}" + (f" {shown(cut(name))}" if name else "")
