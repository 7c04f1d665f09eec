"""The life of a project by the methods of both clients, as any Python program uses them."""

from __future__ import annotations

import asyncio
import inspect
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any, TypeAlias

import pytest

from airflow_provider_toloka.client import AsyncTolokaClient, RetryPolicy, TolokaClient
from airflow_provider_toloka.client.observer import Observer
from airflow_provider_toloka.client.transports.sync import RequestsTransport
from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.emulator.options import Tolokers
from airflow_provider_toloka.exceptions import TolokaOperationFailedError, TolokaRequestError, TolokaTimeoutError
from tests.client.transports import emulated, settings_for
from tests.labelling.forms import POOL, PROJECT, TRAINING
from tests.serving import reply, serving

#: Calls a method of a client; a list comes whole.
Call: TypeAlias = Callable[..., Any]

TASKS = [{"input_values": {"image": f"https://example.com/{number}.jpg"}} for number in range(10)]


@pytest.fixture
def toloka() -> Iterator[TolokaEmulator]:
    with TolokaEmulator(operation_seconds=0.1, tolokers=Tolokers(count=4), quotas=False) as emulator:
        yield emulator


@pytest.fixture(params=["plain", "async"])
def call(request: pytest.FixtureRequest, toloka: TolokaEmulator) -> Iterator[Call]:
    """Call methods of a client from a token."""
    if request.param == "plain":
        with TolokaClient.from_token(toloka.token, url=toloka.url, allow_http=True, retries=0) as client:

            def plain(name: str, /, *args: Any, **options: Any) -> Any:
                result = getattr(client, name)(*args, **options)
                return list(result) if inspect.isgenerator(result) else result

            yield plain
        return
    with asyncio.Runner() as runner:
        twin = AsyncTolokaClient.from_token(toloka.token, url=toloka.url, allow_http=True, retries=0)
        runner.run(twin.__aenter__())

        async def asked(name: str, args: Any, options: Any) -> Any:
            result = getattr(twin, name)(*args, **options)
            return [item async for item in result] if isinstance(result, AsyncIterator) else await result

        yield lambda name, /, *args, **options: runner.run(asked(name, args, options))
        runner.run(twin.__aexit__())


def posts(toloka: TolokaEmulator, path: str) -> list[Any]:
    """Return the requests to a path that changed something."""
    return [one for one in toloka.requests if one.method != "GET" and one.path == path]


def filled(call: Call, toloka: TolokaEmulator, count: int = 10, **more: Any) -> str:
    """Create a pool with tasks; return its id."""
    project_id = toloka.add_project()["id"]
    pool = call("create_pool", POOL | {"project_id": project_id, "auto_accept_solutions": False} | more, key="monday")
    operation = call("add_tasks", [task | {"pool_id": pool.id} for task in TASKS[:count]], operation_id=new_id())
    call("wait_for_operation", operation.id, poll_interval=0.1)
    return str(pool.id)


def new_id() -> str:
    return str(uuid.uuid4())


@pytest.mark.parametrize(("kind", "form"), [("project", PROJECT), ("training", TRAINING), ("pool", POOL)])
def test_an_object_is_created_once_for_a_key(
    toloka: TolokaEmulator, call: Call, kind: str, form: dict[str, Any]
) -> None:
    project_id = toloka.add_project()["id"]
    form = form if kind == "project" else form | {"project_id": project_id}
    made = call(f"create_{kind}", form, key="a-key")
    assert call(f"create_{kind}", form, key="a-key") == made
    assert call(f"create_{kind}", form, key="another-key").id != made.id
    assert call(f"get_{kind}", made.id).id == made.id
    assert len(posts(toloka, f"/{kind}s")) == 2


