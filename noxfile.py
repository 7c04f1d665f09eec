"""Test the wheel on each supported Airflow and Python: ``make test-matrix``."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nox
from python_discovery import get_interpreter
from uv import find_uv_bin

ROOT = Path(__file__).parent

#: Each Airflow, with the Pythons that both it and this package support.
PYTHONS = {
    "2.11.2": ("3.11", "3.12"),
    "3.0.6": ("3.11", "3.12"),
    "3.1.8": ("3.11", "3.12", "3.13"),
    "3.2.2": ("3.11", "3.12", "3.13"),
    "3.3.2": ("3.11", "3.12", "3.13"),
    "lowest": ("3.11", "3.12"),  # the lowest version of each dependency that the package declares
    "newest": ("3.13",),  # the newest versions, including pre-releases; it may fail
}
#: The subset for `.ci/run`: each of these with the first available Python.
SOME = {
    "2.11.2": ("3.11", "3.12"),
    "3.1.8": ("3.12", "3.11", "3.13"),
    "3.3.2": ("3.13", "3.12", "3.11"),
    "lowest": ("3.11", "3.12"),
}

MODULES = [f"airflow_provider_toloka.{name}" for name in ("operators.stale", "operators.toloka", "sensors.toloka")]

nox.options.default_venv_backend = "uv"
nox.options.download_python = "never"


@functools.cache
def index_of_pip() -> str | None:
    """Return pip's configured package index, if any, because uv does not read pip's settings."""
    for setting in (":env:.index-url", "global.index-url"):
        command = [sys.executable, "-m", "pip", "config", "get", setting]
        asked = subprocess.run(command, capture_output=True, text=True, check=False)
        if asked.returncode == 0:
            return asked.stdout.strip()
    return None


def run(session: nox.Session, *command: str, **options: Any) -> None:
    """Run a command for 400 s at most; after them, Python prints where each of its threads is, and ends.

    The output goes through a file: nox would wait for ever for the end of a pipe that a program left behind holds open.
    """
    limit = ["timeout", "--signal=ABRT", "--kill-after=30", "400"]
    with tempfile.TemporaryFile("w+") as output:
        try:
            session.run(*limit, *command, external=True, stdout=output, stderr=subprocess.STDOUT, **options)
        finally:
            output.seek(0)
            print(output.read(), end="")


def smoke(session: nox.Session) -> None:
    """Install the wheel of ``dist/`` next to an Airflow, and test it."""
    airflow = session.name.split("-")[1]
    # Separate folders: Airflow 2 cannot read the settings that Airflow 3 writes.
    session.env["AIRFLOW_HOME"] = str(ROOT / session.create_tmp())
    session.env["PYTHONFAULTHANDLER"] = "1"
    if "UV_DEFAULT_INDEX" not in os.environ and (index := index_of_pip()):
        session.env["UV_DEFAULT_INDEX"] = index
    [wheel] = (ROOT / "dist").glob("*.whl")
    which = ["--prerelease=allow"] if airflow == "newest" else ["--constraint", f"constraints/airflow-{airflow}.txt"]
    pip = [find_uv_bin(), "pip"]
    if airflow == "lowest":  # modules outside of the extra must not need it
        run(session, *pip, "install", "--quiet", str(wheel), *which)
        run(session, "python", "-Pc", f"import {', '.join(MODULES)}")
    # Airflow 3.0 uses it for connection forms.
    more = ["apache-airflow-providers-fab"] if airflow.startswith("3.0.") else []
    run(session, *pip, "install", "--quiet", f"{wheel}[emulator]", "--group", "matrix", *more, *which)
    run(session, *pip, "check")
    run(session, "airflow", "version")
    # The checkout comes last in the path, so that the wheel is tested.
    pytest = ["pytest", "-q", "--exitfirst", "--import-mode=append", "-p", "no:cacheprovider"]
    # Ignore warnings of other packages, which depend on their versions.
    pytest += ["--override-ini=filterwarnings=error:::airflow_provider_toloka"]
    run(session, *pytest, "tests/matrix", "tests/test_example_dags.py")
    # Operators without `deferrable` defer this time, by Airflow's setting.
    deferring = {"AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": "True"}
    run(
        session, *pytest, "tests/test_example_dags.py", "-k", "toloka_archive_project or submit_and_wait", env=deferring
    )


for _airflow, _pythons in PYTHONS.items():
    _some = next((python for python in SOME.get(_airflow, ()) if get_interpreter(python)), _pythons[0])
    for _python in _pythons:
        _tags = ["some"] if _airflow in SOME and _python == _some else []
        nox.session(python=_python, name=f"airflow-{_airflow}-python-{_python}", tags=_tags)(smoke)
