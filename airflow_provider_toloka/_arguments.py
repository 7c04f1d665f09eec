"""Check arguments after templates are rendered: an argument that renders to nothing is an error, never "all".

An upstream task that returned nothing, was skipped, or failed under ``all_done`` renders to None, an empty text or
"None". No parameter of this package interprets these values as a wider choice: wide choices are spelled out
(``"all"``, ``"any"``, ``"*"``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any

import pendulum

from airflow_provider_toloka._text import shown
from airflow_provider_toloka.client.parsing import check_id
from airflow_provider_toloka.client.resources import POOL, PROJECT, TRAINING, Resource

#: Matching time grows with the lengths of the pattern and the name.
_LONGEST_PATTERN = 500
#: A web address, with or without its scheme, and its path.
_ADDRESS = re.compile(r"(?:https?://)?(?!\w+:/)[^/?#\s]+/([^?#]*)", re.IGNORECASE)
_KINDS = {resource.kind for resource in (PROJECT, POOL, TRAINING)}
_REMEDY = "If it comes from a template or an XCom, check that the upstream task ran and returned a value."


def is_nothing(value: object) -> bool:
    """Return whether a rendered value means that no value was passed."""
    if any(cls.__name__ == "Undefined" for cls in type(value).__mro__):
        return True  # Jinja's, of a misspelt name in a native template; comparing it may raise
    return value is None or (isinstance(value, str) and value.strip() in ("", "None", "null"))


def require(name: str, value: Any, instead: str) -> Any:
    """Return a value, which must not be empty.

    :param name: the parameter that holds it, for the error.
    :param instead: what to pass instead if that is intended.
    :raises ValueError: it is None, or an empty text, or "None".
    """
    if is_nothing(value):
        raise ValueError(f"{name} is empty ({shown(value)}), and nothing was changed. {_REMEDY} {instead}".strip())
    return value


def note_given(operator: Any, **arguments: Any) -> None:
    """Remember which optional arguments were given, before templates are rendered; call it in ``__init__``.

    :param operator: the operator.
    :param arguments: the arguments, which :func:`read_optional` reads.
    """
    given = {name for name, value in arguments.items() if value is not None}
    operator._given = getattr(operator, "_given", frozenset()) | given  # noqa: SLF001 - the operator's own


def read_optional(operator: Any, name: str, instead: str = "") -> Any:
    """Return an optional argument after templates are rendered; None: it was not given.

    :param operator: the operator, whose ``__init__`` has called :func:`note_given`.
    :param name: the parameter that holds it.
    :param instead: what to pass instead if None is intended.
    :raises ValueError: it was given, and has rendered to None, or to an undefined name.
    """
    value = getattr(operator, name)
    if name in operator._given and is_nothing(value) and not isinstance(value, str):  # noqa: SLF001 - the operator's own
        require(name, value, instead or f"To use the default, leave {name} out.")
    return value


def read_ids(name: str, value: Any, instead: str = "") -> list[str]:
    """Return a list of ids of projects; accept blanks and addresses in it, as :func:`read_id` does.

    :param name: the parameter that holds it, for the error.
    :param value: a list or tuple of ids, which may be empty.
    :param instead: what to pass instead of an empty value if that is intended.
    :raises ValueError: it is anything else, or one of the ids is empty.
    """
    require(name, value, instead)
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"{name} should be a list of ids, but is {shown(value)}. {instead}".strip())
    return [_read_id(PROJECT, id_, name) for id_ in value]


def read_id(resource: Resource, value: Any) -> str:
    """Return the id of an object; accept surrounding blanks and the address of its page on Toloka's site.

    :param resource: the kind of the object.
    :param value: the id, or the address.
    :raises ValueError: it is neither.
    """
    return _read_id(resource, value, resource.id_param)


def read_pool_id(value: Any) -> str:
    """Return the id of a pool or a training, as :func:`read_id` does.

    :param value: the id, or the address of either page.
    :raises ValueError: it is neither.
    """
    try:
        return _read_id(TRAINING, value, POOL.id_param)
    except ValueError:
        return read_id(POOL, value)


def _read_id(resource: Resource, value: Any, name: str) -> str:
    text = value.strip() if isinstance(value, str) else value
    if isinstance(text, str) and (address := _ADDRESS.match(text)):
        parts = address[1].strip("/").split("/")
        if resource.kind in parts[:-1]:
            at = parts.index(resource.kind)
            # The page of a pool names its project too, but is not the project's page.
            if not _KINDS.intersection(parts[at + 2 :]):
                text = parts[at + 1]
    return check_id(name, text)


def read_pattern(name: str, value: Any) -> str:
    """Return a glob in which only ``*`` and ``?`` are special.

    :param name: the parameter that holds it, for the error.
    :raises ValueError: it is empty, too long, or not a text.
    """
    require(name, value, f'To select projects of any name, leave {name} out or set it to "*".')
    if not isinstance(value, str) or len(value) > _LONGEST_PATTERN:
        raise ValueError(
            f"{name} should be a glob such as 'test *', of at most {_LONGEST_PATTERN} characters, "
            f"but is {shown(value)}."
        )
    return value


def read_time(name: str, value: Any) -> datetime:
    """Return a time; without a zone, it is in UTC.

    :param name: the parameter that holds it, for the error.
    :param value: a datetime, or a text in ISO 8601 with a time.
    :raises ValueError: it is anything else.
    """
    require(name, value, "")
    time: Any = value
    if isinstance(value, str):
        try:
            time = pendulum.parse(value.strip(), strict=True)
        except ValueError:
            time = None
    if not isinstance(time, datetime):
        is_day = isinstance(value, date)
        raise ValueError(
            f"{name} should be a time in ISO 8601 such as '2026-01-31T00:00:00+00:00', or a datetime, "
            f"but is {shown(value)}{' (a date without a time)' if is_day else ''}."
        )
    return time if time.tzinfo else time.replace(tzinfo=pendulum.UTC)


def read_choice(name: str, value: Any, choices: Sequence[str]) -> str:
    """Return one of several words.

    :param name: the parameter that holds it, for the error.
    :raises ValueError: it is not one of them.
    """
    if require(name, value, f"Set it to one of {', '.join(map(repr, choices))}.") not in choices:
        raise ValueError(f"{name} should be one of {', '.join(map(repr, choices))}, but is {shown(value)}.")
    return str(value)


def read_count(name: str, value: Any) -> int:
    """Return a whole number above 0, which may be given as text.

    :param name: the parameter that holds it, for the error.
    :raises ValueError: it is anything else.
    """
    number = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
    if type(number) is not int or number < 1:
        raise ValueError(f"{name} should be a whole number above 0, but is {shown(value)}.")
    return number


def check_literals(operator: Any, **checks: Callable[[Any], Any]) -> None:
    """Check the arguments that are not rendered later when the DAG is parsed, so that a typing error costs no run.

    Airflow creates a mapped task on the worker, from values that may come from upstream. They are checked when the task
    runs: an error in ``__init__`` would cost its retries.

    :param operator: the operator that has the arguments as attributes.
    :param checks: by argument, a function that raises a ValueError for an invalid value.
    :raises ValueError: a value cannot be used.
    """
    if getattr(operator, "_BaseOperator__from_mapped", False):
        return
    for name, check in checks.items():
        value = getattr(operator, name)
        if name not in operator.template_fields or not _is_template(value):
            check(value)


def literal_id(resource: Resource) -> Callable[[Any], Any]:
    """Return a check for ``check_literals``: an id, or None, which is refused when the task runs.

    :param resource: the kind of the object.
    """
    return lambda value: value is None or read_id(resource, value)


def _is_template(value: Any) -> bool:
    """Return whether a value is rendered before the task runs, as a whole or in part."""
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    return hasattr(value, "resolve") or (isinstance(value, (list, tuple)) and any(map(_is_template, value)))
