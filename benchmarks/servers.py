"""Servers for the benchmarks in separate processes: the emulator, or a faster server for large accounts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import random
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from airflow_provider_toloka.emulator import TolokaEmulator

SECONDS_TO_START = 300

Respond: TypeAlias = Callable[[str, str, dict[str, str], bytes], Awaitable[tuple[int, bytes]]]


@contextlib.contextmanager
def serving(serve: Callable[..., None], **options: Any) -> Iterator[tuple[dict[str, Any], Connection]]:
    """Run a server in a separate process; return an Airflow connection for it, and a pipe to it."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), kwargs=options, daemon=True)
    process.start()
    try:
        if not ours.poll(SECONDS_TO_START):
            raise TimeoutError("the server did not start")
        yield ours.recv(), ours
    finally:
        process.terminate()
        process.join()


def projects_to_retire(pipe: Connection, *, projects: int, pools: int, limit: int) -> None:
    """Serve projects with closed pools; operations take half a second, a round trip 50 ms."""
    toloka = TolokaEmulator(operation_seconds=0.5, requests_per_second=limit)
    for _ in range(projects):
        project = toloka.add_project("Idle", created="2024-01-01T00:00:00")
        for _ in range(pools):
            toloka.add_pool(project["id"], created="2024-01-01T00:00:00")
    toloka.fault("* /**", times=None, delay=0.05)
    with toloka:
        pipe.send(toloka.connection)
        while True:
            pipe.recv()
            requests = toloka.requests
            pipe.send(
                {
                    "archived": sum(project["status"] == "ARCHIVED" for project in toloka.projects.values()),
                    "requests": len(requests),
                    "posts": sum(request.method == "POST" for request in requests),
                    "lists": sum(request.path in ("/projects", "/pools", "/trainings") for request in requests),
                    "refused": sum(request.status == 429 for request in requests),
                }
            )


def operations_to_wait_for(pipe: Connection, *, operations: int, seed: int = 1) -> None:
    """Serve operations that take 30 to 60 seconds from the first request."""
    drawn = random.Random(seed)  # noqa: S311 - not for cryptography
    toloka = TolokaEmulator(requests_per_second=0)
    with toloka:
        pipe.send(toloka.connection)
        pipe.recv()
        added = [
            toloka.add_operation("ANALYTICS", status="RUNNING", finishes_in=drawn.uniform(30, 60))
            for _ in range(operations)
        ]
        pipe.send([(operation["id"], operation["submitted"]) for operation in added])
        while True:
            pipe.recv()
            pipe.send(len(toloka.requests))


def operations_that_run_on(pipe: Connection, *, operations: int) -> None:
    """Serve operations that do not finish, among others that do: a few per second, as on a busy account."""
    toloka = TolokaEmulator(requests_per_second=0)
    with toloka:
        pipe.send(toloka.connection)
        pipe.recv()
        added = [toloka.add_operation("ANALYTICS", status="RUNNING") for _ in range(operations)]
        pipe.send([(operation["id"], operation["submitted"]) for operation in added])
        count = 0
        while True:
            if pipe.poll(0.2):
                pipe.recv()
                pipe.send(count + len(toloka.requests))
            toloka.add_operation("POOL.ARCHIVE")
            # The record of requests would grow; the finished operations grow too, a little.
            count += len(toloka.requests)
            toloka.clear_requests()


def operations_to_finish(pipe: Connection, *, operations: int, limit: int) -> None:
    """Serve operations that finish on request, all at once."""
    toloka = TolokaEmulator(requests_per_second=limit)
    with toloka:
        pipe.send(toloka.connection)
        added = [toloka.add_operation("ANALYTICS", status="RUNNING") for _ in range(operations)]
        pipe.send([(operation["id"], operation["submitted"]) for operation in added])
        while True:
            if pipe.recv() == "finish":
                for operation in added:
                    toloka.finish(operation["id"])
            requests = toloka.requests
            seconds = Counter(int(request.at) for request in requests)
            pipe.send(
                {
                    "requests": len(requests),
                    "refused": sum(request.status == 429 for request in requests),
                    "most in a second": max(seconds.values(), default=0),
                }
            )


