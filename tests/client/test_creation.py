"""Objects are created once: what is searched for, before and after, and what is told."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from airflow_provider_toloka.client.stamps import stamped
from airflow_provider_toloka.exceptions import TolokaInvalidAnswerError, TolokaRequestError, TolokaUnavailableError
from tests.driving import Answer, Driver, answer, api, error, lost, page

FORM = {"public_name": "Cats"}


def made(id_: str, key: str = "k", **more: Any) -> dict[str, Any]:
    return {"id": id_, "status": "ACTIVE", **stamped("project", FORM, key), **more}


def create(*answers: Answer, list_lag: float = 3, retries: int = 2, was_tried: bool = False) -> tuple[Any, Driver]:
    driver = Driver(answers)
    found = driver.run(api(list_lag=list_lag, retries=retries).projects.ensure(FORM, key="k", was_tried=was_tried))
    return found, driver


SEARCH, POST = "GET /projects", "POST /projects"


def test_what_is_missing_is_created(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    found, driver = create(page(), answer(201, made("5")), page(made("5")))
    assert found.id == "5"
    assert driver.calls == [SEARCH, POST, SEARCH]
    assert dict(driver.requests[0].query) | {"limit": ""} == {"status": "ACTIVE", "sort": "id", "limit": ""}
    assert driver.requests[1].json == stamped("project", FORM, "k")
    assert "Created project 5" in caplog.messages


def test_what_is_there_is_found(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    found, driver = create(page(made("4", "another"), made("5"), made("6", "a-third")))
    assert (found.id, driver.calls) == ("5", [SEARCH])
    assert caplog.messages == ["Found project 5; nothing is created"]


def test_an_archived_object_is_no_longer_the_one() -> None:
    found, driver = create(page(made("4", status="ARCHIVED")), answer(201, made("5")), page(made("5")))
    assert (found.id, driver.calls.count(POST)) == ("5", 1)


def test_of_several_the_first_one_is_used_and_the_others_are_named(caplog: pytest.LogCaptureFixture) -> None:
    found, _ = create(page(made("10"), made("9")))
    assert found.id == "9"
    assert [line.getMessage() for line in caplog.records if line.levelno == logging.WARNING] == [
        "Project 10 was created twice: 9 is used. Archive the other one: https://toloka.test/requester/project/10"
    ]


def test_a_duplicate_of_a_pool_is_named_by_its_page(caplog: pytest.LogCaptureFixture) -> None:
    pools = [{"id": id_, "project_id": "1", "status": "CLOSED", **stamped("pool", {}, "k")} for id_ in ("7", "8")]
    found = Driver([page(*pools)]).run(api().pools.ensure({"project_id": "1"}, key="k"))
    assert found.id == "7"
    assert caplog.messages[0].endswith("Archive the other one: https://toloka.test/requester/project/1/pool/8")


def test_a_duplicate_of_a_skill_is_named_by_its_id(caplog: pytest.LogCaptureFixture) -> None:
    skills = [{"id": id_, "name": "Dogs"} for id_ in ("7", "8")]
    assert Driver([page(*skills)]).run(api().skills.find_or_create("Dogs", {})).id == "7"
    assert caplog.messages[0] == "Skill 8 was created twice: 7 is used. Archive the other one: 8"


def test_if_another_run_was_faster_its_object_is_used() -> None:
    found, _ = create(page(), answer(201, made("10")), page(made("9"), made("10")))
    assert found.id == "9"
    # The list may not have the new one yet.
    assert create(page(), answer(201, made("10")), page())[0].id == "10"
    assert create(page(), answer(201, made("10")), page(made("11")))[0].id == "10"


@pytest.mark.parametrize("damaged", [answer(201, b'{"id": "5", "st'), answer(201, b""), answer(200, b"<html>")])
def test_after_a_damaged_answer_it_is_searched_for(damaged: Answer) -> None:
    found, driver = create(page(), damaged, page(), page(made("5")), page(made("5")))
    assert found.id == "5"
    assert driver.calls == [SEARCH, POST, SEARCH, SEARCH, SEARCH]
    assert driver.sleeps == [1]


def test_a_damaged_answer_is_an_error_if_nothing_is_found() -> None:
    with pytest.raises(TolokaInvalidAnswerError, match=r"^Could not create a project at Toloka.*is not JSON"):
        create(page(), answer(201, b"<html>"), page(), page(), page())


@pytest.mark.parametrize("failure", [lost("timeout"), lost("broken"), lost("too large"), error(503), error(500)])
def test_after_a_lost_answer_it_is_searched_for_before_it_is_sent_again(failure: Answer) -> None:
    found, driver = create(page(), failure, page(), page(made("5")), page(made("5")))
    assert (found.id, driver.calls.count(POST)) == ("5", 1)
    _, driver = create(page(), failure, page(), page(), page(), answer(201, made("5")), page(made("5")))
    assert driver.calls == [SEARCH, POST, SEARCH, SEARCH, SEARCH, POST, SEARCH]


@pytest.mark.parametrize("refusal", [lost("unreachable"), lost("tls"), error(429)])
def test_what_was_certainly_not_done_is_sent_again_at_once(refusal: Answer) -> None:
    found, driver = create(page(), refusal, answer(201, made("5")), page(made("5")))
    assert (found.id, driver.calls) == ("5", [SEARCH, POST, POST, SEARCH])


def test_a_retry_of_a_task_allows_for_the_delay_of_lists() -> None:
    found, driver = create(page(), page(), page(made("5")), was_tried=True)
    assert (found.id, driver.calls.count(POST), driver.sleeps) == ("5", 0, [1])
    _, driver = create(page(), page(), page(), page(), answer(201, made("5")), page(), was_tried=True)
    assert (driver.calls.count(POST), driver.sleeps) == (1, [1, 2])


@pytest.mark.parametrize("failure", [lost("timeout"), lost("broken"), error(503)])
def test_after_the_last_lost_answer_it_is_searched_for_too(failure: Answer) -> None:
    found, driver = create(page(), failure, page(), page(made("5")), page(made("5")), retries=0)
    assert (found.id, driver.calls.count(POST)) == ("5", 1)


@pytest.mark.parametrize("refusal", [lost("unreachable"), lost("tls")])
def test_what_was_certainly_not_done_is_not_searched_for_in_the_end(refusal: Answer) -> None:
    with pytest.raises(TolokaUnavailableError, match=r"^Could not create a project at Toloka"):
        create(page(), refusal, retries=0)


def test_it_gives_up_in_the_end() -> None:
    with pytest.raises(TolokaUnavailableError, match=r"^Could not create a project at Toloka"):
        create(page(), error(503), page(), page(), page(), error(503), page(), page(), page(), retries=1)
    with pytest.raises(TolokaRequestError, match=r"^Could not create a project at Toloka"):
        create(page(), error(400))
