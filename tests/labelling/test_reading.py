from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_toloka.labelling.reading import read_tasks

forms = st.lists(st.fixed_dictionaries({"input_values": st.dictionaries(st.text(), st.text() | st.integers())}))


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_text(text, encoding=encoding, newline="")
    return path


@given(tasks=forms, ascii_=st.booleans())
@settings(max_examples=50)
def test_json_lines_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, tasks: list[dict[str, Any]], ascii_: bool
) -> None:
    path = tmp_path_factory.mktemp("tasks") / "tasks.jsonl"
    written(path, "".join(json.dumps(task, ensure_ascii=ascii_) + "\n" for task in tasks))
    assert list(read_tasks(path)) == tasks


def test_an_object_storage_path_is_read_too(tmp_path: Path) -> None:
    written(tmp_path / "tasks.NDJSON", '{"input_values": {"image": "ä"}}\n\n')
    tasks = read_tasks(ObjectStoragePath(f"file://{tmp_path}/tasks.NDJSON"))
    assert list(tasks) == [{"input_values": {"image": "ä"}}]


@pytest.mark.parametrize("line", ["{", "[1]", '"x"', "nul"])
def test_a_line_that_is_no_form_is_named(tmp_path: Path, line: str) -> None:
    path = written(tmp_path / "tasks.jsonl", '{"input_values": {}}\n' + line)
    with pytest.raises(ValueError, match=r"^Line 2 of tasks\.jsonl"):
        list(read_tasks(path))


def test_a_plain_csv_has_the_fields_of_the_input(tmp_path: Path) -> None:
    path = written(
        tmp_path / "tasks.csv", 'image,text\nhttps://a/1.jpg,"a, ""b""\nc"\n\nhttps://a/2.jpg,\n', "utf-8-sig"
    )
    assert list(read_tasks(path)) == [
        {"input_values": {"image": "https://a/1.jpg", "text": 'a, "b"\nc'}},
        {"input_values": {"image": "https://a/2.jpg"}},
    ]


def test_a_csv_of_tolokas_own_kind_has_golden_answers_and_hints(tmp_path: Path) -> None:
    path = written(tmp_path / "tasks.csv", "INPUT:image,GOLDEN:result,HINT:text\nu,cat,Look at the ears\nv,,\n")
    assert list(read_tasks(path)) == [
        {
            "input_values": {"image": "u"},
            "known_solutions": [{"output_values": {"result": "cat"}}],
            "message_on_unknown_solution": "Look at the ears",
        },
        {"input_values": {"image": "v"}},
    ]


def test_cells_have_the_types_of_the_project(tmp_path: Path) -> None:
    types = {"n": "integer", "f": "float", "b": "boolean", "j": "json", "a": "array_string", "s": "string", "u": "url"}
    types = {f"INPUT:{name}": type_ for name, type_ in types.items()} | {"GOLDEN:s": "integer"}
    path = written(tmp_path / "tasks.csv", 'n,f,b,j,a,s,u,other\n7,1.5,True,"{""x"":1}","[""y""]",007,v,1\n')
    (task,) = read_tasks(path, types)
    assert task["input_values"] == {
        "n": 7, "f": 1.5, "b": True, "j": {"x": 1}, "a": ["y"], "s": "007", "u": "v", "other": "1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", r"line 0 of tasks\.csv: tasks\.csv is empty"),
        ("a,a\n", "line 1 of tasks.csv: a column name occurs twice"),
        ("INPUT:a,b\n", "line 1 of tasks.csv: column 'b' should start with INPUT: or GOLDEN:"),
        ("INPUT:\n", "column 'INPUT:' should start"),
        ("a,b\n1\n", "line 2 of tasks.csv: the line has 1 cells, but the header has 2"),
        ('a\n"x\n', "line 2 of tasks.csv: unexpected end of data"),
        ("n\n7\nseven\n", "line 3 of tasks.csv: n should be of type integer, but is 'seven'"),
        ("b\nmaybe\n", "line 2 of tasks.csv: b should be of type boolean, but is 'maybe'"),
    ],
)
def test_a_csv_that_cannot_be_read_is_told_of_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    path = written(tmp_path / "tasks.csv", text)
    with pytest.raises(ValueError, match=problem):
        list(read_tasks(path, {"INPUT:n": "integer", "INPUT:b": "boolean"}))


@pytest.mark.parametrize("name", ["tasks", "tasks.txt", "tasks.tsv", "jsonl"])
def test_another_ending_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"should be a file that ends in \.jsonl, \.ndjson or \.csv"):
        read_tasks(written(tmp_path / name, ""))
