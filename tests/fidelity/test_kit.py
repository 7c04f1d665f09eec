"""Toloka's own client uses the emulator: the one runs in its environment, the other in this one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_toloka.emulator import DEFAULT_TOKEN

HERE = Path(__file__).parent
#: Where `make test-fidelity` puts toloka-kit.
PYTHON = Path(os.environ.get("FIDELITY_VENV", HERE.parents[1] / ".venv-fidelity")) / "bin" / "python"


@pytest.fixture
def url() -> Iterator[str]:
    command = [sys.executable, "-m", "airflow_provider_toloka.emulator", "--port", "0", "--seed", "none"]
    command += ["--requests-per-second", "0", "--no-quotas", "--operation-seconds", "0.05"]
    command += ["--tolokers", "5", "--toloker-seconds", "0-0.01", "--mistakes", "0.2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            found = re.search(r"http://127.0.0.1:\d+", process.stdout.readline())
            assert found
            yield found[0]
        finally:
            process.terminate()


@pytest.mark.parametrize("way", ["sync", "async"])
def test_the_client_of_toloka_goes_all_the_way(url: str, way: str) -> None:
    command = [str(PYTHON), str(HERE / "kit.py"), url, DEFAULT_TOKEN, way]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
