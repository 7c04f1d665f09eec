"""Ids are read from what people copy: with blanks, or as the address of a page of Toloka's site."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_toloka._arguments import read_id, read_ids, read_pool_id
from airflow_provider_toloka.client.resources import POOL, PROJECT, TRAINING, Resource

PAGE = "platform.toloka.ai/requester/project/995"
ADDRESSES = [
    f"https://{PAGE}",
    f"http://{PAGE}",
    f"HTTPS://{PAGE}",
    f"Https://{PAGE.replace('platform.toloka.ai', 'Platform.Toloka.AI')}",
    PAGE,
    f" {PAGE}\n",
    f"{PAGE}/",
    f"{PAGE}?tab=pools#top",
    f"{PAGE}#top",
    f"{PAGE}/statistics",
    "127.0.0.1:8765/requester/project/995",
    "http://[::1]:8765/requester/project/995",
    "https://gateway.example.com/toloka/requester/project/995",
]


def of_a_list(value: Any) -> str:
    [only] = read_ids("project_ids", (value,))
    return only


def of_project(value: Any) -> str:
    return read_id(PROJECT, value)


either = pytest.mark.parametrize("read", [of_project, of_a_list])


@either
@pytest.mark.parametrize("value", [995, "995", "995 ", "\t995\n", "\xa0995", *ADDRESSES])
def test_an_id_may_have_blanks_and_may_be_an_address(read: Callable[[Any], str], value: Any) -> None:
    assert read(value) == "995"


@pytest.mark.parametrize("address", ["7", f"{PAGE}/pool/7", f"{PAGE}/training/7"])
def test_tasks_are_added_to_a_pool_or_a_training(address: str) -> None:
    assert read_pool_id(address) == "7"
    with pytest.raises(ValueError, match=r"^pool_id should be an id"):
        read_pool_id(PAGE)


@pytest.mark.parametrize(
    ("resource", "address"),
    [
        (POOL, f"{PAGE}/pool/7"),
        (TRAINING, f"HTTPS://{PAGE}/training/7/"),
    ],
)
def test_the_address_of_a_pool_has_two_ids(resource: Resource, address: str) -> None:
    assert read_id(resource, address) == "7"


@pytest.mark.parametrize(
    "value",
    [
        "98/5",
        f"{PAGE}/pool/7",
        f"{PAGE}/training/7",
        "project/995",
        f"ftp://{PAGE}",
        "platform.toloka.ai/requester/project",
        "https://platform.toloka.ai/requester/project/",
        "https://platform.toloka.ai/requester/project/99 5",
        "platform.toloka.ai/requester?next=/project/995",
        "https://[platform.toloka.ai/requester",
        "https:///requester/project/995",
        "see platform.toloka.ai/requester/project/995",
        "[995, '996']",
        "['a/project/995']",
        "//",
        "/project/995",
        "",
        None,
        True,
        9.5,
        ["995"],
    ],
)
def test_anything_else_is_refused_by_the_parameters_name(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^project_id should be an id"):
        read_id(PROJECT, value)
    with pytest.raises(ValueError, match=r"^project_ids should be an id"):
        read_ids("project_ids", [value])


def test_a_pools_address_has_to_name_the_pool() -> None:
    with pytest.raises(ValueError, match=r"^pool_id should be an id"):
        read_id(POOL, f"https://{PAGE}")
