"""The routes under ``/admin/``: faults, failures, requests and state of the emulator, for tests in other processes.

They ask for no token, are not recorded, and count against no limit.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from airflow_provider_toloka.emulator.app import reply

if TYPE_CHECKING:
    from airflow_provider_toloka.emulator.server import TolokaEmulator


class Admin:
    """Answers the requests to ``/admin/``.

    :param emulator: what they are about.
    """

    def __init__(self, emulator: TolokaEmulator) -> None:
        self.emulator = emulator

    def __call__(self, request: Request, body: bytes) -> Response:
        """Answer a request: 400 with a message when it makes no sense."""
        handler = _ROUTES.get(f"{request.method} {request.url.path}")
        if handler is None:
            return reply(404, {"message": f"There are only {', '.join(_ROUTES)}"})
        try:
            return handler(self.emulator, dict(json.loads(body or b"{}")))
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            return reply(400, {"message": str(error)})


def _add_fault(emulator: TolokaEmulator, given: dict[str, Any]) -> Response:
    fault = emulator.fault(given.pop("rule", ""), **given)
    return reply(201, {"id": fault.id})


def _faults(emulator: TolokaEmulator, _given: dict[str, Any]) -> Response:
    return reply(200, [{"id": fault.id, "rule": fault.rule, "arrived": fault.arrived} for fault in emulator.faults])


def _clear_faults(emulator: TolokaEmulator, _given: dict[str, Any]) -> Response:
    emulator.clear_faults()
    return Response(status_code=204)


def _fail_next(emulator: TolokaEmulator, given: dict[str, Any]) -> Response:
    emulator.fail_next(**given)
    return Response(status_code=204)


def _requests(emulator: TolokaEmulator, _given: dict[str, Any]) -> Response:
    return reply(200, [asdict(record) for record in emulator.requests])


def _release(emulator: TolokaEmulator, given: dict[str, Any]) -> Response:
    if not given:
        emulator.release()
    for fault in emulator.faults:
        if fault.id in given.get("ids", ()):
            fault.release()
    return Response(status_code=204)


def _finish(emulator: TolokaEmulator, given: dict[str, Any]) -> Response:
    for operation_id in given["ids"]:
        emulator.finish(operation_id)
    return Response(status_code=204)


def _state(emulator: TolokaEmulator, _given: dict[str, Any]) -> Response:
    return reply(200, emulator.state())


def _load(emulator: TolokaEmulator, given: dict[str, Any]) -> Response:
    emulator.load(given)
    return Response(status_code=204)


_ROUTES: dict[str, Callable[[TolokaEmulator, dict[str, Any]], Response]] = {
    "GET /admin/faults": _faults,
    "POST /admin/faults": _add_fault,
    "DELETE /admin/faults": _clear_faults,
    "POST /admin/failures": _fail_next,
    "GET /admin/requests": _requests,
    "POST /admin/release": _release,
    "POST /admin/finish": _finish,
    "GET /admin/state": _state,
    "POST /admin/state": _load,
}
