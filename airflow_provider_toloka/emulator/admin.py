"""The routes under ``/admin/``: faults, failures, options, requests and state, for tests in other processes.

They need no token, are not recorded, and do not count against limits.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from airflow_provider_toloka.emulator.control import Control
from airflow_provider_toloka.emulator.replies import empty, reply


class Admin:
    """Answers the requests to ``/admin/``.

    :param emulator: the emulator that they control.
    """

    def __init__(self, emulator: Control) -> None:
        self.emulator = emulator

    def __call__(self, request: Request, body: bytes) -> Response:
        """Answer a request; an invalid one with 400 and a message."""
        handler = _ROUTES.get(f"{request.method} {request.url.path}")
        if handler is None:
            return reply(404, {"message": f"There are only {', '.join(_ROUTES)}"})
        try:
            return handler(self.emulator, dict(json.loads(body or b"{}")))
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            return reply(400, {"message": str(error)})


def _add_fault(emulator: Control, given: dict[str, Any]) -> Response:
    fault = emulator.fault(given.pop("rule", ""), **given)
    return reply(201, {"id": fault.id})


def _faults(emulator: Control, _given: dict[str, Any]) -> Response:
    return reply(200, [{"id": fault.id, "rule": fault.rule, "arrived": fault.arrived} for fault in emulator.faults])


def _clear_faults(emulator: Control, _given: dict[str, Any]) -> Response:
    emulator.clear_faults()
    return empty()


def _fail_next(emulator: Control, given: dict[str, Any]) -> Response:
    emulator.fail_next(**given)
    return empty()


def _requests(emulator: Control, _given: dict[str, Any]) -> Response:
    return reply(200, [asdict(record) for record in emulator.requests])


def _release(emulator: Control, given: dict[str, Any]) -> Response:
    if not given:
        emulator.release()
    for fault in emulator.faults:
        if fault.id in given.get("ids", ()):
            fault.release()
    return empty()


def _finish(emulator: Control, given: dict[str, Any]) -> Response:
    for operation_id in given["ids"]:
        emulator.finish(operation_id)
    return empty()


def _configure(emulator: Control, given: dict[str, Any]) -> Response:
    if "balance" in given:
        emulator.balance = float(given.pop("balance"))
    emulator.configure(**given)
    return empty()


def _state(emulator: Control, _given: dict[str, Any]) -> Response:
    return reply(200, emulator.state())


def _load(emulator: Control, given: dict[str, Any]) -> Response:
    emulator.load(given)
    return empty()


_ROUTES: dict[str, Callable[[Control, dict[str, Any]], Response]] = {
    "GET /admin/faults": _faults,
    "POST /admin/faults": _add_fault,
    "DELETE /admin/faults": _clear_faults,
    "POST /admin/failures": _fail_next,
    "GET /admin/requests": _requests,
    "POST /admin/release": _release,
    "POST /admin/finish": _finish,
    "POST /admin/options": _configure,
    "GET /admin/state": _state,
    "POST /admin/state": _load,
}
