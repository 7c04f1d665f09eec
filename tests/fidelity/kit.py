"""Toloka's own client, through the whole life of a project. It runs in a separate environment, with toloka-kit.

``python kit.py URL TOKEN sync|async`` exits with 0 when the client could do, and read, all that it asked for.
"""

from __future__ import annotations

import asyncio
import datetime
import inspect
import sys
import uuid
from collections.abc import AsyncIterable, Callable
from typing import Any

from toloka import client as kit
from toloka.async_client import AsyncTolokaClient
from toloka.client.exceptions import (
    AccessDeniedApiError,
    DoesNotExistApiError,
    IncorrectActionsApiError,
    ValidationApiError,
)
from toloka.client.project import field_spec
from toloka.client.project.view_spec import ClassicViewSpec

#: What the client has besides, for parts of Toloka that no account of the emulator has.
OUT_OF_SCOPE = (
    "_app",
    "attachment",
    "message_thread",
    "task_suite",
    "user",
    "webhook_subscription",
    "analytics",
    "assignments_df",
    "major_version_change",
    "sync_batch_processing",
)

SECONDS = datetime.timedelta(seconds=60)
EXPIRES = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)  # noqa: UP017  as kit writes it


class Recorder:
    """A client, sync or async, whose calls are awaited and remembered."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.called: set[str] = set()

    async def __call__(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        self.called.add(name)
        result = getattr(self.client, name)(*args, **kwargs)
        is_value = isinstance(result, AsyncIterable) or not inspect.isawaitable(result)
        return result if is_value else await result

    async def all(self, name: str, /, *args: Any, **kwargs: Any) -> list[Any]:
        """Return all objects of a list, over its pages."""
        found = await self(name, *args, **kwargs)
        return [one async for one in found] if isinstance(found, AsyncIterable) else list(found)

    async def refused(self, error: type[Exception], name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Return the error that a call has to end with."""
        try:
            await self(name, *args, **kwargs)
        except error as raised:
            return raised
        raise AssertionError(f"{name} was not refused")

    async def until(self, reached: Callable[[Any], bool], name: str, /, *args: Any) -> Any:
        """Return an object when it has come to be as it should."""
        for _ in range(600):
            if reached(seen := await self(name, *args)):
                return seen
            await asyncio.sleep(0.05)
        raise AssertionError(f"{name}: {seen}")

    async def finished(self, name: str, /, *args: Any, **kwargs: Any) -> Any:
        """Return the operation that a call begins, when it has succeeded."""
        operation = await self(name, *args, **kwargs)
        operation = await self("wait_operation", operation, SECONDS)
        assert operation.status == operation.SUCCESS, operation
        return operation


def a_project(name: str) -> Any:
    return kit.Project(
        public_name=name,
        public_description="Which animal is it?",
        public_instructions="Look, and choose.",
        assignments_issuing_type=kit.Project.AssignmentsIssuingType.AUTOMATED,
        task_spec=kit.project.task_spec.TaskSpec(
            input_spec={"image": field_spec.UrlSpec(), "note": field_spec.StringSpec(required=False, max_length=9)},
            output_spec={"result": field_spec.StringSpec(allowed_values=["cat", "dog"])},
            view_spec=ClassicViewSpec(markup="<img src={{image}}>", script="", styles=""),
        ),
        metadata={"airflow": ["a key"]},
    )


def a_pool(project_id: str, training_id: str | None = None, skill_id: str | None = None) -> Any:
    pool = kit.Pool(
        project_id=project_id,
        private_name="Main",
        may_contain_adult_content=False,
        will_expire=EXPIRES,
        reward_per_assignment=0.01,
        assignment_max_duration_seconds=600,
        auto_accept_solutions=False,
        auto_accept_period_day=7,
        defaults=kit.Pool.Defaults(default_overlap_for_new_tasks=3, default_overlap_for_new_task_suites=3),
        filter=kit.filter.Languages.in_("EN"),
        metadata={"airflow": ["a key"]},
    )
    pool.set_mixer_config(real_tasks_count=2, golden_tasks_count=1, training_tasks_count=0)
    if training_id:
        pool.set_training_requirement(training_pool_id=training_id, training_passing_skill_value=80)
    if skill_id:
        pool.quality_control.add_action(
            collector=kit.collectors.GoldenSet(),
            conditions=[kit.conditions.GoldenSetCorrectAnswersRate < 60.0],
            action=kit.actions.SetSkill(skill_id=skill_id, skill_value=1),
        )
    return pool


