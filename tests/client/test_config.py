from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_toloka._text import shown
from airflow_provider_toloka.client import AsyncTolokaClient, TolokaClient
from airflow_provider_toloka.client.config import Settings, legacy_fields, read_extra, unknown_keys
from airflow_provider_toloka.client.resources import POOL, PROJECT

TOKEN = "AQAD-secret"
HTTP = {"allow_http": True}


def read(**fields: Any) -> Settings:
    return Settings.from_connection(**{"password": TOKEN, **fields})


def test_a_token_alone_is_production() -> None:
    settings = read()
    assert settings == Settings(
        token=TOKEN,
        base_url="https://toloka.dev/api/v1",
        environment="production",
        act_under_account_id=None,
        timeout=30.0,
        retries=5,
    )
    assert settings.where == "production, https://toloka.dev/api/v1"


@pytest.mark.parametrize("environment", ["sandbox", "SANDBOX"])
def test_the_sandbox_has_an_address_of_its_own(environment: str) -> None:
    settings = read(extra={"environment": environment})
    assert (settings.base_url, settings.environment) == ("https://sandbox.toloka.dev/api/v1", "sandbox")


@pytest.mark.parametrize(
    ("fields", "base_url"),
    [
        ({"host": "toloka.test"}, "https://toloka.test/api/v1"),
        ({"host": " toloka.test/ "}, "https://toloka.test/api/v1"),
        ({"host": "toloka.test", "port": 8443}, "https://toloka.test:8443/api/v1"),
        ({"host": "toloka.test", "port": 0}, "https://toloka.test/api/v1"),
        ({"host": "toloka.test:8443", "port": 1}, "https://toloka.test:8443/api/v1"),
        ({"port": 8443}, "https://toloka.dev:8443/api/v1"),
        ({"host": "https://toloka.test/proxy/api/v1/"}, "https://toloka.test/proxy/api/v1"),
        ({"host": "toloka.test/proxy", "port": 8443}, "https://toloka.test:8443/proxy"),
        ({"host": "HTTPS://Toloka.Test"}, "https://toloka.test/api/v1"),
        ({"host": "127.0.0.1", "port": 80, "schema": "http"}, "http://127.0.0.1:80/api/v1"),
        ({"host": "localhost", "schema": "http"}, "http://localhost/api/v1"),
        ({"host": "http://localhost", "schema": "https"}, "http://localhost/api/v1"),
        ({"host": "http://[::1]:8080"}, "http://[::1]:8080/api/v1"),
        ({"host": "[::1]", "port": 8080, "schema": "http"}, "http://[::1]:8080/api/v1"),
        ({"host": "::1", "port": 8080, "schema": "http"}, "http://[::1]:8080/api/v1"),
        ({"host": "http://toloka.test", "extra": HTTP}, "http://toloka.test/api/v1"),
        ({"host": "toloka.test", "schema": "http", "extra": {"allow_http": "True"}}, "http://toloka.test/api/v1"),
        ({"host": "http://toloka-emulator_1:8080", "extra": HTTP}, "http://toloka-emulator_1:8080/api/v1"),
    ],
)
def test_the_address_is_made_of_host_port_and_schema(fields: dict[str, Any], base_url: str) -> None:
    assert read(**fields).base_url == base_url