def test_the_life_of_a_pool(toloka: TolokaEmulator, call: Call) -> None:
    pool_id = filled(call, toloka)
    project_id = toloka.pools[pool_id]["project_id"]
    began = call("now") - timedelta(seconds=5)  # it is exact to a second only
    opening = call("open_pool", pool_id, opened_since=began)
    assert call("wait_for_operation", opening.id, poll_interval=0.1).type == "POOL.OPEN"
    assert call("get_pool", pool_id).status == "CLOSED"
    # It has been completed since, and is not opened again for the same program.
    again = call("open_pool", pool_id, opened_since=began)
    assert again is None or again.id == opening.id
    assert len(posts(toloka, f"/pools/{pool_id}/open")) == 1

    answers = call("list_assignments", pool_id=pool_id, status="SUBMITTED")
    assert len(answers) == 6
    assert {answer.pool_id for answer in answers} == {pool_id}
    first, second, *others = (answer.id for answer in answers)
    assert call("accept_assignment", first, public_comment="well done").status == "ACCEPTED"
    assert call("reject_assignment", second, public_comment="these are cats").status == "REJECTED"
    comments = {id_: one["public_comment"] for id_, one in toloka.assignments.items() if one.get("public_comment")}
    assert comments == {first: "well done", second: "these are cats"}
    assert call("get_assignment", first).status == "ACCEPTED"
    for one in (second, *others):  # a rejection can be taken back
        assert call("accept_assignment", one).status == "ACCEPTED"

    operation = call("aggregate_pool", pool_id, fields=["result"], method="DAWID_SKENE", since=began)
    finished = call("wait_for_operation", operation.id, poll_interval=0.1, timeout=60)
    assert (finished.type, finished.status) == ("SOLUTION.AGGREGATE", "SUCCESS")
    assert call("aggregate_pool", pool_id, fields=["result"], method="DAWID_SKENE", since=began).id == operation.id
    results = call("list_aggregated", operation.id)
    assert {one.task_id for one in results} == {task.id for task in call("list_tasks", pool_id=pool_id)}
    assert len(results) == 10

    assert call("close_pool", pool_id) is None
    for change, id_, type_ in (
        ("archive_pool", pool_id, "POOL.ARCHIVE"),
        ("archive_project", project_id, "PROJECT.ARCHIVE"),
    ):
        operation = call(change, id_)
        assert call("wait_for_operation", operation.id, poll_interval=0.1).type == type_
        assert call(change, id_) is None


def test_the_life_of_a_training(toloka: TolokaEmulator, call: Call) -> None:
    training_id = call("create_training", TRAINING | {"project_id": toloka.add_project()["id"]}, key="exam").id
    task = TASKS[0] | {"pool_id": training_id, "known_solutions": [{"output_values": {"result": "cat"}}]}
    operation = call("add_tasks", [task | {"message_on_unknown_solution": "No"}] * 3, operation_id=new_id())
    call("wait_for_operation", operation.id, poll_interval=0.1)
    since = call("now")
    for change, type_ in (
        ("open_training", "TRAINING.OPEN"),
        ("close_training", "TRAINING.CLOSE"),
        ("archive_training", "TRAINING.ARCHIVE"),
    ):
        operation = call(change, training_id)
        assert call("wait_for_operation", operation.id, poll_interval=0.1).type == type_
        if change == "close_training":
            again = call("open_training", training_id, opened_since=since - timedelta(seconds=5))
            assert again is None or again.type == "TRAINING.OPEN"
            assert len(posts(toloka, f"/trainings/{training_id}/open")) == 1
    assert call("get_training", training_id).status == "ARCHIVED"


def test_tasks_are_added_once_for_an_operation_id(toloka: TolokaEmulator, call: Call) -> None:
    pool_id = filled(call, toloka, count=1)
    tasks = [task | {"pool_id": pool_id} for task in TASKS[1:3]]
    id_ = new_id()
    operation = call("add_tasks", tasks, operation_id=id_)
    call("wait_for_operation", operation.id, poll_interval=0.1)
    assert call("add_tasks", tasks, operation_id=id_).id == operation.id == id_
    assert len(call("list_tasks", pool_id=pool_id)) == 3
    assert {one["success"] for one in call("get_operation_log", id_)} == {True}


def test_what_add_tasks_is_told_reaches_toloka(toloka: TolokaEmulator, call: Call) -> None:
    pool_id = filled(call, toloka, count=1)
    good, bad = (task | {"pool_id": pool_id} for task in (TASKS[1], {"input_values": {"video": "?"}}))
    operation = call("add_tasks", [good, bad], operation_id=new_id(), skip_invalid=True)
    call("wait_for_operation", operation.id, poll_interval=0.1)
    assert len(call("list_tasks", pool_id=pool_id)) == 2
    assert posts(toloka, "/tasks")[-1].query["skip_invalid_items"] == "true"
    assert posts(toloka, "/tasks")[-1].query["allow_defaults"] == "true"

    strict = call("add_tasks", [good, bad], operation_id=new_id(), allow_defaults=False)
    with pytest.raises(TolokaOperationFailedError):
        call("wait_for_operation", strict.id, poll_interval=0.1)
    assert posts(toloka, "/tasks")[-1].query["allow_defaults"] == "false"
    assert posts(toloka, "/tasks")[-1].query["skip_invalid_items"] == "false"


