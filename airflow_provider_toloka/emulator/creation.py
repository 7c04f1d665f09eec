"""Making objects by request: ``POST /projects``, ``/pools`` and ``/trainings``, as far as test data need it.

The required fields are those of ``ProjectFormV1``, ``PoolFormV1`` and ``TrainingFormV1``.
"""

from __future__ import annotations

import json
from typing import Any

from airflow_provider_toloka.emulator.account import Account
from airflow_provider_toloka.emulator.errors import ApiError
from airflow_provider_toloka.emulator.tables import View

_REQUIRED: dict[str, dict[str, tuple[type, ...]]] = {
    "projects": {"public_name": (str,), "task_spec": (dict,), "assignments_issuing_type": (str,)},
    "pools": {
        "project_id": (str,),
        "private_name": (str,),
        "defaults": (dict,),
        "reward_per_assignment": (int, float),
        "will_expire": (str,),
        "assignment_max_duration_seconds": (int,),
    },
    "trainings": {
        "project_id": (str,),
        "private_name": (str,),
        "inherited_instructions": (bool,),
        "training_tasks_in_task_suite_count": (int,),
    },
}
_OPTIONAL: dict[str, tuple[type, ...]] = {
    "metadata": (dict,),
    "private_comment": (str,),
    "public_description": (str,),
    "public_instructions": (str,),
    "quality_control": (dict,),
}
# Toloka's to say: a form that has them is not refused, as a client may send back what it has read.
_READ_ONLY = ("id", "owner", "status", "created", "last_started", "last_stopped", "last_close_reason")
# Words of this emulator's own, by which a test says more of an object than the API shows: no form has them.
_NO_FIELDS = ("self", "active_assignments", "last_rejected", "training_id")


def read_form(body: bytes, content_type: str) -> dict[str, Any]:
    """Read the JSON object of a request.

    :raises ApiError: 415 for another content type, 400 for what is no JSON object.
    """
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise ApiError(415, message="Content-Type: application/json is expected")
    try:
        form = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, message=f"The body is not JSON: {error}") from error
    if not isinstance(form, dict):
        raise ApiError(400, message="A JSON object is expected")
    return form


def create(account: Account, kind: str, form: dict[str, Any]) -> View:
    """Make a project, pool or training.

    :raises ApiError: 400 for fields that lack or are wrong, 409 for an archived project.
    """
    wrong = {}
    for name, types in (_REQUIRED[kind] | _OPTIONAL).items():
        value = form.get(name)
        if value is None or value == "":
            if name in _REQUIRED[kind]:
                wrong[name] = {"code": "VALUE_REQUIRED", "message": "May not be empty"}
        elif not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            wrong[name] = {"code": "INVALID_TYPE", "message": f"Not the type that is expected: {types[0].__name__}"}
    project = None
    if kind != "projects" and "project_id" not in wrong:
        project = account.tables["projects"].get(form["project_id"])
        if project is None:
            wrong["project_id"] = {"code": "ENTITY_DOES_NOT_EXIST", "message": "Entity does not exist"}
    if wrong:
        raise ApiError(400, "VALIDATION_ERROR", "Validation failed", payload=wrong)
    if project and project["status"] == "ARCHIVED":
        raise ApiError(409, "PROJECT_INAPPROPRIATE_STATUS", "The project is archived")
    fields = {name: value for name, value in form.items() if name not in (*_READ_ONLY, *_NO_FIELDS)}
    if kind == "projects":
        return account.add_project(**fields)
    add = account.add_pool if kind == "pools" else account.add_training
    return add(**fields)
