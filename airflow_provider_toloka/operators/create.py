"""Operators that create projects, trainings and pools once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_toloka._arguments import check_literals, note_given, read_id, read_optional
from airflow_provider_toloka._durations import Duration, duration
from airflow_provider_toloka._lineage import LineageMixin, source_of, toloka_place
from airflow_provider_toloka._task import failing_at_once
from airflow_provider_toloka._text import shown
from airflow_provider_toloka.client.resources import POOL, PROJECT, TRAINING, Resource
from airflow_provider_toloka.client.stamps import check_key
from airflow_provider_toloka.hooks.toloka import TolokaHook
from airflow_provider_toloka.labelling.checks import write_time
from airflow_provider_toloka.labelling.forms import Kind, check_form
from airflow_provider_toloka.links.toloka import LINKS
from airflow_provider_toloka.operators._labelling import key_of, link_to
from airflow_provider_toloka.reporting.words import counted

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, XComArg

    from airflow_provider_toloka.client.models import Pool, Project, Training

Form = Mapping[str, Any]

_FILES = (".json", ".yaml", ".yml")


class _CreateOperator(LineageMixin, BaseOperator):
    """Base of the operators that create one object.

    :param key: identifies the object: 1 to 100 letters, digits or any of ``_ . : @ / + -``. All tasks with the same key
        share one object. None: each task instance has its own key, so each run creates an object. (templated)
    :param toloka_conn_id: the id of the Toloka connection. (templated)
    :param kwargs: the parameters of every operator.
    """

    template_ext: Sequence[str] = _FILES
    ui_color: str = "#d4e8a8"

    def __init__(self, *, key: str | None = None, toloka_conn_id: str = "toloka_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.key = key
        self.toloka_conn_id = toloka_conn_id
        note_given(self, key=key)
        if key is not None:
            check_literals(self, key=check_key)

    def _create(self, context: Context, kind: Kind, form: Mapping[str, Any]) -> str:
        checked = check_form(kind, form)
        for warning in checked.warnings:
            self.log.warning("%s.", warning)
        given = read_optional(self, "key")
        with TolokaHook(self.toloka_conn_id) as hook:
            key = key_of(context, hook, given)
            self.log.info("The key of the %s is %s", kind, key)
            # An earlier try may have been killed after it sent the form.
            was_tried = context["ti"].try_number > 1
            created: Project | Pool | Training
            resource: Resource
            if kind == "project":
                resource, created = (
                    PROJECT,
                    hook.run(hook.api.projects.ensure(checked.form, key=key, was_tried=was_tried)),
                )
            elif kind == "pool":
                resource, created = POOL, hook.run(hook.api.pools.ensure(checked.form, key=key, was_tried=was_tried))
            else:
                resource, created = (
                    TRAINING,
                    hook.run(hook.api.trainings.ensure(checked.form, key=key, was_tried=was_tried)),
                )
            link_to(context, hook, resource, getattr(created, "project_id", created.id), created.id)
            place = toloka_place(source_of(hook.api.settings), resource, created.id, change="CREATE")
            self._add_lineage(outputs=[place])
        requests = counted(hook.requests_sent, "request")
        self.log.info("%s %s is ready (%s)", kind.capitalize(), created.id, requests)
        return created.id


class TolokaCreateProjectOperator(_CreateOperator):
    """Create a project (API: ``POST /projects``).

    A run creates its project once, however often the task is retried or cleared: a key is stored in the project,
    in ``metadata.airflow`` and as the last line of ``private_comment``, and a project with the key is returned.

    :param project: the form with the API's fields: a dict, or the path of a ``.json``, ``.yaml`` or ``.yml`` file. It
        is validated before it is sent. Enclose Toloka's own ``{{…}}`` in the markup of a task in ``{% raw %}`` and
        ``{% endraw %}``. (templated)
    :param kwargs: the parameters of ``_CreateOperator``, and those of every operator.
    """

    template_fields: Sequence[str] = ("project", "key", "toloka_conn_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json"}
    operator_extra_links = (LINKS["project"],)

    def __init__(self, *, project: Form | str | XComArg, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.project: Any = project
        check_literals(self, project=partial(_check_form, "project"))

    def execute(self, context: Context) -> str:
        """Return the project's id.

        :raises AirflowFailException: the form is invalid, or a permanent error.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        with failing_at_once():
            return self._create(context, "project", read_form("project", self.project))