def test_skills(toloka: TolokaEmulator, call: Call) -> None:
    skill = call("find_or_create_skill", "Knows dogs", hidden=True)
    assert (skill.name, toloka.skills[skill.id]["hidden"]) == ("Knows dogs", True)
    assert call("find_or_create_skill", "Knows dogs") == skill
    assert call("list_skills", name="Knows dogs") == [skill]
    assert len(posts(toloka, "/skills")) == 1


def test_lists_are_filtered(toloka: TolokaEmulator, call: Call) -> None:
    first, second = (toloka.add_project()["id"] for _ in range(2))
    pool_id, training_id = toloka.add_pool(first)["id"], toloka.add_training(first)["id"]
    toloka.add_pool(second)
    toloka.add_training(second)
    archived = call("archive_project", toloka.add_project()["id"])
    call("wait_for_operation", archived.id, poll_interval=0.1)
    assert [one.id for one in call("list_projects", status="ACTIVE")] == [first, second]
    assert [one.id for one in call("list_pools", project_id=first)] == [pool_id]
    assert [one.id for one in call("list_trainings", project_id=first)] == [training_id]
    hour_ago = datetime.now(UTC) - timedelta(hours=1)
    assert [one.type for one in call("list_operations", submitted_gte=hour_ago)] == ["PROJECT.ARCHIVE"]
    assert call("list_operations", submitted_lt=hour_ago) == []


def test_a_weighted_aggregation_names_the_skill(toloka: TolokaEmulator, call: Call) -> None:
    pool_id = filled(call, toloka, auto_accept_solutions=True)
    opening = call("open_pool", pool_id)
    call("wait_for_operation", opening.id, poll_interval=0.1)
    skill = call("find_or_create_skill", "Knows cats")
    operation = call("aggregate_pool", pool_id, fields=["result"], method="WEIGHTED_DYNAMIC_OVERLAP", skill_id=skill.id)
    assert operation.parameters["answer_weight_skill_id"] == skill.id


def test_a_list_goes_on_over_its_pages(toloka: TolokaEmulator, call: Call) -> None:
    ids = [toloka.add_project()["id"] for _ in range(301)]
    assert [one.id for one in call("list_projects")] == ids


def test_the_poll_interval_is_the_longest_one(toloka: TolokaEmulator, call: Call) -> None:
    operation = toloka.add_operation("POOL.CLOSE", status="RUNNING")
    with pytest.raises(TolokaTimeoutError):
        call("wait_for_operation", operation["id"], poll_interval=0.05, timeout=2)
    # At the default interval, there would be five: after 0.25, 0.5, 1 and 2 seconds, and one at once.
    assert len(toloka.requests) >= 8


@pytest.mark.parametrize(
    "given",
    [
        {"poll_interval": timedelta(seconds=0.1), "timeout": timedelta(seconds=0.5)},
        {"poll_interval": "0.1", "timeout": "PT0.5S"},
        {"poll_interval": 0.1, "timeout": None},
    ],
    ids=str,
)
def test_a_wait_takes_each_form_of_a_duration(toloka: TolokaEmulator, call: Call, given: dict[str, Any]) -> None:
    operation = toloka.add_operation("POOL.CLOSE", status="RUNNING", finishes_in=0.3)
    assert call("wait_for_operation", operation["id"], **given).status == "SUCCESS"


@pytest.mark.parametrize("name", ["poll_interval", "timeout"])
@pytest.mark.parametrize("given", [-1, 0, float("nan"), float("inf"), "soon", "", True, [5]], ids=str)
def test_a_wait_refuses_what_is_no_duration_before_any_request(
    toloka: TolokaEmulator, call: Call, name: str, given: Any
) -> None:
    with pytest.raises(ValueError, match=f"^{name} should be a duration above 0"):
        call("wait_for_operation", "1", **{name: given})
    assert toloka.requests == []


