"""Write rows to a file atomically: under a temporary name, then moved into place. Independent of Airflow."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, Literal, Protocol, Self, TypeAlias, cast, get_args

from airflow_provider_toloka._text import shown

Format: TypeAlias = Literal["jsonl", "csv", "parquet"]
Row: TypeAlias = Mapping[str, Any]

_ROWS_AT_ONCE = 10_000
_BYTES_AT_ONCE = 1 << 18
_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Writable(Protocol):
    """A file: a ``pathlib.Path``, or Airflow's ``ObjectStoragePath``."""

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def parent(self) -> Self: ...  # noqa: D102

    def with_name(self, name: str, /) -> Self: ...  # noqa: D102

    def open(self, mode: str) -> IO[Any]: ...  # noqa: D102

    def mkdir(self, mode: int = ..., parents: bool = ..., exist_ok: bool = ...) -> None: ...  # noqa: D102

    def unlink(self, missing_ok: bool = ...) -> None: ...  # noqa: D102


def check_format(format_: object) -> Format:
    """Return a valid format.

    :param format_: ``jsonl``, ``csv`` or ``parquet``.
    :raises ValueError: the format is unknown, or requires an extra that is not installed.
    """
    if format_ not in get_args(Format):
        raise ValueError(f"format should be one of {', '.join(get_args(Format))}, but is {shown(format_)}.")
    if format_ == "parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise ValueError('format="parquet" requires pyarrow: install airflow-provider-toloka[parquet].') from None
    return cast(Format, format_)


def write_rows(
    rows: Iterable[Row],
    path: Writable,
    *,
    format_: Format,
    values: Mapping[str, str],
    move: Callable[[Any, Any], object],
    aside: str = "part",
) -> int:
    """Write rows to a file, which is created or replaced only when it is complete.

    :param rows: the rows, all with the same keys.
    :param path: the file.
    :param format_: ``jsonl``: nested, as the rows are. ``csv``, ``parquet``: flat; see ``values``.
    :param values: by key, the prefix of the columns of a nested object in flat formats.
    :param move: moves a file, the first argument, to the place of the second.
    :param aside: the suffix of the temporary name. It is the same in each try, so that a retry replaces the file of a
        killed try.
    :returns: the number of rows.
    """
    with contextlib.suppress(NotImplementedError):  # fsspec: some object stores have no folders
        path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{aside}")
    try:
        with unfinished.open("wb") as file:
            count = _WRITERS[format_](rows, file, values)
        move(unfinished, path)
    except BaseException:
        with contextlib.suppress(Exception):
            unfinished.unlink(missing_ok=True)
        raise
    return count


def _write_json_lines(rows: Iterable[Row], file: IO[bytes], _: Mapping[str, str]) -> int:
    count = 0
    with _Buffered(file) as buffered:
        for count, row in enumerate(rows, 1):  # noqa: B007
            buffered.write(_compact(row) + "\n")
    return count


def _write_csv(rows: Iterable[Row], file: IO[bytes], values: Mapping[str, str]) -> int:
    with _flattened(rows, values) as flat, _Buffered(file) as buffered:
        write = csv.writer(buffered, lineterminator="\n").writerow
        write(flat.columns)
        for row in flat.rows():
            write([_cell(row.get(column)) for column in flat.columns])
        return flat.count


def _write_parquet(rows: Iterable[Row], file: IO[bytes], values: Mapping[str, str]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _flattened(rows, values) as flat:
        types = {"boolean": pa.bool_(), "integer": pa.int64(), "number": pa.float64()}
        schema = pa.schema([(name, types.get(kind, pa.string())) for name, kind in flat.columns.items()])
        with pq.ParquetWriter(file, schema) as writer:
            rows_left = flat.rows()
            while batch := list(itertools.islice(rows_left, _ROWS_AT_ONCE)):
                typed = [{name: _typed(row.get(name), kind) for name, kind in flat.columns.items()} for row in batch]
                writer.write_batch(pa.RecordBatch.from_pylist(typed, schema=schema))
        return flat.count


_WRITERS: Mapping[Format, Callable[[Iterable[Row], IO[bytes], Mapping[str, str]], int]] = {
    "jsonl": _write_json_lines,
    "csv": _write_csv,
    "parquet": _write_parquet,
}


@dataclass(frozen=True)
class _Flat:
    """Flat rows in a temporary file: the columns are known only after the last row.

    :param columns: by name, the kind of each column.
    """

    columns: Mapping[str, str]
    count: int
    file: IO[str]

    def rows(self) -> Iterator[dict[str, Any]]:
        self.file.seek(0)
        return map(json.loads, self.file)


@contextlib.contextmanager
def _flattened(rows: Iterable[Row], values: Mapping[str, str]) -> Iterator[_Flat]:
    # JSON allows lone surrogates, such as half of an emoji; UTF-8 does not.
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as file:
        fixed: dict[str, str] = {}
        nested: dict[str, dict[str, str]] = {prefix: {} for prefix in values.values()}
        count = 0
        for count, row in enumerate(rows, 1):  # noqa: B007
            flat = {}
            for key, value in row.items():
                if key not in values:
                    fixed[key] = _joined(fixed.get(key), value)
                    flat[key] = value
                    continue
                prefix = values[key]
                for name, one in (value or {}).items():
                    column = f"{prefix}:{name}".encode("utf-8", "replace").decode()
                    nested[prefix][column] = _joined(nested[prefix].get(column), one)
                    flat[column] = one
            file.write(_compact(flat) + "\n")
        for columns in nested.values():
            fixed.update(sorted(columns.items()))
        yield _Flat(fixed, count, file)


def _joined(before: str | None, value: object) -> str:
    """Return the kind of a column after adding a value; ``""``: the column is empty so far."""
    if value is None:
        return before or ""
    kind = (
        "boolean"
        if isinstance(value, bool)
        else "integer"
        if isinstance(value, int) and abs(value) < 2**63
        else "number"
        if isinstance(value, float)
        else "text"
        if isinstance(value, str)
        else "json"
    )
    if not before or before == kind:
        return kind
    return "number" if {before, kind} == {"integer", "number"} else "json"


def _typed(value: object, kind: str) -> object:
    if value is None:
        return None
    if kind == "json":
        return _compact(value)
    return float(value) if kind == "number" and isinstance(value, int) else value


def _cell(value: object) -> object:
    if value is None:
        return ""
    return value if isinstance(value, str) else _compact(value)


class _Buffered:
    """Buffers text for a binary file, because each write to Airflow's wrapper costs more than a row."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._held: list[str] = []
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._flush()

    def write(self, text: str) -> int:
        self._held.append(text)
        self._size += len(text)
        if self._size >= _BYTES_AT_ONCE:
            self._flush()
        return len(text)

    def _flush(self) -> None:
        # In JSON, the escape of a lone surrogate is the same text; other formats have none left.
        self._file.write("".join(self._held).encode(errors="backslashreplace"))
        self._held, self._size = [], 0
