"""The clean-up that a person has to approve."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import expect

from airflow_provider_toloka.emulator import TolokaEmulator
from demo.standalone import StandaloneAirflow
from tests.e2e.pages import WAIT_SECONDS, Param, Ui

DAG = "toloka_approved_cleanup"
PREVIEW = Param(
    True, "Only list the stale projects; do not ask for approval, and change nothing.", False, title="Only preview"
)
TITLES = ("Days without activity", "Name pattern", "Excluded projects", "Pools and trainings", "Limit", "Only preview")
#: An approver should see these names, and not what Markdown makes of them.
NASTY = "*stars* _lines_ [a link](http://example.com) <b>bold</b> `code` a|b"


def ask(ui: Ui, toloka: TolokaEmulator, count: int) -> str:
    """Start the clean-up, and go to what it asks for by way of the list of all that people are asked for.

    :returns: the run's id.
    """
    ui.open_form(DAG)
    for title in TITLES:
        expect(ui.dialog.get_by_text(re.compile(rf"^{title}\b"))).to_be_visible()
    ui.fill_form(preview=PREVIEW)
    ui.start_run()
    run_id = ui.page.url.rpartition("/")[2]
    ui.expect_task_state("ask", "Awaiting Input")
    ui.page.goto("/required_actions")
    subject = f"Archive {count} projects of account 'Emulated requester'"
    ui.page.locator(f"a[href*='{run_id}']").filter(has_text=subject).click()
    ui.expect_state("Awaiting Input")
    expect(ui.page.get_by_text(subject).first).to_be_visible()
    expect(ui.page.get_by_role("button", name="Approve")).to_be_visible()
    assert {request.method for request in toloka.requests} == {"GET"}
    return run_id


def await_exit_of_ask(airflow: StandaloneAirflow, run_id: str) -> None:
    """Wait until the scheduler has seen the exit of the worker that asked.

    A person takes longer than that; Airflow fails a task that is answered before (apache/airflow issue 67287).
    """
    seen = re.compile(rf"Received executor event .*task_id='ask', run_id='{re.escape(run_id)}'")
    deadline = time.monotonic() + WAIT_SECONDS
    while not seen.search(airflow.log.read_text()):
        assert time.monotonic() < deadline, "the scheduler did not see the exit of the worker that asked"
        time.sleep(0.5)


def rows(ui: Ui) -> list[list[str]]:
    """Return the cells of the approver's table."""
    table = ui.page.get_by_role("table").filter(has_text="Last used")
    expect(table).to_be_visible()
    return [row.get_by_role("cell").all_inner_texts() for row in table.locator("tbody tr").all()]


def test_approved(ui: Ui, toloka: TolokaEmulator, airflow: StandaloneAirflow, picture: Callable[..., None]) -> None:
    toloka.load("stale")
    run_id = ask(ui, toloka, 14)
    shown = rows(ui)
    assert [row[0] for row in shown[:3]] == ["1016", "1015", "1011"]
    assert (shown[0][1], shown[0][3]) == ("Forgotten labelling 36", "3 pools and trainings")
    link = ui.page.get_by_role("link", name="1016", exact=True)
    expect(link).to_have_attribute("href", f"{toloka.url}/requester/project/1016")
    ui.page.set_viewport_size({"width": 1280, "height": 1010})  # Airflow shows the buttons below the table
    expect(ui.page.get_by_role("button", name="Approve")).to_be_in_viewport()
    picture("approval")

    await_exit_of_ask(airflow, run_id)
    ui.page.get_by_role("button", name="Approve").click()
    ui.page.get_by_test_id(f"grid-{run_id}-archive").click()
    ui.expect_state("Success")
    ui.expect_log("Archived 14 projects with 21 pools and trainings")
    assert toloka.projects["1016"]["status"] == "ARCHIVED"


def test_rejected(ui: Ui, toloka: TolokaEmulator, airflow: StandaloneAirflow) -> None:
    run_id = ask(ui, toloka, 2)
    assert [row[:2] for row in rows(ui)] == [["1001", "Cats or dogs"], ["1002", "Shop signs: read the text"]]
    for name in ("Approve", "Reject"):
        expect(ui.page.get_by_role("button", name=name)).to_be_in_viewport()

    await_exit_of_ask(airflow, run_id)
    ui.page.get_by_role("button", name="Reject").click()
    ui.page.get_by_test_id(f"grid-{run_id}-archive").click()
    ui.expect_state("Skipped")
    assert {request.method for request in toloka.requests} == {"GET"}


def test_many_projects_with_names_of_every_kind(ui: Ui, toloka: TolokaEmulator) -> None:
    projects: list[dict[str, Any]] = [
        {"id": str(1_000 + number), "public_name": f"{NASTY} {number}", "created": number} for number in range(100)
    ]
    toloka.load({"projects": projects})
    ask(ui, toloka, 100)
    shown = rows(ui)
    assert len(shown) == 30
    assert [row[1] for row in shown] == [f"{NASTY} {number}" for number in range(30)]
    expect(ui.page.get_by_text("and 70 more: see")).to_be_attached()
    assert ui.page.evaluate("document.documentElement.scrollWidth") <= 1280