def test_a_wait_is_told_of_changes_and_ends_in_time(toloka: TolokaEmulator, call: Call) -> None:
    operation = toloka.add_operation("POOL.CLOSE", status="RUNNING")
    seen: list[str] = []
    with pytest.raises(TolokaTimeoutError, match=operation["id"]):
        call(
            "wait_for_operation",
            operation["id"],
            poll_interval=0.1,
            timeout=0.3,
            on_change=lambda one: seen.append(one.status),
        )
    assert seen == ["RUNNING"]
    assert call("get_operation", operation["id"]).status == "RUNNING"


def test_the_account_and_its_time(toloka: TolokaEmulator, call: Call) -> None:
    toloka.clear_requests()
    assert abs(call("now") - datetime.now(UTC)) < timedelta(minutes=1)
    assert call("get_requester").name == "Emulated requester"
    assert len(toloka.requests) == 2


def test_a_form_that_toloka_refuses(toloka: TolokaEmulator, call: Call) -> None:
    with pytest.raises(TolokaRequestError):
        call("create_project", {"public_name": "no more"}, key="a-key")
    assert toloka.projects == {}


@pytest.mark.parametrize("client", [TolokaClient, AsyncTolokaClient])
def test_the_retry_policy_is_the_given_one(client: Any) -> None:
    policy = RetryPolicy(retries=7)
    assert client.from_token("AQAD-made-up", retry=policy).api.calls.retry is policy
    assert client.from_token("AQAD-made-up", retries=6).api.calls.retry.retries == 6


class Recorder(Observer):
    """Records which reports came."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def answered(self, *_: Any, **__: Any) -> None:
        self.seen.append("answered")

    def retrying(self, *_: Any) -> None:
        self.seen.append("retrying")

    def finished(self, operation: Any) -> None:
        self.seen.append(operation.status)


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_an_observer_hears_of_requests_retries_and_waits(toloka: TolokaEmulator, kind: str) -> None:
    with TolokaClient(emulated(toloka)) as client:
        project_id = client.create_project(PROJECT, key="a-key").id
    toloka.fault("POST /projects/*/archive", status=503)
    before = len(toloka.requests)
    observer = Recorder()
    settings = emulated(toloka)
    retry = RetryPolicy(jitter=lambda _: 0.0)

    async def asynchronous() -> None:
        async with AsyncTolokaClient(settings, retry=retry, observer=observer) as client:
            operation = await client.archive_project(project_id)
            assert operation
            await client.wait_for_operation(operation.id, poll_interval=0.1)

    if kind == "async":
        asyncio.run(asynchronous())
    else:
        with TolokaClient(settings, retry=retry, observer=observer) as client:
            operation = client.archive_project(project_id)
            assert operation
            client.wait_for_operation(operation.id, poll_interval=0.1)
    assert [one for one in observer.seen if one != "answered"] == ["retrying", "SUCCESS"]
    assert observer.seen.count("answered") == len(toloka.requests) - before


@pytest.mark.parametrize("given", [False, True], ids=["its own transport", "a given transport"])
def test_a_closed_client_opens_new_connections(given: bool) -> None:
    ports = []

    def record(handler: BaseHTTPRequestHandler) -> None:
        ports.append(handler.client_address[1])
        reply(handler, b'{"id": "requester-1"}')

    with serving(record) as url:
        settings = settings_for(url)
        client = TolokaClient(settings, transport=RequestsTransport(settings) if given else None)
        client.close()
        for _ in range(2):
            client.get_requester()
            client.get_requester()
            client.close()
    assert (len(ports), len(set(ports))) == (4, 2)


def test_unknown_options_are_named_with_those_that_exist() -> None:
    with pytest.raises(ValueError, match="Unknown option") as raised:
        TolokaClient.from_token("AQAD-made-up", enviroment="sandbox", time_out=5)
    assert str(raised.value).startswith(
        "Unknown option 'enviroment' (did you mean 'environment'?), 'time_out' (did you mean 'timeout'?). Options: "
    )
    assert "Options: environment, act_under_account_id, timeout, " in str(raised.value)


@pytest.mark.parametrize("name", ["wait_for_operation"])
def test_defaults_are_those_of_the_documentation(name: str) -> None:
    for client in (TolokaClient, AsyncTolokaClient):
        defaults = {one.name: one.default for one in inspect.signature(getattr(client, name)).parameters.values()}
        assert (defaults["poll_interval"], defaults["timeout"]) == (5.0, 3600.0)
