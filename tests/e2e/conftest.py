"""One Airflow and one browser for all tests of this folder; each test has its own account.

All that is written goes into the folder ``.e2e``: Airflow's files and log, a picture of the page of each failed test,
and the pictures for the docs, unless ``--pictures`` names another folder for them.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from airflow_provider_toloka.emulator import TolokaEmulator
from demo.standalone import ROOT, StandaloneAirflow, free_port
from tests.e2e.pages import WAIT_SECONDS, Ui

FOLDER = ROOT / ".e2e"
DAGS = {path.stem for path in (ROOT / "example_dags").glob("*.py")}
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
CHROMIUM_OPTIONS = [
    "--no-sandbox",  # it cannot be had as root; and the browser sees nothing but this machine
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
OPERATION_SECONDS = 2
PROBLEMS_SHOWN = 20
SETTINGS = {
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
}

_failed = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pictures", type=Path, default=FOLDER / "pictures", help="the folder for the docs' pictures")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[_failed] = True
        if airflow := getattr(item, "funcargs", {}).get("airflow"):
            lines = airflow.log.read_text(errors="replace").splitlines()
            problems = [line for line in lines if "[error" in line or "[warning" in line]
            report.sections.append(("The latest problems in Airflow's log", "\n".join(problems[-PROBLEMS_SHOWN:])))
    return report


class Clock:
    """The time at Toloka, which can be stopped, and with it all operations."""

    def __init__(self) -> None:
        self._behind = 0.0
        self._stopped: float | None = None

    def __call__(self) -> float:
        return time.time() - self._behind if self._stopped is None else self._stopped

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Suspend all operations."""
        self._stopped = self()
        try:
            yield
        finally:
            self._behind, self._stopped = time.time() - self._stopped, None


@pytest.fixture(scope="session")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def running_toloka(clock: Clock) -> Iterator[TolokaEmulator]:
    with TolokaEmulator(operation_seconds=OPERATION_SECONDS, clock=clock) as emulator:
        yield emulator


@pytest.fixture
def toloka(running_toloka: TolokaEmulator) -> TolokaEmulator:
    """Run an emulator with the account "demo", and set the connection ``toloka_default`` to it."""
    running_toloka.load("demo")
    running_toloka.clear_requests()
    return running_toloka


@pytest.fixture(scope="session")
def airflow(running_toloka: TolokaEmulator) -> Iterator[StandaloneAirflow]:
    shutil.rmtree(FOLDER, ignore_errors=True)
    airflow = StandaloneAirflow(FOLDER / "airflow", free_port(), **SETTINGS)
    airflow.prepare(running_toloka.connection)
    try:
        assert airflow.start(), f"Airflow did not start; see {airflow.log}"
        yield airflow
    finally:
        airflow.stop()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Run the one browser of the session."""
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_OPTIONS) as browser,
    ):
        yield browser


@pytest.fixture(scope="session")
def browser(airflow: StandaloneAirflow, chromium: Browser) -> Iterator[BrowserContext]:
    """Return a new browser context, once Airflow has parsed the DAGs."""
    expect.set_options(timeout=WAIT_SECONDS * 1000)
    with chromium.new_context(base_url=airflow.url, viewport={"width": 1280, "height": 800}) as browser:
        browser.set_default_timeout(WAIT_SECONDS * 1000)
        page = browser.new_page()
        page.goto("/dags")  # with this, the browser has what the API asks for
        deadline = time.monotonic() + WAIT_SECONDS
        known: set[str] = set()
        while known != DAGS and time.monotonic() < deadline:
            time.sleep(1)
            known = {dag["dag_id"] for dag in page.request.get("/api/v2/dags").json()["dags"]}
        assert known == DAGS
        page.close()
        yield browser


@pytest.fixture
def page(browser: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Page]:
    """Return a page; save a screenshot if the test fails."""
    with browser.new_page() as page:
        yield page
        if request.node.stash.get(_failed, False):
            page.screenshot(path=FOLDER / "failures" / f"{request.node.name}.png")


@pytest.fixture
def ui(page: Page) -> Ui:
    return Ui(page)


@pytest.fixture
def picture(page: Page, request: pytest.FixtureRequest) -> Callable[..., None]:
    """Return a function that takes a screenshot for the docs, of the page or a part of it."""
    folder: Path = request.config.getoption("--pictures")

    def take(name: str, part: Locator | None = None) -> None:
        page.mouse.move(0, 0)  # no tooltips
        save_picture((part or page).screenshot(animations="disabled"), folder / f"{name}.png")

    return take


def save_picture(screenshot: bytes, path: Path) -> None:
    """Keep a picture for the docs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture: Image.Image = Image.open(BytesIO(screenshot))
    # With so many colours it looks the same, and takes a third of the space.
    picture = picture.convert("RGB").quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    picture.save(path, optimize=True)
