"""Calls for skills (API: "Skills"). No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow_provider_toloka.client.api.calls import Calls, Listing
from airflow_provider_toloka.client.api.creation import Creation
from airflow_provider_toloka.client.resources import SKILL
from airflow_provider_toloka.client.sansio import Flow
from airflow_provider_toloka.client.work import Skill


class Skills:
    """Calls for skills.

    :param calls: the basic calls of the API.
    :param creation: creates missing objects.
    """

    def __init__(self, calls: Calls, creation: Creation) -> None:
        self._calls = calls
        self._creation = creation

    def listing(self, /, **filters: str | datetime) -> Listing[Skill]:
        """Return the list of skills (API: ``GET /skills``)."""
        return self._calls.list_all(SKILL, filters)

    def find_or_create(self, name: str, more: Mapping[str, Any]) -> Flow[Skill]:
        """Return the skill with a name; create it if it does not exist (API: ``POST /skills``)."""
        if name.strip() in ("", "None"):
            raise ValueError(f"name should be the name of a skill, but is {name!r}.")
        found: Skill = yield from self._creation.ensure(
            SKILL,
            {**more, "name": name},
            is_wanted=lambda json: json.get("name") == name,
            filters={"name": name},
        )
        return found
