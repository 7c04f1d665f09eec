"""The layout of docs/contributing.md holds: a package imports only from those above it in the table, without cycles."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = "airflow_provider_toloka"
TABLE = re.findall(r"^\| (`[^|]+`) \|", (ROOT / "docs" / "contributing.md").read_text(), re.MULTILINE)
ROW = {
    name.rstrip("/").removesuffix(".py"): number
    for number, row in enumerate(TABLE)
    for name in re.findall(r"`([\w/.]+?)`", row)
}
MODULES = sorted((ROOT / PACKAGE).rglob("*.py"))


def part_of(module: str) -> str:
    return module.removeprefix(f"{PACKAGE}.").partition(".")[0]


def imports(path: Path) -> set[str]:
    """Return the modules of this package that a module imports, also inside functions, but not for types only."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = {
        name
        for node in ast.walk(tree)
        if id(node) not in typing_only
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else []
        )
    }
    return {name for name in found if name.startswith(f"{PACKAGE}.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT / PACKAGE)))
def test_a_module_imports_only_from_packages_above_it(path: Path) -> None:
    own = part_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for imported in map(part_of, imports(path)):
        if own in ROW and imported in ROW:
            assert ROW[imported] <= ROW[own], f"{own} imports {imported}"


def test_the_emulator_shares_nothing_with_what_it_tests() -> None:
    for path in (ROOT / PACKAGE / "emulator").rglob("*.py"):
        assert {part_of(name) for name in imports(path)} <= {"emulator"}, path


def test_each_package_is_in_the_table() -> None:
    packages = {path.parent.name for path in (ROOT / PACKAGE).glob("*/__init__.py")}
    assert packages <= ROW.keys()