def a_task(pool_id: str, number: int, **more: Any) -> Any:
    return kit.Task(pool_id=pool_id, input_values={"image": f"https://example.com/{number}.jpg"}, **more)


def a_golden_task(pool_id: str, **more: Any) -> Any:
    known = [kit.task.BaseTask.KnownSolution(output_values={"result": "cat"}, correctness_weight=1)]
    return a_task(pool_id, 999, known_solutions=known, infinite_overlap=True, **more)


async def prepare(ask: Recorder) -> tuple[Any, Any, Any, Any]:
    """Create, read, change and clone what is needed before there are tasks."""
    assert (await ask("get_requester")).balance > 0
    project = await ask("create_project", a_project("Cats or dogs"))
    assert project.metadata == {"airflow": ["a key"]}
    project.public_name = "Cats and dogs"
    assert (await ask("update_project", project.id, project)).public_name == "Cats and dogs"
    assert (await ask("get_project", project.id)).task_spec.output_spec["result"].allowed_values == ["cat", "dog"]
    assert project.id in [one.id for one in await ask.all("get_projects", status="ACTIVE")]
    assert [one.id for one in (await ask("find_projects", id_gte=project.id, id_lte=project.id)).items] == [project.id]

    skill = await ask("create_skill", name=f"Animals {uuid.uuid4()}", public_requester_description={"EN": "Animals"})
    assert (await ask("get_skill", skill.id)).name == skill.name
    assert [one.id for one in (await ask("find_skills", name=skill.name)).items] == [skill.id]
    assert [one.id for one in await ask.all("get_skills", name=skill.name)] == [skill.id]
    skill.private_comment = "changed"
    assert (await ask("update_skill", skill.id, skill)).private_comment == "changed"

    training = await ask(
        "create_training",
        kit.Training(
            project_id=project.id,
            private_name="Before",
            inherited_instructions=True,
            may_contain_adult_content=False,
            assignment_max_duration_seconds=600,
            mix_tasks_in_creation_order=True,
            shuffle_tasks_in_task_suite=True,
            training_tasks_in_task_suite_count=1,
            task_suites_required_to_pass=1,
        ),
    )
    training.private_name = "First"
    assert (await ask("update_training", training.id, training)).private_name == "First"
    assert (await ask("get_training", training.id)).status.value == "CLOSED"
    assert [one.id for one in (await ask("find_trainings", project_id=project.id)).items] == [training.id]
    assert [one.id for one in await ask.all("get_trainings", project_id=project.id)] == [training.id]

    pool = await ask("create_pool", a_pool(project.id, training.id, skill.id))
    assert pool.metadata == {"airflow": ["a key"]}
    pool.private_name = "The main one"
    assert (await ask("update_pool", pool.id, pool)).private_name == "The main one"
    assert (await ask("patch_pool", pool.id, priority=30)).priority == 30
    assert (await ask("get_pool", pool.id)).quality_control.training_requirement.training_pool_id == training.id
    assert [one.id for one in (await ask("find_pools", project_id=project.id)).items] == [pool.id]
    assert [one.id for one in await ask.all("get_pools", project_id=project.id)] == [pool.id]
    return project, training, pool, skill


