"""The page of a report in a browser; Airflow is not needed for it."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from airflow_provider_toloka.archiving.scan import search
from airflow_provider_toloka.archiving.selection import Selection
from airflow_provider_toloka.archiving.survey import survey
from airflow_provider_toloka.client import AsyncTolokaClient
from airflow_provider_toloka.client.resources import PROJECT
from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.reporting import Outcome, Report, ReportedProject, write_report
from tests.e2e.conftest import save_picture
from tests.reporting.accounts import NASTY, NOW, project, report

WIDTH, HEIGHT = 1280, 900
#: What a person accepts to wait for; it takes a fraction of that.
PATIENCE = 6.0
ROWS = "#table tbody tr"

CONTRASTS = """() => {
  const light = (color) => color.match(/[\\d.]+/g).slice(0, 3)
    .map((part) => part / 255).map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0.05);
  const back = light(getComputedStyle(document.body).backgroundColor);
  return Array.from(document.querySelectorAll("h1, header p, .outcome, td a, dt, svg text, .legend"))
    .map((one) => light(getComputedStyle(one)[one.tagName === "text" ? "fill" : "color"]))
    .map((one) => Math.max(one, back) / Math.min(one, back));
}"""


class Reader:
    """Somebody who reads a report, and what the browser has to complain about."""

    def __init__(self, browser: Browser, path: Path, **options: Any) -> None:
        context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, **options)
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def rows(self) -> int:
        return self.page.locator(ROWS).count()

    def column(self, number: int, first: int = 3) -> list[str]:
        return [
            self.page.locator(f"{ROWS}:nth-child({row}) td:nth-child({number})").inner_text()
            for row in range(1, first + 1)
        ]


def many(count: int) -> Report:
    outcomes = list(Outcome)
    return report(
        *(
            project(
                str(10_000 + place),
                outcomes[place % len(outcomes)],
                idle=place % 900,
                name=f"{NASTY} {place}" if place % 10 == 0 else f"Project {place}",
                pools=place % 7,
                reason="rejected answers in pool 90003",
                operation_id="57068577e4b0bf7b07a0256f",
                finished=NOW,
                try_number=1,
            )
            for place in range(count)
        )
    )


def test_twenty_thousand_projects_stay_usable(chromium: Browser, tmp_path: Path) -> None:
    path = tmp_path / "stale.html"
    write_report(many(20_000), path)
    started = time.monotonic()
    reader = Reader(chromium, path)
    page = reader.page
    times = {"open": time.monotonic() - started}
    assert reader.rows() == 500
    assert page.inner_text("#shown") == "20,000 projects"

    started = time.monotonic()
    page.fill("#search", "PROJECT 19991")
    assert page.inner_text("#shown") == "2 of 20,000 projects"  # one has it in its id, one in its name
    times["search"] = time.monotonic() - started
    assert reader.rows() == 2

    page.fill("#search", "")
    started = time.monotonic()
    page.click("th:nth-child(5) button")
    page.click("th:nth-child(5) button")
    assert reader.column(5) == ["899", "899", "899"]
    times["sort"] = time.monotonic() - started
    assert page.get_attribute("th:nth-child(5)", "aria-sort") == "descending"

    started = time.monotonic()
    page.select_option("#outcome", "failed")
    assert page.inner_text("#shown") == "2,500 of 20,000 projects"
    page.click("#next")
    assert reader.rows() == 1_000
    times["more"] = time.monotonic() - started
    assert max(times.values()) < PATIENCE, times
    assert reader.complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_whole_and_readable(chromium: Browser, tmp_path: Path, scheme: str) -> None:
    path = tmp_path / "stale.html"
    write_report(many(200), path)
    reader = Reader(chromium, path, color_scheme=scheme)
    assert reader.requests == [path.as_uri()]
    assert reader.complaints == []
    assert reader.page.evaluate("document.documentElement.scrollWidth") == WIDTH
    assert min(reader.page.evaluate(CONTRASTS)) >= 4.5
    name = reader.page.locator(f"{ROWS} bdi").filter(has_text="*stars*").first
    assert name.inner_text().startswith("<script>alert(1)</script> *stars* _lines_")
    dark = reader.page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")


def test_it_can_be_sorted_and_filtered_with_the_keyboard(chromium: Browser, tmp_path: Path) -> None:
    path = tmp_path / "stale.html"
    write_report(
        report(
            *(
                project(id_, name=name, idle=idle)
                for id_, name, idle in (("9", "B", 5), ("10", "a", 40), ("8", "C", None))
            )
        ),
        path,
    )
    reader = Reader(chromium, path)
    reader.page.focus("th:nth-child(2) button")
    reader.page.keyboard.press("Enter")
    assert reader.column(2) == ["8", "9", "10"]
    reader.page.keyboard.press("Enter")
    assert reader.column(2) == ["10", "9", "8"]
    reader.page.click("th:nth-child(3) button")
    assert reader.column(3) == ["a", "B", "C"]
    reader.page.click("th:nth-child(5) button")
    assert reader.column(5) == ["", "5", "40"]
    reader.page.focus("#search")
    reader.page.keyboard.type("b")
    reader.page.keyboard.press("Enter")
    assert reader.page.inner_text("#shown").endswith("of 3 projects")
    assert reader.page.url == path.as_uri()


def test_without_scripts_all_rows_are_there(chromium: Browser, tmp_path: Path) -> None:
    path = tmp_path / "stale.html"
    write_report(many(700), path)
    reader = Reader(chromium, path, java_script_enabled=False)
    assert reader.page.locator(ROWS).nth(699).is_visible()
    assert not reader.page.locator("#controls").is_visible()


def test_on_paper_all_matching_rows_are_there(chromium: Browser, tmp_path: Path) -> None:
    path = tmp_path / "stale.html"
    write_report(many(1_000), path)
    reader = Reader(chromium, path)
    printed = reader.page.evaluate(
        "new Promise((done) => { addEventListener('beforeprint', () => "
        f"setTimeout(() => done(document.querySelectorAll('{ROWS}').length))); "
        "dispatchEvent(new Event('beforeprint')) })"
    )
    assert printed == 1_000
    reader.page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert reader.rows() == 500
    reader.page.emulate_media(media="print")
    assert not reader.page.locator("#controls").is_visible()
    assert len(reader.page.pdf()) > 10_000


def demo() -> Report:
    """Return what a clean-up of the account "stale" might have come to."""

    async def read() -> tuple[ReportedProject, ...]:
        async with AsyncTolokaClient.from_token(toloka.token, url=toloka.url) as client:
            selection = Selection(before=now - timedelta(days=180), exclude_project_ids=["1000"])
            found = await search(client, selection, keep_others=True)
        return survey(found, web_page=partial(PROJECT.page_at, "https://platform.toloka.ai"), try_number=1)

    now = datetime.now(UTC)
    # The browser has an event loop in this thread.
    with TolokaEmulator("stale") as toloka, ThreadPoolExecutor() as thread:
        entries = thread.submit(lambda: asyncio.run(read())).result()
    made = report(
        *entries,
        as_of=now,
        created=now,
        before=now - timedelta(days=180),
        parameters={"name_pattern": "not set", "exclude_project_ids": "1000", "pools": "archive_closed"},
    )
    selected = [
        replace(
            one,
            outcome=Outcome.ARCHIVED,
            operation_id=f"{int(one.id) * 7_919:024x}",
            finished=now + timedelta(seconds=place),
        )
        for place, one in enumerate(made.selected)
    ]
    selected[0] = replace(
        selected[0],
        outcome=Outcome.POSTPONED,
        finished=None,
        operation_id=None,
        reason="rejected answers in pool 2360",
        postponed_until=now + timedelta(days=7),
    )
    selected[1] = replace(
        selected[1],
        outcome=Outcome.FAILED,
        finished=None,
        operation_id=None,
        reason="pool 2350 'Main' has active assignments",
        remedy="Wait until Tolokers have finished, then clear the task.",
    )
    return made.updated(selected)


def test_the_picture_of_the_docs(chromium: Browser, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = tmp_path / "stale.html"
    write_report(demo(), path)
    reader = Reader(chromium, path)
    assert reader.page.get_by_text("stale: idle for 180 days or more").is_visible()
    folder: Path = request.config.getoption("--pictures")
    save_picture(reader.page.screenshot(animations="disabled"), folder / "report.png")
