"""Operators that export assignments and aggregate answers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_toloka._arguments import check_literals, note_given, read_choice, read_id, read_optional, require
from airflow_provider_toloka._lineage import LineageMixin, file_place, source_of, toloka_place
from airflow_provider_toloka._outlets import describe_outlets
from airflow_provider_toloka._task import failing_at_once
from airflow_provider_toloka._text import shown
from airflow_provider_toloka.client.api.aggregation import METHODS, Method, aggregation_form, check_fields, check_skill
from airflow_provider_toloka.client.models import CLOSED, Operation
from airflow_provider_toloka.client.parsing import check_truth
from airflow_provider_toloka.client.resources import POOL
from airflow_provider_toloka.client.waiting import in_time
from airflow_provider_toloka.client.work import ASSIGNMENT_STATUSES
from airflow_provider_toloka.hooks.toloka import TolokaHook
from airflow_provider_toloka.labelling.ahead import one_ahead
from airflow_provider_toloka.labelling.answers import VALUES, rows_of
from airflow_provider_toloka.labelling.results import joined
from airflow_provider_toloka.labelling.writing import Format, check_format, write_rows
from airflow_provider_toloka.links.toloka import LINKS
from airflow_provider_toloka.operators._labelling import WaitingOperator, find_pool, waited_for
from airflow_provider_toloka.reporting.words import counted

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath, XComArg

    from airflow_provider_toloka._task import Deadline

_FORMATS = get_args(Format)
#: Checks for ``check_literals``. The machine that parses the DAG may lack pyarrow, so ``check_format`` comes later.
_CHECKS = {"pool_id": partial(read_id, POOL), "format": partial(read_choice, "format", choices=_FORMATS)}


class TolokaExportAssignmentsOperator(LineageMixin, BaseOperator):
    """Write the answers of a pool to a file, one row for each task of each assignment (API: ``GET /assignments``).

    The file is created or replaced only when it is complete. Rows have ``assignment_id``,
    ``status``, ``user_id``, ``pool_id``, ``task_suite_id``, ``task_id``, ``input``, ``output``, ``golden`` (the correct
    answer of a control task) and the times ``created``, ``submitted``, ``accepted``, ``rejected``, ``skipped``,
    ``expired`` in UTC. In CSV and Parquet, ``input``, ``output`` and ``golden`` become columns ``INPUT:field``,
    ``OUTPUT:field`` and ``GOLDEN:field``.

    :param pool_id: the pool's id, or the address of its page. (templated)
    :param path: where to write: a path, or a URI (``s3://…``, ``gs://…``) of Airflow's object storage. (templated)
    :param status: which assignments to export: one or more of ``ACCEPTED``, ``ACTIVE``, ``EXPIRED``, ``REJECTED``,
        ``SKIPPED``, ``SUBMITTED``. (templated)
    :param format: ``"jsonl"``, ``"csv"``, or ``"parquet"``, which requires
        ``pip install "airflow-provider-toloka[parquet]"``. (templated)
    :param without_golden: whether to leave out control tasks.
    :param toloka_conn_id: the id of the Toloka connection. (templated)
    :param kwargs: the parameters of every operator.
    """

    template_fields: Sequence[str] = ("pool_id", "path", "status", "format", "toloka_conn_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {"status": "json"}
    operator_extra_links = (LINKS["pool"], LINKS["project"])
    ui_color: str = "#a8dce8"

    def __init__(
        self,
        *,
        pool_id: str | XComArg,
        path: str | ObjectStoragePath | XComArg,
        status: str | Sequence[str] = ("ACCEPTED",),
        format: Format = "jsonl",  # noqa: A002 - the field's own word
        without_golden: bool = False,
        toloka_conn_id: str = "toloka_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_id = pool_id
        self.path = path
        self.status = status
        self.format = format
        self.without_golden = without_golden
        self.toloka_conn_id = toloka_conn_id
        check_literals(
            self,
            **_CHECKS,
            path=_check_path,
            status=_statuses,
            without_golden=partial(check_truth, "without_golden"),
        )

    def execute(self, context: Context) -> dict[str, Any]:
        """Write the file.

        :returns: ``{"path": …, "rows": …, "assignments": …}``.
        :raises AirflowFailException: an invalid argument, or a permanent error.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        assignments = 0
        with failing_at_once(), TolokaHook(self.toloka_conn_id) as hook:
            statuses, format_, path = _statuses(self.status), _read_format(self.format), storage_path(self.path)
            without_golden = check_truth("without_golden", self.without_golden)
            pool = find_pool(context, hook, self.pool_id)
            if pool.status not in (CLOSED, "ARCHIVED"):
                self.log.warning("Pool %s is %s: answers may still arrive or change status", pool.id, pool.status)

            def rows() -> Iterator[dict[str, Any]]:
                nonlocal assignments
                listing = hook.api.assignments.listing(pool_id=pool.id, status=",".join(statuses))
                for page in one_ahead(hook.pages(listing)):
                    assignments += len(page)
                    for assignment in page:
                        yield from rows_of(assignment, without_golden=without_golden)

            count = write(rows(), path, format_)
            place = toloka_place(source_of(hook.api.settings), POOL, pool.id)
            self._add_lineage(inputs=[place], outputs=[file_place(path, count)])
        requests = counted(hook.requests_sent, "request")
        self.log.info("Wrote %d rows of %d assignments to %s (%s)", count, assignments, path, requests)
        return {"path": str(path), "rows": count, "assignments": assignments}


class TolokaAggregateOperator(WaitingOperator):
    """Aggregate the accepted answers of a closed pool (API: ``POST /aggregated-solutions/aggregate-by-pool``).

    A retry reuses the aggregation of an earlier try. Toloka allows 5 aggregations, and 5 pages of results, per minute,
    30 per hour and 200 per day: if these limits may apply, set ``retry_delay`` to an hour.

    :param pool_id: the id of a closed pool, or the address of its page. Its tasks need an overlap of at least 2.
        (templated)
    :param fields: the output fields to aggregate; exactly one for ``DAWID_SKENE``. (templated)
    :param method: ``"DAWID_SKENE"``, or ``"WEIGHTED_DYNAMIC_OVERLAP"``, which weights answers by a skill. (templated)
    :param skill_id: the skill for ``WEIGHTED_DYNAMIC_OVERLAP``. (templated)
    :param path: where to write the result: rows of ``task_id``, ``pool_id``, ``input``, ``output``, ``confidence``; see
        ``TolokaExportAssignmentsOperator``. None: the result is not written. (templated)
    :param format: ``"jsonl"``, ``"csv"`` or ``"parquet"``: see ``TolokaExportAssignmentsOperator``. (templated)
    :param kwargs: the parameters of ``PollingOperator``, and those of every operator.
    """

    template_fields: Sequence[str] = ("pool_id", "fields", "method", "skill_id", "path", "format", "toloka_conn_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {"fields": "json"}

    def __init__(
        self,
        *,
        pool_id: str | XComArg,
        fields: Sequence[str],
        method: Method,
        skill_id: str | XComArg | None = None,
        path: str | ObjectStoragePath | XComArg | None = None,
        format: Format = "jsonl",  # noqa: A002 - the field's own word
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.pool_id = pool_id
        self.fields = fields
        self.method = method
        self.skill_id = skill_id
        self.path = path
        self.format = format
        note_given(self, path=path, skill_id=skill_id)
        check_literals(self, **_CHECKS, method=partial(read_choice, "method", choices=METHODS))
        if method in METHODS:  # not a template
            check_literals(self, fields=partial(check_fields, method), skill_id=partial(check_skill, method))
        if path is not None:
            check_literals(self, path=_check_path)

    def advance(
        self, context: Context, hook: TolokaHook, deadline: Deadline, waited: Mapping[str, Operation | None] | None
    ) -> Any:
        """Aggregate, wait, and write the result if ``path`` is set.

        :param hook: the hook of the task's connection.
        :param deadline: when the try ends.
        :param waited: the operation of a deferred task; it is not submitted again.
        :returns: the operation's id; with a path ``{"path": …, "rows": …, "operation_id": …}``.
        :raises AirflowFailException: an invalid argument, or a permanent error.
        :raises TolokaConflictError: the pool is not closed.
        :raises TolokaOperationFailedError: the aggregation failed.
        :raises TolokaTimeoutError: it did not finish in time; it keeps running at Toloka.
        """
        method: Any = read_choice("method", self.method, METHODS)
        format_ = _read_format(self.format)
        given = read_optional(self, "path")
        path = None if given is None else storage_path(given)
        skill_id: Any = read_optional(self, "skill_id")
        # Checked here too, because the pool is read before the aggregation is started.
        aggregation_form(read_id(POOL, self.pool_id), self.fields, method, skill_id)
        pool = find_pool(context, hook, self.pool_id)
        operation = waited_for(waited)
        if operation is None:
            aggregation = hook.api.aggregation.start(
                pool.id,
                fields=self.fields,
                method=method,
                skill_id=skill_id,
                since=context["dag_run"].start_date,
            )
            late = partial(deadline.error, f"the answers of pool {pool.id} are not aggregated")
            operation = hook.run(in_time(aggregation, deadline.at, late))
        source = source_of(hook.api.settings)
        place = toloka_place(source, POOL, pool.id)
        self._add_lineage(inputs=[place], operation_ids=[operation.id], source=source)
        (operation,) = self.settle(hook, [operation], deadline)
        hook.run(hook.api.operations.require_success([operation]))
        self.log.debug("Toloka's %s", operation.summary)
        describe_outlets(self, context, [operation])
        if path is None:
            self.log.info("Aggregated the answers of pool %s (%s)", pool.id, counted(hook.requests_sent, "request"))
            return operation.id
        rows = joined(hook.list_aggregated(operation.id), hook.list_tasks(pool_id=pool.id))
        count = write(rows, path, format_)
        self._add_lineage(outputs=[file_place(path, count)])
        self.log.info("Wrote %d rows to %s (%s)", count, path, counted(hook.requests_sent, "request"))
        return {"path": str(path), "rows": count, "operation_id": operation.id}


def storage_path(given: Any) -> ObjectStoragePath:
    """Return a path in Airflow's object storage.

    :param given: a path or URI.
    :raises ValueError: the path is empty, such as the rendered text "None".
    """
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    _check_path(given)
    return ObjectStoragePath(given) if isinstance(given, str) else given


def write(rows: Iterator[dict[str, Any]], path: ObjectStoragePath, format_: Format) -> int:
    """Write rows to a file in Airflow's object storage; see ``write_rows``.

    :param rows: the rows.
    :param path: the file.
    :param format_: the file's format.
    """
    return write_rows(rows, path, format_=format_, values=VALUES, move=lambda source, to: source.move(to))


def _read_format(given: Any) -> Format:
    return check_format(read_choice("format", given, _FORMATS))


def _check_path(given: Any) -> None:
    require("path", given, "")


def _statuses(given: Any) -> list[str]:
    require("status", given, "")
    statuses = [given] if isinstance(given, str) else list(given) if isinstance(given, Collection) else []
    if not statuses or not all(status in ASSIGNMENT_STATUSES for status in statuses):
        raise ValueError(f"status should be one or more of {', '.join(ASSIGNMENT_STATUSES)}, but is {shown(given)}.")
    return statuses
