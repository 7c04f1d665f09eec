"""Derive idempotency keys, which are the same in every try of a task. Pure."""

from __future__ import annotations

import json
from uuid import UUID, uuid5

_NAMESPACE = UUID("6d72608e-8fbd-5e08-a1a0-76e0cb736286")


def task_key(*, base_url: str, account_id: str, dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    """Return the key of the object that a task creates, which is the same over retries, clears and modes.

    Every run and every mapped task has its own key. The key does not depend on the number of the try.

    :param base_url: address of the API; sandbox and production have different keys.
    :param account_id: id of the requester that owns the objects.
    :param dag_id: id of the DAG.
    :param run_id: id of the DAG run.
    :param task_id: id of the task.
    :param map_index: index of the mapped task; -1 if it is not mapped.
    """
    return str(uuid5(_NAMESPACE, json.dumps([base_url, account_id, dag_id, run_id, task_id, map_index])))


def upload_id(key: str, *, pool_id: str, chunk: int, digest: str, generation: int) -> str:
    """Return the ``operation_id`` of a chunk of tasks (API: ``POST /tasks``).

    :param key: key of the upload.
    :param pool_id: the tasks' pool or training.
    :param chunk: number of the chunk.
    :param digest: digest of the chunk's content, so that corrected input is uploaded.
    :param generation: the number of earlier failed uploads of this chunk, whose ids cannot be used again.
    """
    return str(uuid5(uuid5(_NAMESPACE, key), f"{pool_id}:{chunk}:{digest}:{generation}"))
