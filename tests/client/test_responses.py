"""Whatever comes back, it is a typed result or one of our errors."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_toloka.client.api import TolokaApi
from airflow_provider_toloka.client.config import Settings
from airflow_provider_toloka.client.models import Operation, Pool, Project, Requester, Training
from airflow_provider_toloka.client.responses import Reader
from airflow_provider_toloka.client.sansio import Flow, Request, Response
from airflow_provider_toloka.exceptions import (
    TolokaApiError,
    TolokaAuthenticationError,
    TolokaConflictError,
    TolokaInvalidAnswerError,
    TolokaNotFoundError,
    TolokaPermissionError,
    TolokaRateLimitError,
    TolokaRequestError,
    TolokaTlsError,
    TolokaUnavailableError,
)
from tests.client.test_models import JSON
from tests.driving import NOW, SETTINGS, TOKEN, Driver, answer, api, lost, ok, page, pool, project, sample

READER = Reader(SETTINGS, "read project 1")

#: Every endpoint, the status that its success has, and an example of the API's description.
ENDPOINTS: list[tuple[Callable[[TolokaApi], Flow[Any]], int, str, type]] = [
    (lambda api: api.get_requester(), 200, "requester", Requester),
    (lambda api: api.projects.get("83859"), 200, "project", Project),
    (lambda api: api.pools.get("32267581"), 200, "pool", Pool),
    (lambda api: api.trainings.get("31226418"), 200, "training", Training),
    (lambda api: api.operations.get("57068577e4b0bf7b07a0256f"), 200, "operation", Operation),
    (lambda api: api.operations.get_log("1"), 200, "operation_log", list),
    (lambda api: first_page(api.projects.listing()), 200, "projects_page", list),
    (lambda api: first_page(api.operations.listing()), 200, "operations_page", list),
    *((lambda api, change=change: post(api, change), 202, "operation", Operation) for change in ("projects", "pools")),
]
endpoints = pytest.mark.parametrize(
    ("call", "status", "example", "kind"), ENDPOINTS, ids=[f"{i}-{endpoint[2]}" for i, endpoint in enumerate(ENDPOINTS)]
)


def first_page(listing: Any) -> Flow[list[Any]]:
    read = yield from listing.page(None)
    items: list[Any] = read.items
    return items


def post(api: TolokaApi, resource: str) -> Flow[Any]:
    from airflow_provider_toloka.client.resources import ARCHIVE_POOL, ARCHIVE_PROJECT

    return api.changes.make(ARCHIVE_PROJECT if resource == "projects" else ARCHIVE_POOL, "1", look_first=False)


@endpoints
def test_the_example_of_the_description_is_read(call: Any, status: int, example: str, kind: type) -> None:
    assert isinstance(Driver([answer(status, sample(example))]).run(call(api())), kind)


def test_a_log_may_be_a_list_or_a_single_entry() -> None:
    entry = sample("operation_log")
    for told in ([entry], entry):
        assert Driver([ok(told)]).run(api().operations.get_log("1")) == [entry]


class Spoilt:
    """Answers the tested call with this response, and the following requests normally."""

    def __init__(self, first: Response) -> None:
        self._first: Response | None = first

    def __call__(self, request: Request) -> Response:
        first, self._first = self._first, None
        if first:
            return first
        if request.path == "/operations":
            return page()
        return ok(pool("1") if "/pools/" in request.path else project())


UNREADABLE = {
    "HTML": b"<html><body>Welcome to the hotel's network</body></html>",
    "empty": b"",
    "cut off": b'{"id": "1", "sta',
    "another object": b'{"hello": "world"}',
    "null": b"null",
    "a number": b"12",
    "a text": b'"1"',
    "no UTF-8": b'{"id": "\xff\xfe"}',
    "NaN": b'{"id": "1", "balance": NaN, "items": [{"id": NaN}]}',
    "a list of lists": b"[[]]",
    "a page of no objects": b'{"items": [1], "has_more": false}',
    "a page that is not sure": b'{"items": [], "has_more": "yes"}',
    "nested too deep": b"[" * 100_000,
}
ANY_OBJECT = [UNREADABLE[name] for name in ("another object", "a page of no objects", "a page that is not sure")]


@endpoints
@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_not_the_apis_is_told_so(call: Any, status: int, example: str, kind: type, body: bytes) -> None:  # noqa: ARG001
    if example == "operation_log" and body in ANY_OBJECT:
        assert Driver([answer(status, body)]).run(call(api())) == [json.loads(body)]  # an entry may be any object
        return
    with pytest.raises(TolokaInvalidAnswerError, match="Check that the connection's host is Toloka's API") as caught:
        Driver(Spoilt(answer(status, body))).run(call(api()))
    assert caught.value.status == status


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_other_unicode_encodings_are_read(encoding: str) -> None:
    body = json.dumps({**project(), "public_name": "Слон"}, ensure_ascii=False).encode(encoding)
    assert Driver([answer(200, body)]).run(api().projects.get("1")).public_name == "Слон"


@pytest.mark.parametrize("status", [200, 404, 429])
def test_no_depth_of_nesting_gets_through(status: int) -> None:
    # Somewhere below Python's limit of 1000, what can still be read can no longer be shown.
    for depth in (50, 500, *range(850, 1000), 5000):
        nest = b"[" * depth + b"]" * depth
        body = b'{"id": %b, "code": %b, "message": %b, "payload": %b}' % ((nest,) * 4)
        with pytest.raises(TolokaApiError) as caught:
            Driver([answer(status, body)]).run(api(retries=0).projects.get("1"))
        assert "Could not read project 1" in str(caught.value)


@pytest.mark.parametrize(
    ("status", "kind", "advice"),
    [
        (400, TolokaRequestError, "Toloka does not accept the request"),
        (401, TolokaAuthenticationError, "Check the connection's API token; sandbox and production have separate"),
        (403, TolokaPermissionError, "Check the rights of the token's account"),
        (404, TolokaNotFoundError, "Check the id, and that it belongs to this account and environment"),
        (405, TolokaRequestError, "Toloka does not accept the request"),
        (408, TolokaUnavailableError, "Try again later"),
        (409, TolokaConflictError, "its state, or the state of an object that depends on it, does not allow this"),
        (413, TolokaRequestError, "Toloka does not accept the request"),
        (429, TolokaRateLimitError, "too many requests"),
        (500, TolokaUnavailableError, "Try again later"),
        (599, TolokaUnavailableError, "Try again later"),
    ],
)
def test_the_status_says_the_kind_and_what_to_do(status: int, kind: type, advice: str) -> None:
    error = READER.error(answer(status, sample("error")))
    assert type(error) is kind
    assert str(error).startswith(f"Could not read project 1 at Toloka (custom, {SETTINGS.base_url}): ")
    assert advice in str(error)


def test_an_error_carries_all_that_toloka_told() -> None:
    told = sample("error")
    error = READER.error(answer(409, told, retry_after="5"))
    assert (error.status, error.code, error.message) == (409, "INAPPROPRIATE_STATUS", told["message"])
    assert (error.request_id, error.payload) == (told["request_id"], {"appropriate_statuses": ["OPEN", "CLOSED"]})
    assert error.retry_after == 5.0
    for fact in ("409", "INAPPROPRIATE_STATUS", told["message"], told["request_id"], "appropriate_statuses"):
        assert fact in str(error)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>Bad gateway</html>", "<html>Bad gateway</html>"),
        (b"", ""),
        (b'{"code": "DOES_', '{"code": "DOES_'),
        (b'["a list"]', '["a list"]'),
        (b"\xff\xfe\xfd", "\ufffd\ufffd\ufffd"),
        (b"x" * 10_000, "x" * 200 + "…"),
        ("Ё".encode() * 300, "Ё" * 200 + "…"),
    ],
)
def test_an_error_of_a_gateway_is_shown_as_it_came(body: bytes, message: str) -> None:
    error = READER.error(answer(502, body))
    assert (type(error), error.status, error.message) == (TolokaUnavailableError, 502, message)
    assert (error.code, error.request_id, error.payload) == (None, None, None)


def test_facts_of_the_wrong_kind_are_shown_as_text() -> None:
    error = READER.error(answer(400, {"code": 7, "message": ["a"], "request_id": None, "payload": 3}))
    assert (error.code, error.message, error.request_id, error.payload) == ("7", "['a']", None, 3)


@pytest.mark.parametrize(
    ("kind", "advice"),
    [
        ("unreachable", "the host cannot be reached (a reason). Check the connection's host and the network."),
        ("tls", "the TLS connection failed (a reason). Check the connection's host, or set ca_bundle in its extra."),
        ("timeout", "no response in time (a reason). Try again later, or increase the connection's timeout."),
        ("broken", "the connection was interrupted (a reason). Try again later."),
        ("too large", "the response is too large (a reason). Check that the connection's host is Toloka's API."),
    ],
)
def test_no_answer_says_why_and_what_to_do(kind: Any, advice: str) -> None:
    error = READER.error(lost(kind))
    assert type(error) is (TolokaTlsError if kind == "tls" else TolokaUnavailableError)
    assert str(error) == f"Could not read project 1 at Toloka (custom, {SETTINGS.base_url}): {advice}"
    assert error.status is None


def test_a_redirect_is_named_and_not_followed() -> None:
    error = READER.error(answer(302, location="https://login.test/"))
    assert type(error) is TolokaInvalidAnswerError
    assert "is a redirect to 'https://login.test/', which is not followed" in str(error)


ODD_TOKEN = "AQ/d+$(x)[^a-z]*?{2}|%41&t=1#\\'\"<>@;,~.end"


def echoes(token: str) -> dict[str, bytes]:
    told = {"message": f"OAuth {token}", "payload": [{token: token}], "id": [token], "status": token}
    return {
        "HTML": f"<pre>Authorization: OAuth {token}</pre>".encode(),
        "escaped HTML": f"<pre>Authorization: OAuth {html.escape(token)}</pre>".encode(),
        "URL": f"<a href='?token={quote(token, safe='')}'>Log in</a>".encode(),
        "JSON": json.dumps(told).encode(),
        "JSON in a field": json.dumps({"id": f"see {token}"}).encode(),
        "JSON for a page": json.dumps({"items": told, "has_more": token}).encode(),
        "broken JSON": json.dumps(told).encode()[:-1],
        "escaped JSON": json.dumps(told).replace("A", "\\u0041").encode(),
        "JSON in UTF-16": json.dumps(told).encode("utf-16"),
        "at the end of what is shown": b"x" * 195 + token.encode(),
        "in a field, at the end of what is shown": json.dumps({"id": "x" * 160 + token}).encode(),
    }


def as_read(text: str) -> str:
    """Undo all escaping that a reader of the text could undo."""
    for undo in (html.unescape, unquote, lambda one: re.sub(r"\\(?:u00|x)([0-9a-f]{2})", _character, one)):
        text = undo(text)
    return text.replace("\\", "").replace("\0", "")


def _character(found: re.Match[str]) -> str:
    return chr(int(found[1], 16))


@pytest.mark.parametrize("status", [200, 302, 403, 429, 502])
@pytest.mark.parametrize("kind", list(echoes("")))
@pytest.mark.parametrize("token", [TOKEN, ODD_TOKEN])
def test_an_echoed_token_is_not_shown(status: int, kind: str, token: str) -> None:
    body = echoes(token)[kind]
    settings = replace(SETTINGS, token=token)
    driver = Driver([answer(status, body, location=f"https://login.test/?{quote(token)}")])
    with pytest.raises(TolokaApiError) as caught:
        driver.run(api(settings=settings, retries=0).projects.get("1"))
    seen: BaseException | None = caught.value
    while seen:
        told = as_read(f"{seen} {seen.args!r} {vars(seen)!r}")
        assert as_read(token)[:6] not in told
        assert as_read(token)[-6:] not in told
        seen = seen.__context__
    if kind in ("HTML", "escaped HTML", "URL", "JSON", "broken JSON"):
        assert "***" in str(caught.value)


def test_a_token_of_an_odd_form_does_not_spoil_the_error() -> None:
    reader = Reader(Settings(token='"'), "read project 1")
    error = reader.error(answer(409, {"code": "CONFLICT_STATE", "message": 'say "hello"'}))
    assert (error.code, error.message) == ("CONFLICT_STATE", "say ***hello***")


@endpoints
@settings(max_examples=50)
@given(data=st.data())
def test_any_answer_is_a_result_or_one_of_our_errors(
    call: Any, status: int, example: str, kind: type, data: st.DataObject
) -> None:
    bodies = {
        "bytes": st.binary(max_size=60),
        "json": JSON.map(lambda value: json.dumps(value).encode()),
        "like": JSON.map(lambda value: json.dumps({**_object(example), data.draw(_keys(example)): value}).encode()),
        "page": JSON.map(lambda value: json.dumps({"items": [value], "has_more": value}).encode()),
    }
    body = data.draw(bodies[data.draw(st.sampled_from(list(bodies)))])
    got = data.draw(st.sampled_from([status, 200, 202, 204, 302, 400, 401, 404, 409, 429, 500]))
    headers = data.draw(st.dictionaries(st.sampled_from(["retry-after", "location"]), st.text(max_size=40)))
    driver = Driver(Spoilt(Response(got, headers, body, NOW)))
    try:
        result = driver.run(call(api(retries=0)))
    except TolokaApiError as error:
        result = error
        str(error).encode()
    # A call that was refused for a moment is sent again, and the next answer may be of another kind.
    assert result is None or isinstance(result, kind) or result.status in (got, 200)


def _object(example: str) -> dict[str, Any]:
    told: dict[str, Any] = sample(example)
    return told


def _keys(example: str) -> st.SearchStrategy[str]:
    return st.sampled_from([*_object(example), "payload", "message", "code", "request_id"])


DATES = st.datetimes().map(lambda moment: f"{moment:%a, %d %b %Y %H:%M:%S} GMT")


@given(
    status=st.sampled_from([429, 503]),
    header=st.text(max_size=40) | st.integers().map(str) | DATES | st.from_regex(r"\A[A-Z0-9:,+\- ]{0,30}\Z"),
)
def test_any_retry_after_is_a_wait_or_nothing(status: int, header: str) -> None:
    asked = READER.error(answer(status, retry_after=header)).retry_after
    assert asked is None or 0 <= asked <= 366 * 86_400


@given(st.datetimes(datetime(2023, 11, 15), datetime(2024, 11, 1)))  # noqa: DTZ001 - made UTC below
def test_a_date_in_retry_after_is_the_time_until_then(date: datetime) -> None:
    date = date.replace(microsecond=0, tzinfo=UTC)
    error = READER.error(answer(429, retry_after=f"{date:%a, %d %b %Y %H:%M:%S} GMT"))
    assert error.retry_after == date.timestamp() - NOW
    assert f"Try again after {date:%Y-%m-%d %H:%M:%S} UTC" in str(error)


@pytest.mark.parametrize(
    ("call", "told", "problem"),
    [
        (lambda api: api.operations.get_log("1"), ok("text"), "the response is not a JSON list"),
        (lambda api: api.projects.get("1"), ok(["text"]), "the response is not a JSON object"),
        (lambda api: api.projects.get("1"), answer(200), "the response is empty"),
        (lambda api: api.projects.get("1"), answer(200, b"<p>"), "the response is not JSON"),
        (lambda api: api.projects.get("1"), answer(200, b'{"id": Infinity}'), "the response is not JSON"),
        (lambda api: api.projects.listing().all(), ok({}), "the response is not a page of a list"),
        (lambda api: api.projects.get("1"), answer(304), "the response has an unexpected status"),
        (
            lambda api: api.projects.get("1"),
            ok({"id": "1", "status": 7}),
            "the response does not match the expected schema: 'status' should be a word",
        ),
    ],
)
def test_what_is_wrong_with_a_response_is_said(call: Any, told: Response, problem: str) -> None:
    with pytest.raises(TolokaInvalidAnswerError) as caught:
        Driver([told]).run(call(api()))
    assert f"): {problem}" in str(caught.value)
    assert ". Check that the connection's host is Toloka's API." in str(caught.value)
    assert caught.value.status == told.status


@pytest.mark.parametrize("status", [401, 403, 404])
def test_another_web_server_is_told_as_such(status: int) -> None:
    error = READER.error(answer(status, b"<h1>Nothing here</h1>"))
    assert error.summary == (
        f"Could not read project 1: no Toloka API answers at {SETTINGS.base_url}. Check the connection's host."
    )
    assert (error.status, error.message) == (status, "<h1>Nothing here</h1>")


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize(
    "body",
    [
        {"code": status_code, "message": "Not Found"}
        for status_code in (404, "NOT_FOUND", "404", "DOES_NOT_EXIST", None, "", ["DOES_NOT_EXIST"])
    ]
    + [{"code": 404, "request_id": "r-1"}, {"code": "", "request_id": "r-1"}, {"code": "NOT_FOUND", "request_id": ""}]
    + [{"code": "NOT_FOUND", "request_id": 7}, {"request_id": "r-1"}, {}, [], "Not Found", 404, None],
    ids=str,
)
def test_another_web_server_may_write_json(status: int, body: Any) -> None:
    error = READER.error(answer(status, body))
    assert (type(error), error.status) == (TolokaInvalidAnswerError, status)
    assert f"no Toloka API answers at {SETTINGS.base_url}" in error.summary


@pytest.mark.parametrize(("status", "kind"), [(403, TolokaPermissionError), (404, TolokaNotFoundError)])
@pytest.mark.parametrize("code", ["DOES_NOT_EXIST", "ACCESS_DENIED", "A_CODE_OF_TOMORROW"])
def test_an_error_in_tolokas_form_is_tolokas(status: int, kind: type, code: str) -> None:
    assert type(READER.error(answer(status, {"request_id": "r-1", "code": code}))) is kind


def test_a_404_for_the_account_is_another_web_servers() -> None:
    # The request has no id. Another path of Toloka's own server answers in Toloka's form.
    with pytest.raises(TolokaInvalidAnswerError) as caught:
        Driver([answer(404, sample("error"))]).run(api().get_requester())
    assert str(caught.value).startswith(
        f"Could not read the account: no Toloka API answers at {SETTINGS.base_url}. Check the connection's host."
    )
    with pytest.raises(TolokaPermissionError):
        Driver([answer(403, sample("error"))]).run(api().get_requester())


@pytest.mark.parametrize("body", [b"", b"Unauthorized", b'{"message": "<b>"}', b"{}"])
def test_a_401_without_a_code_is_a_refusal_unless_it_is_html(body: bytes) -> None:
    assert type(READER.error(answer(401, body))) is TolokaAuthenticationError
    for page_start in (b"<!DOCTYPE html>", b"\xef\xbb\xbf\r\n<html>"):
        assert type(READER.error(answer(401, page_start + body))) is TolokaInvalidAnswerError
