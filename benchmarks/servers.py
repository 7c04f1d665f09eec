"""Servers for the benchmarks in separate processes: the emulator, or a faster server for large accounts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import random
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

from airflow_provider_toloka.emulator import TolokaEmulator

SECONDS_TO_START = 300


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

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                target = head.split(" ", 2)[1]
                path, _, query = target.partition("?")
                after = next((part[6:] for part in query.split("&") if part.startswith("id_gt=")), "")
                body = pages[path.rpartition("/")[2], after]
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                served += 1

    async def serve() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        pipe.send({"conn_type": "toloka", "host": "http://127.0.0.1", "port": port, "password": "made-up"})

        def tell() -> None:
            pipe.recv()
            pipe.send(served)

        asyncio.get_running_loop().add_reader(pipe.fileno(), tell)
        await server.serve_forever()

    asyncio.run(serve())
