"""Links from a task to what it works on, on Toloka's site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperatorLink

from airflow_provider_toloka.client.resources import PROJECT, Resource

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_toloka.hooks.toloka import TolokaHook


class TolokaLink(BaseOperatorLink):
    """Base of the links: each is an XCom of its task, from the moment on at which the task knows it."""

    #: What it leads to, as operations name it.
    kind: ClassVar[str]

    @property
    def name(self) -> str:
        """What the button says."""
        return f"Toloka {self.kind}"

    @property
    def xcom_key(self) -> str:
        """Where the address is; Airflow 3 shows what is there."""
        return f"_link_{type(self).__name__}"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 - the base class's signature
        """Give the address.

        :param operator: the task.
        :param ti_key: which run of it.
        :returns: the address; empty: the task did not come so far as to know it.
        """
        from airflow.providers.common.compat.sdk import XCom

        try:
            return XCom.get_value(ti_key=ti_key, key=self.xcom_key) or ""
        except Exception:  # noqa: BLE001 - a page of Airflow's must not fail because of a link
            return ""


class TolokaProjectLink(TolokaLink):
    """Leads to a project."""

    kind = "project"


class TolokaPoolLink(TolokaLink):
    """Leads to a pool."""

    kind = "pool"


class TolokaTrainingLink(TolokaLink):
    """Leads to a training."""

    kind = "training"


class TolokaAccountLink(TolokaLink):
    """Leads to the account's list of projects."""

    kind = "projects"


class TolokaReportLink(TolokaLink):
    """Leads to the report that the task wrote, where that has an http(s) address."""

    kind = "report"

    @property
    def name(self) -> str:
        """What the button says."""
        return "Report"


ACCOUNT_LINK = TolokaAccountLink()
REPORT_LINK = TolokaReportLink()

#: By what they lead to.
LINKS: dict[str, TolokaLink] = {
    link.kind: link for link in (TolokaProjectLink(), TolokaPoolLink(), TolokaTrainingLink())
}


def push_account_link(context: Context, site: str) -> None:
    """Let a task link to the account's list of projects.

    :param context: the task's.
    :param site: where Toloka's site is: ``Settings.site``.
    """
    context["ti"].xcom_push(ACCOUNT_LINK.xcom_key, f"{site}/requester")


def push_report_link(context: Context, where: str) -> None:
    """Let a task link to its report.

    :param context: the task's.
    :param where: where the report is; only an http(s) address is linked; empty: there is none.
    """
    # Airflow reads the link's XCom of every task, and logs an error if there is none.
    context["ti"].xcom_push(REPORT_LINK.xcom_key, where if where.startswith(("https://", "http://")) else "")


def push_links(context: Context, hook: TolokaHook, resource: Resource, object_id: str) -> None:
    """Let a task link to an object, and to the project that it is in.

    :param context: the task's.
    :param hook: reads which project that is.
    :param resource: the kind of the object.
    :param object_id: the object's id.
    :raises TolokaApiError: the pool or training could not be read.
    """
    site, project_id = hook.api.settings.site, object_id
    if resource is not PROJECT:
        project_id = hook.run(hook.api.calls.get_one(resource, object_id)).project_id
        context["ti"].xcom_push(LINKS[resource.kind].xcom_key, resource.page_at(site, project_id, object_id))
    context["ti"].xcom_push(LINKS["project"].xcom_key, PROJECT.page_at(site, project_id))
