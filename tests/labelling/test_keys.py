from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_toloka.labelling.keys import Kind, bears, check_key, stamped, task_key, upload_id

IDENTITY: dict[str, Any] = {
    "base_url": "https://toloka.dev/api/v1",
    "account_id": "a1",
    "dag_id": "labels",
    "run_id": "manual__2026-11-01",
    "task_id": "pool",
    "map_index": -1,
}
KINDS: list[Kind] = ["project", "pool", "training"]
OTHERS: dict[str, Any] = {
    "base_url": "https://sandbox.toloka.dev/api/v1",
    "account_id": "a2",
    "dag_id": "labels2",
    "run_id": "manual__2026-11-02",
    "task_id": "pool2",
    "map_index": 0,
}


def test_the_key_is_the_same_over_tries() -> None:
    assert task_key(**IDENTITY) == task_key(**IDENTITY)


@pytest.mark.parametrize("name", OTHERS)
def test_the_key_is_another_one_for_another_task(name: str) -> None:
    assert task_key(**{**IDENTITY, name: OTHERS[name]}) != task_key(**IDENTITY)


def test_parts_do_not_run_into_each_other() -> None:
    one = task_key(**{**IDENTITY, "dag_id": "a", "task_id": "bc"})
    assert task_key(**{**IDENTITY, "dag_id": "ab", "task_id": "c"}) != one


@pytest.mark.parametrize("key", ["spam-v3", "a", "team/spam@2026-11:1+x", "x" * 100])
def test_a_key_by_hand_is_taken_as_it_is(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize("key", ["", "None", None, " ", "a b", "a]", "x" * 101, 3, "ä"])
def test_a_key_that_comes_to_nothing_is_refused(key: object) -> None:
    with pytest.raises(ValueError, match=r"^key should be 1 to 100"):
        check_key(key)


UPLOAD: dict[str, Any] = {"pool_id": "2001", "chunk": 0, "digest": "d", "generation": 0}


@pytest.mark.parametrize(("name", "other"), [("pool_id", "2002"), ("chunk", 1), ("digest", "e"), ("generation", 1)])
def test_each_upload_has_an_id_of_its_own(name: str, other: object) -> None:
    assert upload_id("k", **UPLOAD) == upload_id("k", **UPLOAD)
    assert upload_id("k", **{**UPLOAD, name: other}) != upload_id("k", **UPLOAD)
    assert upload_id("l", **UPLOAD) != upload_id("k", **UPLOAD)


forms = st.fixed_dictionaries(
    {},
    optional={
        "metadata": st.none() | st.dictionaries(st.text(min_size=1), st.lists(st.text())),
        "private_comment": st.none() | st.text(),
        "private_name": st.text(),
    },
)
keys = st.from_regex(r"\A[A-Za-z0-9_.:@/+-]{1,100}\Z")


@given(kind=st.sampled_from(KINDS), form=forms, key=keys, other=keys)
def test_a_stamp_is_found_with_or_without_metadata(kind: Kind, form: dict[str, Any], key: str, other: str) -> None:
    made = stamped(kind, form, key)
    for answer in (made, {**made, "metadata": {}}, {name: one for name, one in made.items() if name != "metadata"}):
        assert bears(kind, answer, key)
        assert bears(kind, answer, other) is (other == key)


@given(kind=st.sampled_from(KINDS), form=forms, key=keys)
def test_a_stamp_keeps_what_the_user_says(kind: Kind, form: dict[str, Any], key: str) -> None:
    made = stamped(kind, form, key)
    for name in ("private_comment", "private_name"):
        assert str(made.get(name, "")).startswith(form.get(name) or "")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "json", [{}, {"metadata": None}, {"metadata": {"airflow": []}}, {"private_comment": "[airflow:k"}]
)
def test_what_bears_no_stamp_is_not_ours(kind: Kind, json: dict[str, Any]) -> None:
    assert not bears(kind, json, "k")


def test_metadata_of_the_user_stays() -> None:
    assert stamped("pool", {"metadata": {"team": ["a"]}}, "k")["metadata"] == {"team": ["a"], "airflow": ["k"]}


def test_a_comment_stays_above_the_stamp() -> None:
    assert stamped("project", {"private_comment": "Ask Ann"}, "k")["private_comment"] == "Ask Ann\n[airflow:k]"
    assert stamped("training", {"private_name": "Exam"}, "k")["private_name"] == "Exam [airflow:k]"
