"""Links from a task to its objects on Toloka's site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperatorLink

from airflow_provider_toloka.client.resources import PROJECT, Resource

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_toloka.hooks.toloka import TolokaHook


class TolokaLink(BaseOperatorLink):
    """Base of the links. Each is an XCom of its task, pushed as soon as the task knows the address."""

    #: The kind of its target, as in operations.
    kind: ClassVar[str]

    @property
    def name(self) -> str:
        """What the button says."""
        return f"Toloka {self.kind}"

    @property
    def xcom_key(self) -> str:
        """The XCom's key; Airflow 3 reads the address from it."""
        return f"_link_{type(self).__name__}"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 - the base class's signature
        """Return the address.

        :param operator: the task.
        :param ti_key: the task instance.
        :returns: the address; empty: the task did not get far enough to know it.
        """
        from airflow.providers.common.compat.sdk import XCom

        place = {"key": self.xcom_key, "dag_id": ti_key.dag_id, "task_id": ti_key.task_id, "run_id": ti_key.run_id}
        try:
            # Airflow 3 reads a link when the task ends, and logs an error about a missing XCom, but not about no list.
            # Only a mapped task needs more than the list: a next try may clear the XCom between the two.
            if hasattr(XCom, "get_all"):
                of_all_map_indexes = XCom.get_all(**place) or [""]
                if ti_key.map_index < 0 or not any(of_all_map_indexes):
                    return of_all_map_indexes[0] or ""
            return XCom.get_value(ti_key=ti_key, key=self.xcom_key) or ""
        except Exception:  # noqa: BLE001 - a page of Airflow's must not fail because of a link
            return ""


class TolokaProjectLink(TolokaLink):
    """A link to a project."""

    kind = "project"


class TolokaPoolLink(TolokaLink):
    """A link to a pool."""

    kind = "pool"


class TolokaTrainingLink(TolokaLink):
    """A link to a training."""

    kind = "training"


class TolokaAccountLink(TolokaLink):
    """A link to the account's list of projects."""

    kind = "projects"


class TolokaReportLink(TolokaLink):
    """A link to the task's report, if that has an http(s) address."""

    kind = "report"

    @property
    def name(self) -> str:
        """What the button says."""
        return "Report"


ACCOUNT_LINK = TolokaAccountLink()
REPORT_LINK = TolokaReportLink()

#: By the kind of their target.
LINKS: dict[str, TolokaLink] = {
    link.kind: link for link in (TolokaProjectLink(), TolokaPoolLink(), TolokaTrainingLink())
}


def push_account_link(context: Context, site: str) -> None:
    """Link a task to the account's list of projects.

    :param context: the task's context.
    :param site: the address of Toloka's site: ``Settings.site``.
    """
    context["ti"].xcom_push(ACCOUNT_LINK.xcom_key, f"{site}/requester")


def push_report_link(context: Context, where: str) -> None:
    """Link a task to its report.

    :param context: the task's context.
    :param where: the report's address; only http(s) addresses are linked; empty: there is none.
    """
    # Airflow reads the link's XCom of every task, and logs an error if there is none.
    context["ti"].xcom_push(REPORT_LINK.xcom_key, where if where.startswith(("https://", "http://")) else "")


def push_links(context: Context, hook: TolokaHook, resource: Resource, object_id: str) -> None:
    """Link a task to an object and its project.

    :param context: the task's context.
    :param hook: reads the object's project.
    :param resource: the kind of the object.
    :param object_id: the object's id.
    :raises TolokaApiError: the pool or training could not be read.
    """
    site, project_id = hook.api.settings.site, object_id
    if resource is not PROJECT:
        project_id = hook.run(hook.api.calls.get_one(resource, object_id)).project_id
        context["ti"].xcom_push(LINKS[resource.kind].xcom_key, resource.page_at(site, project_id, object_id))
    context["ti"].xcom_push(LINKS["project"].xcom_key, PROJECT.page_at(site, project_id))
