"""The API reference documents every parameter of every public class and function, and no other."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from airflow_provider_toloka.client.models import Pool
from tests.conftest import ROOT

MODULES = re.findall(r"^::: ([\w.]+)$", (ROOT / "docs" / "reference.md").read_text(), re.MULTILINE)
NOT_TOLD = {"self", "cls", "args", "kwargs", "context", "json"}  # Airflow's own, and what the name says


def public() -> Iterator[tuple[str, Any]]:
    for path in MODULES:
        name, _, last = path.rpartition(".")
        shown = [getattr(import_module(name), last)] if last[0].isupper() else members(import_module(path))
        for one in shown:
            yield f"{one.__module__}.{one.__qualname__}", one
            if inspect.isclass(one):
                yield from ((f"{method.__module__}.{method.__qualname__}", method) for method in members(one))


def members(of: Any) -> list[Any]:
    """Return the public classes and functions that a module defines."""
    module = of.__module__ if inspect.isclass(of) else of.__name__
    return [
        getattr(one, "__func__", one)
        for name, one in vars(of).items()
        if not name.startswith("_")
        and (inspect.isclass(one) or inspect.isfunction(one) or isinstance(one, classmethod))
        and getattr(one, "__module__", module) == module
    ]


PUBLIC = dict(public())


def parameters(one: Any) -> set[str]:
    return set(inspect.signature(one.__init__ if inspect.isclass(one) else one).parameters) - NOT_TOLD


@pytest.mark.parametrize("name", PUBLIC)
def test_parameters_are_told(name: str) -> None:
    one = PUBLIC[name]
    if ":meth:`TolokaClient." in (one.__doc__ or ""):
        return  # the twin of a method that documents them
    told = re.findall(r"^ *:param (\w+):", one.__doc__ or "", re.MULTILINE)
    assert len(told) == len(set(told))
    if inspect.isclass(one):
        # Most operators pass on arguments, and document them, too.
        bases = [base for base in one.__mro__ if base.__module__.startswith("airflow_provider_toloka")]
        takes = set().union(*map(parameters, bases))
        must = parameters(one) if "__init__" in vars(one) and not issubclass(one, Pool) else set()
    else:
        takes = must = parameters(one)
    assert must <= set(told) <= takes | NOT_TOLD


def test_the_reference_shows_what_users_use() -> None:
    assert {"TolokaArchiveProjectOperator", "OperationSensor", "OperationTrigger", "TolokaHook"} <= {
        name.rpartition(".")[2] for name in PUBLIC
    }
