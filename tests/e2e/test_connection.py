"""The connection's form and its Test button."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from airflow_provider_toloka.emulator import TolokaEmulator
from tests.e2e.pages import Ui

STANDARD_FIELDS = {
    "Description": None,
    "Host": "Empty, or another base URL, such as http://127.0.0.1",
    "API token": "From Toloka: Profile, Integrations, Generate token",
    "Port": "Empty, or the port of that base URL",
}
EXTRA_FIELDS = {
    "Environment": "Which Toloka the token is from; a host, if given, overrides it.",
    "Act under account id": "The id of the requester to act for; empty: the token's own account.",
    "Timeout": "How long one request may take, in seconds.",
    "Retries": "How often a failed request is retried; 0 turns retries off.",
    "Max. requests per second": "An upper bound; without one, the rate adapts to what Toloka accepts.",
    "CA bundle": "A file of certificates to trust, on every Airflow machine; empty: the default.",
}


def test_the_form_and_what_it_stores(ui: Ui, toloka: TolokaEmulator, picture: Callable[..., None]) -> None:
    ui.page.set_viewport_size({"width": 1280, "height": 1200})  # for the pictures: all of the form
    form = ui.connection_form("toloka_form")
    standard, extra = (form.locator("[data-part=item]").nth(number) for number in (0, 1))
    host, _, port = toloka.url.rpartition(":")

    expect(standard.locator("label")).to_have_text(list(STANDARD_FIELDS))
    for label, placeholder in STANDARD_FIELDS.items():
        if placeholder:
            expect(standard.get_by_label(label)).to_have_attribute("placeholder", placeholder)
    picture("connection-form", form)
    token = standard.get_by_label("API token")
    expect(token).to_have_attribute("type", "password")
    token.fill(toloka.token)
    standard.get_by_label("Host").fill(host)
    standard.get_by_label("Port").fill(port)

    form.get_by_role("button", name="Extra Fields", exact=True).click()
    expect(extra.locator("label")).to_have_text(list(EXTRA_FIELDS))
    expect(extra.locator("[data-part=helper-text]")).to_have_text(list(EXTRA_FIELDS.values()))
    for label, default in {"Timeout": "30", "Retries": "5", "Max. requests per second": ""}.items():
        expect(extra.get_by_label(label)).to_have_value(default)
    expect(extra.locator("[name=element_act_under_account_id]")).to_have_value("")
    expect(extra).to_contain_text("production")
    picture("connection-form-extra", form)
    extra.get_by_role("combobox").press("ArrowDown")
    expect(ui.page.get_by_role("option")).to_have_text(["production", "sandbox"])
    ui.page.get_by_role("option", name="sandbox").click()
    extra.get_by_label("Timeout").fill("20")
    assert toloka.token not in ui.page.inner_text("body")
    form.get_by_role("button", name="Save").click()

    expect(ui.connection_row("toloka_form")).to_contain_text(host)
    stored = ui.rest("/connections/toloka_form")
    assert {name: stored[name] for name in ("conn_type", "host", "port", "password")} == {
        "conn_type": "toloka",
        "host": host,
        "port": int(port),
        "password": "***",
    }
    assert json.loads(stored["extra"]) == {
        "environment": "sandbox",
        "act_under_account_id": None,
        "timeout": 20,
        "retries": 5,
        "max_requests_per_second": None,
        "ca_bundle": None,
    }
    assert toloka.token not in json.dumps(ui.rest("/connections"))

    ui.page.reload()
    ui.connection_row("toloka_form").get_by_role("button", name="Edit Connection").click()
    expect(ui.dialog.get_by_label("API token")).to_have_value("***")
    ui.dialog.get_by_label("Description").fill("Made in the form")
    ui.dialog.get_by_role("button", name="Save").click()
    expect(ui.connection_row("toloka_form")).to_contain_text("Made in the form")
    assert toloka.token not in ui.page.content()
    # What was not shown was not lost either.
    expect(ui.test_connection("toloka_form")).to_contain_text("Connected to Toloka")


def test_a_good_connection(ui: Ui, toloka: TolokaEmulator) -> None:
    message = ui.test_connection("toloka_default")

    expect(message).to_contain_text("Test Connection Successful")
    expect(message).to_contain_text(f"{toloka.url}/api/v1.")
    assert [request.path for request in toloka.requests] == ["/requester"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        pytest.param({"password": "another-token"}, "Check the connection's API token", id="wrong token"),
        pytest.param({"port": 9}, "Could not read the account at Toloka", id="host down"),
        # Airflow 3.3.2 sends the port 0 when none is stored, and refuses it, for it is not the stored one.
        pytest.param({"port": None}, "Bad Request", id="no port"),
    ],
)
def test_a_bad_connection(ui: Ui, toloka: TolokaEmulator, changed: dict[str, Any], told: str) -> None:
    connection = toloka.connection | {"connection_id": "toloka_bad"} | changed
    ui.page.goto("/connections")
    ui.page.request.delete("/api/v2/connections/toloka_bad")
    assert ui.page.request.post("/api/v2/connections", data=connection).status == 201

    message = ui.test_connection("toloka_bad")

    expect(message).to_contain_text("Test Connection Failed")
    expect(message).to_contain_text(told)
    assert connection["password"] not in ui.page.content()
