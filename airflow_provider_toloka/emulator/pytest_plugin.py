"""The pytest fixture ``toloka_emulator``.

Every pytest run with this package installed loads this module, so it imports only pytest until the fixture is used.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_toloka.emulator import TolokaEmulator


@pytest.fixture
def toloka_emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[TolokaEmulator]:
    """Run an empty ``TolokaEmulator``, and set the Airflow connection ``toloka_default`` to it.

    The emulator's address is exempt from the environment's proxy.
    """
    from airflow_provider_toloka.emulator import TolokaEmulator

    with TolokaEmulator() as emulator:
        monkeypatch.setenv("AIRFLOW_CONN_TOLOKA_DEFAULT", json.dumps(emulator.connection))
        exempt = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.setenv(name, f"{exempt},127.0.0.1" if exempt else "127.0.0.1")
        yield emulator
