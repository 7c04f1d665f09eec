"""Keys that make creating safe to retry: what a task is to create bears the same key in every try. Pure."""

from __future__ import annotations

import json
from uuid import UUID, uuid5

_NAMESPACE = UUID("6d72608e-8fbd-5e08-a1a0-76e0cb736286")


def task_key(*, base_url: str, account_id: str, dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    """Return the key of what one task creates: the same over tries, clears and modes.

    Another run, and another mapped task, has another key. The number of the try is no part of it.

    :param base_url: address of the API; sandbox and production are apart.
    :param account_id: id of the requester that owns the objects.
    :param dag_id: id of the DAG.
    :param run_id: id of the DAG run.
    :param task_id: id of the task.
    :param map_index: index of the mapped task; -1 if it is not mapped.
    """
    return str(uuid5(_NAMESPACE, json.dumps([base_url, account_id, dag_id, run_id, task_id, map_index])))


def upload_id(key: str, *, pool_id: str, chunk: int, digest: str, generation: int) -> str:
    """Return the ``operation_id`` of one chunk of tasks (API: ``POST /tasks``).

    :param key: key of the upload.
    :param pool_id: pool or training that the tasks go to.
    :param chunk: number of the chunk.
    :param digest: digest of the chunk's content, so that corrected input is uploaded.
    :param generation: 0; 1 more for each earlier upload of this chunk that failed, since Toloka remembers those too.
    """
    return str(uuid5(uuid5(_NAMESPACE, key), f"{pool_id}:{chunk}:{digest}:{generation}"))
