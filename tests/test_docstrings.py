"""The docstrings document every parameter of every public class and function once, and no other.

The API reference and the tables of parameters on the pages are made from them: ``mkdocs_hooks.py``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

from tests.conftest import ROOT

MODULES = re.findall(r"^::: ([\w.]+)$", (ROOT / "docs" / "reference.md").read_text(), re.MULTILINE)
PACKAGE = "airflow_provider_toloka"
#: Classes here do not repeat the parameters that their bases document.
INHERITING = tuple(f"{PACKAGE}.{name}" for name in ("client.models", "operators", "sensors", "triggers"))
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


def declared(one: Any) -> list[str]:
    """Return the parameters of a function, or those that a class itself declares."""
    if inspect.isclass(one):
        one = vars(one).get("__init__", object)
    return [name for name in inspect.signature(one).parameters if name not in NOT_TOLD]


def documented(one: Any) -> dict[str, str]:
    """Return the parameters that a docstring describes, with their descriptions."""
    told = re.findall(r"^ *:param (\w+): (.*?)(?=^ *:|^ *$|\Z)", one.__doc__ or "", re.MULTILINE | re.DOTALL)
    assert len(told) == len(dict(told))
    return {name: text for name, text in told if name not in NOT_TOLD}


def documenting(one: Any) -> list[Any]:
    """Return what documents the parameters of a class or function: itself, and the bases of some classes."""
    if inspect.isclass(one) and one.__module__.startswith(INHERITING):
        return [base for base in one.__mro__ if base.__module__.startswith(PACKAGE)]
    return [one]


@pytest.mark.parametrize("name", PUBLIC)
def test_parameters_are_documented_once(name: str) -> None:
    one = PUBLIC[name]
    if ":meth:`TolokaClient." in (one.__doc__ or ""):
        return  # the twin of a method that documents them
    # A trigger declares the parameters of its base again, with its own defaults; the base documents them.
    introduced = {parameter: base for base in documenting(one) for parameter in declared(base)}
    told = [(parameter, base) for base in documenting(one) for parameter in documented(base)]
    assert sorted(told, key=str) == sorted(introduced.items(), key=str)


@pytest.mark.parametrize("name", [name for name, one in PUBLIC.items() if hasattr(one, "template_fields")])
def test_templated_parameters_are_marked(name: str) -> None:
    one = PUBLIC[name]
    marked = {
        parameter for base in documenting(one) for parameter, text in documented(base).items() if "(templated)" in text
    }
    assert marked == set(one.template_fields)


def test_the_reference_shows_what_users_use() -> None:
    assert {"TolokaArchiveProjectOperator", "OperationSensor", "OperationTrigger", "TolokaHook"} <= {
        name.rpartition(".")[2] for name in PUBLIC
    }