def test_a_host_overrides_the_environment() -> None:
    settings = read(host="toloka.test", extra={"environment": "sandbox"})
    assert settings.where == "custom, https://toloka.test/api/v1"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"password": None}, "no API token. Enter it in the field 'API token'"),
        ({"password": ""}, "no API token"),
        ({"password": "  "}, "no API token"),
        ({"password": f"OAuth {TOKEN}"}, "Paste the token alone, without 'OAuth' or 'ApiKey'"),
        ({"password": f"{TOKEN}\nX-Evil: 1"}, "contains a blank or another invalid character"),
        ({"password": f"{TOKEN}é"}, "contains a blank or another invalid character"),
        ({"extra": {"environment": "SANDBX"}}, "environment is 'SANDBX'; it should be production or sandbox"),
        ({"extra": {"environment": 5}}, "environment is 5; it should be production or sandbox"),
        ({"host": "ftp://toloka.test"}, "scheme 'ftp'; it should be https"),
        ({"host": "toloka.test", "schema": "toloka"}, "scheme 'toloka'; it should be https"),
        ({"host": f"https://{TOKEN}@toloka.test"}, "without a user, a query or a fragment"),
        ({"host": f"https://me:{TOKEN}@toloka.test"}, "without a user, a query or a fragment"),
        ({"host": f"https://toloka.test?token={TOKEN}"}, "without a user, a query or a fragment"),
        ({"host": f"https://toloka.test#{TOKEN}"}, "without a user, a query or a fragment"),
        ({"host": "https://"}, "contains no valid host name"),
        ({"host": "https:///api/v1"}, "contains no valid host name"),
        ({"host": "toloka test"}, "contains no valid host name"),
        ({"host": "толока.test"}, "contains no valid host name"),
        ({"host": "toloka..test"}, "contains no valid host name"),
        ({"host": f"{'a' * 64}.test"}, "contains no valid host name"),
        ({"host": "toloka.test:port"}, "is not a valid URL"),
        ({"host": "toloka.test:99999"}, "is not a valid URL"),
        ({"host": "https://[::1"}, "is not a valid URL"),
        ({"host": f"https://{TOKEN}℀@toloka.test"}, "is not a valid URL"),
        ({"host": "http://toloka.test"}, "'toloka.test' uses plain http: the token would be sent unencrypted"),
        ({"host": "toloka.test", "schema": "http"}, "uses plain http"),
        ({"host": "http://127.0.0.1.toloka.test"}, "uses plain http"),
        ({"host": "http://localhost.toloka.test"}, "uses plain http"),
        ({"extra": {"allow_http": "yes"}}, "allow_http is 'yes'; it should be true or false"),
        ({"extra": {"act_under_account_id": "1\r\nX: 1"}}, "act_under_account_id should be an id"),
        ({"extra": {"act_under_account_id": "1/2"}}, "act_under_account_id should be an id"),
        *(
            ({"extra": {name: value}}, f"{name} is {shown(value)}; it should be a {kind}")
            for name, kind, least in (
                ("timeout", "number above 0", [0]),
                ("retries", "whole number, 0 or above", []),
                ("max_requests_per_second", "number above 0", [0]),
            )
            for value in ("soon", *least, -1, True, False, float("inf"), float("nan"), "nan", [5], {"s": 1}, 10**400)
        ),
        ({"extra": {"retries": 1.5}}, "retries is 1.5; it should be a whole number"),
    ],
)
def test_each_wrong_field_has_its_message(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=r"connection's|connection has|act_under") as caught:
        read(**fields)
    assert message in str(caught.value)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("extra", "timeout", "retries"),
    [
        ({"timeout": "2.5", "retries": "3"}, 2.5, 3),
        ({"timeout": 7, "retries": 1.0}, 7.0, 1),
        ({"retries": 0}, 30.0, 0),
        ({"retries": "0"}, 30.0, 0),
        ({"timeout": "", "retries": None}, 30.0, 5),
    ],
)
def test_numbers_may_be_texts_and_empty_is_the_default(extra: dict[str, Any], timeout: float, retries: int) -> None:
    settings = read(extra=extra)
    assert (settings.timeout, settings.retries) == (timeout, retries)
    assert isinstance(settings.retries, int)


@pytest.mark.parametrize("account", ["5cfc4cd5", 12])
def test_the_account_to_act_for_is_a_header(account: str | int) -> None:
    assert read(extra={"act_under_account_id": account}).account_headers["X-Act-Under-Account-ID"] == str(account)
    assert "X-Act-Under-Account-ID" not in read().account_headers


@pytest.mark.parametrize(
    ("token", "scheme"),
    [
        *((f"{'a' * length}.bb.cc", "ApiKey") for length in (22, 23, 24)),
        *((f"{'a' * length}.bb.cc", "OAuth") for length in (21, 25)),
        (f"{'a' * 23}.bb", "OAuth"),
        (f"{'a' * 23}.bb.cc.dd", "OAuth"),
        (TOKEN, "OAuth"),
        (f"  {TOKEN}\n", "OAuth"),
    ],
)
def test_a_key_is_told_from_a_token_by_its_shape(token: str, scheme: str) -> None:
    assert read(password=token).authorization == f"{scheme} {token.strip()}"


def test_the_fields_of_the_former_package_still_work() -> None:
    extra = {"extra__toloka__token": TOKEN, "extra__toloka__environment": "SANDBOX"}
    settings = read(password=None, extra=extra)
    assert (settings.token, settings.environment) == (TOKEN, "sandbox")
    settings = read(password=None, extra={**extra, "extra__toloka__url": "https://toloka.test"})
    assert settings.where == "custom, https://toloka.test/api/v1"
    assert legacy_fields({**extra, "extra__toloka__url": "", "timeout": 5}) == sorted(extra)


def test_the_fields_of_today_go_first() -> None:
    extra = {
        "environment": "sandbox",
        "extra__toloka__environment": "PRODUCTION",
        "extra__toloka__token": "other",
        "extra__toloka__url": "https://other.test",
    }
    settings = read(host="toloka.test", extra=extra)
    assert (settings.token, settings.base_url) == (TOKEN, "https://toloka.test/api/v1")
    assert read(extra={**extra, "extra__toloka__url": None}).environment == "sandbox"


