"""Store a key in a created object, to find it again. Pure.

Projects, pools and trainings have no idempotency key (API: ``POST /projects``, ``/pools``, ``/trainings``), so the key
is stored in the object. It is stored twice, because it is not known whether Toloka returns ``metadata``, and an object
whose key is lost would be created again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from airflow_provider_toloka._text import shown

#: The field of ``metadata`` with the key.
METADATA_FIELD = "airflow"

_KEY = re.compile(r"[A-Za-z0-9_.:@/+-]{1,100}", re.ASCII)
#: By kind, the field with the second copy of the key, which only the requester sees, and the separator before the key.
_STAMPED_TEXT: Mapping[str, tuple[str, str]] = {
    "project": ("private_comment", "\n"),
    "pool": ("private_comment", "\n"),
    "training": ("private_name", " "),
}


def check_key(key: object) -> str:
    """Return a valid key.

    :param key: 1 to 100 of ``A-Z a-z 0-9 _ . : @ / + -``.
    :raises ValueError: the key is anything else, or empty, such as the rendered text "None".
    """
    if not isinstance(key, str) or not _KEY.fullmatch(key) or key == "None":
        raise ValueError(
            f"key should be 1 to 100 letters, digits or any of _ . : @ / + -, but is {shown(key)}. "
            "If it comes from a template, check its rendered value."
        )
    return key


def stamped(kind: str, form: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the form with the key stored in it.

    :param kind: ``project``, ``pool`` or ``training``.
    :param form: the form.
    :param key: the key.
    """
    name, separator = _STAMPED_TEXT[kind]
    before = form.get(name) or ""
    return {
        **form,
        "metadata": {**(form.get("metadata") or {}), METADATA_FIELD: [key]},
        name: f"{before}{separator if before else ''}{_stamp(key)}",
    }


def bears(kind: str, json: Mapping[str, Any], key: str) -> bool:
    """Return whether an object contains a key.

    :param kind: ``project``, ``pool`` or ``training``.
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