class TolokaCreateTrainingOperator(_CreateOperator):
    """Create a training in a project (API: ``POST /trainings``).

    A run creates its training once, however often the task is retried or cleared: a key is stored in the training,
    in ``metadata.airflow`` and at the end of ``private_name``, and a training with the key is returned.

    :param project_id: the project's id, or the address of its page. (templated)
    :param training: the form with the API's fields: a dict, or the path of a ``.json``, ``.yaml`` or ``.yml`` file. It
        is validated before it is sent. (templated)
    :param kwargs: the parameters of ``_CreateOperator``, and those of every operator.
    """

    template_fields: Sequence[str] = ("project_id", "training", "key", "toloka_conn_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {"training": "json"}
    operator_extra_links = (LINKS["training"], LINKS["project"])

    def __init__(self, *, project_id: str | XComArg, training: Form | str | XComArg, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.project_id = project_id
        self.training: Any = training
        check_literals(self, project_id=partial(read_id, PROJECT), training=partial(_check_form, "training"))

    def execute(self, context: Context) -> str:
        """Return the training's id.

        :raises AirflowFailException: the form is invalid, or a permanent error.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        with failing_at_once():
            form = read_form("training", self.training)
            return self._create(context, "training", in_project("training", form, self.project_id))


class TolokaCreatePoolOperator(_CreateOperator):
    """Create a pool in a project (API: ``POST /pools``). The pool is closed, and costs nothing until it is opened.

    A run creates its pool once, however often the task is retried or cleared: a key is stored in the pool, in
    ``metadata.airflow`` and as the last line of ``private_comment``, and a pool with the key is returned.

    :param project_id: the project's id, or the address of its page. (templated)
    :param pool_form: the form with the API's fields: a dict, or the path of a ``.json``, ``.yaml`` or ``.yml`` file. It
        is validated before it is sent. It is not called ``pool``, because Airflow has a parameter of that name.
        (templated)
    :param training_id: the training that Tolokers have to pass first; the form has to contain
        ``quality_control.training_requirement.training_passing_skill_value``. None: as in the form. (templated)
    :param expires_in: how long after the task's start the pool closes: seconds, a timedelta, or a text such as
        ``"14d"``. None: the form's ``will_expire``. (templated)
    :param kwargs: the parameters of ``_CreateOperator``, and those of every operator.
    """

    template_fields: Sequence[str] = ("project_id", "pool_form", "training_id", "expires_in", "key", "toloka_conn_id")
    template_fields_renderers: ClassVar[dict[str, str]] = {"pool_form": "json"}
    operator_extra_links = (LINKS["pool"], LINKS["project"])

    def __init__(
        self,
        *,
        project_id: str | XComArg,
        pool_form: Form | str | XComArg,
        training_id: str | XComArg | None = None,
        expires_in: Duration | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.project_id = project_id
        self.pool_form: Any = pool_form
        self.training_id = training_id
        self.expires_in = expires_in
        note_given(self, training_id=training_id, expires_in=expires_in)
        check_literals(self, project_id=partial(read_id, PROJECT), pool_form=partial(_check_form, "pool_form"))
        if training_id is not None:
            check_literals(self, training_id=partial(read_id, TRAINING))
        if expires_in is not None:
            check_literals(self, expires_in=partial(duration, "expires_in"))

    def execute(self, context: Context) -> str:
        """Return the pool's id.

        :raises AirflowFailException: the form is invalid, or a permanent error.
        :raises TolokaApiError: the request failed; see the subclasses.
        """
        with failing_at_once():
            form = in_project("pool", read_form("pool_form", self.pool_form), self.project_id)
            training_id, expires_in = read_optional(self, "training_id"), read_optional(self, "expires_in")
            if training_id is not None:
                form = _with_training(form, read_id(TRAINING, training_id))
            if expires_in is not None:
                expires_in = duration("expires_in", expires_in)
                if form.get("will_expire") is not None:
                    raise ValueError("expires_in and pool.will_expire are both given: leave one of them out.")
                form["will_expire"] = write_time(datetime.now(UTC) + expires_in)
            return self._create(context, "pool", form)


def read_form(name: str, given: object) -> dict[str, Any]:
    """Return a form that is given as a dict, or as the text of a JSON or YAML file.

    :param name: the parameter, for the error.
    :param given: the form.
    :raises ValueError: the form is neither.
    """
    if isinstance(given, str):
        import yaml

        try:
            given = json.loads(given) if given.lstrip().startswith("{") else yaml.safe_load(given)
        except (ValueError, yaml.YAMLError) as error:
            raise ValueError(f"{name} is neither JSON nor YAML: {error}.") from error
    if not isinstance(given, Mapping):
        raise ValueError(
            f"{name} should be a dict, or the path of a .json, .yaml or .yml file with one, but is "
            f"{shown(given)}. If it comes from a template, check its rendered value."
        )
    return dict(given)


def _check_form(name: str, given: object) -> None:
    """Check the parameter of a form when the DAG is parsed; its file is read later."""
    if not (isinstance(given, str) and given.endswith(_FILES)):
        read_form(name, given)


def in_project(name: str, form: Mapping[str, Any], project_id: object) -> dict[str, Any]:
    """Return the form with its project.

    :param name: the form's parameter, for the error.
    :param form: the form.
    :param project_id: the project's id.
    :raises ValueError: the form has another project.
    """
    id_ = read_id(PROJECT, project_id)
    if form.get("project_id") is not None and str(form["project_id"]) != id_:
        raise ValueError(f"{name}.project_id is {shown(form['project_id'])}, but project_id is {id_!r}.")
    return {**form, "project_id": id_}


def _with_training(form: Mapping[str, Any], training_id: str) -> dict[str, Any]:
    path = "pool.quality_control.training_requirement"
    control = form.get("quality_control")
    requirement = control.get("training_requirement") if isinstance(control, Mapping) else None
    if not isinstance(control, Mapping) or not isinstance(requirement, Mapping):
        raise ValueError(
            f"training_id is given, but {path} is missing: set its training_passing_skill_value (0 to 100)."
        )
    before = requirement.get("training_pool_id")
    if before is not None and str(before) != training_id:
        raise ValueError(f"{path}.training_pool_id is {shown(before)}, but training_id is {training_id!r}.")
    return {
        **form,
        "quality_control": {**control, "training_requirement": {**requirement, "training_pool_id": training_id}},
    }
