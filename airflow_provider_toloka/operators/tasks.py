"""The operator that adds each task to a pool or a training once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_toloka._arguments import check_literals, note_given, read_optional, read_pool_id, require
from airflow_provider_toloka._lineage import Place, file_place, source_of, toloka_place
from airflow_provider_toloka._outlets import describe_outlets
from airflow_provider_toloka._text import shown
from airflow_provider_toloka.client.models import Operation, Pool
from airflow_provider_toloka.client.parsing import check_truth
from airflow_provider_toloka.client.resources import POOL, TRAINING
from airflow_provider_toloka.client.stamps import check_key
from airflow_provider_toloka.client.waiting import in_time
from airflow_provider_toloka.exceptions import TolokaLockedError, TolokaOperationFailedError, TolokaTimeoutError
from airflow_provider_toloka.labelling.ahead import one_ahead
from airflow_provider_toloka.labelling.chunks import Chunk, chunks_of
from airflow_provider_toloka.labelling.forms import check_task
from airflow_provider_toloka.labelling.reading import check_name, is_csv, read_tasks
from airflow_provider_toloka.labelling.upload import Upload, count_in, failure
from airflow_provider_toloka.operators._labelling import WaitingOperator, find_pool, key_of
from airflow_provider_toloka.reporting.words import counted

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath, XComArg

    from airflow_provider_toloka._task import Deadline
    from airflow_provider_toloka.hooks.toloka import TolokaHook

#: The maximum number of unfinished operations of a deferred task, to keep the trigger's arguments small.
_PENDING = 1_000


class TolokaAddTasksOperator(WaitingOperator):
    """Add each task to a pool or a training once, however often the task is retried (API: ``POST /tasks``).

    Tasks are uploaded in chunks of at most 5,000 tasks and 1 MB. The operation id of a chunk is derived from the key
    and the chunk's content, so a retry finds what is uploaded.

    **Pass the same tasks in the same order in every try.** Tasks that differ between two tries, such as the result of
    an unordered query or a random sample, are added in addition to the earlier ones, and tasks cannot be deleted.

    :param pool_id: the id of a pool or a training, or the address of its page. (templated)
    :param tasks: forms of tasks, each with ``input_values``; or the path or URI (``s3://…``, ``gs://…``) of a JSON
        Lines file (``.jsonl``, ``.ndjson``) with such forms, or of a CSV file (``.csv``), whose columns are the input
        fields, or ``INPUT:field``, ``GOLDEN:field`` and ``HINT:text``. Files are read line by line. (templated)
    :param allow_defaults: whether tasks without an ``overlap`` get the pool's default.
    :param skip_invalid: whether to add the valid tasks when others are invalid. False: an invalid task fails the upload
        of its chunk.
    :param key: identifies the upload. Runs with the same key add the same tasks to a pool once. None: each task
        instance has its own key. (templated)
    :param kwargs: the parameters of ``PollingOperator``, and those of every operator.
    """

    template_fields: Sequence[str] = ("pool_id", "tasks", "key", "toloka_conn_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {"tasks": "json"}

    def __init__(
        self,
        *,
        pool_id: str | XComArg,
        tasks: Sequence[Mapping[str, Any]] | str | ObjectStoragePath | XComArg,
        allow_defaults: bool = True,
        skip_invalid: bool = False,
        key: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_id = pool_id
        self.tasks = tasks
        self.allow_defaults = allow_defaults
        self.skip_invalid = skip_invalid
        self.key = key
        note_given(self, key=key)
        check_literals(
            self,
            pool_id=read_pool_id,
            tasks=_source,
            allow_defaults=partial(check_truth, "allow_defaults"),
            skip_invalid=partial(check_truth, "skip_invalid"),
        )
        if key is not None:
            check_literals(self, key=check_key)

    def advance(
        self, context: Context, hook: TolokaHook, deadline: Deadline, waited: Mapping[str, Operation | None] | None
    ) -> dict[str, Any]:
        """Upload missing chunks, and wait until Toloka has added all tasks.

        :param hook: the hook of the task's connection.
        :param deadline: when the try ends.
        :param waited: the operations of a deferred task; None: this try was not deferred.
        :returns: ``{"created": …, "invalid": …, "operation_ids": […]}``.
        :raises AirflowFailException: a task is invalid, or a permanent error.
        :raises TolokaOperationFailedError: an upload failed; a retry repeats it.
        :raises TolokaTimeoutError: the uploads did not finish in time; they keep running at Toloka.
        """
        key = read_optional(self, "key")
        if key is not None:
            check_key(key)
        allow_defaults = check_truth("allow_defaults", self.allow_defaults)
        skip_invalid = check_truth("skip_invalid", self.skip_invalid)
        source = _source(self.tasks)
        if not isinstance(source, str) and isinstance(source, Sequence):
            for number, task in enumerate(source):
                check_task(task, f"tasks[{number}]")
        pool = find_pool(context, hook, self.pool_id)
        upload = Upload(
            key=key_of(context, hook, key),
            pool_id=pool.id,
            allow_defaults=allow_defaults,
            skip_invalid=skip_invalid,
        )
        sent: dict[str, Operation] = {}
        chunks = chunks_of(_forms(hook, source, pool.project_id), pool.id)
        # A resumed task has sent all chunks; it only counts what was added, also after the deadline.
        for chunk in one_ahead(_until(deadline, chunks) if waited is None else chunks):
            operation = self._send(hook, upload, chunk, sent, deadline, may_repeat=waited is None)
            sent[operation.id] = operation
            self._add_lineage(operation_ids=list(sent), source=source_of(hook.api.settings))
            self.log.info("Chunk %d, %d tasks: %s", chunk.number, chunk.count, operation.summary)
        if not sent:
            self.log.warning("No tasks to add to pool or training %s", pool.id)
        for operation in self.settle(hook, list(sent.values()), deadline):
            sent[operation.id] = operation
        for number, operation in enumerate(sent.values()):
            if operation.failed:
                # Read again, to name the tasks of the chunk.
                raise _failure(hook, _forms(hook, source, pool.project_id), pool.id, number, operation)
        created = sum(count_in(operation, "success_count") for operation in sent.values())
        invalid = sum(count_in(operation, "not_valid_count") for operation in sent.values())
        resource = POOL if isinstance(pool, Pool) else TRAINING
        place = toloka_place(source_of(hook.api.settings), resource, pool.id, rows=created)
        self._add_lineage(inputs=self._files(created + invalid), outputs=[place])
        describe_outlets(self, context, list(sent.values()))
        requests = counted(hook.requests_sent, "request")
        self.log.info("Tasks added to %s %s: %d; invalid: %d (%s)", resource.kind, pool.id, created, invalid, requests)
        return {"created": created, "invalid": invalid, "operation_ids": list(sent)}

    def _files(self, rows: int) -> list[Place]:
        """Return the file that the tasks are from, if they are from one."""
        path: Any = self.tasks
        if isinstance(path, str):
            from airflow.providers.common.compat.sdk import ObjectStoragePath

            path = ObjectStoragePath(path)
        return [file_place(path, rows)] if hasattr(path, "open") else []

    def _send(
        self,
        hook: TolokaHook,
        upload: Upload,
        chunk: Chunk,
        sent: dict[str, Operation],
        deadline: Deadline,
        *,
        may_repeat: bool,
    ) -> Operation:
        while True:
            pending = [operation for operation in sent.values() if not operation.is_finished]
            if len(pending) >= _PENDING:
                self._wait_for(hook, pending[0], sent, deadline)
            try:
                sending = upload.send(hook.api, chunk, may_repeat=may_repeat)
                return hook.run(in_time(sending, deadline.at, lambda: _late(deadline, chunk.number)))
            except TolokaLockedError:
                # Toloka may process one chunk at a time, or an operation of another user may be running.
                if not pending:
                    raise
                self._wait_for(hook, pending[0], sent, deadline)

    def _wait_for(self, hook: TolokaHook, operation: Operation, sent: dict[str, Operation], deadline: Deadline) -> None:
        sent.update(self.poll(hook, [operation], deadline.at, deadline.limit))


def _failure(
    hook: TolokaHook, forms: Iterable[Any], pool_id: str, number: int, operation: Operation
) -> TolokaOperationFailedError:
    """Return the error for a chunk's failed upload, which names the chunk's tasks."""
    for chunk in chunks_of(forms, pool_id):
        if chunk.number == number:
            return hook.run(failure(hook.api, operation, chunk))
    return TolokaOperationFailedError(operation)


def _source(tasks: Any) -> Any:
    """Return the parameter ``tasks``: a list, or the path of a file.

    :raises ValueError: it is neither.
    """
    require("tasks", tasks, "")
    if isinstance(tasks, str):
        if tasks.lstrip().startswith(("[", "{")):
            raise ValueError(
                f"tasks should be a list of dicts, or the path of a file, but is the text {shown(tasks)}. "
                "If it comes from a template, set render_template_as_native_obj=True, or pass the XComArg itself."
            )
        check_name(tasks)
    elif hasattr(tasks, "open"):
        check_name(tasks.name)
    elif not isinstance(tasks, Sequence):
        raise ValueError(f"tasks should be a list of dicts, or the path of a file, but is {shown(tasks)}.")
    return tasks


def _forms(hook: TolokaHook, source: Any, project_id: str) -> Iterable[Any]:
    """Return the forms; a file is read lazily."""
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    path: Any = ObjectStoragePath(source) if isinstance(source, str) else source
    if not hasattr(path, "open"):
        return path  # type: ignore[no-any-return]
    types = hook.run(hook.api.projects.field_types(project_id)) if is_csv(path.name) else None
    return read_tasks(path, types)


def _until(deadline: Deadline, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """Yield chunks; after the deadline, read no further ones.

    :raises TolokaTimeoutError: the deadline has passed before all chunks were read.
    """
    for chunk in chunks:
        yield chunk
        if not deadline.left():
            raise _late(deadline, chunk.number + 1)


def _late(deadline: Deadline, number: int) -> TolokaTimeoutError:
    return deadline.error(f"the tasks from chunk {number} on are not uploaded")
