"""The HTTP side: requests to ``/api/v1``, answered from an account's state. A plain ASGI application."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from airflow_provider_toloka.emulator import pages
from airflow_provider_toloka.emulator.account import Account
from airflow_provider_toloka.emulator.errors import ApiError
from airflow_provider_toloka.emulator.faults import Fault, Faults
from airflow_provider_toloka.emulator.journal import RequestRecord
from airflow_provider_toloka.emulator.limits import Limits, authenticate, check_account
from airflow_provider_toloka.emulator.replies import nothing_at, refusal
from airflow_provider_toloka.emulator.routes import ROUTES, Call, find_handler
from airflow_provider_toloka.emulator.store import REQUESTER_ID

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

__all__ = ["PREFIX", "ROUTES", "Api"]

PREFIX = "/api/v1"
_HELD_PAUSE = 0.005  # seconds between two checks whether to release a held response


class Api:
    """The ASGI application.

    :param account: the state.
    :param tokens: the accepted tokens.
    :param requests_per_second: 0 for no limit.
    :param faults: faulty responses on demand.
    :param journal: records the requests.
    :param admin: answers requests to ``/admin``; without it, there is no such path.
    """

    def __init__(
        self,
        account: Account,
        *,
        tokens: Collection[str],
        requests_per_second: int,
        faults: Faults,
        journal: list[RequestRecord],
        admin: Callable[[Request, bytes], Response] | None = None,
    ) -> None:
        self.account = account
        self.tokens = tokens
        self.limits = Limits(requests_per_second)
        self.faults = faults
        self.journal = journal
        self.admin = admin
        self.transports: dict[Any, asyncio.BaseTransport] = {}  # open connections, by the client's address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, with the fault that applies to it."""
        send = self._dated(send)
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
            await self._page(request.method, path)(scope, receive, send)
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

    def _dated(self, send: Send) -> Send:
        """Add the time of the account's clock to a response without a time."""

        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start" and all(name != b"date" for name, _ in message["headers"]):
                date = formatdate(self.account.clock(), usegmt=True).encode()
                message = {**message, "headers": [*message["headers"], (b"date", date)]}
            await send(message)

        return send_dated

    def answer(self, request: Request, body: bytes, path: str) -> Response:
        """Execute a request."""
        try:
            with self.account.lock:
                now = self.account.settle()
                authenticate(request.headers.get("authorization"), self.tokens)
                accounts = self.account.options.accounts
                if accounts is not None:
                    check_account(request.headers.get("x-act-under-account-id"), (REQUESTER_ID, *accounts))
                self.limits.request(now)
                handler, kind, row_id = find_handler(request.method, path)
                return handler(Call(self.account, self.limits, request, body, kind, row_id))
        except ApiError as error:
            return refusal(error)

    def _page(self, method: str, path: str) -> Response:
        with self.account.lock:
            self.account.settle()
            page = pages.render(self.account, path) if method == "GET" else None
        return nothing_at(path) if page is None else Response(page, media_type="text/html")

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
        # ASGI does not support this: close the TCP connection itself.
        self.transports[scope["client"]].close()
        # The server logs an error when an application returns without a response before it has seen the disconnect.
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _cut(self, response: Response, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
        half = bytes(response.body)[: len(response.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        await self._drop(scope, receive)


async def _released(fault: Fault) -> None:
    until = time.monotonic() + fault.delay
    # Released from another thread, which asyncio.Event does not support.
    while not fault.released and (fault.hold or time.monotonic() < until):  # noqa: ASYNC110
        await asyncio.sleep(_HELD_PAUSE)
