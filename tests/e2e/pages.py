"""The pages of Airflow's UI, as far as the tests go through them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Locator, Page, expect

#: Longer than anything takes on a busy machine; it costs time only when something is broken.
WAIT_SECONDS = 120


@dataclass(frozen=True)
class Param:
    """A parameter of a run, as its form shows it.

    :param value: what it is set to.
    :param title: what it is called; default: by its name.
    """

    default: str | bool
    description: str
    value: str | bool
    title: str | None = None


class Ui:
    """What a person does in Airflow's UI.

    :param page: a page of the browser.
    """

    def __init__(self, page: Page) -> None:
        self.page = page

    @property
    def dialog(self) -> Locator:
        """The dialog that is open."""
        return self.page.get_by_role("dialog")

    # Connections

    def connection_form(self, connection_id: str) -> Locator:
        """Open the form for a new connection of type Toloka."""
        self.page.goto("/connections")
        self.page.get_by_role("button", name="Add Connection").click()
        self.dialog.get_by_label("Connection ID").fill(connection_id)
        self.dialog.get_by_role("combobox", name="Connection Type").fill("Toloka")
        self.page.get_by_role("option", name="Toloka", exact=True).click()
        return self.dialog

    def connection_row(self, connection_id: str) -> Locator:
        """Return the row of a connection in the list."""
        return self.page.get_by_role("row").filter(has=self.page.get_by_text(connection_id, exact=True))

    def test_connection(self, connection_id: str) -> Locator:
        """Press the Test button of a connection; give the message that it brings."""
        self.page.goto("/connections")
        self.connection_row(connection_id).get_by_role("button", name="Test Connection").click()
        return self.page.locator("[data-scope=toast][data-part=root]")

    # Runs

    def run(self, dag_id: str, **params: Param) -> None:
        """Start a run of a DAG from its form, which has these parameters and no other, and see the page of the run."""
        self.open_form(dag_id)
        self.fill_form(**params)
        expect(self.dialog.locator("[name^=element_]")).to_have_count(len(params))
        self.start_run()

    def open_form(self, dag_id: str) -> None:
        """Open the form from which a DAG is run."""
        self.page.goto(f"/dags/{dag_id}")
        self.page.get_by_test_id("trigger-dag-button").click()
        expect(self.dialog.get_by_role("button", name="Trigger")).to_be_enabled()

    def start_run(self) -> None:
        """Start a run from the form that is open, and see the page of the run."""
        self.dialog.get_by_role("button", name="Trigger").click()
        self.page.wait_for_url("**/runs/**")

    def fill_form(self, **params: Param) -> None:
        """Set some parameters in the form that is open."""
        for name, param in params.items():
            field = self.dialog.locator(f"[name=element_{name}]")
            expect(self.dialog.get_by_text(re.compile(rf"^{param.title or name}\b"))).to_be_visible()
            expect(self.dialog.get_by_text(param.description)).to_be_visible()
            if isinstance(param.default, bool):
                expect(field).to_be_checked(checked=param.default)
                if param.value != param.default:
                    field.locator("..").click()  # the box itself is not seen; the switch around it is
                expect(field).to_be_checked(checked=bool(param.value))
            else:
                expect(field).to_have_value(param.default)
                field.fill(str(param.value))

    def expect_state(self, state: str) -> None:
        """Wait until what the page shows, a run or a task, is in a state."""
        expect(self.page.get_by_test_id("header-card").get_by_test_id("state-badge")).to_have_text(state)

    def expect_task_state(self, task_id: str, state: str) -> None:
        """Wait until a task, on the page of its run, is in a state."""
        row = self.page.get_by_test_id("table-list").get_by_role("row").filter(has=self._link_to(task_id))
        expect(row.get_by_test_id("state-badge")).to_have_text(state)

    def _link_to(self, task_id: str) -> Locator:
        return self.page.get_by_role("link", name=re.compile(rf"^{re.escape(task_id)}(?!\w)"))

    def open_task(self, task_id: str, name: str | None = None) -> None:
        """Go from the page of a run to the log of a task; of a mapped one, to the task instance with a name."""
        tasks = self.page.get_by_test_id("table-list")
        link = (
            tasks.locator(self._link_to(task_id)) if name is None else tasks.get_by_role("link", name=name, exact=True)
        )
        link.first.click()
        expect(self.page.get_by_test_id("virtualized-list")).to_be_visible()

    def expect_log(self, *texts: str | re.Pattern[str]) -> None:
        """Wait until the log on the page has these texts."""
        for text in texts:
            expect(self.page.get_by_test_id("virtualized-list")).to_contain_text(text)

    def open_tab(self, name: str) -> None:
        """Go to a tab of the page."""
        self.page.get_by_role("link", name=name, exact=True).click()

    def rest(self, path: str) -> Any:
        """Read something from Airflow's REST API, as the person who is logged in."""
        answer = self.page.request.get(f"/api/v2{path}")
        assert answer.ok, answer.text()
        return answer.json()
