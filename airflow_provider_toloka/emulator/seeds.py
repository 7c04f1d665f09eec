"""Initial accounts: ``demo`` (small, readable) and ``stale`` (projects of every age), relative to the current time.

A state is a dict of ``projects``, ``pools``, ``trainings``, ``skills``, ``tasks``, ``assignments`` and ``operations``,
each a list of the parameters of ``TolokaEmulator.add_project`` and similar. It can be stored in a JSON file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow_provider_toloka.emulator.timestamps import stamp

State = dict[str, list[dict[str, Any]]]

DAY = 24 * 60 * 60


def seed_state(seed: str | Path | Mapping[str, Any], now: float) -> Mapping[str, Any]:
    """Return the state for a seed.

    :param seed: ``demo``, ``stale``, the path of a JSON file, or a state.
    :param now: the reference time of ages, in seconds since 1970.
    :raises ValueError: the file does not contain a JSON object.
    """
    if isinstance(seed, Mapping):
        return seed
    if seed == "demo":
        return demo(now)
    if seed == "stale":
        return stale(now)
    return dict(json.loads(Path(seed).read_text(encoding="utf-8")))


class _Builder:
    """Collects a state whose times are ages in days."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.state: State = {"projects": [], "pools": [], "trainings": [], "tasks": [], "operations": []}

    def ago(self, days: float) -> str:
        return stamp(self.now - days * DAY)

    def project(self, project_id: str, name: str, days: float, status: str = "ACTIVE", comment: str = "") -> None:
        project = {"id": project_id, "public_name": name, "status": status, "created": self.ago(days)}
        self.state["projects"].append(project | ({"private_comment": comment} if comment else {}))

    def pool(
        self, kind: str, pool_id: str, project_id: str, name: str, status: str, days: tuple[float, float], **more: Any
    ) -> None:
        started, stopped = days
        pool = {"id": pool_id, "project_id": project_id, "private_name": name, "status": status}
        pool |= {"created": self.ago(started + 1), "last_started": self.ago(started)}
        if status != "OPEN":
            pool |= {"last_stopped": self.ago(stopped), "last_close_reason": "MANUAL"}
        self.state[kind].append(pool | more)

    def tasks(self) -> None:
        """Add unfinished tasks to each pool that can be opened."""
        for pool in [*self.state["pools"], *self.state["trainings"]]:
            if pool["status"] != "ARCHIVED":
                images = (f"https://example.com/{pool['id']}/{number}.jpg" for number in range(3))
                self.state["tasks"] += [{"pool_id": pool["id"], "input_values": {"image": image}} for image in images]


def demo(now: float) -> State:
    """Return a small account."""
    make = _Builder(now)
    make.project("1001", "Cats or dogs", 400, comment="Ready to archive: its pools are archived")
    make.pool("pools", "2001", "1001", "Pilot", "ARCHIVED", (390, 380))
    make.pool("pools", "2002", "1001", "Main run", "ARCHIVED", (370, 300))
    make.project("1002", "Shop signs: read the text", 300, comment="Ready to archive: its only pool is archived")
    make.pool("pools", "2003", "1002", "All signs", "ARCHIVED", (290, 200))
    make.project("1003", "Empty draft", 120, comment="Ready to archive: it has no pools")
    make.project("1004", "Sentiment of reviews", 200, comment="Closed pools and a training that one of them requires")
    make.pool("trainings", "3001", "1004", "How to tell irony", "CLOSED", (190, 100))
    make.pool("pools", "2004", "1004", "English", "CLOSED", (180, 95), training_id="3001")
    make.pool("pools", "2005", "1004", "German", "CLOSED", (170, 92))
    make.project("1005", "Street photos", 60, comment="In use: one of its pools is open")
    make.pool("pools", "2006", "1005", "Berlin", "CLOSED", (50, 30))
    make.pool("pools", "2007", "1005", "Hamburg", "OPEN", (2, 0))
    make.project("1006", "Voice commands", 700, status="ARCHIVED", comment="Archived already")
    make.pool("pools", "2008", "1006", "Kitchen", "ARCHIVED", (690, 600))
    make.project("1007", "Product categories", 90, comment="Answers were rejected two days ago: wait for appeals")
    make.pool("pools", "2009", "1007", "Toys", "CLOSED", (40, 3), last_rejected=make.ago(2))
    make.project("1008", "Receipts: find the total", 80, comment="A Toloker is working on an assignment")
    make.pool("pools", "2010", "1008", "Supermarkets", "CLOSED", (20, 1), active_assignments=1)
    make.tasks()
    return make.state


def stale(now: float) -> State:
    """Return an account with forty projects: long idle, recently idle, in use, archived."""
    make = _Builder(now)
    for number in range(40):
        project_id, first = str(980 + number), 2000 + 10 * number  # ids with three and with four digits
        idle = 100 + 20 * number  # days
        group = number % 5
        if group == 0:  # long idle, pools archived
            make.project(project_id, f"Finished survey {number}", idle + 100)
            make.pool("pools", str(first), project_id, "Main", "ARCHIVED", (idle + 30, idle))
        elif group == 1:  # long idle, pools and a training closed
            make.project(project_id, f"Forgotten labelling {number}", idle + 100)
            make.pool("trainings", str(first + 1), project_id, "Training", "CLOSED", (idle + 60, idle + 5))
            make.pool("pools", str(first), project_id, "Main", "CLOSED", (idle + 50, idle), training_id=str(first + 1))
            make.pool("pools", str(first + 2), project_id, "Check", "CLOSED", (idle + 40, idle + 2))
        elif group == 2:
            make.project(project_id, f"Recent labelling {number}", number + 10)
            make.pool("pools", str(first), project_id, "Main", "CLOSED", (number / 2 + 2, number / 2))
        elif group == 3:
            make.project(project_id, f"Running moderation {number}", idle + 100)
            make.pool("pools", str(first), project_id, "Old", "ARCHIVED", (idle + 50, idle))
            make.pool("pools", str(first + 1), project_id, "Live", "OPEN", (idle, 0))
        else:
            make.project(project_id, f"Archived survey {number}", idle + 100, status="ARCHIVED")
            make.pool("pools", str(first), project_id, "Main", "ARCHIVED", (idle + 50, idle))
    return make.state
