"""Ids, names and messages of others stay what they are: none becomes a path, a header, a log line or a template."""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from airflow.providers.common.compat.sdk import BaseOperator
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_toloka.archiving.selection import Selection
from airflow_provider_toloka.client.api import TolokaApi
from airflow_provider_toloka.client.client import TolokaClient
from airflow_provider_toloka.client.config import Settings
from airflow_provider_toloka.client.models import Operation, Project
from airflow_provider_toloka.client.parsing import InvalidModelError
from airflow_provider_toloka.client.sansio import Flow
from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.exceptions import TolokaError
from airflow_provider_toloka.operators.stale import TolokaArchiveStaleProjectsOperator, TolokaFindStaleProjectsOperator
from airflow_provider_toloka.operators.toloka import TolokaArchivePoolOperator, TolokaArchiveProjectOperator
from airflow_provider_toloka.sensors.toloka import OperationSensor
from tests.driving import Driver, answer, api, ok, operation, project
from tests.running import new_dag, posts, run, run_logged

pytestmark = pytest.mark.usefixtures("airflow_database")

#: What a terminal, or who reads a log line by line, would take for something else.
EVIL = (
    "Cats\r\n[2026-01-01T00:00:00] ERROR - \x1b[2J\x1b]0;owned\x07 all is lost\u2028\u202egnp.exe\x00{{ 7 * 7 }} %s {0}"
)
LEADS_ELSEWHERE = [
    "../pools/1",
    "1/../../x",
    "1?a=b",
    "1#x",
    "1%2Farchive",
    "%2e%2e",
    "1\r\nX: y",
    "1\x00",
    "//x",
    "\\x",
]
PATTERNS = ["*a" * 250, "*" * 500, "[" * 500, "[!" * 250, "[z-a]" * 100, "?" * 500, "*?" * 250, "(a+)+$", "[a-", "\\"]

TEXTS = st.text() | st.sampled_from(LEADS_ELSEWHERE)


READS: dict[str, Callable[[TolokaApi, str], Flow[Any]]] = {
    "projects": lambda api, given: api.projects.get(given),
    "pools": lambda api, given: api.pools.get(given),
    "trainings": lambda api, given: api.trainings.get(given),
    "operations": lambda api, given: api.operations.get(given),
    "operations log": lambda api, given: api.operations.get_log(given),
    "assignments": lambda api, given: api.assignments.get(given),
    "aggregated-solutions": lambda api, given: api.aggregation.listing(given).page(None),
}
CHANGES: dict[str, Callable[[TolokaApi, str], Flow[Any]]] = {
    "projects archive": lambda api, given: api.projects.archive(given),
    "pools archive": lambda api, given: api.pools.archive(given),
    "pools close": lambda api, given: api.pools.close(given),
    "pools open": lambda api, given: api.pools.open(given),
    "trainings close": lambda api, given: api.trainings.close(given),
    "trainings open": lambda api, given: api.trainings.open(given),
    "assignments": lambda api, given: api.assignments.decide(given, "ACCEPTED"),
}


@given(TEXTS, st.sampled_from(sorted(READS)))
def test_an_id_reaches_no_other_path(given: str, call: str) -> None:
    _stays_below(given, call.split()[0], READS[call])


@given(TEXTS, st.sampled_from(sorted(CHANGES)))
def test_an_id_is_changed_nowhere_else(given: str, call: str) -> None:
    _stays_below(given, call.split()[0], CHANGES[call], "operations")


def _stays_below(given: str, resource: str, call: Callable[[TolokaApi, str], Flow[Any]], *also: str) -> None:
    driver = Driver(lambda _: answer(404))
    with pytest.raises((TolokaError, ValueError)) as caught:
        driver.run(call(api(retries=0), given))
    assert str(caught.value).isprintable()
    for request in driver.requests:
        parts = urlsplit(f"https://toloka.test/api/v1{request.target}")
        assert (parts.scheme, parts.netloc) == ("https", "toloka.test")
        _, _, _, kind, *rest = parts.path.split("/")
        assert kind in (resource, *also)
        assert rest[:1] in ([given], [])
        assert rest[1:] in ([], ["log"], ["archive"], ["close"], ["open"])


