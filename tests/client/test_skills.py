from __future__ import annotations

import pytest

from tests.driving import Driver, api, lost, page
from tests.driving import answer as canned

SKILL = {"id": "3", "name": "cats", "hidden": True}


def test_a_skill_of_the_name_is_found() -> None:
    driver = Driver([page({"id": "2", "name": "cats and dogs"}, SKILL)])
    assert driver.run(api().skills.find_or_create("cats", {})).id == "3"
    assert driver.changes == []


def test_a_missing_one_is_created_once() -> None:
    driver = Driver([page(), canned(201, SKILL), page(SKILL)])
    assert driver.run(api().skills.find_or_create("cats", {"hidden": True})).id == "3"
    assert [request.json for request in driver.requests if request.json] == [{"hidden": True, "name": "cats"}]


def test_a_lost_answer_is_found_out_by_looking() -> None:
    driver = Driver([page(), lost(), page(), page(SKILL), page(SKILL)])
    assert driver.run(api().skills.find_or_create("cats", {})).id == "3"
    assert driver.changes == ["/skills"]


@pytest.mark.parametrize("name", ["", " ", "None"])
def test_a_name_that_comes_to_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name should be the name of a skill"):
        Driver().run(api().skills.find_or_create(name, {}))