def labelled_pool(pipe: Connection, *, answers: int, latency: float, seconds_per_upload: float) -> None:
    """Serve a pool that takes any number of tasks, and has a number of assignments of one task each.

    :param latency: seconds until the response to a request.
    :param seconds_per_upload: the same for a request with tasks.
    """
    when = "2026-01-02T03:04:05.678"
    pool = {"id": "1", "project_id": "1", "private_name": "Images", "status": "CLOSED", "created": when}
    assignment = json.dumps(
        {
            "id": "%012d",
            "task_suite_id": "s%012d",
            "pool_id": "1",
            "user_id": "u%012d",
            "status": "ACCEPTED",
            "reward": 0.02,
            "created": when,
            "submitted": when,
            "accepted": when,
            "tasks": [{"id": "t%012d", "input_values": {"image": "https://example.com/images/%012d.jpg"}}],
            "solutions": [{"output_values": {"result": "cat"}}],
        }
    )
    received = {"requests": 0, "tasks": 0}
    #: By operation: the numbers of its tasks.
    uploads: dict[str, range] = {}

    def page(numbers: range, item: Callable[[int], str], last: int) -> bytes:
        items = ",".join(item(number) for number in numbers)
        return f'{{"items":[{items}],"has_more":{json.dumps(numbers.stop <= last)}}}'.encode()

    def operation(id_: str) -> bytes:
        times = dict.fromkeys(("submitted", "started", "finished"), when)
        form = {"id": id_, "type": "TASK.BATCH_CREATE", "status": "SUCCESS", "progress": 100, **times}
        return json.dumps({**form, "parameters": {}, "details": {"success_count": len(uploads[id_])}}).encode()

    def upload(id_: str, body: bytes) -> bytes:
        first = received["tasks"] + 1
        received["tasks"] += body.count(b'"input_values"')
        uploads[id_] = range(first, received["tasks"] + 1)
        return operation(id_)

    def log(id_: str) -> bytes:
        """Return the log of an upload by toloka-kit, which numbers the tasks of each request."""
        given, made = '{"__item_idx":"%d","pool_id":"1"}', '{"task_id":"t%012d"}'
        entry = f'{{"type":"TASK_CREATE","success":true,"input":{given},"output":{made}}}'
        return f"[{','.join(entry % (index, number) for index, number in enumerate(uploads[id_]))}]".encode()

    def listed(path: str, query: dict[str, str]) -> bytes:
        most = int(query.get("limit", 50))
        if path.endswith("/tasks"):
            bounds = {name: int(value[1:]) for name, value in query.items() if name.startswith("id_")}
            first, last = bounds.get("id_gt", bounds["id_gte"] - 1) + 1, bounds["id_lte"]
            task = '{"id":"t%012d","pool_id":"1","input_values":{"image":"https://example.com/images/%012d.jpg"}}'
            return page(range(first, min(first + most, last + 1)), lambda number: task % ((number,) * 2), last)
        first = int(query.get("id_gt") or 0) + 1
        last = min(first + most, answers + 1)
        return page(range(first, last), lambda number: assignment % ((number,) * 5), answers)

    async def respond(method: str, path: str, query: dict[str, str], body: bytes) -> tuple[int, bytes]:
        received["requests"] += 1
        await asyncio.sleep(seconds_per_upload if method == "POST" else latency)
        if method == "POST":
            return 202, upload(query["operation_id"], body)
        if path.endswith(("/assignments", "/tasks")):
            return 200, listed(path, query)
        if path.endswith("/pools/1"):
            return 200, json.dumps(pool).encode()
        kind, id_, *rest = path.removeprefix("/api/v1/").split("/")
        if kind == "operations" and id_ in uploads:
            return 200, log(id_) if rest else operation(id_)
        return 404, b'{"request_id":"r","code":"DOES_NOT_EXIST","message":"not there"}'

    _serve_alone(pipe, respond, lambda: received)


def open_pools(pipe: Connection, *, pools: int) -> None:
    """Serve open pools that do not close."""
    toloka = TolokaEmulator(requests_per_second=0)
    project = toloka.add_project("Labelling")
    ids = [toloka.add_pool(project["id"], status="OPEN")["id"] for _ in range(pools)]
    with toloka:
        pipe.send(toloka.connection)
        pipe.recv()
        pipe.send(ids)
        while True:
            pipe.recv()
            pipe.send(len(toloka.requests))


def big_account(pipe: Connection, *, projects: int, pools: int) -> None:
    """Serve the lists of a large account from prepared pages, because the emulator would be the bottleneck."""
    idle, busy = "2024-01-01T00:00:00.000", time.strftime("%Y-%m-%dT%H:%M:%S.000", time.gmtime())
    lists = {
        "projects": [
            {"id": str(n), "public_name": f"Project {n}", "status": "ACTIVE", "created": idle}
            for n in range(1, projects + 1)
        ],
        "pools": [
            {
                "id": str(n),
                "project_id": str(1 + n % projects),
                "private_name": f"Pool {n}",
                "status": "CLOSED",
                "created": idle,
                "last_started": idle,
                # One project in twenty is stale.
                "last_stopped": idle if (1 + n % projects) % 20 == 0 else busy,
            }
            for n in range(1, pools + 1)
        ],
        "trainings": [],
        "operations": [],
    }
    pages: dict[tuple[str, str], bytes] = {}
    for name, items in lists.items():
        starts = range(0, max(1, len(items)), 300)
        for start in starts:
            page = {"items": items[start : start + 300], "has_more": start + 300 < len(items)}
            pages[name, items[start - 1]["id"] if start else ""] = json.dumps(page).encode()
    served = 0

    async def respond(_: str, path: str, query: dict[str, str], __: bytes) -> tuple[int, bytes]:
        nonlocal served
        served += 1
        return 200, pages[path.rpartition("/")[2], query.get("id_gt", "")]

    _serve_alone(pipe, respond, lambda: served)


def _serve_alone(pipe: Connection, respond: Respond, told: Callable[[], Any]) -> None:
    """Serve HTTP without the emulator: send the connection, then an answer to each message.

    :param respond: takes method, path, query and body of a request; returns the status and the body of its response.
    :param told: returns the answer to a message.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                method, target, _ = head.split(" ", 2)
                length = re.search(r"(?i)\ncontent-length: *(\d+)", head)
                body = await reader.readexactly(int(length[1])) if length else b""
                path, _, query = target.partition("?")
                status, content = await respond(method, path, dict(parse_qsl(query)), body)
                writer.write(b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n" % (status, len(content)) + content)

    async def serve() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        pipe.send({"conn_type": "toloka", "host": "http://127.0.0.1", "port": port, "password": "made-up"})

        def tell() -> None:
            pipe.recv()
            pipe.send(told())

        asyncio.get_running_loop().add_reader(pipe.fileno(), tell)
        await server.serve_forever()

    asyncio.run(serve())
