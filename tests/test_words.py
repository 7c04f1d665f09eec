"""Texts are in plain English: phrases that readers stumbled over do not return."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT

PHRASES = (
    "what no retry can mend",
    "nothing is remembered: each try",
    "on request with their pools",
    "until toloka has done it",
    "first only questions",
    "nothing but questions",
    "requests that fail in passing",
    "ends the wait, not the operation",
    "at toloka that goes on",
    "says what holds then",
    "how it is tried",
    "by and by",
    "a defect of airflow's",
    "mended after",
    "environment are its own",
    "the wait's timeout has passed",
    "they go on at toloka",
    "to look again",
    "the wait goes on",
    "when the reasons have gone",
    "what is archived stays so",
    "the json is not the object that it should be",
    "when that is over too hears",
    "hears of the next one only",
    "its times have served",
    "one of its kinds, by meaning",
)
PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "SECURITY.md", "llms.txt")]
PAGES += sorted((ROOT / "docs").glob("*.md"))
MODULES = sorted((ROOT / "airflow_provider_toloka").rglob("*.py"))
LONGEST = 120
WRAPPED = [path for path in PAGES if path.suffix == ".md"]


def lines_of(text: str) -> list[str]:
    """Return the lines of prose: without code, tables, and lines that a link or a picture makes long."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return [line for line in text.splitlines() if not line.startswith("|") and "](" not in line]


@pytest.mark.parametrize("path", [*PAGES, *MODULES], ids=lambda path: str(path.relative_to(ROOT)))
def test_odd_phrases_do_not_come_back(path: Path) -> None:
    # A text that the code writes as several strings in a row is read as one.
    text = re.sub(r'"\s+f?"', "", path.read_text().lower())
    text = " ".join(text.replace("#", " ").split())
    assert [phrase for phrase in PHRASES if phrase in text] == []


@pytest.mark.parametrize("path", WRAPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_lines_of_markdown_fit_on_a_screen(path: Path) -> None:
    assert [line for line in lines_of(path.read_text()) if len(line) > LONGEST] == []
