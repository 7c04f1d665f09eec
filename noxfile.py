"""Test the wheel on each supported Airflow and Python: ``make test-matrix``."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import nox
from python_discovery import get_interpreter

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


def smoke(session: nox.Session) -> None:
    """Install the wheel of ``dist/`` next to an Airflow, and test it."""
    airflow = session.name.split("-")[1]
    # Separate folders: Airflow 2 cannot read the settings that Airflow 3 writes.
    session.env["AIRFLOW_HOME"] = str(ROOT / session.create_tmp())
    if "UV_DEFAULT_INDEX" not in os.environ and (index := index_of_pip()):
        session.env["UV_DEFAULT_INDEX"] = index
    [wheel] = (ROOT / "dist").glob("*.whl")
    which = ["--prerelease=allow"] if airflow == "newest" else ["--constraint", f"constraints/airflow-{airflow}.txt"]
    if airflow == "lowest":  # modules outside of the extra must not need it
        session.install(str(wheel), *which)
        session.run("python", "-Pc", f"import {', '.join(MODULES)}")
    # Airflow 3.0 uses it for connection forms.
    more = ["apache-airflow-providers-fab"] if airflow.startswith("3.0.") else []
    session.install(f"{wheel}[emulator]", "--group", "matrix", *more, *which)
    session.run("uv", "pip", "check", external=True)
    session.run("airflow", "version")
    # The checkout comes last in the path, so that the wheel is tested.
    run = ["pytest", "-q", "--import-mode=append", "-p", "no:cacheprovider"]
    # Ignore warnings of other packages, which depend on their versions.
    run += ["--override-ini=filterwarnings=error:::airflow_provider_toloka"]
    session.run(*run, "tests/matrix", "tests/test_example_dags.py")
    # Operators without `deferrable` defer this time, by Airflow's setting.
    deferring = {"AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": "True"}
    session.run(*run, "tests/test_example_dags.py", "-k", "toloka_archive_project or submit_and_wait", env=deferring)


for _airflow, _pythons in PYTHONS.items():
    _some = next((python for python in SOME.get(_airflow, ()) if get_interpreter(python)), _pythons[0])
    for _python in _pythons:
        _tags = ["some"] if _airflow in SOME and _python == _some else []
        nox.session(python=_python, name=f"airflow-{_airflow}-python-{_python}", tags=_tags)(smoke)
