"""The four forms of a report, and where they go."""

from __future__ import annotations

import csv
import io
import json
import re
import stat
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pendulum
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from airflow_provider_toloka._text import one_line
from airflow_provider_toloka.reporting import (
    Outcome,
    Report,
    approval_body,
    approval_subject,
    check_report_path,
    render,
    write_report,
)
from airflow_provider_toloka.reporting.log_lines import first_line
from airflow_provider_toloka.reporting.markdown import escaped
from airflow_provider_toloka.reporting.writing import _object_storage_path
from tests.reporting.accounts import NASTY, NOW, project, report

NO_RETURN = "An archived project can be read, but not restored."
ENDINGS = [".html", ".csv", ".json", ".md"]
EVERY = report(
    *(project(str(place), outcome, name=NASTY, reason=NASTY, remedy=NASTY) for place, outcome in enumerate(Outcome)),
    project("99", operation_id="57068577e4b0bf7b07a0256f", finished=NOW, try_number=2, pools=2),
    account=NASTY,
    parameters={"name_pattern": NASTY},
)


class Html(HTMLParser):
    """What a page consists of."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def html(of: Report) -> Html:
    return Html(render(of, ".html").decode())


def rows(of: Report) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(render(of, ".csv").decode("utf-8-sig"))))


# HTML


def test_the_page_loads_nothing_and_forbids_it() -> None:
    page = html(EVERY)
    policy = next(attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not {"link", "img", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.tags}
    for _, attrs in page.tags:
        assert not {"src", "style", "srcset"} & attrs.keys()
        assert not [name for name in attrs if name.startswith("on")]


def test_names_are_text_of_the_page_and_not_markup() -> None:
    page = html(EVERY)
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    assert sum(tag == "tr" for tag, _ in page.tags) == 1 + len(EVERY.projects)
    assert "<script>alert(1)</script> *stars* _lines_ [text](http://example.com)" in page.text
    assert "\u202e" not in page.text


@given(st.text())
def test_whatever_a_name_is_the_page_has_the_same_tags(name: str) -> None:
    def tags(text: str) -> list[tuple[str, set[str]]]:
        made = report(project(name=text, reason=text, remedy=text), account=text or None, parameters={text: text})
        return [(tag, set(attrs)) for tag, attrs in html(made).tags]

    assert tags(name)[:4] == tags("x")[:4]
    assert sum(tag == "script" for tag, _ in tags(name)) == 1


def test_links_lead_to_the_web_only() -> None:
    page = html(report(project("1"), project("2", url="javascript:alert(1)"), project("3", url=None)))
    links = [attrs["href"] for tag, attrs in page.tags if tag == "a"]
    assert links == ["https://platform.toloka.ai/requester/project/1", "https://airflow.example.com/dags/cleanup"]


def test_the_page_tells_what_happened_to_whom_and_who_asked_for_it() -> None:
    text = html(EVERY).text
    for told in (
        *(outcome.label for outcome in Outcome),
        "57068577e4b0bf7b07a0256f",
        "try 2",
        "the on-call engineer",
        "the head of data",
        "cleanup, manual__2026-11-25",
        "180 days",
    ):
        assert told in text, told


def test_the_chart_has_the_threshold_and_tells_its_numbers_in_words() -> None:
    made = report(project("1", Outcome.WOULD_ARCHIVE, idle=200), project("2", Outcome.IN_USE, idle=10))
    page = html(made)
    assert "stale: idle for 180 days or more, since before 2026-05-29" in page.text
    [picture] = [attrs["aria-label"] for tag, attrs in page.tags if tag == "svg" and attrs.get("role") == "img"]
    assert picture == (
        "Active projects by days without activity. 0 to 30 days: 1; 180+ days: 1. The threshold is 180 days."
    )


def test_a_report_of_nothing_is_a_page_too() -> None:
    text = html(report(before=None, run=None, dry_run=True)).text
    assert "No project was found." in text
    assert "A preview: nothing was changed." in text


@pytest.mark.parametrize("ending", ENDINGS)
def test_pendulums_times_are_times_too(ending: str) -> None:
    now = pendulum.instance(NOW)
    theirs = report(
        project(last_activity=now.subtract(days=200)), as_of=now, before=now.subtract(days=180), created=now
    )
    assert render(theirs, ending) == render(report(project()), ending)
    assert first_line(theirs) == first_line(report(project()))


# CSV


def test_csv_has_a_line_for_each_project() -> None:
    [row] = rows(
        report(
            project(
                "1001",
                Outcome.POSTPONED,
                name='Cats, dogs and\n"others"',
                pools=3,
                reason="rejected answers",
                postponed_until=NOW + timedelta(days=7),
                idle=200.26,
            )
        )
    )
    assert (row["outcome"], row["id"], row["idle_days"], row["pools"]) == ("postponed", "1001", "200.3", "3")
    assert row["name"] == 'Cats, dogs and\n"others"'
    assert row["postponed_until"] == "2026-12-02T10:00:00+00:00"
    assert (row["account"], row["environment"], row["dag_id"]) == ("Acme", "production", "cleanup")
    assert row["operation_id"] == ""


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "\uff1d", " =", "  @"])
def test_no_cell_is_a_formula(start: str) -> None:
    text = f"{start}HYPERLINK(1)"
    [row] = rows(report(project(name=text, reason=text, remedy=text), account=text))
    for column in ("name", "reason", "remedy", "account"):
        assert row[column].startswith("'"), column
        assert row[column][1:].replace("\r", "\n") == text.replace("\r", "\n")


# JSON


def test_json_can_be_read_again() -> None:
    again = Report.from_json(json.loads(render(EVERY, ".json")))
    assert {one.name for one in again.projects} == {NASTY, "Project 99"}
    assert again.to_json() == EVERY.to_json()


# Markdown


def shown(markdown: str) -> str:
    """Return what a reader of rendered Markdown sees."""
    page = Html(MarkdownIt("gfm-like", {"linkify": False, "html": True}).render(markdown))
    assert {tag for tag, _ in page.tags} <= {
        "p",
        "h1",
        "h2",
        "ul",
        "li",
        "a",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    return page.text


@given(st.text())
def test_a_name_is_shown_as_it_is(name: str) -> None:
    assert " ".join(shown(f"x {escaped(name)} x").split()) == " ".join(f"x {one_line(name)} x".split())


def test_the_markdown_page_has_all_projects() -> None:
    text = shown(render(EVERY, ".md").decode())
    assert text.count("<script>alert(1)</script> *stars* _lines_ [text](http://example.com) `code` a|b") > 20
    assert "57068577e4b0bf7b07a0256f" in text


# The approval


def asked(count: int, **more: Any) -> Report:
    found = [
        project(str(1000 + place), Outcome.WOULD_ARCHIVE, idle=900 - place, pools=2, **more) for place in range(count)
    ]
    return report(*found, project("5", Outcome.IN_USE, idle=2))


def test_the_subject_has_number_account_and_environment() -> None:
    assert approval_subject(asked(13)) == "Archive 13 projects of account 'Acme' (production)?"
    assert approval_subject(asked(1)) == "Archive 1 project of account 'Acme' (production)?"


def test_the_body_is_a_table_of_the_longest_idle() -> None:
    body = approval_body(asked(2))
    assert body.splitlines() == [
        f"2 projects idle for more than 180 days, with 4 pools. {NO_RETURN}",
        "",
        "| Id | Name | Last used | Pools |",
        "|---|---|---|---|",
        "| [1000](https://platform.toloka.ai/requester/project/1000) | Project 1000 | 2024-06-08 | 2 pools |",
        "| [1001](https://platform.toloka.ai/requester/project/1001) | Project 1001 | 2024-06-09 | 2 pools |",
    ]


@pytest.mark.parametrize(
    ("rest", "last"),
    [
        (
            "https://reports.example.com/a b.html",
            "and 170 more: see [the report](https://reports.example.com/a%20b.html).",
        ),
        ("s3://bucket/stale.html", r"and 170 more: see s3\://bucket/stale.html."),
        ("", "and 170 more."),
    ],
)
def test_the_body_shows_thirty_and_then_where_the_rest_is(rest: str, last: str) -> None:
    lines = approval_body(asked(200), rest=rest).splitlines()
    assert sum(line.startswith("| [") for line in lines) == 30
    assert lines[-1] == last


def test_an_approver_sees_the_names_as_they_are() -> None:
    text = shown(approval_body(asked(1, name=NASTY)))
    assert NASTY.split("\n", maxsplit=1)[0] in text


def test_nothing_to_archive_is_told() -> None:
    assert approval_body(report()) == r"No project of account 'Acme' \(production\) would be archived."


# Where they go


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_ending_chooses_the_form(ending: str, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / f"stale{ending.upper()}"
    assert write_report(EVERY, str(path)) == str(path)
    assert path.read_bytes() == render(EVERY, ending)
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("path", ["stale.pdf", "stale", "s3://bucket/html", ".html.gz", "None"])
def test_another_ending_is_refused(path: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\.html, \.csv, \.json or \.md"):
        check_report_path(path)
    with pytest.raises(ValueError, match=r"\.html, \.csv, \.json or \.md"):
        write_report(EVERY, tmp_path / path)
    assert list(tmp_path.iterdir()) == []


def test_without_a_path_no_report_is_wanted() -> None:
    assert check_report_path(None) == check_report_path("") == ""
    assert check_report_path("s3://bucket/Stale.HTML") == ".html"


def test_a_reader_sees_the_old_file_or_the_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "stale.json"
    path.write_text("old")
    path.chmod(0o640)

    def full(_: int) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            write_report(EVERY, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    write_report(EVERY, path)
    assert json.loads(path.read_text())["counts"]["archived"] == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.md").write_text("old")
    (tmp_path / "latest.md").symlink_to("real.md")
    write_report(EVERY, tmp_path / "latest.md")
    assert (tmp_path / "latest.md").is_symlink()
    assert (tmp_path / "real.md").read_bytes() == render(EVERY, ".md")


def test_a_file_uri_is_local(tmp_path: Path) -> None:
    write_report(EVERY, f"{tmp_path.as_uri()}/a%20b.csv")
    assert (tmp_path / "a b.csv").read_bytes() == render(EVERY, ".csv")


def test_it_goes_to_any_object_storage() -> None:
    for path in ("memory://reports/one.md", _object_storage_path("memory://reports/two.md")):
        assert re.fullmatch(r"memory:/+reports/(one|two)\.md", write_report(EVERY, path))
        assert _object_storage_path(str(path)).read_bytes() == render(EVERY, ".md")


def test_half_a_surrogate_pair_does_no_harm(tmp_path: Path) -> None:
    for ending in ENDINGS:
        write_report(report(project(name="a\ud800b")), tmp_path / f"x{ending}")
        assert b"ud800" in (tmp_path / f"x{ending}").read_bytes()


def test_addresses_of_the_page_are_the_projects() -> None:
    hosts = {urlsplit(attrs["href"] or "").netloc for tag, attrs in html(EVERY).tags if tag == "a"}
    assert hosts == {"platform.toloka.ai", "airflow.example.com"}
