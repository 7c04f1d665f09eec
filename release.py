"""Check the checkout for a release, and print the release notes: ``make notes TAG=v1.0.0``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent
VERSION_FILE = "airflow_provider_toloka/__init__.py"


class NotReadyError(Exception):
    """The checkout does not match the tag; the message names the file to change."""


def version(root: Path = ROOT) -> str:
    """Return the version."""
    found = re.search(r'^__version__ = "(.+)"$', (root / VERSION_FILE).read_text(), re.MULTILINE)
    if not found:
        raise NotReadyError(f"{VERSION_FILE} has no __version__")
    return found[1]


def notes(root: Path = ROOT, tag: str = "") -> str:
    """Return the changelog's section for the version.

    :param root: the checkout.
    :param tag: the tag to release; empty: the version need not be ready.
    :raises NotReadyError: the tag does not match the version, or the changelog has no dated section for it.
    """
    released = version(root)
    if tag and tag != f"v{released}":
        raise NotReadyError(f"The tag is {tag}, but {VERSION_FILE} says {released}: expected the tag v{released}")
    section = re.search(
        rf"^## {re.escape(released)} \((?P<date>[^)\n]+)\)\n(?P<notes>.*?)(?=^## |\Z)",
        (root / "CHANGELOG.md").read_text(),
        re.MULTILINE | re.DOTALL,
    )
    if not section or not section["notes"].strip():
        raise NotReadyError(f'CHANGELOG.md has no section "## {released} (date)" with text in it')
    if tag and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", section["date"]):
        raise NotReadyError(f'CHANGELOG.md says "## {released} ({section["date"]})": set the date, such as 2026-01-31')
    return section["notes"].strip()


if __name__ == "__main__":
    try:
        print(notes(tag=sys.argv[1] if len(sys.argv) > 1 else ""))
    except NotReadyError as error:
        sys.exit(str(error))
