"""What a person finds when a task has failed."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from airflow_provider_toloka.emulator import TolokaEmulator
from tests.e2e.pages import Param, Ui


def test_pools_that_are_not_archived(ui: Ui, toloka: TolokaEmulator, picture: Callable[..., None]) -> None:
    ui.open_form("toloka_archive_project")
    ui.fill_form(project_id=Param("1001", "The id of the project to archive", "1005"))
    ui.start_run()
    ui.expect_state("Failed")

    ui.open_task("archive")

    # Two clicks, from the run to the task's log: what is in the way, and what to do about it, can be read there.
    for text in (
        "Could not archive project 1005",
        "pool 2006 'Berlin' is CLOSED",
        "pool 2007 'Hamburg' is OPEN",
        "pools='close_and_archive' also closes the open ones, which stops paid work",
    ):
        expect(ui.page.get_by_text(text)).to_be_in_viewport(ratio=1)
    ui.page.get_by_text("Could not archive project 1005").click()  # folds the traceback
    picture("failed")
    assert {request.method for request in toloka.requests} == {"GET"}
