from __future__ import annotations

import csv
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_toloka.labelling.answers import VALUES
from airflow_provider_toloka.labelling.writing import Format, check_format, write_rows

_NOTHING: dict[str, Any] = {"golden": None, "skipped": None}
ROWS: list[dict[str, Any]] = [
    {**_NOTHING, "id": "a1", "input": {"image": "x", "n": 1}, "output": {"result": "cat"}},
    {**_NOTHING, "id": "a2", "input": {"image": "y,\n", "n": 2.5}, "output": None, "golden": {"result": True}},
    {**_NOTHING, "id": "a3", "input": {"tags": ["ä"]}, "output": {"sure": False}},
]
FORMATS: list[Format] = ["jsonl", "csv", "parquet"]


def write(rows: Any, path: Any, format_: Format = "jsonl") -> int:
    return write_rows(rows, path, format_=format_, values=VALUES, move=lambda source, to: source.rename(to))


def test_json_lines_hold_the_rows_as_they_are(tmp_path: Path) -> None:
    assert write(ROWS, tmp_path / "new" / "answers.jsonl") == 3
    lines = (tmp_path / "new" / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == ROWS


def test_csv_has_a_column_for_each_field(tmp_path: Path) -> None:
    assert write(ROWS, tmp_path / "answers.csv", "csv") == 3
    with (tmp_path / "answers.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["skipped", "id", "INPUT:image", "INPUT:n", "INPUT:tags", "OUTPUT:result", "OUTPUT:sure", "GOLDEN:result"],
        ["", "a1", "x", "1", "", "cat", "", ""],
        ["", "a2", "y,\n", "2.5", "", "", "", "true"],
        ["", "a3", "", "", '["ä"]', "", "false", ""],
    ]


def test_parquet_has_a_typed_column_for_each_field(tmp_path: Path) -> None:
    assert write(ROWS, tmp_path / "answers.parquet", "parquet") == 3
    table = pq.read_table(tmp_path / "answers.parquet")
    assert {field.name: str(field.type) for field in table.schema} == {
        "id": "string",
        "skipped": "string",
        "INPUT:image": "string",
        "INPUT:n": "double",
        "INPUT:tags": "string",
        "OUTPUT:result": "string",
        "OUTPUT:sure": "bool",
        "GOLDEN:result": "bool",
    }
    assert table.column("INPUT:n").to_pylist() == [1.0, 2.5, None]
    assert table.column("INPUT:tags").to_pylist() == [None, None, '["ä"]']


HALF = [
    {
        **_NOTHING,
        "id": "a1",
        "input": {"image": "x"},
        "output": {"text": "cut \ud83d", "all": ["\ud83d"], "n\udc00": 1},
    },
    {**_NOTHING, "id": "a2", "input": {"image": "y"}, "output": {"text": "whole 😀"}},
]


def test_half_an_emoji_is_kept_in_json_lines(tmp_path: Path) -> None:
    assert write(HALF, tmp_path / "answers") == 2
    lines = (tmp_path / "answers").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == HALF
    assert "😀" in lines[1]


def test_half_an_emoji_is_replaced_in_a_table(tmp_path: Path) -> None:
    assert write(HALF, tmp_path / "answers.csv", "csv") == write(HALF, tmp_path / "answers.parquet", "parquet") == 2
    with (tmp_path / "answers.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["OUTPUT:text"] == "cut ?"
    assert (rows[0]["OUTPUT:all"], rows[0]["OUTPUT:n?"], rows[1]["OUTPUT:text"]) == ('["?"]', "1", "whole 😀")
    table = pq.read_table(tmp_path / "answers.parquet")
    assert table.column("OUTPUT:text").to_pylist() == ["cut ?", "whole 😀"]
    assert table.column("OUTPUT:all").to_pylist() == ['["?"]', None]
    assert table.column("OUTPUT:n?").to_pylist() == [1, None]


@pytest.mark.parametrize("format_", FORMATS)
def test_no_rows_make_a_file_without_rows(tmp_path: Path, format_: Format) -> None:
    assert write([], tmp_path / "answers", format_) == 0
    assert (tmp_path / "answers").exists()


@pytest.mark.parametrize("format_", FORMATS)
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, format_: Format) -> None:
    path = tmp_path / "answers"
    path.write_text("old")

    def breaking() -> Iterator[dict[str, Any]]:
        yield ROWS[0]
        raise ConnectionError

    with pytest.raises(ConnectionError):
        write(breaking(), path, format_)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_is_replaced_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "answers"
    path.write_text("old")

    def looking() -> Iterator[dict[str, Any]]:
        for row in ROWS:
            assert path.read_text() == "old"
            yield row

    assert write(looking(), path) == 3
    assert path.read_text().count("\n") == 3
    assert list(tmp_path.iterdir()) == [path]


def test_a_retry_replaces_what_a_killed_try_has_left(tmp_path: Path) -> None:
    (tmp_path / ".answers.part").write_text("half of it")
    write(ROWS, tmp_path / "answers")
    assert [path.name for path in tmp_path.iterdir()] == ["answers"]


@pytest.mark.parametrize("format_", FORMATS)
def test_object_storage_is_written_alike(tmp_path: Path, format_: Format) -> None:
    storage = ObjectStoragePath(f"file://{tmp_path}/answers/today")
    assert write_rows(ROWS, storage, format_=format_, values=VALUES, move=ObjectStoragePath.move) == 3
    write(ROWS, tmp_path / "plain", format_)
    assert (tmp_path / "answers" / "today").read_bytes() == (tmp_path / "plain").read_bytes()
    assert len(list((tmp_path / "answers").iterdir())) == 1


@pytest.mark.parametrize("format_", FORMATS)
def test_memory_does_not_grow_with_the_rows(tmp_path: Path, format_: Format) -> None:
    write(ROWS, tmp_path / "warm", format_)
    tracemalloc.start()
    try:
        write(({"id": str(number), "input": {"n": number}, "output": None, "golden": None} for number in range(30_000)),
              tmp_path / "answers", format_)  # fmt: skip
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 15_000_000


@pytest.mark.parametrize("format_", [None, "", "json", "CSV"])
def test_another_format_is_refused(format_: object) -> None:
    with pytest.raises(ValueError, match="format should be one of jsonl, csv, parquet"):
        check_format(format_)


def test_parquet_without_pyarrow_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ValueError, match=r"airflow-provider-toloka\[parquet\]"):
        check_format("parquet")
