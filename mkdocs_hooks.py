"""Add files outside of ``docs/`` that pages link to: example DAGs, the benchmark's results, the changelog.

Also add ``llms.txt``, the overview for language models, with links to the site's pages.

Where the code is hosted, such links lead to the files themselves.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent
OUTSIDE = re.compile(r"\]\(\.\./([^)#]+)")
OVERVIEW = "llms.txt"


def on_files(files: Files, *, config: Any) -> Files:
    """Add a page for each linked file outside of ``docs/``."""
    overview = (ROOT / OVERVIEW).read_text()
    targets = {target for page in files.documentation_pages() for target in OUTSIDE.findall(page.content_string)}
    targets |= set(re.findall(r"\]\(((?!docs/)[^)]+\.md)\)", overview))
    for target in sorted(targets):
        content = (ROOT / target).read_text()
        if not target.endswith(".md"):
            content = f"# {Path(target).name}\n\n```python\n{content}```\n"
        files.append(File.generated(config, _page_of(target), content=content))
    files.append(File.generated(config, OVERVIEW, content=_linked(overview, files)))
    return files


def _linked(overview: str, files: Files) -> str:
    """Return the overview with the addresses of pages instead of the paths of files."""

    def address(link: re.Match[str]) -> str:
        path = link[1]
        page = files.get_file_from_path(path.removeprefix("docs/") if path.startswith("docs/") else _page_of(path))
        if page is None:
            raise PluginError(f"{OVERVIEW} links to {path}, which does not exist")
        return f"]({page.url})"

    return re.sub(r"\]\(([^)]+)\)", address, overview)


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Rewrite links to these pages."""
    if page.file.src_uri.startswith("repository/"):
        folder = Path(page.file.src_uri.removeprefix("repository/")).parent
        return markdown.replace("](docs/", "](../") if folder == Path() else markdown
    return OUTSIDE.sub(lambda link: f"]({_page_of(link[1])}", markdown)


def _page_of(target: str) -> str:
    return f"repository/{target}" if target.endswith(".md") else f"repository/{target}.md"
