"""Create and update projects, pools, trainings and skills: defaults, and forms from requests."""

from __future__ import annotations

import copy as copying
import uuid

from airflow_provider_toloka.emulator import rules
from airflow_provider_toloka.emulator.errors import field_error, invalid_fields, wrong_status
from airflow_provider_toloka.emulator.store import POOL_KINDS, REQUESTER_ID, Standing, Store
from airflow_provider_toloka.emulator.tables import View
from airflow_provider_toloka.emulator.timestamps import stamp

_DEFAULTS: dict[str, View] = {
    "projects": {
        "public_name": "A project",
        "public_description": "",
        "public_instructions": "",
        "task_spec": {
            "input_spec": {"image": {"type": "url", "required": True, "hidden": False}},
            "output_spec": {
                "result": {"type": "string", "required": True, "hidden": False, "allowed_values": ["cat", "dog"]}
            },
        },
        "assignments_issuing_type": "AUTOMATED",
        "assignments_automerge_enabled": False,
        "status": "ACTIVE",
    },
    "pools": {
        "private_name": "A pool",
        "may_contain_adult_content": False,
        "will_expire": "2100-01-01T00:00:00",
        "reward_per_assignment": 0.05,
        "assignment_max_duration_seconds": 600,
        "auto_accept_solutions": True,
        "defaults": {"default_overlap_for_new_task_suites": 1},
        "mixer_config": {"real_tasks_count": 1, "golden_tasks_count": 0, "training_tasks_count": 0},
        "priority": 0,
        "type": "REGULAR",
        "status": "CLOSED",
    },
    "trainings": {
        "private_name": "A training",
        "inherited_instructions": True,
        "may_contain_adult_content": False,
        "assignment_max_duration_seconds": 600,
        "mix_tasks_in_creation_order": True,
        "shuffle_tasks_in_task_suite": True,
        "training_tasks_in_task_suite_count": 10,
        "status": "CLOSED",
    },
}

_BY_FORM: dict[str, View] = {
    "projects": {"public_description": "", "public_instructions": "", "assignments_automerge_enabled": False},
    "pools": {
        "may_contain_adult_content": False,
        "auto_accept_solutions": True,
        "auto_close_after_complete_delay_seconds": 0,
        "priority": 0,
    },
    "trainings": {"may_contain_adult_content": False},
}
"""Toloka's defaults."""

_TIMES = ("created", "last_started", "last_stopped")
# Set by Toloka, and kept when the rest is replaced.
_OWN = ("id", "owner", "status", "type", "created", "last_started", "last_stopped", "last_close_reason")


def add(store: Store, kind: str, fields: View) -> View:
    """Add a project, pool or training in a given state.

    :param fields: fields of the view; others have defaults.
    :raises ValueError: the id is taken, or there is no such project.
    """
    defaults = copying.deepcopy(_DEFAULTS[kind])
    if kind in POOL_KINDS and store.tables["projects"].get(fields["project_id"]) is None:
        raise ValueError(f"there is no project {fields['project_id']}")
    times = {name: stamp(fields[name]) for name in _TIMES if fields.get(name) is not None}
    return _put(store, kind, _head(store, kind, fields.get("id")) | defaults | fields | times)


def create(store: Store, kind: str, form: View) -> View:
    """Create a project, pool or training from a form.

    :raises ApiError: 400 when something that the form names does not exist, 409 for an archived project.
    """
    _check(store, kind, form)
    status = {"status": "ACTIVE" if kind == "projects" else "CLOSED"} | ({"type": "REGULAR"} if kind == "pools" else {})
    row = _head(store, kind) | _BY_FORM[kind] | {"metadata": {}} | form | status
    if not store.options.keep_metadata:
        row["metadata"] = {}
    _put(store, kind, row)
    store.hide(kind, row["id"])
    return row


