"""Complete the pages, which are also readable where the code is hosted.

- Add files outside of ``docs/`` that pages link to: example DAGs, the benchmark's results, the changelog.
- Add ``llms.txt``, the overview for language models, with links to the site's pages.
- Replace the line after ``<!-- parameters -->``, a link to a class, with a table of the class's parameters. It is made
  from the docstrings, which do not repeat inherited parameters. The API reference shows those, too.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import griffe
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent
OUTSIDE = re.compile(r"\]\(\.\./([^)#]+)")
OVERVIEW = "llms.txt"
PACKAGE = "airflow_provider_toloka"
MARKER = "<!-- parameters -->"
MARKED = re.compile(rf"^{MARKER}\n.*\[`(\w+)`\]\(\.\./({PACKAGE}/[\w/]+)\.py\).*$", re.MULTILINE)


def on_files(files: Files, *, config: Any) -> Files:
    """Add a page for each linked file outside of ``docs/``."""
    overview = (ROOT / OVERVIEW).read_text()
    targets = {
        target
        for page in files.documentation_pages()
        for target in OUTSIDE.findall(MARKED.sub("", page.content_string))
    }
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
    markdown = MARKED.sub(lambda marked: _table(f"{marked[2].replace('/', '.')}.{marked[1]}"), markdown)
    if MARKER in markdown:
        raise PluginError(f"{page.file.src_uri}: the line after {MARKER} should link to a class of the package")
    return OUTSIDE.sub(lambda link: f"]({_page_of(link[1])}", markdown)


def _page_of(target: str) -> str:
    return f"repository/{target}" if target.endswith(".md") else f"repository/{target}.md"


@cache
def _package() -> Any:
    return griffe.load(PACKAGE, search_paths=[ROOT], docstring_parser="sphinx")


def _table(path: str) -> str:
    """Return the table of a class's parameters."""
    try:
        found = parameters(_package()[path.removeprefix(f"{PACKAGE}.")])
    except KeyError:
        raise PluginError(f"A page has the parameters of {path}, which does not exist") from None
    rows = ["| Parameter | Default | Meaning |", "|---|---|---|"]
    for one in found:
        default = str(one.default).replace("'", '"').removesuffix(".0")
        shown = "required" if one.default is None else "Airflow's setting" if "conf." in default else f"`{default}`"
        meaning = one.description[0].upper() + one.description[1:].replace("|", r"\|")
        rows.append(f"| `{one.name}` | {shown} | {meaning} |")
    return "\n".join(rows)


def parameters(of: griffe.Class) -> list[griffe.DocstringParameter]:
    """Return the parameters of a class with their descriptions: its own, then those of its bases in this package."""
    declared: dict[str, griffe.Parameter] = {}
    described: dict[str, str] = {}
    for base in (of, *of.mro()):
        for one in base.members["__init__"].parameters if "__init__" in base.members else ():
            if one.kind is griffe.ParameterKind.keyword_only:
                declared.setdefault(one.name, one)
        for section in base.docstring.parsed if base.docstring else ():
            for one in section.value if section.kind is griffe.DocstringSectionKind.parameters else ():
                described.setdefault(one.name, " ".join(one.description.split()).replace("``", "`"))
    if missing := [name for name in declared if not described.get(name)]:
        raise PluginError(f"{of.path} and its bases do not describe the parameter {missing[0]}")
    return [
        griffe.DocstringParameter(name, annotation=one.annotation, value=one.default, description=described[name])
        for name, one in declared.items()
    ]


class Inherited(griffe.Extension):  # type: ignore[misc]
    """For the API reference: document inherited parameters in each operator, sensor and trigger."""

    def on_class(self, *, cls: griffe.Class, **_: Any) -> None:
        """Add the parameters of the bases to the docstring of a class."""
        if re.match(rf"{PACKAGE}\.(operators|sensors|triggers)\.", cls.path) and cls.docstring and parameters(cls):
            kept = [one for one in cls.docstring.parsed if one.kind is not griffe.DocstringSectionKind.parameters]
            kept.insert(1, griffe.DocstringSectionParameters(parameters(cls)))
            cls.docstring.parsed = kept
