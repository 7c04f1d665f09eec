"""Tables of the pages that are made by a run: with ``WRITE_TABLES=1`` in the environment, the run writes them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Table:
    """A place of a page, between two marks.

    :param page: the page, from the top of the repository on.
    :param name: what it is of, as the marks have it.
    :param made_by: the target of make that makes it.
    """

    page: str
    name: str
    made_by: str

    def read(self) -> str:
        """Return the present text."""
        return self._parts()[1].strip("\n")

    def write(self, text: str) -> None:
        """Write a text there, if wanted."""
        if os.environ.get("WRITE_TABLES") == "1":
            before, _, after = self._parts()
            text = text.strip("\n")
            (ROOT / self.page).write_text(f"{before}{self._begin}\n\n{text}\n\n{self._end}{after}", encoding="utf-8")

    @property
    def _begin(self) -> str:
        return f"<!-- {self.name}: made by `make {self.made_by} WRITE_TABLES=1` -->"

    @property
    def _end(self) -> str:
        return f"<!-- /{self.name} -->"

    def _parts(self) -> tuple[str, str, str]:
        before, _, rest = (ROOT / self.page).read_text(encoding="utf-8").partition(self._begin)
        there, _, after = rest.partition(self._end)
        return before, there, after
