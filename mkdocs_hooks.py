"""Brings into the site what its pages link to outside ``docs/``: an example DAG, the benchmark's results, the changes.

Where the code is hosted, such links lead to the files themselves.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent
OUTSIDE = re.compile(r"\]\(\.\./([^)#]+)")


def on_files(files: Files, *, config: Any) -> Files:
    """Add a page for each file outside that a page links to."""
    targets = {target for page in files.documentation_pages() for target in OUTSIDE.findall(page.content_string)}
    for target in sorted(targets):
        content = (ROOT / target).read_text()
        if not target.endswith(".md"):
            content = f"# {Path(target).name}\n\n```python\n{content}```\n"
        files.append(File.generated(config, _page_of(target), content=content))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Lead the links to these pages."""
    if page.file.src_uri.startswith("repository/"):
        return markdown
    return OUTSIDE.sub(lambda link: f"]({_page_of(link[1])}", markdown)


def _page_of(target: str) -> str:
    return f"repository/{target}" if target.endswith(".md") else f"repository/{target}.md"
