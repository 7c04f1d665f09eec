"""Read tasks from JSON Lines or CSV files line by line. Accepts any object with ``open``; independent of Airflow."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, Protocol

from airflow_provider_toloka._text import shown

#: Column names in Toloka's own files.
INPUT, GOLDEN, HINT = "INPUT:", "GOLDEN:", "HINT:text"
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


class Readable(Protocol):
    """A file: a ``pathlib.Path``, or Airflow's ``ObjectStoragePath``."""

    @property
    def name(self) -> str: ...  # noqa: D102

    def open(self, mode: str, *, encoding: str, newline: str | None = ...) -> IO[Any]: ...  # noqa: D102


def read_tasks(path: Readable, types: Mapping[str, str] | None = None) -> Iterator[dict[str, Any]]:
    """Read the forms of tasks from a file, line by line.

    :param path: a ``.jsonl`` or ``.ndjson`` file (one form per line) or a ``.csv`` file.
    :param types: for CSV, the types of the project's fields by column (``INPUT:image``, ``GOLDEN:result``).
    :raises ValueError: the extension is another one, or a line is invalid; the message has its number.
    """
    check_name(path.name)
    return _read_csv(path, types or {}) if is_csv(path.name) else _read_json_lines(path)


def is_csv(name: str) -> bool:
    """Return whether a file of tasks is a CSV file.

    :param name: the file's name.
    """
    return name.lower().endswith(".csv")


def check_name(name: str) -> None:
    """Check the name of a file of tasks.

    :param name: the file's name, or its path.
    :raises ValueError: it has another extension.
    """
    if not name.lower().endswith((".jsonl", ".ndjson", ".csv")):
        raise ValueError(f"tasks should be a file that ends in .jsonl, .ndjson or .csv, but is {shown(name)}.")


def _read_json_lines(path: Readable) -> Iterator[dict[str, Any]]:
    with path.open("r", encoding="utf-8") as lines:
        for number, line in enumerate(_lines_of(lines), 1):
            if not line.strip():
                continue
            try:
                task = json.loads(line)
            except ValueError as error:
                raise ValueError(f"Line {number} of {path.name} is not JSON: {error}.") from error
            if not isinstance(task, dict):
                raise ValueError(f"Line {number} of {path.name} should be a JSON object, but is {shown(task)}.")
            yield task


def _read_csv(path: Readable, types: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    # Files from spreadsheets start with a byte order mark.
    with path.open("r", encoding="utf-8-sig", newline="") as lines:
        rows = csv.reader(_lines_of(lines), strict=True)
        try:
            header = next(rows, [])
            columns = _columns(path.name, header)
            for row in rows:
                if not row:
                    continue
                yield _task_of(row, columns, types)
        except (csv.Error, ValueError) as error:
            raise ValueError(f"Could not read line {rows.line_num} of {path.name}: {error}.") from error


def _lines_of(file: IO[str]) -> Iterator[str]:
    """Return the lines of a file; Airflow 2 returns files that cannot be iterated over."""
    return iter(file.readline, "")


def _columns(name: str, header: list[str]) -> list[tuple[str, str]]:
    """Return the part and the field of each column; without prefixes, all columns are input fields."""
    if not header:
        raise ValueError(f"{name} is empty; its first line should name the columns")
    if len(set(header)) < len(header):
        raise ValueError("a column name occurs twice")
    if not any(":" in column for column in header):
        return [(INPUT, column) for column in header]
    columns = []
    for column in header:
        prefix, _, field = column.partition(":")
        if column != HINT and (f"{prefix}:" not in (INPUT, GOLDEN) or not field):
            raise ValueError(f"column {shown(column)} should start with {INPUT} or {GOLDEN}, or be {HINT}")
        columns.append((HINT, "") if column == HINT else (f"{prefix}:", field))
    return columns


def _task_of(row: list[str], columns: list[tuple[str, str]], types: Mapping[str, str]) -> dict[str, Any]:
    if len(row) != len(columns):
        raise ValueError(f"the line has {len(row)} cells, but the header has {len(columns)}")
    values: dict[str, dict[str, Any]] = {INPUT: {}, GOLDEN: {}}
    task: dict[str, Any] = {"input_values": values[INPUT]}
    for cell, (kind, field) in zip(row, columns, strict=True):
        if cell == "":
            continue
        if kind == HINT:
            task["message_on_unknown_solution"] = cell
        else:
            values[kind][field] = _value(cell, field, types.get(f"{kind}{field}", "string"))
    if values[GOLDEN]:
        task["known_solutions"] = [{"output_values": values[GOLDEN]}]
    return task


def _value(cell: str, field: str, type_: str) -> Any:
    read: Callable[[str], Any] = _READ.get(type_, json.loads if type_.startswith("array_") else str)
    try:
        return read(cell)
    except (ValueError, KeyError) as error:
        raise ValueError(f"{field} should be of type {type_}, but is {shown(cell)}") from error


_READ: Mapping[str, Callable[[str], Any]] = {
    "integer": int,
    "float": float,
    "boolean": lambda cell: _TRUTHS[cell.lower()],
    "json": json.loads,
}
