"""Toloka's API for any Python program; Airflow is not needed.

::

    from airflow_provider_toloka.client import TolokaClient

    with TolokaClient.from_token("…", environment="production") as client:
        operation = client.archive_project("1001")

``AsyncTolokaClient`` has the same methods for an event loop. Public are these two, ``Settings``, ``RetryPolicy``,
``Observer`` and the models in ``client.models``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_toloka.client.async_client import AsyncTolokaClient
    from airflow_provider_toloka.client.client import TolokaClient
    from airflow_provider_toloka.client.config import Settings
    from airflow_provider_toloka.client.observer import Observer
    from airflow_provider_toloka.client.retry import RetryPolicy

__all__ = ["AsyncTolokaClient", "Observer", "RetryPolicy", "Settings", "TolokaClient"]

_HOMES = {
    "AsyncTolokaClient": "async_client",
    "Observer": "observer",
    "RetryPolicy": "retry",
    "Settings": "config",
    "TolokaClient": "client",
}


def __getattr__(name: str) -> Any:
    # Every parse of a DAG file comes through here: each part is imported when it is asked for.
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
