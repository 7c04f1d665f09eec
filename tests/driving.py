"""Drives flows by hand: canned answers in, a record of requests and sleeps out. No network, no real clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

from airflow_provider_toloka.client.api import TolokaApi
from airflow_provider_toloka.client.api.calls import Listing
from airflow_provider_toloka.client.config import Settings
from airflow_provider_toloka.client.retry import RetryPolicy
from airflow_provider_toloka.client.sansio import Flow, NoAnswer, Request, Response, drive

T = TypeVar("T")
Answer: TypeAlias = Response | NoAnswer

TOKEN = "AQAD-made-up-token"
NOW = 1_700_000_000.0  # 2023-11-14T22:13:20
SETTINGS = Settings(token=TOKEN, base_url="https://toloka.test/api/v1", environment="custom")

#: One answer for each request, or what gives it.
Answers: TypeAlias = Iterable[Answer] | Callable[[Request], Answer]


def longest(seconds: float) -> float:
    """Stand in for the jitter: each wait is as long as it may be."""
    return seconds


def api(*, settings: Settings = SETTINGS, **policy: Any) -> TolokaApi:
    """Return the API's calls, with deterministic waits."""
    return TolokaApi(settings, RetryPolicy(**{"jitter": longest, **policy}))


class Driver:
    """Plays the outside world to flows.

    :param answers: one for each request, or what gives it.
    """

    def __init__(self, answers: Answers = ()) -> None:
        self.now = NOW
        self.requests: list[Request] = []
        self.sleeps: list[float] = []
        self._left = None if callable(answers) else list(answers)
        self._answer = answers if callable(answers) else self._next_of_list

    def run(self, flow: Flow[T]) -> T:
        """Drive a flow to its end; all canned answers have to be used up by then."""
        result = drive(flow, self._send, self._sleep)
        assert not self._left, "there are answers that nothing was asked for"
        return result

    @property
    def calls(self) -> list[str]:
        """The requests, as method and path below the base URL, without the query."""
        return [call.partition("?")[0] for call in self.full_calls]

    @property
    def full_calls(self) -> list[str]:
        """The same, with the query."""
        return [f"{request.method} {request.target}" for request in self.requests]

    @property
    def changes(self) -> list[str]:
        """The paths of the POST requests."""
        return [call.removeprefix("POST ") for call in self.calls if call.startswith("POST")]

    def _sleep(self, seconds: float) -> float:
        assert seconds >= 0
        if seconds:
            self.sleeps.append(seconds)
        self.now += seconds
        return self.now

    def _send(self, request: Request) -> Answer:
        self.requests.append(request)
        return self._answer(request)

    def _next_of_list(self, request: Request) -> Answer:
        assert self._left, f"{request} was not expected"
        return self._left.pop(0)


def answer(status: int, content: Any = b"", **headers: str) -> Response:
    """Return a fixed response; ``_`` in a header's name means ``-``."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, NOW)


def ok(content: Any) -> Response:
    """Can a successful answer."""
    return answer(200, content)


def error(status: int, code: str = "SOME_CODE", **headers: str) -> Response:
    """Can an error of the API's form."""
    return answer(status, {"request_id": "r-1", "code": code, "message": "Told so"}, **headers)


def page(*items: dict[str, Any], has_more: bool = False) -> Response:
    """Can a page of a list."""
    return ok({"items": list(items), "has_more": has_more})


def lost(kind: Literal["unreachable", "tls", "timeout", "broken", "too large"] = "timeout") -> NoAnswer:
    """Can the absence of an answer."""
    return NoAnswer(kind, "a reason")


def read_all(listing: Listing[T]) -> Flow[list[T]]:
    """Read a list to its end."""
    return listing.all()


def project(project_id: str = "1", status: str = "ACTIVE") -> dict[str, Any]:
    """Make a project's JSON."""
    return {"id": project_id, "status": status, "public_name": "A project"}


def pool(pool_id: str, status: str = "CLOSED", training_id: str | None = None) -> dict[str, Any]:
    """Make a pool's JSON, or a training's."""
    requirement = {"training_requirement": {"training_pool_id": training_id}} if training_id else None
    return {"id": pool_id, "project_id": "1", "status": status, "private_name": "P", "quality_control": requirement}


def operation(type_: str = "PROJECT.ARCHIVE", status: str = "RUNNING", id_: str = "op1", **more: Any) -> dict[str, Any]:
    """Make an operation's JSON."""
    return {"id": id_, "type": type_, "status": status, "parameters": {"project_id": "1"}, **more}


def sample(name: str) -> Any:
    """Read one of the example answers of the API's description."""
    return json.loads((Path(__file__).parent / "samples" / f"{name}.json").read_text(encoding="utf-8"))
