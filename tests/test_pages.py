"""The pages are correct: their tables match the code, and their links work."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_toloka import exceptions
from airflow_provider_toloka.operators.answers import TolokaAggregateOperator, TolokaExportAssignmentsOperator
from airflow_provider_toloka.operators.create import TolokaCreatePoolOperator
from airflow_provider_toloka.operators.open import TolokaOpenPoolOperator
from airflow_provider_toloka.operators.stale import TolokaArchiveStaleProjectsOperator, TolokaFindStaleProjectsOperator
from airflow_provider_toloka.operators.tasks import TolokaAddTasksOperator
from airflow_provider_toloka.operators.toloka import TolokaArchiveProjectOperator, TolokaClosePoolOperator
from airflow_provider_toloka.provider_info import get_provider_info
from airflow_provider_toloka.sensors.pool import TolokaPoolSensor
from airflow_provider_toloka.sensors.toloka import OperationSensor
from airflow_provider_toloka.triggers.events import OperationFinishedTrigger
from airflow_provider_toloka.triggers.pools import PoolClosedTrigger
from airflow_provider_toloka.triggers.toloka import OperationTrigger
from tests.conftest import ROOT
from tests.pages import PAGES, anchors, prose, table

HOSTS = {
    "airflow.apache.org",
    "github.com",
    "keepachangelog.com",
    "pre-commit.com",
    "semver.org",
    "toloka.ai",
    "www.contributor-covenant.org",
}
OPERATORS = {
    "archive-project": TolokaArchiveProjectOperator,
    "pools-and-trainings": TolokaClosePoolOperator,
    "find-stale-projects": TolokaFindStaleProjectsOperator,
    "archive-stale-projects": TolokaArchiveStaleProjectsOperator,
    "operation-sensor": OperationSensor,
    "operation-trigger": OperationTrigger,
    "events": OperationFinishedTrigger,
    "create": TolokaCreatePoolOperator,
    "add-tasks": TolokaAddTasksOperator,
    "open": TolokaOpenPoolOperator,
    "pool-sensor": TolokaPoolSensor,
    "export-assignments": TolokaExportAssignmentsOperator,
    "aggregate": TolokaAggregateOperator,
    "pool-closed": PoolClosedTrigger,
}
#: Parameters whose default is described in words.
IN_WORDS = {"deferrable", "as_of", "statuses"}


def parameters(operator: Any) -> dict[str, Any]:
    """Return the parameters that this package adds to an operator, with their defaults."""
    bases = [base for base in operator.__mro__ if base.__module__.startswith("airflow_provider_toloka")]
    return {
        name: parameter.default
        for base in reversed(bases)
        if "__init__" in vars(base)
        for name, parameter in inspect.signature(base.__init__).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }


@pytest.mark.parametrize("page", OPERATORS)
def test_parameters_are_those_of_the_code(page: str) -> None:
    operator = OPERATORS[page]
    templated = {name.removeprefix("is_") for name in getattr(operator, "template_fields", ())}
    known = parameters(operator)
    told = {}
    for names, default, meaning in table(f"docs/{page}.md", "Parameters"):
        for name in re.findall(r"`(\w+)`", names):
            told[name] = default
            if name in known:
                assert ("Templated." in meaning) == (name in templated), name
    assert known.keys() <= told.keys()
    of_all_sensors = {"poke_interval", "timeout", "mode", "soft_fail", "exponential_backoff", "max_wait"}
    assert told.keys() - known.keys() <= of_all_sensors | {"training_id", "project", "training"}
    for name, default in known.items():
        if name not in IN_WORDS:
            shown = "" if default is inspect.Parameter.empty else f"`{default!r}`".replace("'", '"')
            assert told[name] == re.sub(r"\.0`$", "`", shown), name


def test_errors_are_all_told_of() -> None:
    classes = {name for name, one in vars(exceptions).items() if inspect.isclass(one) and issubclass(one, Exception)}
    rows = {match[1] for row in table("docs/errors.md", "Errors") if (match := re.match(r"\[`(\w+)`\]", row[0]))}
    assert classes == rows
    assert {name.lower() for name in classes} <= anchors("docs/errors.md")


def test_fields_of_the_form_are_all_told_of() -> None:
    [connection_type] = get_provider_info()["connection-types"]
    labels = {row[1]: row[0] for row in table("docs/connection.md", "Connection")}
    for name, conn_field in connection_type["conn-fields"].items():
        assert labels[f"`extra.{name}`"] == conn_field["label"]
    assert labels["`password`"] == connection_type["ui-field-behaviour"]["relabeling"]["password"]


def test_make_targets_are_all_told_of() -> None:
    targets = set(re.findall(r"^([\w-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)) - {"help"}
    assert targets == {
        row[0].removeprefix("`make ").removesuffix("`") for row in table("docs/contributing.md", "Set-up")
    }


def links() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
            yield page, target


@pytest.mark.parametrize(("page", "target"), sorted(set(links())))
def test_links_lead_somewhere(page: str, target: str) -> None:
    if "://" in target:
        parts = urlsplit(target)
        assert (parts.scheme, parts.hostname in HOSTS) == ("https", True)
        return
    path, _, anchor = target.partition("#")
    there = (ROOT / page).parent / path if path else ROOT / page
    assert there.exists()
    if anchor:
        assert anchor in anchors(str(Path(there.resolve()).relative_to(ROOT)))


def test_pages_are_all_in_the_navigation() -> None:
    shown = set(re.findall(r": ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    assert shown == {path.name for path in (ROOT / "docs").glob("*.md")}
