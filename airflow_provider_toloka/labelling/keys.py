"""Keys that make creating safe to retry: what a task is to create bears the same key in every try. Pure.

A project, pool or training has no idempotency key of its own (API: ``POST /projects``, ``/pools``, ``/trainings``), so
the key is stamped on the object, and found again in the list. Tasks have one, the ``operation_id`` of their upload.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias
from uuid import UUID, uuid5

from airflow_provider_toloka._text import shown

Kind: TypeAlias = Literal["project", "pool", "training"]

#: The field of ``metadata`` that holds the key.
METADATA_FIELD = "airflow"

_NAMESPACE = UUID("6d72608e-8fbd-5e08-a1a0-76e0cb736286")
_KEY = re.compile(r"[A-Za-z0-9_.:@/+-]{1,100}", re.ASCII)
#: The text fields that hold the stamp as well: it is not known whether Toloka returns ``metadata``.
_STAMPED_TEXT: Mapping[Kind, tuple[str, str]] = {
    "project": ("private_comment", "\n"),
    "pool": ("private_comment", "\n"),
    "training": ("private_name", " "),
}


def task_key(*, base_url: str, account_id: str, dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    """Return the key of what one task creates: the same over tries, clears and modes.

    Another run, and another mapped task, has another key. Never pass the number of the try.

    :param base_url: address of the API; sandbox and production are apart.
    :param account_id: id of the requester that owns the objects.
    :param dag_id: id of the DAG.
    :param run_id: id of the DAG run.
    :param task_id: id of the task.
    :param map_index: index of the mapped task; -1 if it is not mapped.
    """
    return str(uuid5(_NAMESPACE, json.dumps([base_url, account_id, dag_id, run_id, task_id, map_index])))


def check_key(key: object) -> str:
    """Return a key that a user has chosen.

    :param key: 1 to 100 of ``A-Z a-z 0-9 _ . : @ / + -``.
    :raises ValueError: the key is anything else; empty or ``None``, also as a template renders them.
    """
    if not isinstance(key, str) or not _KEY.fullmatch(key) or key == "None":
        raise ValueError(
            f"key should be 1 to 100 letters, digits or any of _ . : @ / + -, but is {shown(key)}. "
            "If it comes from a template, check what that renders to."
        )
    return key


def upload_id(key: str, *, pool_id: str, chunk: int, digest: str, generation: int) -> str:
    """Return the ``operation_id`` of one chunk of tasks (API: ``POST /tasks``).

    :param key: the task's key.
    :param pool_id: pool or training that the tasks go to.
    :param chunk: number of the chunk.
    :param digest: digest of the chunk's content, so that corrected input is uploaded.
    :param generation: 0; 1 more for each earlier upload of this chunk that failed, since Toloka remembers those too.
    """
    return str(uuid5(uuid5(_NAMESPACE, key), f"{pool_id}:{chunk}:{digest}:{generation}"))


def stamped(kind: Kind, form: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the form with the key on it: in ``metadata``, and in a text that only the requester sees.

    Both, because Toloka may drop ``metadata``, and an object whose stamp is lost would be created again.

    :param kind: what the form is for.
    :param form: a checked form.
    :param key: the key.
    """
    name, separator = _STAMPED_TEXT[kind]
    before = form.get(name) or ""
    return {
        **form,
        "metadata": {**(form.get("metadata") or {}), METADATA_FIELD: [key]},
        name: f"{before}{separator if before else ''}{_stamp(key)}",
    }


def bears(kind: Kind, json: Mapping[str, Any], key: str) -> bool:
    """Return whether an object bears a key.

    :param kind: what it is.
    :param json: the object, as the API returns it.
    :param key: the key.
    """
    metadata = json.get("metadata")
    if isinstance(metadata, Mapping) and metadata.get(METADATA_FIELD) in ([key], key):
        return True
    name, _ = _STAMPED_TEXT[kind]
    text = json.get(name)
    return isinstance(text, str) and text.rstrip().endswith(_stamp(key))


def _stamp(key: str) -> str:
    return f"[airflow:{key}]"
