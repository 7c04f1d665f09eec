"""Start each example DAG from its form, and check its pages."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from airflow_provider_toloka.emulator import TolokaEmulator
from tests.e2e.conftest import Clock
from tests.e2e.pages import Param, Ui


def test_archiving_one_project(ui: Ui, toloka: TolokaEmulator) -> None:
    ui.open_form("toloka_archive_project")
    ui.fill_form(project_id=Param("1001", "The id of the project to archive", "1003"))
    expect(ui.dialog.get_by_text(re.compile(r"^Pools and trainings\b"))).to_be_visible()
    ui.start_run()

    ui.expect_state("Success")
    ui.open_task("archive")
    ui.expect_log("Waiting: archive project 1003", re.compile(r"Archived project 1003 'Empty draft' in \d+ s"))
    ui.open_tab("Details")
    expect(ui.page.get_by_role("link", name="Toloka project")).to_have_attribute(
        "href", f"{toloka.url}/requester/project/1003"
    )
    assert toloka.projects["1003"]["status"] == "ARCHIVED"


def test_waiting_without_a_worker_slot(
    ui: Ui, toloka: TolokaEmulator, clock: Clock, picture: Callable[..., None]
) -> None:
    with clock.stopped():
        ui.run("toloka_deferrable", project_id=Param("1004", "The id of the project to archive", "1005"))
        ui.open_task("archive_with_pools")
        ui.expect_state("Deferred")
        ui.expect_log("close pool 2007")
        picture("deferred")

    ui.expect_state("Success")
    assert toloka.projects["1005"]["status"] == "ARCHIVED"


def test_the_hook(ui: Ui, toloka: TolokaEmulator) -> None:
    ui.run("toloka_hook")

    ui.expect_state("Success")
    ui.open_task("report")
    ui.expect_log("Project 1004 Sentiment of reviews: {'CLOSED': 2}", "Project 1003 Empty draft: no pools")
    assert {request.method for request in toloka.requests} == {"GET"}


def test_a_task_for_each_project(ui: Ui, toloka: TolokaEmulator) -> None:
    ui.run("toloka_mapped", project_ids=Param("1003\n1006", "The ids of the projects to archive", "1002\n1006"))

    ui.expect_state("Success")
    ui.open_task("archive", name="1006")
    ui.expect_log("Project 1006 'Voice commands' is archived already")
    assert toloka.projects["1002"]["status"] == "ARCHIVED"


def test_a_sensor_that_waits(ui: Ui, toloka: TolokaEmulator, clock: Clock) -> None:
    with clock.stopped():
        ui.run("toloka_submit_and_wait", project_id=Param("1002", "The id of the project to archive", "1001"))
        ui.open_task("wait")
        ui.expect_state("Up For Reschedule")
        ui.expect_log(re.compile(r"Toloka's operation \S+ \(PROJECT.ARCHIVE\) is (PENDING|RUNNING)"))

    ui.expect_state("Success")
    ui.expect_log(re.compile(r"Toloka's operation \S+ \(PROJECT.ARCHIVE\) is SUCCESS"))
    assert toloka.projects["1001"]["status"] == "ARCHIVED"


def test_a_task_for_each_stale_project(ui: Ui, toloka: TolokaEmulator, picture: Callable[..., None]) -> None:
    toloka.load("stale")
    ui.run("toloka_mapped_cleanup")

    ui.expect_state("Success")
    archived = [row for row in toloka.state()["operations"] if row["type"] == "PROJECT.ARCHIVE"]
    assert {row["parameters"]["project_id"] for row in archived} == {str(986 + 5 * number) for number in range(7)}
    ui.page.reload()  # the page of a run that has ended still shows some of its tasks as running
    expect(ui.page.get_by_test_id("table-list").get_by_text("Success")).to_have_count(8)
    picture("grid")
    ui.page.keyboard.press("g")
    expect(ui.page.locator(".react-flow__node")).to_have_count(2)
    picture("graph")
    ui.page.keyboard.press("g")  # the browser remembers it for all pages


def test_the_monthly_cleanup(ui: Ui, toloka: TolokaEmulator, picture: Callable[..., None]) -> None:
    toloka.load("stale")
    ui.run("toloka_monthly_cleanup", preview=Param(True, "Only report; change nothing", True, title="Only preview"))

    ui.expect_state("Success")
    ui.open_task("archive_stale_projects")
    ui.expect_log("DRY RUN: 13 projects would be archived", "Forgotten labelling 36")
    picture("cleanup-dry-run")
    assert {request.method for request in toloka.requests} == {"GET"}

    ui.run("toloka_monthly_cleanup", preview=Param(True, "Only report; change nothing", False, title="Only preview"))
    ui.expect_state("Success")
    ui.open_task("archive_stale_projects")
    ui.expect_log("Archived 13 projects with", "Forgotten labelling 36")
    picture("cleanup")
    assert toloka.projects["1016"]["status"] == "ARCHIVED"
    assert toloka.projects["1000"]["status"] == "ACTIVE"
