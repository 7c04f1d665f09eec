from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_toloka.labelling.keys import task_key, upload_id

IDENTITY: dict[str, Any] = {
    "base_url": "https://toloka.dev/api/v1",
    "account_id": "a1",
    "dag_id": "labels",
    "run_id": "manual__2026-11-01",
    "task_id": "pool",
    "map_index": -1,
}
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


UPLOAD: dict[str, Any] = {"pool_id": "2001", "chunk": 0, "digest": "d", "generation": 0}


@pytest.mark.parametrize(("name", "other"), [("pool_id", "2002"), ("chunk", 1), ("digest", "e"), ("generation", 1)])
def test_each_upload_has_an_id_of_its_own(name: str, other: object) -> None:
    assert upload_id("k", **UPLOAD) == upload_id("k", **UPLOAD)
    assert upload_id("k", **{**UPLOAD, name: other}) != upload_id("k", **UPLOAD)
    assert upload_id("l", **UPLOAD) != upload_id("k", **UPLOAD)
