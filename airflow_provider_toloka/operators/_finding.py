"""The operator that finds the stale projects of an account; ``operators.stale`` is its public home."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_toloka._arguments import check_literals, note_given, read_count, read_optional
from airflow_provider_toloka._durations import Duration, duration
from airflow_provider_toloka._task import failing_at_once
from airflow_provider_toloka.operators._selecting import ALL, SelectingOperator, too_many
from airflow_provider_toloka.reporting import Outcome, approval_body, approval_subject

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, XComArg


class TolokaFindStaleProjectsOperator(SelectingOperator):
    """Find the unused projects of an account (API: ``GET /projects``, ``/pools``, ``/trainings``).

    A project is stale when it is active, has no open pool or training, and the latest of its own ``created`` and of
    its pools' and trainings' ``created``, ``last_started`` and ``last_stopped`` is more than ``inactive_for`` before
    the reference time. Nothing is changed at Toloka. The XComs ``approval_subject`` and ``approval_body`` are for
    Airflow's ``ApprovalOperator``.

    :param inactive_for: how long a project must have been idle: seconds, a timedelta, or a text such as ``"180d"`` or
        ``"P180D"``. (templated)
    :param only_ids: whether to return only the ids, for ``.expand(project_id=...)``.
    :param max_projects: if more are found, the task fails without retries, before anyone is asked for approval; None:
        no limit. (templated)
    :param kwargs: the parameters of ``SelectingOperator``, and those of every operator.
    """

    template_fields: Sequence[str] = ("max_projects", *SelectingOperator.template_fields)

    def __init__(
        self,
        *,
        inactive_for: Duration | XComArg,
        only_ids: bool = False,
        max_projects: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.inactive_for = inactive_for
        self.only_ids = only_ids
        self.max_projects = max_projects
        note_given(self, max_projects=max_projects)
        check_literals(self, inactive_for=partial(duration, "inactive_for"))

    def execute(self, context: Context) -> list[dict[str, Any]] | list[str]:
        """Find the stale projects.

        :returns: the longest idle first: ``[{id, name, last_activity, pools, trainings, reason}]``, or the ids.
        :raises AirflowFailException: an invalid argument, a permanent error, or too many projects.
        :raises TolokaApiError: a request failed; see the subclasses.
        """
        with failing_at_once(), self._reporting_errors(context):
            arguments = self._selection(context, ALL)
            most = read_optional(self, "max_projects", "For no limit, leave it out.")
            most = None if most is None else read_count("max_projects", most)
            found, report = self._in_loop(
                lambda client: self._read(client, context, arguments, keep_others=bool(self.report_path))
            )
            candidates = found.found()
            self._log_selection(found, report, arguments.selection)
            if most is not None and len(candidates) > most:
                raise ValueError(too_many(len(candidates), most))
        self._write(context, report)
        stale = report.of(Outcome.WOULD_ARCHIVE)
        self._log_group(f"Stale: {len(stale)}", stale)
        rest = str(self.report_path or "the log of the task that found them")
        context["ti"].xcom_push(key="approval_subject", value=approval_subject(report))
        context["ti"].xcom_push(key="approval_body", value=approval_body(report, rest=rest))
        reports = [candidate.report(arguments.as_of) for candidate in candidates]
        return [one["id"] for one in reports] if self.only_ids else reports