async def fill(ask: Recorder, training: Any, pool: Any) -> None:
    """Add tasks to the training and the pool, with every method of the client."""
    hint = {"message_on_unknown_solution": "It is a cat"}
    await ask("create_task", a_golden_task(training.id, **hint), allow_defaults=True)
    await ask("create_task", a_golden_task(pool.id), allow_defaults=True)
    one = await ask("create_task", a_task(pool.id, 0), allow_defaults=True, async_mode=False)
    assert (one.overlap, one.remaining_overlap) == (3, 3)
    assert (await ask("get_task", one.id)).input_values == {"image": "https://example.com/0.jpg"}
    mixed = [a_task(pool.id, 1), kit.Task(pool_id=pool.id, input_values={"note": "too long a note"})]
    result = await ask("create_tasks", mixed, allow_defaults=True, skip_invalid_items=True)
    assert list(result.items) == ["0"], result
    errors = {field: error.code for field, error in result.validation_errors["1"].items()}
    assert errors == {"input_values.image": "VALUE_REQUIRED", "input_values.note": "STRING_LENGTH_GREATER_THAN_MAX"}
    error = await ask.refused(ValidationApiError, "create_tasks", mixed, allow_defaults=True, async_mode=False)
    assert error.invalid_fields == ["1"], error
    error = await ask.refused(ValidationApiError, "create_tasks", [a_task(pool.id, 2)])
    result = await ask("create_tasks", [a_task(pool.id, 2), a_task(pool.id, 3)], allow_defaults=True, async_mode=False)
    assert list(result.items) == ["0", "1"]

    parameters = {"allow_defaults": True, "operation_id": uuid.uuid4()}
    more = [a_task(pool.id, number) for number in range(4, 64)]
    operation = await ask.finished("create_tasks_async", more, **parameters)
    assert operation.id == str(parameters["operation_id"])
    assert operation.details["success_count"] == len(more)
    assert (await ask("create_tasks_async", more, **parameters)).id == operation.id  # it exists already, and is found
    log = await ask("get_operation_log", operation.id)
    assert {entry.type for entry in log} == {"TASK_CREATE"}
    assert len(log) == len(more)
    tasks = await ask.all("get_tasks", pool_id=pool.id)
    assert len({task.id for task in tasks}) == len(tasks) == 65
    assert len((await ask("find_tasks", pool_id=pool.id, overlap=3, limit=10)).items) == 10
    assert (await ask("patch_task", tasks[-1].id, kit.task.TaskPatch(overlap=4))).overlap == 4
    assert (await ask("patch_task_overlap_or_min", tasks[-1].id, overlap=3)).overlap == 3


async def label(ask: Recorder, project: Any, training: Any, pool: Any, skill: Any) -> None:
    """Open the pool, wait until it has been worked on, judge the answers and aggregate them."""
    assert (await ask("open_training", training.id)).is_open()
    assert await ask("open_training_async", training.id) is None
    empty = await ask("clone_pool", pool.id)
    assert (empty.project_id, empty.status.value) == (project.id, "CLOSED")
    assert (await ask.refused(IncorrectActionsApiError, "open_pool", empty.id)).code == "EMPTY_POOL"
    await ask("open_pool", pool.id)
    pool = await ask.until(lambda seen: seen.is_closed(), "get_pool", pool.id)
    assert (pool.status.value, pool.last_close_reason.value) == ("CLOSED", "COMPLETED")
    error = await ask.refused(IncorrectActionsApiError, "open_pool", pool.id)
    assert error.code == "POOL_ASSIGNMENTS_EXHAUSTED"

    assignments = await ask.all("get_assignments", pool_id=pool.id)
    assert {one.status.value for one in assignments} == {"SUBMITTED"}
    assert sum(len(one.tasks) - 1 for one in assignments) == 3 * 64
    assert all(len(one.tasks) == len(one.solutions) for one in assignments)
    found = await ask("find_assignments", pool_id=pool.id, status=["SUBMITTED"], sort=["-submitted"], limit=2)
    assert found.has_more
    first, second, *others = assignments
    assert (await ask("accept_assignment", first.id, "Good")).status == kit.Assignment.ACCEPTED
    assert (await ask("reject_assignment", second.id, "Bad")).status == kit.Assignment.REJECTED
    await ask.refused(IncorrectActionsApiError, "reject_assignment", first.id, "Bad after all")
    assert (await ask("patch_assignment", second.id, public_comment="Good after all", status="ACCEPTED")).accepted
    assert (await ask("get_assignment", second.id)).public_comment == "Good after all"
    for one in others:
        await ask("accept_assignment", one.id, "Good")

    field = kit.aggregation.PoolAggregatedSolutionRequest.Field(name="result")
    for more in ({"type": "DAWID_SKENE"}, {"type": "WEIGHTED_DYNAMIC_OVERLAP", "answer_weight_skill_id": skill.id}):
        operation = await ask.finished("aggregate_solutions_by_pool", pool_id=pool.id, fields=[field], **more)
        solutions = await ask.all("get_aggregated_solutions", operation.id)
        assert len({one.task_id for one in solutions}) == len(solutions) >= 64
        assert all(one.output_values["result"] in ("cat", "dog") and one.confidence > 0 for one in solutions)
    page = await ask("find_aggregated_solutions", operation.id, sort=["task_id"], limit=1)
    assert page.items[0].task_id == min(one.task_id for one in solutions)
    single = await ask(
        "aggregate_solutions_by_task",
        pool_id=pool.id,
        task_id=page.items[0].task_id,
        answer_weight_skill_id=skill.id,
        fields=[kit.aggregation.WeightedDynamicOverlapTaskAggregatedSolutionRequest.Field(name="result")],
    )
    assert single.output_values == page.items[0].output_values


