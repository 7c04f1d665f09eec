"""The routes of the API and their handlers.

From the paths of the API's description. A handler gets the API and the request, reads and changes the account, whose
lock is held, and returns the response or raises an ``ApiError``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from airflow_provider_toloka.emulator import aggregation, assignments, creation, rules, schemas, tasks
from airflow_provider_toloka.emulator.account import Account
from airflow_provider_toloka.emulator.errors import ApiError
from airflow_provider_toloka.emulator.forms import Form, read_form, read_json
from airflow_provider_toloka.emulator.limits import Limits
from airflow_provider_toloka.emulator.listing import LISTINGS, read_query, select
from airflow_provider_toloka.emulator.replies import empty, reply
from airflow_provider_toloka.emulator.store import pool_of


@dataclass
class Call:
    """A request to a method of the API.

    :param kind: the first part of the path, such as ``pools``.
    :param row_id: the second one, or empty.
    """

    account: Account
    limits: Limits
    request: Request
    body: bytes
    kind: str
    row_id: str

    def form(self, form: Form) -> dict[str, Any]:
        """Read the body as a form."""
        return read_form(form, self.body, self.request.headers.get("content-type", ""))

    def check_quota(self, what: str, count: int = 1) -> None:
        """Check that a quota is not used up."""
        if self.account.options.quotas:
            self.limits.check_quota(what, self.account.clock(), count)

    def count(self, what: str, count: int = 1) -> None:
        """Count an action of a quota."""
        if self.account.options.quotas:
            self.limits.count(what, self.account.clock(), count)


Handler = Callable[[Call], Response]


def _pool_kind(call: Call) -> rules.PoolKind:
    return "pools" if call.kind == "pools" else "trainings"


def _requester(call: Call) -> Response:
    return reply(200, call.account.requester())


def _list(call: Call) -> Response:
    account, table = call.account, call.account.tables[call.kind]
    query = read_query(LISTINGS[call.kind], table, call.request.query_params.multi_items())
    if call.kind == "assignments" and "pool_id" not in query.filters:
        within = query.filters.get("task_id") or query.filters["task_suite_id"]
        query.filters["pool_id"] = [pool_of(object_id) for object_id in within]
    rows, has_more = select(table, query, account.hidden.get(call.kind, ()))
    if call.kind == "operations":
        rows = [account.operations.present(row, account.clock()) for row in rows]
    return reply(200, {"items": rows, "has_more": has_more})


def _get(call: Call) -> Response:
    row = call.account.find(call.kind, call.row_id)
    if call.kind == "operations":
        row = call.account.operations.present(row, call.account.clock())
    return reply(200, row)


def _create(call: Call) -> Response:
    call.check_quota(f"creating {call.kind}")
    row = creation.create(call.account, call.kind, call.form(schemas.FORMS[call.kind]))
    call.count(f"creating {call.kind}")
    return reply(201, row)


def _replace(call: Call) -> Response:
    form = call.form(schemas.FORMS[call.kind])
    row = creation.replace(call.account, call.kind, call.row_id, form)
    return reply(200, row)


def _set_priority(call: Call) -> Response:
    return reply(200, creation.set_priority(call.account, call.row_id, call.form(schemas.PRIORITY)))


def _clone(call: Call) -> Response:
    call.check_quota(f"cloning {call.kind}")
    operation = rules.clone(call.account, _pool_kind(call), call.row_id)
    call.count(f"cloning {call.kind}")
    return reply(202, operation)


def _archive_project(call: Call) -> Response:
    account = call.account
    return _accepted(rules.archive_project(account, call.row_id, account.options.archived_project_answer))


def _action(name: str) -> Handler:
    return lambda call: _accepted(rules.act(call.account, _pool_kind(call), call.row_id, name))


def _accepted(operation: dict[str, Any] | None) -> Response:
    return empty() if operation is None else reply(202, operation)


def _log(call: Call) -> Response:
    operation = call.account.find("operations", call.row_id)
    return reply(200, call.account.operations.logs.get(operation["id"], []))


def _create_tasks(call: Call) -> Response:
    switches = tasks.read_switches(call.request.query_params)
    content = read_json(call.body, call.request.headers.get("content-type", ""))
    items = content if isinstance(content, list) else [content]
    tasks.check_size(items, len(call.body), in_background=switches["async_mode"])
    call.check_quota("creating tasks", len(items))
    if switches["async_mode"]:
        operation_id = call.request.query_params.get("operation_id")
        answer = tasks.submit(call.account, items, switches, operation_id)
    else:
        answer = tasks.create_now(call.account, items, switches, single=not isinstance(content, list))
    call.count("creating tasks", len(items))
    return reply(201, answer)


def _change_task(call: Call) -> Response:
    or_least = call.request.url.path.endswith("/set-overlap-or-min")
    form = call.form(schemas.OVERLAP if or_least else schemas.TASK_CHANGE)
    switches = tasks.read_switches(call.request.query_params, ("open_pool",))
    task = tasks.change(call.account, call.row_id, form, or_least=or_least)
    if switches["open_pool"]:
        tasks.open_pool(call.account, task["pool_id"])
    return reply(200, task)


def _judge(call: Call) -> Response:
    return reply(200, assignments.judge(call.account, call.row_id, call.form(schemas.VERDICT)))


def _create_skill(call: Call) -> Response:
    call.check_quota("creating skills")
    skill = creation.create_skill(call.account, call.form(schemas.SKILL))
    call.count("creating skills")
    return reply(201, skill)


def _replace_skill(call: Call) -> Response:
    return reply(200, creation.replace_skill(call.account, call.row_id, call.form(schemas.SKILL)))


def _aggregate_pool(call: Call) -> Response:
    call.check_quota("aggregating")
    operation = aggregation.aggregate_pool(call.account, call.form(schemas.AGGREGATION))
    call.count("aggregating")
    return reply(201, operation)


def _aggregate_task(call: Call) -> Response:
    call.check_quota("aggregating")
    solution = aggregation.aggregate_task(call.account, call.form(schemas.AGGREGATION))
    call.count("aggregating")
    return reply(201, solution)


def _aggregated(call: Call) -> Response:
    call.check_quota("aggregating")
    page = aggregation.read_page(call.account, call.row_id, call.request.query_params.multi_items())
    call.count("aggregating")
    return reply(200, page)


ROUTES: dict[str, dict[str, Handler]] = {
    "requester": {"GET": _requester},
    "projects": {"GET": _list, "POST": _create},
    "projects/{id}": {"GET": _get, "PUT": _replace},
    "projects/{id}/archive": {"POST": _archive_project},
    "operations": {"GET": _list},
    "operations/{id}": {"GET": _get},
    "operations/{id}/log": {"GET": _log},
    "tasks": {"GET": _list, "POST": _create_tasks},
    "tasks/{id}": {"GET": _get, "PATCH": _change_task},
    "tasks/{id}/set-overlap-or-min": {"PATCH": _change_task},
    "assignments": {"GET": _list},
    "assignments/{id}": {"GET": _get, "PATCH": _judge},
    "skills": {"GET": _list, "POST": _create_skill},
    "skills/{id}": {"GET": _get, "PUT": _replace_skill},
    "aggregated-solutions/aggregate-by-pool": {"POST": _aggregate_pool},
    "aggregated-solutions/aggregate-by-task": {"POST": _aggregate_task},
    "aggregated-solutions/{id}": {"GET": _aggregated},
}
for _kind in ("pools", "trainings"):
    ROUTES[_kind] = {"GET": _list, "POST": _create}
    ROUTES[f"{_kind}/{{id}}"] = {"GET": _get, "PUT": _replace}
    ROUTES[f"{_kind}/{{id}}/clone"] = {"POST": _clone}
    for _name in ("open", "close", "close-for-update", "archive"):
        ROUTES[f"{_kind}/{{id}}/{_name}"] = {"POST": _action(_name)}
ROUTES["pools/{id}"]["PATCH"] = _set_priority


def find_handler(method: str, path: str) -> tuple[Handler, str, str]:
    """Return the handler for a request.

    :param path: as under ``/api/v1``.
    :returns: the handler, the kind of object and the id in the path.
    :raises ApiError: 404: an unknown path; 405: an unsupported method.
    """
    kind, *rest = path.removeprefix("/").split("/")
    row_id = rest[0] if rest else ""
    form = path.removeprefix("/")
    if form not in ROUTES:
        form = "/".join([kind, *("{id}" for _ in rest[:1]), *rest[1:]])
    handlers = ROUTES.get(form)
    if handlers is None or (rest and not row_id):
        raise ApiError(404, message=f"There is nothing at {path}")
    handler = handlers.get(method)
    if handler is None:
        allowed = ", ".join(sorted(handlers))
        raise ApiError(405, message=f"{method} is not allowed here", headers={"Allow": allowed})
    return handler, kind, row_id
