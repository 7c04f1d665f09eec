"""The rules that the operators for one project and for stale projects share, and their checks."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

from airflow_provider_toloka._arguments import read_choice
from airflow_provider_toloka.archiving.plan import PoolsRule

#: What to do when an object can be archived only in a few days.
OnConflict: TypeAlias = Literal["fail", "skip"]


def read_pools(value: Any) -> str:
    """Return a valid rule for pools and trainings.

    :raises ValueError: it is invalid.
    """
    return read_choice("pools", value, get_args(PoolsRule))


def read_on_conflict(value: Any) -> str:
    """Return a valid ``on_conflict``.

    :raises ValueError: it is invalid.
    """
    return read_choice("on_conflict", value, get_args(OnConflict))
