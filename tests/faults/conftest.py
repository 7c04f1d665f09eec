"""The authority that both HTTP libraries trust, the measuring, and the table of what was measured."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.faults.catalog import FAULTS, is_met

_FOLDER = tempfile.TemporaryDirectory(prefix="authority-")
_AUTHORITY = Authority.found(Path(_FOLDER.name))
# Before aiohttp is imported, which then reads the trusted certificates. Each library has its own setting.
os.environ.update(SSL_CERT_FILE=str(_AUTHORITY.file), REQUESTS_CA_BUNDLE=str(_AUTHORITY.file))


@pytest.fixture(scope="session")
def authority() -> Authority:
    """Return the tests' certificate authority."""
    return _AUTHORITY


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Compare the table of the documentation with what was measured, or write it."""
    from tests.faults import table
    from tests.faults.components import COLUMNS

    reporter: Any = session.config.pluginmanager.getplugin("terminalreporter")
    if reporter is None or hasattr(session.config, "workerinput"):
        return
    outcomes = {
        (column, fault): told
        for report in reporter.stats.get("passed", [])
        for name, value in report.user_properties
        if name == "outcome"
        for column, fault, told in [value]
    }
    if len(outcomes) < sum(is_met(fault, column) for column in COLUMNS for fault in FAULTS):
        return  # chosen cases only, or one has failed
    table.FAULTS_MET.write(table.render(outcomes))
    if different := table.differences(outcomes):
        page = table.FAULTS_MET.page
        reporter.write_line(f"\n{page} should say (make test-faults WRITE_TABLES=1 writes it):", red=True)
        reporter.write_line("\n".join(different))
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