@given(st.text())
def test_a_filter_stays_one_value(value: str) -> None:
    driver = Driver(lambda _: ok({"items": [], "has_more": False}))
    try:
        driver.run(api().pools.listing(project_id=value).page(None))
    except UnicodeEncodeError:
        assert any("\ud800" <= character <= "\udfff" for character in value)
        return
    assert driver.requests[0].target.isascii()
    assert set(urlsplit(driver.requests[0].target).query.replace("=", "&").split("&")) >= {
        "project_id",
        "sort",
        "limit",
    }
    assert urlsplit(driver.requests[0].target).query.count("=") == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"password": "AQAD\r\nX-Evil: 1"},
        {"password": "AQAD\nX"},
        {"password": "AQAD\x00"},
        {"password": "AQADé"},
        {"password": "a", "extra": {"act_under_account_id": "1\r\nX-Evil: 1"}},
        {"password": "a", "host": "toloka.test\r\nX-Evil: 1"},
        {"password": "a", "host": "https://toloka.test/\x1b[2J"},
        {"password": "a", "host": "https://toloka.test/a b"},
        {"password": "a", "host": "https://toloka.test/../x"},
        {"password": "a", "host": "https://toloka.test/\\evil.test"},
        {"password": "a", "host": "https://toloka.test\\@evil.test"},
        {"password": "a", "host": "toloka.test", "schema": "https://evil.test/?\n"},
    ],
    ids=str,
)
def test_a_connection_brings_no_line_of_its_own_into_a_header(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^The connection's|^act_under_account_id") as caught:
        Settings.from_connection(**fields)
    assert str(caught.value).isprintable()


@given(st.text(), st.text(), st.text())
def test_whatever_connection_is_taken_makes_plain_headers(token: str, host: str, account: str) -> None:
    try:
        settings = Settings.from_connection(password=token, host=host, extra={"act_under_account_id": account})
    except ValueError as error:
        told = [str(error)]
    else:
        told = [*settings.headers.values(), settings.authorization, settings.base_url]
        assert all(text.isascii() for text in told)
    assert all(text.isprintable() for text in told)


@pytest.mark.parametrize("field", ["id", "status", "type"])
def test_words_of_toloka_are_words(field: str) -> None:
    with pytest.raises(InvalidModelError) as caught:
        Operation.from_json({**operation(), field: EVIL})
    assert str(caught.value).isprintable()


def test_what_is_kept_can_be_stored() -> None:
    evil: Any = {EVIL: [EVIL, 10**30, float("inf"), "\ud800", {"a": 1.5, "b": 7, "c": True}]}
    for _ in range(500):
        evil = {"deeper": evil}
    kept = Operation.from_json({**operation(), "details": {"deep": evil, "flat": [EVIL, 10**30, 1e999, "\ud800", 7]}})
    flat = kept.details["flat"]
    assert flat == [EVIL.replace("\x00", "\ufffd"), str(10**30), None, "?", 7]
    assert "\x00" not in str(Project.from_json({**project(), "public_name": EVIL}).public_name)
    assert len(str(kept.to_json())) < 2_000


@pytest.mark.parametrize("pattern", PATTERNS)
def test_no_pattern_takes_long(pattern: str) -> None:
    selection = Selection(name_pattern=pattern)
    started = time.monotonic()
    for name in ("a" * 10_000, "a" * 9_999 + "!", EVIL, ""):
        selection.refuses(Project(id="1", status="ACTIVE", public_name=name))
    assert time.monotonic() - started < 20


@given(st.text(), st.text())
def test_any_pattern_is_a_pattern(pattern: str, name: str) -> None:
    told = Selection(name_pattern=pattern).refuses(Project(id="1", status="ACTIVE", public_name=name))
    assert told.isprintable()


@pytest.mark.parametrize("pattern", ["a" * 501, 7, ["a*"]], ids=["long", "number", "list"])
def test_what_is_no_pattern_is_refused(toloka: TolokaEmulator, pattern: Any) -> None:
    told = "name_pattern should be a glob such as 'test \\*', of at most 500 characters, but is "
    with pytest.raises(ValueError, match=told):
        TolokaFindStaleProjectsOperator(task_id="a", inactive_for=timedelta(1), name_pattern=pattern)
    with new_dag(render_native=True) as dag:
        TolokaFindStaleProjectsOperator(
            task_id="task", inactive_for=timedelta(1), name_pattern=f"{{{{ {pattern!r} }}}}", max_projects=1
        )
    ended = run(dag).tasks["task"]
    assert ended.state == "failed"
    assert re.match(told, ended.error)
    assert toloka.requests == []


def test_names_of_toloka_stay_names(toloka: TolokaEmulator) -> None:
    """They occur in tables, XComs and arguments of mapped tasks, and are neither lines nor templates there."""
    toloka.load({"projects": []})
    toloka.add_project(EVIL, id="7", created="2020-01-01T00:00:00")
    toloka.add_pool("7", id="9", private_name=EVIL, created="2020-01-01T00:00:00")
    with new_dag() as dag:
        TolokaFindStaleProjectsOperator(task_id="find", inactive_for=timedelta(1))
        ids = TolokaFindStaleProjectsOperator(task_id="ids", inactive_for=timedelta(1), only_ids=True)
        ids >> TolokaArchiveStaleProjectsOperator(task_id="dry", project_ids=ids.output, preview=True)
        TolokaArchiveProjectOperator.partial(task_id="archive").expand(project_id=ids.output)
    ran = run(dag)
    assert ran.tasks["find"].result[0]["name"] == EVIL.replace("\x00", "\ufffd")
    assert ran.tasks["dry"].result["would_archive"][0]["name"] == EVIL.replace("\x00", "\ufffd")
    assert "49" not in str(ran.tasks["find"].result[0]["name"])
    refused = ran.tasks["archive", 0]
    assert refused.state == "failed"
    assert "pool 9 'Cats\\r\\n[2026-01-01T00:00:00] ERROR - \\x1b[2J" in refused.error
    # The error's own lines: each obstacle on a line, and the remedy.
    assert all(line.isprintable() for line in refused.error.splitlines())
    assert sum("Cats" in line for line in refused.error.splitlines()) == 1
    _is_clean(ran.log)


@pytest.mark.parametrize(
    ("operator", "arguments"),
    [
        (TolokaArchiveProjectOperator, {"project_id": "1001"}),
        (TolokaArchivePoolOperator, {"pool_id": "2001"}),
        (OperationSensor, {"operation_id": "1", "poke_interval": 0.1, "timeout": 0.5}),
        (TolokaArchiveStaleProjectsOperator, {"project_ids": ["1001"]}),
    ],
)
@pytest.mark.parametrize("deferrable", [False, True])
def test_messages_of_toloka_stay_on_their_line(
    toloka: TolokaEmulator, operator: type[BaseOperator], arguments: dict[str, Any], *, deferrable: bool
) -> None:
    told = {"code": EVIL, "message": EVIL, "request_id": EVIL, "payload": {EVIL: [EVIL]}}
    toloka.fault("* /**", times=None, status=409, body=told)
    ended, ran = run_logged(operator, deferrable=deferrable, **arguments)
    assert ended.state == "failed"
    assert "all is lost" in ended.error
    assert all(line.isprintable() for line in ended.error.splitlines())
    _is_clean(ran.log)


@pytest.mark.parametrize("given", LEADS_ELSEWHERE)
def test_an_id_of_a_dags_author_reaches_nothing(toloka: TolokaEmulator, given: str) -> None:
    with pytest.raises(ValueError, match=r"^project_id should be an id") as caught:
        TolokaArchiveProjectOperator(task_id="a", project_id=given)
    assert str(caught.value).isprintable()
    # From a template, it is seen when the task runs.
    ended, ran = run_logged(TolokaArchiveProjectOperator, project_id=f"{{{{ {given!r} }}}}")
    assert ended.state == "failed"
    assert "project_id should be an id" in ended.error
    assert posts(toloka) == []
    assert ended.error.isprintable()
    assert "\x00" not in ran.log


def _is_clean(log: str) -> None:
    assert "all is lost" in log
    for line in log.splitlines():
        assert not line.startswith("[2026-01-01T00:00:00]")
    # Airflow's own log lines may be coloured; no name or message of ours is cut or turned around by control characters.
    for found in (part[:60] for part in log.split("all is lost")[1:]):
        assert "\u202e" not in found
        assert "\u2028" not in found
        assert "\x00" not in found
    assert "\x1b[2J" not in log
    assert "\x07" not in log


def test_the_client_has_no_call_that_takes_a_path() -> None:
    calls = {name: call for name, call in inspect.getmembers(TolokaClient, inspect.isfunction) if name[0] != "_"}
    assert {"get_project", "archive_project", "add_tasks"} <= calls.keys()
    taken = {parameter for call in calls.values() for parameter in inspect.signature(call).parameters}
    assert not taken & {"path", "url", "target", "headers"}
