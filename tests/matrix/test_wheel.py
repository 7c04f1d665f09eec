"""The wheel beside a plain Airflow, whichever it is: what Airflow sees of the provider."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS

import airflow_provider_toloka
from airflow_provider_toloka.provider_info import get_provider_info

DOCUMENTATION = dict(url.split(", ") for url in metadata("airflow-provider-toloka").get_all("Project-URL", []))[
    "Documentation"
]
[CONNECTION_TYPE] = get_provider_info()["connection-types"]


def airflow(*arguments: str) -> str:
    """Run the program ``airflow``; give what it wrote to its standard output."""
    program = Path(sys.executable).with_name("airflow")
    environment = os.environ | {"AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING", "COLUMNS": "200"}
    ran = subprocess.run([program, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_it_is_the_wheel_that_is_tested() -> None:
    assert Path(airflow_provider_toloka.__file__).is_relative_to(sysconfig.get_path("purelib"))


def test_airflow_lists_the_provider() -> None:
    rows = json.loads(airflow("providers", "list", "--output", "json"))
    [row] = [row for row in rows if "toloka" in row["package_name"]]
    assert (row["package_name"], row["version"]) == ("airflow-provider-toloka", airflow_provider_toloka.__version__)


def test_airflow_gets_the_provider() -> None:
    told = airflow("providers", "get", "airflow-provider-toloka", "--full", "--output", "json")
    for module in ("hooks.toloka", "operators.stale", "operators.toloka", "sensors.toloka", "triggers.toloka"):
        assert f"airflow_provider_toloka.{module}" in told
    [row] = json.loads(told)
    # Newer ones have it, and their page of providers links to it; Airflow 3.1 puts a blank before it.
    assert row.get("documentation-url", DOCUMENTATION).strip() == DOCUMENTATION


def form_of_airflow_2() -> dict[str, Any]:
    """Return the form's fields as the server has them."""
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()
    behaviour = manager.field_behaviours["toloka"]
    extra = {}
    for name, widget in manager.connection_form_widgets.items():
        if name.startswith("extra__toloka__"):
            given = widget.field.kwargs
            extra[widget.field_name] = (widget.field.args[0], given["description"], given.get("default"))
    return {
        "name": (manager.hooks["toloka"] or pytest.fail("no hook")).hook_name,
        "extra": extra,
        "hidden": {*behaviour["hidden_fields"]},
        "password": behaviour["relabeling"]["password"],
    }


def form_of_airflow_3() -> dict[str, Any]:
    """Return the form's fields as the page requests them."""
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    [meta] = [meta for meta in HookMetaService.hook_meta_data() if meta.connection_type == "toloka"]
    told = meta.model_dump(by_alias=True)
    standard = {name: row for name, row in told["standard_fields"].items() if row}
    extra = {
        name: (row["schema"]["title"], row["description"], row["value"]) for name, row in told["extra_fields"].items()
    }
    return {
        "name": told["hook_name"],
        "extra": extra,
        "hidden": {"schema" if name == "url_schema" else name for name, row in standard.items() if row["hidden"]},
        "password": standard["password"]["title"],
    }


def test_airflow_has_the_connection_form() -> None:
    form = form_of_airflow_3() if AIRFLOW_V_3_0_PLUS else form_of_airflow_2()
    assert form == {
        "name": "Toloka",
        "extra": {
            name: (field["label"], field["description"], field["schema"].get("default"))
            for name, field in CONNECTION_TYPE["conn-fields"].items()
        },
        "hidden": {"login", "schema"},
        "password": "API token",
    }