@pytest.mark.parametrize("value", ["/no/such/file.pem", 5, ["x"], True])
def test_a_ca_bundle_that_is_not_there_is_named(value: object) -> None:
    with pytest.raises(
        ValueError, match=r"^The connection's ca_bundle is .*; it should be the path of a file"
    ) as caught:
        read(extra={"ca_bundle": value})
    assert shown(value) in str(caught.value)


def test_a_ca_bundle_may_be_a_file_or_a_folder(tmp_path: Path) -> None:
    assert read(extra={"ca_bundle": str(tmp_path)}).ca_bundle == str(tmp_path)
    assert read(extra={"ca_bundle": ""}).ca_bundle is None


@pytest.mark.parametrize("text", [None, "", "{}", ' {"timeout": 5}\n'])
def test_an_extra_is_an_object_or_nothing(text: str | None) -> None:
    assert read_extra(text) == ({"timeout": 5} if text and "timeout" in text else {})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f'{{"token": "{TOKEN}",}}', ": line 1 column 2"),
        (f"token={TOKEN}", ": line 1 column 1 "),
        ("null", "but is a JSON null"),
        ("[]", "but is a JSON array"),
        (f'"{TOKEN}"', "but is a JSON string"),
        ("0", "but is a JSON number"),
        ("false", "but is a JSON boolean"),
        ("[" * 100_000, "should be a JSON object"),
    ],
)
def test_any_other_extra_is_refused_and_not_shown(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=r"^The connection's extra should be a JSON object") as caught:
        read_extra(text)
    assert told in str(caught.value)
    assert TOKEN not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


def test_unknown_keys_are_told_with_the_nearest_known_one() -> None:
    known = dict.fromkeys(("environment", "timeout", "ca_bundle", "extra__toloka__token", "extra__toloka__url", "url"))
    assert unknown_keys(known) == []
    assert unknown_keys({**known, "enviroment": "sandbox", "RETRIES": 1, "extra__toloka__timout": 1, "zzz": TOKEN}) == [
        "'enviroment' (did you mean 'environment'?)",
        "'RETRIES' (did you mean 'retries'?)",
        "'extra__toloka__timout' (did you mean 'timeout'?)",
        "'zzz'",
    ]


@pytest.mark.parametrize("client", [TolokaClient, AsyncTolokaClient])
def test_a_misspelt_option_of_a_client_is_refused(client: Any) -> None:
    with pytest.raises(ValueError, match=r"Unknown option 'enviroment' \(did you mean 'environment'\?\)"):
        client.from_token(TOKEN, enviroment="sandbox")


def test_the_token_is_not_shown() -> None:
    assert TOKEN not in repr(read())
    assert TOKEN not in str(read())


@given(
    host=st.text(max_size=20) | st.from_regex(r"\A(https?://)?[a-z.@:/?#\[\]]{0,12}\Z"),
    port=st.none() | st.integers(-1, 70000),
    schema=st.none() | st.sampled_from(["", "http", "https", "x"]),
)
def test_any_address_is_a_url_or_an_error(host: str, port: int | None, schema: str | None) -> None:
    try:
        told = read(host=host, port=port, schema=schema).base_url
    except ValueError as error:
        told = str(error)
    assert told.startswith(("https://", "http://", "The connection's host "))
    assert TOKEN not in told


@pytest.mark.parametrize(
    ("connection", "site"),
    [
        ({}, "https://platform.toloka.ai"),
        ({"host": "toloka.dev"}, "https://platform.toloka.ai"),
        ({"extra": {"environment": "sandbox"}}, "https://platform.sandbox.toloka.ai"),
        ({"host": "https://proxy.example.com/toloka/api"}, "https://proxy.example.com"),
        ({"host": "http://127.0.0.1", "port": 8765}, "http://127.0.0.1:8765"),
    ],
    ids=["production", "production, named", "sandbox", "another host", "another host with a port"],
)
def test_pages_are_where_the_environment_has_its_site(connection: dict[str, Any], site: str) -> None:
    settings = Settings.from_connection(password=TOKEN, **connection)
    assert settings.site == site
    assert PROJECT.page_at(settings.site, "1") == f"{site}/requester/project/1"
    assert POOL.page_at(settings.site, "1", "21") == f"{site}/requester/project/1/pool/21"


def test_an_id_stays_one_part_of_a_pages_address() -> None:
    assert PROJECT.page_at("https://toloka.test", "../?a#b").endswith("/requester/project/..%2F%3Fa%23b")


def test_settings_take_a_token_as_a_file_has_it() -> None:
    assert Settings(token="AQAD-made-up\n").account_headers == {"Authorization": "OAuth AQAD-made-up"}


@pytest.mark.parametrize("token", ["", "AQAD-made\nup", "AQAD made up"])
def test_settings_refuse_a_token_that_no_header_can_carry(token: str) -> None:
    with pytest.raises(ValueError, match="token") as raised:
        Settings(token=token)
    assert not token or token not in str(raised.value)
