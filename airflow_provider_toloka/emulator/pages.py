"""Pages for links to Toloka's site, which show the object of the link, or the account's projects."""

from __future__ import annotations

import re
from html import escape
from urllib.parse import quote

from airflow_provider_toloka.emulator.store import Store

_PATHS = re.compile(r"/requester(?:/project/(?P<project>[^/]+)(?:/(?P<kind>pool|training)/(?P<row>[^/]+))?)?/?")
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{name}</title>
<h1>{name}</h1>
{content}
<p>This is an emulator of Toloka, not Toloka.</p>
</html>
"""


def render(store: Store, path: str) -> str | None:
    """Return the page at a path, or ``None`` when there is none."""
    if not (found := _PATHS.fullmatch(path)):
        return None
    if not found["project"]:
        return _account(store)
    kind, row_id = found["kind"] or "project", found["row"] or found["project"]
    row = store.tables[f"{kind}s"].get(row_id)
    if row is None or row.get("project_id", row["id"]) != found["project"]:
        return None
    name = str(row["public_name"] if kind == "project" else row["private_name"])
    told = f"<p>{kind.capitalize()} {escape(row['id'])}: {escape(row['status'])}</p>"
    return _PAGE.format(name=escape(name), content=told)


def _account(store: Store) -> str:
    rows = [
        f'<li><a href="/requester/project/{quote(row["id"], safe="")}">{escape(row["id"])}</a> '
        f"{escape(row['status'])} {escape(str(row['public_name']))}</li>"
        for row in store.tables["projects"]
    ]
    return _PAGE.format(name=f"Projects: {len(rows)}", content="\n".join(["<ul>", *rows, "</ul>"]))
