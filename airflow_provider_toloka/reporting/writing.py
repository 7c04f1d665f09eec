"""Write a report to a local file or Airflow's object storage. The extension selects the format."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from airflow_provider_toloka._text import shown
from airflow_provider_toloka.reporting.csv_table import csv_table
from airflow_provider_toloka.reporting.markdown import markdown
from airflow_provider_toloka.reporting.report import Report
from airflow_provider_toloka.reporting.words import flat


def render_html(report: Report) -> str:
    """Return the report as a self-contained page.

    :param report: the report.
    """
    # Imported here, because only this format reads the style sheet and the script.
    from airflow_provider_toloka.reporting.page import page

    return page(report)


def render_json(report: Report) -> str:
    """Return the report as JSON text.

    :param report: the report.
    """
    return json.dumps(report.to_json(), ensure_ascii=False, indent=1) + "\n"


#: Excel reads a CSV file as UTF-8 only if it starts with a byte order mark.
_ENCODINGS = {".csv": "utf-8-sig"}
RENDERERS: dict[str, Callable[[Report], str]] = {
    ".html": render_html,
    ".csv": csv_table,
    ".json": render_json,
    ".md": markdown,
}


def check_report_path(path: Any) -> str:
    """Return the extension of a report's path: ``.html``, ``.csv``, ``.json`` or ``.md``.

    :param path: a path or URI, as text or as an object; None or an empty text: no report.
    :returns: the extension; empty: no report.
    :raises ValueError: the extension is another one.
    """
    if path is None or path == "":
        return ""
    ending = PurePosixPath(str(path)).suffix.lower()
    if ending not in RENDERERS:
        raise ValueError(
            f"A report's path should end with {', '.join(list(RENDERERS)[:-1])} or {list(RENDERERS)[-1]}, "
            f"but is {shown(str(path))}."
        )
    return ending


def why_unusable(path: Any) -> str:
    """Return why no report can be written to a path, without connecting to its storage; empty: no reason is known.

    :param path: a path or URI, as text or as an object.
    """
    scheme = urlsplit(str(path)).scheme
    if "://" not in str(path) or scheme == "file":
        return ""
    if scheme in ("http", "https"):
        return "a web address cannot be written to"
    try:
        # Imported here: local files work without Airflow.
        from fsspec import get_filesystem_class  # type: ignore[import-untyped]

        get_filesystem_class(_object_storage_path(str(path)).protocol)
    except Exception as error:  # noqa: BLE001 - object storages raise exceptions of their own
        return flat(str(error)) or type(error).__name__
    return ""


def render(report: Report, ending: str) -> bytes:
    """Return the bytes of a report's file.

    :param report: the report.
    :param ending: ``.html``, ``.csv``, ``.json`` or ``.md``.
    :raises ValueError: the extension is another one.
    """
    text = RENDERERS[check_report_path(f"report{ending}")](report)
    # A lone surrogate, which JSON allows, cannot be encoded as UTF-8.
    return text.encode(_ENCODINGS.get(ending, "utf-8"), errors="backslashreplace")


def write_report(report: Report, path: Any) -> str:
    """Write a report; return its location.

    A local file is replaced only when the new one is complete. Missing folders are created.

    :param report: the report.
    :param path: a local path, a URI such as ``s3://conn_id@bucket/stale.html``, or an ``ObjectStoragePath``. The
        extension selects the format: ``.html``, ``.csv``, ``.json`` or ``.md``.
    :returns: the path or URI, as text.
    :raises ValueError: the extension is another one.
    :raises OSError: the file cannot be written.
    """
    content = render(report, check_report_path(path) or "none")
    local = _local(path)
    if local is not None:
        _write_aside(local, content)
        return str(local)
    remote = path if hasattr(path, "write_bytes") else _object_storage_path(str(path))
    remote.write_bytes(content)
    return str(remote)


def _local(path: Any) -> Path | None:
    if isinstance(path, Path) and type(path).__module__.startswith("pathlib"):
        return path
    parts = urlsplit(str(path))
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if "://" in str(path) or hasattr(path, "write_bytes") else Path(path)


def _object_storage_path(uri: str) -> Any:
    # Imported here, because this package works without Airflow; these paths use Airflow's connections.
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    return ObjectStoragePath(uri)


def _write_aside(path: Path, content: bytes) -> None:
    path = path.expanduser().resolve()
    if path.exists() and not path.is_file():
        path.write_bytes(content)  # such as /dev/stdout, to which no file can be moved
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}.part")
    try:
        with aside.open("xb") as file:
            if path.exists():
                os.fchmod(file.fileno(), stat.S_IMODE(path.stat().st_mode))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            aside.unlink()
