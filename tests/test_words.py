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
    '"""give ',
    '"""tell ',
    '"""say ',
    "how it stands",
    "how things stand",
    "how a project stands",
    "how the pool stands",
    "how all stands",
    "goes on",
    "go on ",
    "so many seconds",
    "after so many",
    "all the same.",
    "whoever",
    "is no json",
    "is no valid",
    "no retry helps",
    "no retry mends",
    "no repetition",
    "no waiting mends",
    "looks again",
    "looked at",
    "at work on the object",
    "under way",
    "brought back",
    "broke off",
    "came to nothing",
    "in vain",
    "foretold",
    "brings no news",
    "brought no news",
    "take note",
    "is told in",
    "tells of",
    "told of its",
    "hears of",
    "hear of",
    "what became of",
    "what has become of",
    "come back after",
    "some days later",
    "no limit of its own",
    "that is known by",
    "bears it is returned",
    "what that renders to",
    "put the date there",
)
PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "SECURITY.md", "llms.txt")]
PAGES += sorted((ROOT / "docs").glob("*.md"))
PAGES += sorted((ROOT / "docs" / "upstream").glob("*.md"))
FOLDERS = ("airflow_provider_toloka", "benchmarks", "demo", "example_dags", "tests")
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") if path != Path(__file__))
MODULES += [ROOT / name for name in ("mkdocs_hooks.py", "noxfile.py", "release.py")]
LONGEST = 120
WRAPPED = [path for path in PAGES if path.suffix == ".md"]


def lines_of(text: str) -> list[str]:
    """Return the lines of prose, without code, tables, and lines with links or pictures."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return [line for line in text.splitlines() if not line.startswith("|") and "](" not in line]


@pytest.mark.parametrize("path", [*PAGES, *MODULES], ids=lambda path: str(path.relative_to(ROOT)))
def test_odd_phrases_do_not_come_back(path: Path) -> None:
    # Adjacent strings in the code are one text.
    text = re.sub(r'(?<!")"\s+f?"(?!")', "", path.read_text().lower())
    text = " ".join(text.replace("#", " ").split())
    assert [phrase for phrase in PHRASES if phrase in text] == []


@pytest.mark.parametrize("path", WRAPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_lines_of_markdown_fit_on_a_screen(path: Path) -> None:
    assert [line for line in lines_of(path.read_text()) if len(line) > LONGEST] == []