def replace(store: Store, kind: str, row_id: str, form: View) -> View:
    """Replace a project, pool or training by a form (``PUT``).

    :raises ApiError: 400 as for ``create``; 404 when there is none with this id; 409 when its state forbids it.
    """
    old = store.find(kind, row_id)
    if old["status"] == "ARCHIVED" or (kind == "pools" and old["status"] != "CLOSED"):
        code = {"projects": "PROJECT_INAPPROPRIATE_STATUS", "pools": "POOL_INAPPROPRIATE_STATUS"}.get(kind)
        raise wrong_status(code or "INAPPROPRIATE_STATUS", "ACTIVE" if kind == "projects" else "CLOSED")
    if kind in POOL_KINDS:
        rules.check_free(store, kind, old)
    _check(store, kind, form)
    if kind in POOL_KINDS and form["project_id"] != old["project_id"]:
        raise invalid_fields({"project_id": field_error("VALUE_NOT_ALLOWED", "The project cannot be changed")})
    kept = {name: old[name] for name in _OWN if name in old}
    row = _BY_FORM[kind] | {"metadata": {}} | form | kept
    _name_collectors(row)
    store.tables[kind].replace(row)
    return row


def set_priority(store: Store, pool_id: str, form: View) -> View:
    """Change a pool's priority.

    :raises ApiError: 404 when there is no such pool, 409 when it is archived.
    """
    pool = store.find("pools", pool_id)
    if pool["status"] not in ("OPEN", "CLOSED"):
        raise wrong_status("POOL_INAPPROPRIATE_STATUS", "OPEN", "CLOSED")
    return store.tables["pools"].update(pool["id"], **form)


def copy(store: Store, kind: str, row_id: str) -> View:
    """Add an empty copy of a pool or training."""
    old = store.find(kind, row_id)
    content = {name: value for name, value in old.items() if name not in _OWN}
    status = {"status": "CLOSED"} | ({"type": old["type"]} if "type" in old else {})
    return _put(store, kind, _head(store, kind) | copying.deepcopy(content) | status)


def create_skill(store: Store, form: View) -> View:
    """Create a skill."""
    skill = _head(store, "skills") | {"private_comment": "", "hidden": True, "deprecated": False, "global": False}
    skill |= {"public_name": {"EN": form["name"]}} | form
    store.tables["skills"].add(skill)
    return skill


def replace_skill(store: Store, skill_id: str, form: View) -> View:
    """Replace a skill by a form.

    :raises ApiError: 404 when there is none with this id.
    """
    skill = store.find("skills", skill_id) | form
    store.tables["skills"].replace(skill)
    return skill


def _head(store: Store, kind: str, row_id: str | None = None) -> View:
    owner = {"id": REQUESTER_ID, "myself": True}
    return {"id": row_id or store.new_number(kind), "owner": owner, "created": stamp(store.clock())}


def _put(store: Store, kind: str, row: View) -> View:
    if row["status"] == "OPEN":
        row.setdefault("last_started", row["created"])
    _name_collectors(row)
    store.tables[kind].add(row)
    if kind in POOL_KINDS:
        store.standings[row["id"]] = Standing()
    return row


def _name_collectors(row: View) -> None:
    # Each collector of quality control has an id from Toloka.
    control = row.get("quality_control")
    for config in (control.get("configs") if isinstance(control, dict) else None) or ():
        if isinstance(config, dict) and isinstance(config.get("collector_config"), dict):
            config["collector_config"].setdefault("uuid", str(uuid.uuid4()))


def _check(store: Store, kind: str, form: View) -> None:
    if kind == "projects":
        return
    errors = {}
    project = store.tables["projects"].get(form["project_id"])
    if project is None:
        errors["project_id"] = field_error("ENTITY_DOES_NOT_EXIST", "Entity does not exist")
    requirement = (form.get("quality_control") or {}).get("training_requirement")
    if requirement and store.tables["trainings"].get(requirement["training_pool_id"]) is None:
        path = "quality_control.training_requirement.training_pool_id"
        errors[path] = field_error("ENTITY_DOES_NOT_EXIST", "Entity does not exist")
    if errors:
        raise invalid_fields(errors)
    if project and project["status"] == "ARCHIVED":
        raise wrong_status("PROJECT_INAPPROPRIATE_STATUS", "ACTIVE")
