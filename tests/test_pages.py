"""The pages are correct: their tables match the code, and their links work."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from airflow_provider_toloka import exceptions
from airflow_provider_toloka.provider_info import get_provider_info
from tests.conftest import ROOT
from tests.durability.cases import all_cases
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


def test_figures_in_the_text_are_those_of_the_last_runs() -> None:
    readme, performance = (" ".join(PAGES[page].split()) for page in ("README.md", "docs/performance.md"))
    load = {row[0]: row[1:] for row in rows("benchmarks/LOAD.md")}
    requests, cpu, ratio = float(load["requests per second"][0]), *map(float, load["CPU, % of a core"][::2])
    assert f"take {requests:.0f} requests per second and {cpu:.1f}% of a CPU core, {ratio} times as much CPU" in readme
    assert f"is {load['memory, MB'][2]} times that of Airflow's own waits, the CPU time {ratio} times" in performance
    clean_ups = next(row[1] for row in rows("docs/distributed.md") if row[0].startswith("14 clean-ups"))
    times = re.search(r": ([\d.]+) ×", clean_ups)
    assert times
    assert f"14 clean-ups at once on one account took {times[1]} times the ideal time" in readme
    assert f"tests {len(all_cases())} cases on Airflow 3.3 and 2.11 each" in readme


def rows(page: str) -> Iterator[list[str]]:
    """Yield the rows of all tables of a page."""
    for line in (ROOT / page).read_text(encoding="utf-8").splitlines():
        if line.startswith("| "):
            yield [cell.strip() for cell in line.strip("|").split("|")]
