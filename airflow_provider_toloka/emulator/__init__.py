"""An emulated Toloka on this machine, for demos, and for tests of DAGs without an account.

``TolokaEmulator`` serves the part of Toloka's API that this provider uses. The emulator is written from the API's
description, shares no code with the provider's client, and keeps its state in memory::

    with TolokaEmulator(seed="demo") as toloka:
        requests.get(f"{toloka.url}/api/v1/projects", headers={"Authorization": f"OAuth {toloka.token}"})

It needs ``pip install "airflow-provider-toloka[emulator]"``. From a shell, it runs as
``python -m airflow_provider_toloka.emulator``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_toloka.emulator.faults import Fault
    from airflow_provider_toloka.emulator.journal import RequestRecord
    from airflow_provider_toloka.emulator.options import Tolokers
    from airflow_provider_toloka.emulator.server import TolokaEmulator

__all__ = ["DEFAULT_TOKEN", "Fault", "RequestRecord", "TolokaEmulator", "Tolokers"]

DEFAULT_TOKEN = "AQAD-emulator-made-up-token"  # noqa: S105  not a real token; has the form of an OAuth token (no dots)

_HOMES = {"Fault": "faults", "RequestRecord": "journal", "TolokaEmulator": "server", "Tolokers": "options"}


def __getattr__(name: str) -> Any:
    # Every pytest run loads this package for its pytest plugin, so the rest is imported on first use.
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
