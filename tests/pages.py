"""The pages that users read: their snippets, tables, headings and links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob(".github/**/*.md")])
}
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$(?:\n+```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Snippet:
    """A block of code on a page.

    :param output: the block of text after it: its output, where ``…`` matches anything.
    """

    page: str
    language: str
    text: str
    output: str | None = None

    @property
    def name(self) -> str:
        """The name of its file, which is the first line of Python snippets."""
        return self.text.splitlines()[0].removeprefix("# ")

    def write(self, folder: Path) -> Path:
        """Write the file to its place in a folder."""
        path = folder / self.name
        assert path.suffix == ".py", f"{self.page}: {self.name!r} should be the name of a file"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text)
        return path

    def expect(self, printed: str) -> None:
        """Assert that what was printed holds each line of the output."""
        assert self.output, f"{self.page}: what does {self.name} print?"
        for line in self.output.splitlines():
            pattern = ".*".join(map(re.escape, line.split("…")))
            assert re.search(f"{pattern}$", printed, re.MULTILINE), f"{line!r} is not in:\n{printed}"


SNIPPETS = [
    Snippet(page, language, text, output or None)
    for page, content in PAGES.items()
    for language, text, output in _BLOCK.findall(content)
    if language != "text"
]


def prose(page: str) -> str:
    """Return a page without its code."""
    return re.sub(r"``.*?``|`.*?`", "", re.sub(r"^```.*?^```$", "", PAGES[page], flags=re.MULTILINE | re.DOTALL))


def anchors(page: str) -> set[str]:
    """Return the anchors that links may use."""
    text = re.sub(r"^```.*?^```$", "", PAGES[page], flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table(page: str, heading: str) -> list[list[str]]:
    """Return the rows of the first table below a heading."""
    below = re.split(rf"^#+ {re.escape(heading)}$", PAGES[page], flags=re.MULTILINE)[1]
    rows = re.search(r"^\|.*\n\|[-| ]+\|\n((?:\|.*\n)+)", below, re.MULTILINE)
    assert rows
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows[1].splitlines()]
