"""The clean-up that a person has to approve."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from airflow_provider_toloka.emulator import TolokaEmulator
from tests.e2e.pages import Ui

FIRST = "3 pools and trainings to archive first"


def idle(days: int) -> str:
    return f"no activity for {days} days"


def ask(ui: Ui, toloka: TolokaEmulator, projects: list[str]) -> str:
    """Start the clean-up, and go to what it asks for by way of the list of all that people are asked for.

    :returns: the run's id.
    """
    ui.run("toloka_approved_cleanup")
    run_id = ui.page.url.rpartition("/")[2]
    ui.expect_task_state("ask", "Awaiting Input")
    ui.page.goto("/required_actions")
    ui.page.locator(f"a[href*='{run_id}']").filter(has_text="Archive these Toloka projects?").click()
    ui.expect_state("Awaiting Input")
    expect(ui.page.get_by_text("Archive these Toloka projects? This cannot be undone.")).to_be_visible()
    expect(ui.page.get_by_role("listitem").filter(has_text="no activity for")).to_have_text(projects)
    assert {request.method for request in toloka.requests} == {"GET"}
    return run_id


def test_approved(ui: Ui, toloka: TolokaEmulator, picture: Callable[..., None]) -> None:
    toloka.load("stale")
    run_id = ask(
        ui,
        toloka,
        [
            project
            for number in range(35, 0, -5)
            for project in (
                f"{981 + number} Forgotten labelling {number + 1}: {idle(120 + 20 * number)}; {FIRST}",
                f"{980 + number} Finished survey {number}: {idle(100 + 20 * number)}",
            )
        ],
    )
    picture("approval")

    ui.page.get_by_role("button", name="Approve").click()
    ui.page.get_by_test_id(f"grid-{run_id}-archive").click()
    ui.expect_state("Success")
    ui.expect_log("archived: 14 projects")
    assert toloka.projects["1016"]["status"] == "ARCHIVED"


def test_rejected(ui: Ui, toloka: TolokaEmulator) -> None:
    run_id = ask(
        ui,
        toloka,
        [f"1001 Cats or dogs: {idle(300)}", f"1002 Shop signs: read the text: {idle(200)}"],
    )

    ui.page.get_by_role("button", name="Reject").click()
    ui.page.get_by_test_id(f"grid-{run_id}-archive").click()
    ui.expect_state("Skipped")
    assert {request.method for request in toloka.requests} == {"GET"}
