from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from airflow_provider_toloka.emulator import TolokaEmulator


class Clock:
    """A clock that moves only when it is advanced."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0  # 2023-11-14T22:13:20

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Client:
    """Asks an emulator over HTTP."""

    def __init__(self, toloka: TolokaEmulator) -> None:
        self.url = f"{toloka.url}/api/v1"
        self.root = toloka.url
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"OAuth {toloka.token}"

    def get(self, path: str, **query: Any) -> requests.Response:
        return self.session.get(self.url + path, params=query, timeout=60)

    def post(self, path: str, **more: Any) -> requests.Response:
        return self.session.post(self.url + path, timeout=60, **more)

    def put(self, path: str, **more: Any) -> requests.Response:
        return self.session.put(self.url + path, timeout=60, **more)

    def patch(self, path: str, **more: Any) -> requests.Response:
        return self.session.patch(self.url + path, timeout=60, **more)

    def ids(self, path: str, **query: Any) -> list[str]:
        response = self.get(path, **query)
        assert response.status_code == 200, response.text
        return [item["id"] for item in response.json()["items"]]


Connect = Callable[[TolokaEmulator], Client]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def connect() -> Iterator[Connect]:
    clients: list[Client] = []

    def connected(toloka: TolokaEmulator) -> Client:
        clients.append(Client(toloka))
        return clients[-1]

    yield connected
    for client in clients:
        client.session.close()


@pytest.fixture
def toloka(clock: Clock) -> Iterator[TolokaEmulator]:
    with TolokaEmulator(clock=clock, requests_per_second=0) as emulator:
        yield emulator


@pytest.fixture
def client(toloka: TolokaEmulator, connect: Connect) -> Client:
    return connect(toloka)


def error_of(response: requests.Response, status: int, code: str) -> dict[str, Any]:
    """Check that an answer is an error of the API's form, and return its body."""
    assert response.status_code == status, response.text
    body: dict[str, Any] = response.json()
    assert body["code"] == code
    assert len(body["request_id"]) == 36
    assert body["message"]
    return body
