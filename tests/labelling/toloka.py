"""A Toloka in memory, with its own clock: the emulator's application without a network, with faults."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from email.utils import formatdate
from typing import Any, Literal, TypeAlias, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request as HttpRequest

from airflow_provider_toloka.client.sansio import Flow, NoAnswer, Request, Response, Sleep
from airflow_provider_toloka.emulator import DEFAULT_TOKEN
from airflow_provider_toloka.emulator.account import Account
from airflow_provider_toloka.emulator.app import PREFIX, Api
from airflow_provider_toloka.emulator.faults import Faults
from airflow_provider_toloka.emulator.options import Options, Tolokers
from tests.driving import NOW, api

T = TypeVar("T")

#: What happens to a request: nothing; its answer is lost; it is lost; it is refused by a gateway, or carried out behind
#: it; the process is killed before it is sent, or after it was carried out.
Fate: TypeAlias = Literal["ok", "answer lost", "lost", "503", "503 carried out", "killed before", "killed after"]
FATES: tuple[Fate, ...] = ("ok", "answer lost", "lost", "503", "503 carried out", "killed before", "killed after")

API = api(retries=5)


class KilledError(BaseException):
    """The process is gone."""


class Toloka:
    """A Toloka in memory.

    :param fates: what happens to the first requests; later ones are answered.
    :param skew: by how many seconds its clock is ahead of ours.
    """

    def __init__(
        self,
        fates: Iterable[Fate] = (),
        *,
        operation_seconds: float = 0,
        list_lag: float = 0,
        keep_metadata: bool = True,
        tolokers: Tolokers | None = None,
        skew: float = 0,
    ) -> None:
        self.now = NOW
        self._skew = skew
        options = Options(quotas=False, list_lag=list_lag, keep_metadata=keep_metadata, tolokers=tolokers)
        self.account = Account(clock=lambda: self.now + skew, operation_seconds=operation_seconds, options=options)
        self.requests: list[Request] = []
        self._fates = iter(fates)
        self._api = Api(self.account, tokens=(DEFAULT_TOKEN,), requests_per_second=0, faults=Faults(), journal=[])

    def rows(self, kind: str) -> list[dict[str, Any]]:
        self.account.settle()
        return list(self.account.tables[kind])

    def posts(self) -> list[str]:
        return [request.path for request in self.requests if request.method == "POST"]

    def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end, or until it is killed."""
        try:
            step = next(flow)
            while True:
                step = flow.send(self.step(step))
        except StopIteration as stop:
            result: T = stop.value
            return result

    def run_together(self, flows: list[Flow[T]], turns: Iterator[int]) -> list[T]:
        """Run flows side by side, one step of one of them at a time."""
        results: dict[int, T] = {}
        steps = {number: next(flow) for number, flow in enumerate(flows)}
        while steps:
            left = sorted(steps)
            number = left[next(turns, 0) % len(left)]
            try:
                steps[number] = flows[number].send(self.step(steps[number]))
            except StopIteration as stop:
                results[number] = stop.value
                del steps[number]
        return [results[number] for number in range(len(flows))]

    def step(self, step: Request | Sleep) -> Any:
        if isinstance(step, Sleep):
            self.now += step.seconds
            return self.now
        return self.send(step)

    def send(self, request: Request) -> Response | NoAnswer:
        fate = next(self._fates, "ok")
        self.now += 0.01
        if fate == "killed before":
            raise KilledError
        if fate == "lost":
            return NoAnswer("timeout", "lost")
        if fate == "503":
            return Response(503, {}, b"", self.now)
        answer = self._carry_out(request)
        if fate == "killed after":
            raise KilledError
        if fate == "answer lost":
            return NoAnswer("broken", "lost")
        return Response(503, {}, b"", self.now) if fate == "503 carried out" else answer

    def _carry_out(self, request: Request) -> Response:
        self.requests.append(request)
        scope = {
            "type": "http",
            "method": request.method,
            "path": PREFIX + request.path,
            "query_string": urlencode(request.query).encode(),
            "headers": [
                (b"authorization", f"OAuth {DEFAULT_TOKEN}".encode()),
                (b"content-type", b"application/json"),
            ],
        }
        answer = self._api.answer(HttpRequest(scope), request.body or b"", request.path)
        headers = {**answer.headers, "date": formatdate(self.now + self._skew, usegmt=True)}
        return Response(answer.status_code, headers, bytes(answer.body), self.now)
