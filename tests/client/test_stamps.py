from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_toloka.client.stamps import bears, check_key, stamped

KINDS = ["project", "pool", "training"]


@pytest.mark.parametrize("key", ["spam-v3", "a", "team/spam@2026-11:1+x", "x" * 100])
def test_a_key_by_hand_is_taken_as_it_is(key: str) -> None:
    assert check_key(key) == key


@pytest.mark.parametrize("key", ["", "None", None, " ", "a b", "a]", "x" * 101, 3, "ä"])
def test_a_key_that_comes_to_nothing_is_refused(key: object) -> None:
    with pytest.raises(ValueError, match=r"^key should be 1 to 100"):
        check_key(key)


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
def test_a_stamp_is_found_with_or_without_metadata(kind: str, form: dict[str, Any], key: str, other: str) -> None:
    made = stamped(kind, form, key)
    for answer in (made, {**made, "metadata": {}}, {name: one for name, one in made.items() if name != "metadata"}):
        assert bears(kind, answer, key)
        assert bears(kind, answer, other) is (other == key)


@given(kind=st.sampled_from(KINDS), form=forms, key=keys)
def test_a_stamp_keeps_what_the_user_says(kind: str, form: dict[str, Any], key: str) -> None:
    made = stamped(kind, form, key)
    for name in ("private_comment", "private_name"):
        assert str(made.get(name, "")).startswith(form.get(name) or "")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "json", [{}, {"metadata": None}, {"metadata": {"airflow": []}}, {"private_comment": "[airflow:k"}]
)
def test_what_bears_no_stamp_is_not_ours(kind: str, json: dict[str, Any]) -> None:
    assert not bears(kind, json, "k")


def test_metadata_of_the_user_stays() -> None:
    assert stamped("pool", {"metadata": {"team": ["a"]}}, "k")["metadata"] == {"team": ["a"], "airflow": ["k"]}


def test_a_comment_stays_above_the_stamp() -> None:
    assert stamped("project", {"private_comment": "Ask Ann"}, "k")["private_comment"] == "Ask Ann\n[airflow:k]"
    assert stamped("training", {"private_name": "Exam"}, "k")["private_name"] == "Exam [airflow:k]"
    assert stamped("training", {"private_name": ""}, "k")["private_name"] == "[airflow:k]"
    assert stamped("pool", {}, "k") == {"metadata": {"airflow": ["k"]}, "private_comment": "[airflow:k]"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "json",
    [
        {"metadata": {"airflow": ["k"]}},
        {"metadata": {"airflow": "k"}},
        {"private_comment": "Ask Ann [airflow:k] \n", "private_name": "Exam [airflow:k] "},
    ],
)
def test_one_copy_of_the_key_is_enough(kind: str, json: dict[str, Any]) -> None:
    assert bears(kind, json, "k")
    assert not bears(kind, json, "l")


def test_a_wrong_key_is_shown_with_the_remedy() -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        check_key("a b")
    assert str(caught.value) == (
        "key should be 1 to 100 letters, digits or any of _ . : @ / + -, but is 'a b'. "
        "If it comes from a template, check its rendered value."
    )