async def end(ask: Recorder, project: Any, training: Any) -> None:
    """Close and archive everything."""
    other = await ask("create_pool", a_pool(project.id))
    # Everybody may do this task: the pool stays open.
    await ask("create_tasks", [a_task(other.id, 1, infinite_overlap=True)], open_pool=True)
    await ask.until(lambda seen: seen.is_open(), "get_pool", other.id)
    await ask("close_pool", other.id)
    await ask.finished("open_pool_async", other.id)
    await ask("close_pool_for_update", other.id)
    await ask.finished("open_pool_async", other.id)
    await ask.finished("close_pool_for_update_async", other.id)
    assert (await ask("get_pool", other.id)).last_close_reason.value == "FOR_UPDATE"
    await ask("open_pool", other.id)
    await ask.finished("close_pool_async", other.id)
    assert await ask("close_pool_async", other.id) is None
    twin = (await ask.finished("clone_pool_async", other.id)).details.pool_id
    assert (await ask("get_pool", twin)).project_id == project.id

    assert (await ask("close_training", training.id)).is_closed()
    assert await ask("close_training_async", training.id) is None
    error = await ask.refused(IncorrectActionsApiError, "archive_training", training.id)
    assert error.code == "TRAINING_ARCHIVE_CONFLICT"
    copied = await ask("clone_training", training.id)
    assert (await ask.finished("clone_training_async", training.id)).details.training_id != copied.id
    error = await ask.refused(IncorrectActionsApiError, "archive_project", project.id)
    assert error.code == "UNARCHIVED_POOLS_CONFLICT"
    pools = [one.id for one in await ask.all("get_pools", project_id=project.id)]
    assert (await ask("archive_pool", pools[0])).is_archived()
    for one in pools[1:]:
        await ask.finished("archive_pool_async", one)
    assert await ask("archive_pool_async", pools[0]) is None
    trainings = [one.id for one in await ask.all("get_trainings", project_id=project.id)]
    assert (await ask("archive_training", trainings[0])).is_archived()
    for one in trainings[1:]:
        await ask.finished("archive_training_async", one)
    operation = await ask.finished("archive_project_async", project.id)
    assert (await ask("get_operation", operation.id)).parameters.project_id == project.id
    assert (await ask("archive_project", project.id)).status.value == "ARCHIVED"
    found = await ask("find_operations", type="PROJECT.ARCHIVE", sort=["-submitted"], limit=2)
    assert operation.id in [one.id for one in found.items]
    everything = await ask.all("get_operations", submitted_gt=datetime.datetime(2020, 1, 1))  # noqa: DTZ001
    assert len({one.id for one in everything}) == len(everything)


async def run(make: Callable[..., Any], url: str, token: str) -> None:
    """Do everything once, and check that nothing was forgotten."""
    ask = Recorder(make(token, url=url, retries=0, retry_quotas=None))
    project, training, pool, skill = await prepare(ask)
    await fill(ask, training, pool)
    await label(ask, project, training, pool, skill)
    await end(ask, project, training)
    copied = await ask("clone_project", project.id)
    assert len(copied.pools) == len(await ask.all("get_pools", project_id=project.id))
    await ask.refused(DoesNotExistApiError, "get_pool", "123456789")
    stranger = Recorder(make(token, url=url, retries=0, retry_quotas=None, act_under_account_id="someone"))
    await stranger.refused(AccessDeniedApiError, "get_requester")

    methods = {name for name in dir(kit.TolokaClient) if name[0].islower()}
    methods = {name for name in methods if not any(part in name for part in OUT_OF_SCOPE)}
    assert ask.called >= methods, sorted(methods - ask.called)


if __name__ == "__main__":
    asyncio.run(run(AsyncTolokaClient if sys.argv[3] == "async" else kit.TolokaClient, sys.argv[1], sys.argv[2]))
