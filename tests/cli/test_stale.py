"""``python -m airflow_provider_toloka stale``, against the emulator."""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_toloka import __version__
from airflow_provider_toloka.cli import exit_codes, main
from airflow_provider_toloka.emulator import TolokaEmulator
from tests.pages import PAGES, table

STALE = "14 projects are stale, with 21 pools and trainings; nothing was changed"


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run a Toloka with the account "stale", and let the environment lead to it."""
    with TolokaEmulator("stale") as emulator:
        monkeypatch.setenv("TOLOKA_TOKEN", emulator.token)
        monkeypatch.setenv("TOLOKA_URL", emulator.url)
        yield emulator


def stale(*arguments: str, age: str = "180d") -> int:
    return main(["stale", "--inactive-for", age, *arguments])


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "airflow_provider_toloka", *arguments]


def test_without_arguments_it_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    told = capsys.readouterr().out
    assert "airflow_provider_toloka stale" in told
    assert "airflow_provider_toloka.emulator" in told


def test_the_version_and_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, told in ((["--version"], __version__), (["stale", "--help"], "TOLOKA_TOKEN")):
        with pytest.raises(SystemExit, match="0"):
            main(arguments)
        assert told in capsys.readouterr().out


def test_it_shows_the_rule_the_histogram_the_projects_and_the_outcome(
    account: TolokaEmulator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stale() == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].startswith(f"Account 'Emulated requester' ({account.url}): 32 projects, 14 idle since before ")
    assert lines[0].endswith(" (180 days)")
    assert any(line.endswith("idle for 180 days or more") for line in lines)
    [row] = [line for line in lines if "Forgotten labelling 36" in line]
    assert re.fullmatch(r" 1016 +820 d +\d{4}-\d\d-\d\d +3 pools and trainings +Forgotten labelling 36 *", row)
    assert lines[-1] == STALE
    assert err == ""
    assert {request.method for request in account.requests} == {"GET"}


def test_reports_are_written(account: TolokaEmulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, table = tmp_path / "stale.html", tmp_path / "stale.csv"
    assert stale("--html", str(page), "--csv", str(table), "--name-pattern", "Forgotten*", "--exclude", "1016") == 0
    assert f"Report: {page}" in capsys.readouterr().err.splitlines()
    assert f'href="{account.url}/requester/project/1011"' in page.read_text()
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert len(rows) == 32
    assert rows["1011"]["outcome"] == "would_archive"
    assert (rows["1016"]["outcome"], rows["1016"]["reason"]) == ("skipped", "it is excluded")
    assert rows["985"]["outcome"] == "skipped"


def test_json_is_all_that_is_printed(account: TolokaEmulator, capsys: pytest.CaptureFixture[str]) -> None:
    assert stale("--json", "--exclude", "7") == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert report["counts"] == {"would_archive": 14, "in_use": 18}
    assert report["dry_run"] is True
    assert account.token not in out + err
    [line] = err.splitlines()
    assert line.startswith("Warning: --exclude")
    assert " 7 " in line
    assert "exclude_project_ids" not in line


@pytest.mark.usefixtures("account")
def test_an_exclusion_may_have_blanks_and_may_be_an_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert stale("--json", "--exclude", " 1016", "--exclude", "platform.toloka.ai/requester/project/1011") == 0
    out, err = capsys.readouterr()
    skipped = {one["id"] for one in json.loads(out)["projects"] if one["outcome"] == "skipped"}
    assert (skipped, err) == ({"1016", "1011"}, "")


@pytest.mark.usefixtures("account")
def test_a_pattern_that_matches_nothing_is_warned_about(capsys: pytest.CaptureFixture[str]) -> None:
    assert stale("--name-pattern", "^Forgotten.*", "--exit-code") == 0
    out, err = capsys.readouterr()
    assert err == "Warning: 0 of 32 projects: 32 do not match '^Forgotten.*' (a glob, case-sensitive)\n"
    assert "with a name that matches '^Forgotten.*'" in out.splitlines()[0]
    assert out.splitlines()[-1] == "0 projects are stale; nothing was changed"


def test_names_are_no_markup(account: TolokaEmulator, capsys: pytest.CaptureFixture[str]) -> None:
    account.load({"projects": [{"id": "1", "public_name": "[red]a[/red]\x1b[31m", "created": 0}]})
    assert stale() == 0
    out, _ = capsys.readouterr()
    assert r"[red]a[/red]\x1b[31m" in out
    assert "1 project is stale; nothing was changed" in out


@pytest.mark.usefixtures("account")
def test_a_script_can_ask_whether_there_are_any() -> None:
    assert stale("--exit-code") == 1
    assert stale("--exit-code", age="900d") == 0


@pytest.mark.parametrize("json_wanted", [False, True], ids=["table", "json"])
def test_a_terminal_with_few_characters_is_enough(account: TolokaEmulator, json_wanted: bool) -> None:
    account.add_project("Слон 🐘", created=1_500_000_000)
    ended = subprocess.run(
        command("stale", "--inactive-for", "180d", *(["--json"] if json_wanted else [])),
        env=os.environ | {"PYTHONIOENCODING": "cp1252"},
        capture_output=True,
        check=False,
    )
    assert (ended.returncode, b"Traceback" in ended.stderr) == (0, False), ended.stderr.decode()
    if json_wanted:
        assert "Слон 🐘" in {project["name"] for project in json.loads(ended.stdout)["projects"]}


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "told"),
    [
        (("--html", "stale.csv"), {}, 2, "--html should name a file that ends with .html"),
        (("--csv", "stale.pdf"), {}, 2, "should end with .html, .csv, .json or .md"),
        (("--html", "/proc/no/stale.html"), {}, 5, "Could not write /proc/no/stale.html"),
        (("--name-pattern", ""), {}, 2, "--name-pattern is empty (''). To list projects of any name, leave it out."),
        (("--name-pattern", "\t "), {}, 2, "--name-pattern is empty"),
        (("--name-pattern", "x" * 501), {}, 2, "--name-pattern should be a glob such as 'test *', of at most 500"),
        (("--exclude", "a b"), {}, 2, "--exclude should be the id of a project, or the address of its page"),
        (("--exclude", ""), {}, 2, "--exclude should be the id of a project"),
        ((), {"TOLOKA_TOKEN": ""}, 2, "Set TOLOKA_TOKEN"),
        ((), {"TOLOKA_TOKEN": "two words"}, 2, "TOLOKA_TOKEN contains a blank"),
        ((), {"TOLOKA_TOKEN": "unknown"}, 3, "Check TOLOKA_TOKEN"),
        ((), {"TOLOKA_URL": "http://example.com"}, 2, "TOLOKA_URL 'example.com' uses plain http"),
        ((), {"REQUESTS_CA_BUNDLE": "/no/such.pem", "TOLOKA_URL": "https://localhost:1"}, 2, "/no/such.pem"),
        (("--conn-id", "none_such"), {}, 2, "Could not read the Airflow connection 'none_such'"),
    ],
)
@pytest.mark.usefixtures("account", "airflow_database")
def test_what_goes_wrong_has_an_exit_code_and_a_reason(
    arguments: tuple[str, ...],
    environment: dict[str, str],
    code: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert stale(*arguments) == code
    err = capsys.readouterr().err
    assert told in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("uri", "reason", "is_read"),
    [
        ("s3://bucket/stale.html", "Install s3fs to access S3", False),
        ("s3://aws_default@bucket/stale.html", "Install s3fs to access S3", False),
        ("foo://stale.html", "foo", False),
        ("http://127.0.0.1:1/stale.html", "a web address", False),
        ("ftp://127.0.0.1:1/stale.html", "", True),
    ],
)
def test_a_storage_that_cannot_be_written(
    uri: str,
    reason: str,
    is_read: bool,
    account: TolokaEmulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    assert stale("--html", uri) == 5
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"Error: Could not write {uri}: ")
    assert reason in line
    # Nobody waits for a large account for nothing, if that is known before.
    assert bool(account.requests) is is_read


@pytest.mark.parametrize("raised", [RuntimeError("two\nlines"), KeyError()])
@pytest.mark.usefixtures("account")
def test_a_storage_may_raise_anything_and_prevents_no_other_report(
    raised: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_path: object, _content: bytes) -> None:
        raise raised

    monkeypatch.setattr(ObjectStoragePath, "write_bytes", fail, raising=False)
    assert stale("--html", "memory://bucket/stale.html", "--csv", str(tmp_path / "stale.csv")) == 5
    out, err = capsys.readouterr()
    told = "two lines" if str(raised) else "KeyError"
    assert err.splitlines() == [
        f"Report: {tmp_path / 'stale.csv'}",
        f"Error: Could not write memory://bucket/stale.html: {told}",
    ]
    assert out.splitlines()[-1] == STALE
    assert (tmp_path / "stale.csv").exists()


@pytest.mark.usefixtures("account")
def test_a_failing_secrets_backend_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError("no such table\nconnection")

    monkeypatch.setattr("airflow_provider_toloka.hooks.toloka.TolokaHook.get_connection", fail)
    assert stale("--conn-id", "toloka_default") == 2
    assert capsys.readouterr().err == (
        "Error: Could not read the Airflow connection 'toloka_default': no such table connection\n"
    )


@pytest.mark.parametrize("arguments", [["--json"], ["--exclude", "7", "--exit-code"]], ids=["json", "table"])
@pytest.mark.parametrize("has_stderr", [True, False], ids=["|", "|&"])
@pytest.mark.usefixtures("account")
def test_a_reader_that_has_exited_stops_nothing(arguments: list[str], has_stderr: bool, tmp_path: Path) -> None:
    """As in ``stale | head -1``: the files are written, and the exit code is the usual one."""
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(
        command("stale", "--inactive-for", "180d", "--html", str(tmp_path / "stale.html"), *arguments),
        stdout=write,
        stderr=subprocess.PIPE if has_stderr else write,
        check=False,
        text=True,
    )
    os.close(write)
    assert ended.returncode == ("--exit-code" in arguments)
    assert (tmp_path / "stale.html").exists()
    if has_stderr:
        assert all(line.startswith(("Warning: --exclude", "Report: ")) for line in ended.stderr.splitlines())


@pytest.mark.parametrize("arguments", [[], ["--json"]], ids=["table", "json"])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
@pytest.mark.usefixtures("account")
def test_output_that_cannot_be_written_is_an_error(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            command("stale", "--inactive-for", "180d", *arguments),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            text=True,
        )
    assert ended.returncode == 5
    assert ended.stderr == "Error: Could not write to standard output: [Errno 28] No space left on device\n"


@pytest.mark.parametrize("age", ["6mo", "180", "0d", ""])
def test_another_age_is_refused(age: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert stale(age=age) == 2
    assert "such as 180d" in capsys.readouterr().err


def test_a_toloka_that_fails_is_not_read(account: TolokaEmulator, capsys: pytest.CaptureFixture[str]) -> None:
    account.fault("GET /pools", status=400)
    assert stale() == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Error: Could not list pools at Toloka")


def test_an_airflow_connection_can_be_used(
    account: TolokaEmulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_TOLOKA_OTHER", json.dumps(account.connection))
    monkeypatch.delenv("TOLOKA_TOKEN")
    monkeypatch.delenv("TOLOKA_URL")
    assert stale("--conn-id", "toloka_other") == 0
    assert capsys.readouterr().out.splitlines()[-1] == STALE


def test_it_is_a_command_and_does_without_airflow(account: TolokaEmulator, tmp_path: Path) -> None:
    """Nothing of Airflow is imported, and in a terminal a progress bar is shown."""
    (tmp_path / "airflow.py").write_text("raise ImportError('there is no Airflow here')")
    read, write = pty.openpty()
    process = subprocess.Popen(
        command("stale", "--inactive-for", "P180D"),
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]), "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=write,
        text=True,
    )
    os.close(write)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.splitlines()[-1] == STALE
    assert b"Reading the account" in os.read(read, 100_000)
    os.close(read)
    assert account.requests


def test_the_page_tells_all_options_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["stale", "--help"])
    told = capsys.readouterr().out
    options = set(re.findall(r"^  (--[\w-]+)", told, re.MULTILINE))
    rows = table("docs/reports.md", "From the command line")
    assert options == set(re.findall(r"`(--[\w-]+)", " ".join(row[0] for row in rows)))
    codes = {name: value for name, value in vars(exit_codes).items() if name.isupper()}
    page = PAGES["docs/reports.md"]
    for code in codes.values():
        assert f"\n| {code} | " in page
        assert re.search(rf"^  {code} +\w", told, re.MULTILINE)
