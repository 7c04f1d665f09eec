"""Links from a task to what it works on, on Toloka's site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperatorLink

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


#: By what they lead to.
LINKS: dict[str, TolokaLink] = {
    link.kind: link for link in (TolokaProjectLink(), TolokaPoolLink(), TolokaTrainingLink())
}


def push_links(context: Context, hook: TolokaHook, kind: str, object_id: str) -> None:
    """Let a task link to an object, and to the project that it is in.

    :param context: the task's.
    :param hook: reads which project that is.
    :param kind: ``project``, ``pool`` or ``training``.
    :param object_id: the object's id.
    :raises TolokaApiError: one of its kinds, by meaning: the pool or training could not be read.
    """
    project_id = object_id
    if kind != "project":
        project_id = (hook.get_pool if kind == "pool" else hook.get_training)(object_id).project_id
        context["ti"].xcom_push(LINKS[kind].xcom_key, hook.api.settings.web_page(project_id, kind, object_id))
    context["ti"].xcom_push(LINKS["project"].xcom_key, hook.api.settings.web_page(project_id))
