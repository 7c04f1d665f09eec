"""The HTTP side: requests to ``/api/v1``, answered from an account's state. A plain ASGI application."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from airflow_provider_toloka.emulator import rules
from airflow_provider_toloka.emulator.account import REQUESTER, Account
from airflow_provider_toloka.emulator.creation import create, read_form
from airflow_provider_toloka.emulator.errors import ApiError
from airflow_provider_toloka.emulator.faults import Fault, Faults
from airflow_provider_toloka.emulator.journal import RequestRecord
from airflow_provider_toloka.emulator.limits import Limits, authenticate
from airflow_provider_toloka.emulator.listing import LISTINGS, read_query, select

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

PREFIX = "/api/v1"
_HELD_PAUSE = 0.005  # seconds between two looks at whether a held answer may go

Handler = Callable[["Api", Request, bytes, str, str], Response]
"""Answers a request; given its body, the kind of object and the id in its path."""


class Api:
    """The ASGI application.

    :param account: the state.
    :param tokens: the tokens that are let in.
    :param requests_per_second: 0 for no limit.
    :param archived_project_answer: the answer to archiving an archived project.
    :param faults: answers that go wrong on demand.
    :param journal: where requests are recorded.
    :param admin: answers requests to ``/admin``; there are none without it.
    """

    def __init__(
        self,
        account: Account,
        *,
        tokens: Collection[str],
        requests_per_second: int,
        archived_project_answer: rules.ArchivedAnswer,
        faults: Faults,
        journal: list[RequestRecord],
        admin: Callable[[Request, bytes], Response] | None = None,
    ) -> None:
        self.account = account
        self.tokens = tokens
        self.limits = Limits(requests_per_second)
        self.archived_project_answer = archived_project_answer
        self.faults = faults
        self.journal = journal
        self.admin = admin
        self.transports: dict[Any, asyncio.BaseTransport] = {}  # of open connections, by the client's address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as the fault that it meets has it."""
        request = Request(scope, receive)
        path = request.url.path
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        if path.startswith("/admin/") and self.admin:
            await self.admin(request, body)(scope, receive, send)
            return
        if not path.startswith(f"{PREFIX}/"):
            await _nothing_at(path)(scope, receive, send)
            return
        path = path.removeprefix(PREFIX)
        record = self._record(request, path)
        fault = self.faults.take(request.method, path, record.account)
        if fault is None:
            response = self.answer(request, body, path)
        else:
            answer = await self._spoil(fault, request, body, path)
            if answer is None:
                await self._drop(scope, receive)
                return
            response = answer
        record.status = response.status_code
        if fault and fault.disconnect == "cut":
            await self._cut(response, scope, receive, send)
        else:
            await response(scope, receive, send)

    def answer(self, request: Request, body: bytes, path: str) -> Response:
        """Carry a request out."""
        try:
            with self.account.lock:
                now = self.account.settle()
                authenticate(request.headers.get("authorization"), self.tokens)
                self.limits.request(now)
                return self._route(request, body, path)
        except ApiError as error:
            return reply(error.status, error.body(), error.headers)

    def _route(self, request: Request, body: bytes, path: str) -> Response:
        kind, *rest = path.removeprefix("/").split("/")
        row_id = rest[0] if rest else ""
        form = "/".join([kind, *("{id}" for _ in rest[:1]), *rest[1:]])
        handlers = ROUTES.get(form)
        if handlers is None or (rest and not row_id):
            raise ApiError(404, message=f"There is nothing at {request.url.path}")
        handler = handlers.get(request.method)
        if handler is None:
            raise ApiError(
                405, message=f"{request.method} is not allowed here", headers={"Allow": ", ".join(sorted(handlers))}
            )
        return handler(self, request, body, kind, row_id)

    def _record(self, request: Request, path: str) -> RequestRecord:
        record = RequestRecord(
            method=request.method,
            path=path,
            query=dict(request.query_params),
            account=request.headers.get("x-act-under-account-id"),
            at=self.account.clock(),
        )
        with self.account.lock:
            self.journal.append(record)
        return record

    async def _spoil(self, fault: Fault, request: Request, body: bytes, path: str) -> Response | None:
        if fault.disconnect == "before":
            fault.arrive()
            return None
        response = None
        if fault.hold == "before":
            fault.arrive()
            await _released(fault)
        if fault.status is None or fault.carry_out:
            response = self.answer(request, body, path)
        if response is None or fault.status is not None:
            response = Response(fault.content(), fault.status or 200, fault.headers, "application/json")
        else:
            response.headers.update(fault.headers)
        if fault.hold != "before":
            fault.arrive()
            await _released(fault)
        return None if fault.disconnect == "after" else response

    async def _drop(self, scope: Scope, receive: Receive) -> None:
        # ASGI has no word for this: the TCP connection itself is closed.
        self.transports[scope["client"]].close()
        # The server takes it amiss when an application returns unanswered while it knows of no disconnect.
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _cut(self, response: Response, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
        half = bytes(response.body)[: len(response.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        await self._drop(scope, receive)


async def _released(fault: Fault) -> None:
    until = time.monotonic() + fault.delay
    # Released from another thread: an asyncio.Event is not made for that.
    while not fault.released and (fault.hold or time.monotonic() < until):  # noqa: ASYNC110
        await asyncio.sleep(_HELD_PAUSE)


def _nothing_at(path: str) -> Response:
    error = ApiError(404, message=f"There is nothing at {path}")
    return reply(error.status, error.body())


def reply(status: int, content: Any, headers: dict[str, str] | None = None) -> Response:
    """Return an answer in JSON."""
    return Response(json.dumps(content, ensure_ascii=False), status, headers, "application/json")


def _requester(_api: Api, _request: Request, _body: bytes, _kind: str, _id: str) -> Response:
    return reply(200, REQUESTER)


def _list(api: Api, request: Request, _body: bytes, kind: str, _id: str) -> Response:
    table = api.account.tables[kind]
    query = read_query(LISTINGS[kind], table, request.query_params.multi_items())
    rows, has_more = select(table, query)
    if kind == "operations":
        rows = [api.account.operations.present(row, api.account.clock()) for row in rows]
    return reply(200, {"items": rows, "has_more": has_more})


def _get(api: Api, _request: Request, _body: bytes, kind: str, row_id: str) -> Response:
    row = rules.find(api.account, kind, row_id)
    return reply(200, api.account.operations.present(row, api.account.clock()) if kind == "operations" else row)


def _create(api: Api, request: Request, body: bytes, kind: str, _id: str) -> Response:
    api.limits.check_quota(kind, api.account.clock())
    row = create(api.account, kind, read_form(body, request.headers.get("content-type", "")))
    api.limits.count_created(kind, api.account.clock())
    return reply(201, row)


def _log(api: Api, _request: Request, _body: bytes, kind: str, row_id: str) -> Response:
    operation = rules.find(api.account, kind, row_id)
    return reply(200, api.account.operations.logs.get(operation["id"], []))


def _archive_project(api: Api, _request: Request, _body: bytes, _kind: str, row_id: str) -> Response:
    return _accepted(rules.archive_project(api.account, row_id, api.archived_project_answer))


def _action(name: str) -> Handler:
    def handler(api: Api, _request: Request, _body: bytes, kind: str, row_id: str) -> Response:
        return _accepted(rules.act(api.account, "pools" if kind == "pools" else "trainings", row_id, name))

    return handler


def _accepted(operation: dict[str, Any] | None) -> Response:
    return Response(status_code=204) if operation is None else reply(202, operation)


ROUTES: dict[str, dict[str, Handler]] = {
    "requester": {"GET": _requester},
    "projects": {"GET": _list, "POST": _create},
    "projects/{id}": {"GET": _get},
    "projects/{id}/archive": {"POST": _archive_project},
    "operations": {"GET": _list},
    "operations/{id}": {"GET": _get},
    "operations/{id}/log": {"GET": _log},
}
for _kind in ("pools", "trainings"):
    ROUTES[_kind] = {"GET": _list, "POST": _create}
    ROUTES[f"{_kind}/{{id}}"] = {"GET": _get}
    for _name in ("open", "close", "archive"):
        ROUTES[f"{_kind}/{{id}}/{_name}"] = {"POST": _action(_name)}
