"""The provider's metadata for Airflow: one literal, without expensive imports."""

from __future__ import annotations

from typing import Any

from airflow_provider_toloka import __version__

_PACKAGE = "airflow_provider_toloka"
_ASSET_URIS = [
    {
        "schemes": ["toloka"],
        "handler": f"{_PACKAGE}.assets.toloka.sanitize_uri",
        "to_openlineage_converter": f"{_PACKAGE}.assets.toloka.convert_asset_to_openlineage",
    }
]


def get_provider_info() -> dict[str, Any]:
    """Return the metadata (Airflow: ``provider_info.schema.json``).

    :returns: name, versions, modules, and the connection type with its form.
    """
    return {
        "package-name": "airflow-provider-toloka",
        "name": "Toloka",
        # Plain text: Airflow's page of providers strips reStructuredText markup, which breaks links.
        "description": "Toloka, a crowdsourcing platform: archive projects safely, and wait for operations.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": "Toloka",
                "external-doc-url": "https://toloka.ai/docs/api/api-reference/",
                "tags": ["service"],
            }
        ],
        "hooks": [{"integration-name": "Toloka", "python-modules": [f"{_PACKAGE}.hooks.toloka"]}],
        "operators": [
            {
                "integration-name": "Toloka",
                "python-modules": [
                    f"{_PACKAGE}.operators.toloka",
                    f"{_PACKAGE}.operators.stale",
                    f"{_PACKAGE}.operators.create",
                    f"{_PACKAGE}.operators.tasks",
                    f"{_PACKAGE}.operators.open",
                    f"{_PACKAGE}.operators.answers",
                ],
            }
        ],
        "sensors": [
            {"integration-name": "Toloka", "python-modules": [f"{_PACKAGE}.sensors.toloka", f"{_PACKAGE}.sensors.pool"]}
        ],
        "triggers": [
            {
                "integration-name": "Toloka",
                "python-modules": [
                    f"{_PACKAGE}.triggers.toloka",
                    f"{_PACKAGE}.triggers.events",
                    f"{_PACKAGE}.triggers.pools",
                ],
            }
        ],
        "extra-links": [
            f"{_PACKAGE}.links.toloka.TolokaProjectLink",
            f"{_PACKAGE}.links.toloka.TolokaPoolLink",
            f"{_PACKAGE}.links.toloka.TolokaTrainingLink",
            f"{_PACKAGE}.links.toloka.TolokaAccountLink",
            f"{_PACKAGE}.links.toloka.TolokaReportLink",
        ],
        "asset-uris": _ASSET_URIS,
        # The same for Airflow 2.11, which calls assets data sets.
        "dataset-uris": _ASSET_URIS,
        "connection-types": [
            {
                "connection-type": "toloka",
                "hook-class-name": f"{_PACKAGE}.hooks.toloka.TolokaHook",
                "hook-name": "Toloka",
                "ui-field-behaviour": {
                    "hidden-fields": ["login", "schema"],
                    "relabeling": {"password": "API token"},
                    "placeholders": {
                        "password": "From Toloka: Profile, Integrations, Generate token",
                        "host": "Empty, or another base URL, such as http://127.0.0.1",
                        "port": "Empty, or the port of that base URL",
                    },
                },
                "conn-fields": {
                    "environment": {
                        "label": "Environment",
                        "description": "Which Toloka the token is from; a host, if given, overrides it.",
                        "schema": {
                            "type": ["string", "null"],
                            "enum": ["production", "sandbox"],
                            "default": "production",
                        },
                    },
                    "act_under_account_id": {
                        "label": "Act under account id",
                        "description": "The id of the requester to act for; empty: the token's own account.",
                        "schema": {"type": ["string", "null"]},
                    },
                    "timeout": {
                        "label": "Timeout",
                        "description": "How long one request may take, in seconds.",
                        "schema": {"type": ["integer", "null"], "default": 30, "minimum": 1},
                    },
                    "retries": {
                        "label": "Retries",
                        "description": "How often a failed request is retried; 0 turns retries off.",
                        "schema": {"type": ["integer", "null"], "default": 5, "minimum": 0},
                    },
                    "max_requests_per_second": {
                        "label": "Max. requests per second",
                        "description": "An upper bound; without one, the rate adapts to what Toloka accepts.",
                        "schema": {"type": ["integer", "null"], "minimum": 1},
                    },
                    "ca_bundle": {
                        "label": "CA bundle",
                        "description": "A file of certificates to trust, on every Airflow machine; empty: the default.",
                        "schema": {"type": ["string", "null"]},
                    },
                },
            }
        ],
    }
