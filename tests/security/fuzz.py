"""Whatever a response contains, a call returns its typed result or raises one of this package's errors.

``make fuzz INPUTS=200000`` runs it: ``python -m tests.security.fuzz INPUTS [SEED]``. Most answers are mutations of
valid ones; the rest comes from JSON's darker corners, or is not JSON at all. Each input goes the whole way: the flow of
a call with its retries and pages, the typed result, and what the operators do with that: select, store, tell.
"""

from __future__ import annotations

import copy
import json
import logging
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from airflow_provider_toloka.archiving.plan import Snapshot, next_steps
from airflow_provider_toloka.archiving.project import Progress, change_one, look_at_project, retire_project
from airflow_provider_toloka.archiving.selection import Search, Selection
from airflow_provider_toloka.client.api import TolokaApi
from airflow_provider_toloka.client.backoff import backing_off
from airflow_provider_toloka.client.models import Operation, Pool, Project, Requester, Training
from airflow_provider_toloka.client.resources import ARCHIVE_PROJECT
from airflow_provider_toloka.client.sansio import Flow, NoAnswer, Request, Response
from airflow_provider_toloka.exceptions import TolokaError, TolokaNotArchivableError, TolokaOperationFailedError
from tests.driving import NOW, TOKEN, Driver, api, read_all, sample

Call = Callable[[TolokaApi], Flow[Any]]

SINCE = datetime(2023, 1, 1, tzinfo=UTC)

CALLS: dict[str, Call] = {
    "get_requester": lambda api: api.get_requester(),
    "get_project": lambda api: api.projects.get("1"),
    "get_pool": lambda api: api.pools.get("1"),
    "get_training": lambda api: api.trainings.get("1"),
    "get_operation": lambda api: api.operations.get("1"),
    "get_operation_log": lambda api: api.operations.get_log("1"),
    "list_projects": lambda api: read_all(api.projects.listing()),
    "list_pools": lambda api: read_all(api.pools.listing(project_id="1")),
    "list_trainings": lambda api: read_all(api.trainings.listing()),
    "list_operations": lambda api: read_all(api.operations.listing(status="RUNNING")),
    "archive_project": lambda api: api.projects.archive("1"),
    "close_pool": lambda api: api.pools.close("1"),
    "archive_pool": lambda api: api.pools.archive("1"),
    "close_training": lambda api: api.trainings.close("1"),
    "archive_training": lambda api: api.trainings.archive("1"),
    "wait_for_operation": lambda api: api.waits.wait_for("1", timeout=20),
    "poll_operations": lambda api: api.waits.poll(["1", "2"], intervals=backing_off(1, 5), deadline=NOW + 20),
    "list_finished": lambda api: api.operations.list_finished(SINCE),
    "look_at_project": lambda api: look_at_project(api, "1"),
    "change_one": lambda api: change_one(api, ARCHIVE_PROJECT, "1"),
    "retire_project": lambda api: retire_project(api, "1", "close_and_archive"),
}
TYPES = (Requester, Project, Pool, Training, Operation, Progress, Snapshot, list, dict, tuple)

STATUSES = [200] * 12 + [202, 202, 204, 201, 206, 301, 302, 304, 307, 400, 401, 403, 404, 408, 409, 409, 413, 415, 418]
STATUSES += [429, 429, 500, 502, 503, 504, 599, 600, 999, 100, 0]
HEADERS = {
    "retry-after": [
        "1",
        "0",
        "-1",
        "abc",
        "9" * 400,
        "9" * 5000,
        "1.5",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "²",
        "\x00",
        "",
        "Mon, 01 Jan 0001 00:00:00 +2400",
        "Tue, 14 Nov 2023 22:14:20 GMT",
        "Thu, 99 Foo 20233 99:99:99 +9999",
        "nan",
        "inf",
        "1e9",
        "Wed, 14 Nov 2023 22:14:20 -9999",
    ],
    "location": ["https://x.test/", "\r\nX: y", "//", "\udcff", "https://[::1", TOKEN, "a" * 70_000, "http://\x00"],
    "content-type": ["text/html", "application/json; charset=utf-7", "\xff", ""],
    "content-encoding": ["gzip", "br", "\x00"],
}
TEXTS = [
    TOKEN,
    f"OAuth {TOKEN}",
    "{{ 7*7 }}",
    "%s%n",
    "{0.__class__}",
    "None",
    "",
    " ",
    "\ud800",
    "\x00",
    "1e999",
    "NaN",
]
TIMES = [
    "0001-01-01T00:00:00",
    "9999-12-31T23:59:59.999999",
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59",
    "1969-12-31T23:59:59",
    "2016-04-07T16:06:15.902",
    "2016-04-07T16:06:15Z",
    "2016-W01-1",
    "20160407",
    "2016-13-01",
    "2016-04-07 24:00:00",
    "2016-04-07T16:06:60",
    "٢٠١٦-04-07",
    "2016-04-07T16:06:15.902+99:99",
    "today",
]
IDS = ["1", "2", "../1", "1/archive", "1?", "", "None", "é", "1" * 101, "57068577e4b0bf7b07a0256f", "-", "1\n"]
WORDS = [
    "PENDING",
    "RUNNING",
    "SUCCESS",
    "FAIL",
    "ACTIVE",
    "ARCHIVED",
    "OPEN",
    "CLOSED",
    "LOCKED",
    "NEW",
    "a b",
    "\x1b[2J",
    "PROJECT.ARCHIVE",
    "POOL.CLOSE",
    "POOL.ARCHIVE",
    "TRAINING.CLOSE",
    "TRAINING.ARCHIVE",
    ".",
    "A" * 200,
]
CODES = [
    "POOL_LOCKED_BY_ANOTHER_OPERATION",
    "OPERATION_ALREADY_EXISTS",
    "THERE_IS_REJECTED_ASSIGNMENT",
    "DOES_NOT_EXIST",
    "THERE_IS_ACTIVE_ASSIGNMENT",
    "TRAINING_ARCHIVE_CONFLICT",
    "UNARCHIVED_POOLS_CONFLICT",
    "\r\n",
]
ODD: list[Callable[[random.Random], Any]] = [
    lambda _: None,
    lambda _: True,
    lambda _: False,
    lambda draw: draw.randint(-5, 300),
    lambda draw: draw.choice([1, -1]) * 10 ** draw.randint(1, 400),
    lambda draw: draw.choice([1, -1]) * 2 ** draw.randint(50, 70),
    lambda draw: draw.choice([0.0, -0.0, 1e308, -1e308, 5e-324, 1.5, float("inf"), float("-inf"), float("nan")]),
    lambda draw: "".join(chr(draw.choice(RANGES)(draw)) for _ in range(draw.randint(0, 12))),
    lambda draw: draw.choice(TEXTS),
    lambda draw: draw.choice(TIMES),
    lambda draw: draw.choice(IDS),
    lambda draw: "x" * draw.choice([100, 101, 1_000, 20_000]),
    lambda _: [],
    lambda _: {},
    lambda draw: [value(draw) for _ in range(draw.randint(1, 3))],
    lambda draw: {str(value(draw)): value(draw) for _ in range(draw.randint(1, 3))},
    lambda draw: nest(draw, draw.choice([5, 25, 100, 400])),
]
RANGES: list[Callable[[random.Random], int]] = [
    lambda draw: draw.randint(0, 0x1F),
    lambda draw: draw.randint(0x20, 0x7E),
    lambda draw: draw.randint(0x80, 0x7FF),
    lambda draw: draw.randint(0xD800, 0xDFFF),
    lambda draw: draw.randint(0xE000, 0x10FFFF),
    lambda draw: draw.choice([0x2028, 0x202E, 0xFEFF, 0xFFFD, 0x1B, 0]),
]


def value(draw: random.Random) -> Any:
    """Draw a JSON value, as likely as not an odd one."""
    return draw.choice(ODD)(draw)


def nest(draw: random.Random, depth: int) -> Any:
    """Draw a value that lies so deep."""
    made: Any = draw.choice([1, "x", None])
    for _ in range(depth):
        made = [made] if draw.random() < 0.5 else {"a": made}
    return made


def _samples() -> dict[str, Any]:
    names = "requester project pool training operation operation_log projects_page operations_page error"
    told = {name: sample(name) for name in names.split()}
    for kind in ("pool", "training"):
        told[f"{kind}s_page"] = {"items": [{**told[kind], "project_id": "1"}], "has_more": False}
    for kind in ("project", "operation"):
        told[f"{kind}s_page"]["has_more"] = False
    for kind in ("project", "pool", "training"):
        told[kind]["id"] = "1"
    return told


SAMPLES = _samples()


def mutated(draw: random.Random, told: Any, changes: int) -> Any:
    """Change a valid response in this many places."""
    told = copy.deepcopy(told)
    for _ in range(changes):
        where = told
        while isinstance(where, (dict, list)) and where:
            key: Any = draw.choice(list(where)) if isinstance(where, dict) else draw.randrange(len(where))
            inner = where[key]
            if isinstance(inner, (dict, list)) and inner and draw.random() < 0.8:
                where = inner
                continue
            change = draw.random()
            if change < 0.2:
                del where[key]
            elif change < 0.5 and key in ("status", "type", "code", "has_more", "progress"):
                where[key] = draw.choice([*WORDS, *CODES, True, 250, -1.5])
            elif change < 0.65:
                where[key] = draw.choice([*TIMES, *IDS])
            elif change < 0.75 and isinstance(where, dict):
                where[str(value(draw))[:300]] = inner
            else:
                where[key] = value(draw)
            break
    return told


def body_of(draw: random.Random, example: str) -> bytes:
    """Draw the bytes of an answer."""
    kind = draw.random()
    if kind < 0.6:
        # What a call reads in between is more likely to be another object.
        name = example if draw.random() < 0.5 else draw.choice(list(SAMPLES))
        told = json.dumps(mutated(draw, SAMPLES[name], draw.choice([0, 1, 1, 2, 4])), ensure_ascii=draw.random() < 0.5)
    elif kind < 0.75:
        told = json.dumps(mutated(draw, SAMPLES["error"], draw.choice([0, 1, 1, 2])))
    elif kind < 0.85:
        told = json.dumps(value(draw))
    elif kind < 0.87:
        depth = draw.choice([20, 21, 500, *range(880, 1_000, 7), 5_000, 100_000])
        opening, closing = draw.choice([("[", "]"), ('{"a":', "}"), ('{"id":[', "]}"), ('{"details":{"a":', "}}")])
        told = opening * depth + "1" + closing * draw.choice([depth, depth - 1])
        if draw.random() < 0.5:
            told = f'{{"id": "1", "status": "RUNNING", "type": "T", "message": {told}, "details": {told}}}'
    elif kind < 0.9:
        told = (
            '{"id": "1", "id": 2, "status": "A", "status": "RUNNING", "type": "T", "progress": '
            + draw.choice(
                [
                    "1e999",
                    "-1e999",
                    "NaN",
                    "Infinity",
                    "9" * 4_301,
                    "9" * 4_299,
                    "1e-999",
                    "0x1",
                    "01",
                    "-",
                    "1" + "0" * 400,
                ]
            )
            + draw.choice(["}", "", "}}", ', "items": [], "has_more": true}'])
        )
    else:
        return draw.choice(RAW)(draw)
    encoded = told.encode(draw.choice(["utf-8"] * 8 + ["utf-16", "utf-32", "utf-8-sig", "utf-7"]), "surrogatepass")
    return spoiled(draw, encoded) if draw.random() < 0.2 else encoded


RAW: list[Callable[[random.Random], bytes]] = [
    lambda draw: draw.randbytes(draw.randint(0, 60)),
    lambda _: b"",
    lambda _: b"<html><head><title>502 Bad Gateway</title></head></html>",
    lambda draw: f"Authorization: OAuth {TOKEN}{draw.random()}".encode(),
    lambda draw: b"\xef\xbb\xbf" * draw.randint(1, 3) + b"{}",
    lambda draw: draw.choice(
        [b"null", b"[]", b"{}", b'"x"', b"0", b"[null]", b'{"items": null}', b"\x00", b"\xff\xfe"]
    ),
    lambda draw: b" " * draw.randint(0, 100_000),
]


def spoiled(draw: random.Random, body: bytes) -> bytes:
    """Cut, flip, double or insert some bytes."""
    at = draw.randrange(len(body) + 1)
    return draw.choice(
        [
            body[:at],
            body[at:],
            body[:at] + draw.randbytes(draw.randint(1, 3)) + body[at + 1 :],
            body[:at] + body[: draw.randint(0, 50)] + body[at:],
            body.replace(b'"', b"'", 1),
            body + body,
        ]
    )


def example_of(request: Request) -> str:
    """Return the name of the valid answer to a request."""
    if request.method == "POST":
        return "operation"
    parts = request.path.strip("/").split("/")
    if request.query:
        return f"{parts[0]}_page"
    return "operation_log" if parts[-1] == "log" else parts[0].removesuffix("s")


def answer_of(draw: random.Random, request: Request, *, calm: bool) -> Response | NoAnswer:
    """Draw what comes back; when it is calm, a valid answer with a few changes."""
    example = example_of(request)
    if calm and draw.random() < 0.97:
        body = json.dumps(mutated(draw, SAMPLES[example], draw.choice([0, 0, 0, 0, 1, 2]))).encode()
        return Response(200 if request.method == "GET" else 202, {}, body, NOW)
    if draw.random() < 0.03:
        kind: Any = draw.choice(["unreachable", "tls", "timeout", "broken", "too large"])
        return NoAnswer(kind, str(value(draw))[:1_000])
    headers = {name: draw.choice(some) for name, some in HEADERS.items() if draw.random() < 0.15}
    return Response(draw.choice(STATUSES), headers, body_of(draw, example), NOW)


class EndlessError(Exception):
    """A call asks on and on."""


def run_one(draw: random.Random, name: str) -> str:
    """Let one call meet one row of answers; give how it ended.

    :raises Exception: what should never escape.
    """
    left, calm = 60, draw.random() < 0.5

    def answer(request: Request) -> Response | NoAnswer:
        nonlocal left
        left -= 1
        if not left:
            raise EndlessError
        return answer_of(draw, request, calm=calm)

    flows = api(retries=draw.choice([0, 0, 0, 2]))
    try:
        result = Driver(answer).run(CALLS[name](flows))
    except TolokaError as error:
        check_error(error)
        return type(error).__name__
    except EndlessError:
        # Some pages that lead on and on are an answer as any other.
        assert name.startswith(("list_", "look_", "retire_", "archive_", "close_", "change_")), name
        return "continues"
    assert result is None or isinstance(result, TYPES), result
    use(result)
    return type(result).__name__


def check_error(error: TolokaError) -> None:
    """See that an error is fit to be read."""
    told = str(error)
    assert TOKEN not in told, told
    # On one line; only what keeps a project out of the archive is listed, and of that each entry is on one line.
    lines = told.split("\n") if isinstance(error, TolokaNotArchivableError) else [told]
    assert all(line.isprintable() for line in lines), told
    assert len(told) < 20_000, len(told)
    assert TOKEN not in repr(error.__context__)


def use(result: Any) -> None:
    """Do with a result what operators, sensor and trigger do with it."""
    items = list(result) if isinstance(result, (list, tuple)) else [result]
    for item in items:
        if isinstance(item, (list, tuple)):
            use(item)
        elif isinstance(item, dict):
            use(list(item.values())) if any(isinstance(one, Operation) for one in item.values()) else store(item)
        elif isinstance(item, Operation):
            store(item.to_json())
            assert item.summary.isprintable()
            assert Operation.from_json(json.loads(json.dumps(item.to_json()))) == item
            assert str(TolokaOperationFailedError(item, [])).isprintable()
        elif isinstance(item, Project):
            selection = Selection(before=SINCE, name_pattern="a*b?[c-d]")
            assert selection.refuses(item).isprintable()
            found = Search(Selection())
            found.see_project(item)
            found.see_no_more_projects()
            store([candidate.report(SINCE) for candidate in found.found()])
        elif isinstance(item, Training):
            selection = Selection(before=SINCE)
            assert selection.allows(item) or selection.reason_against(item).isprintable()
        elif hasattr(item, "project"):
            plan = next_steps(item, "close_and_archive")
            assert all(text.isprintable() for text in (*plan.locked, *plan.blocked))


def store(told: Any) -> None:
    """Write it as an XCom or an event is written."""
    written = json.dumps(told, allow_nan=False)
    assert "\\u0000" not in written
    assert len(written) < 50_000_000
    json.dumps(told, ensure_ascii=False).encode()


def main(inputs: int, seed: int) -> int:
    """Run this many inputs; return the exit status."""
    logging.disable()
    started = time.monotonic()
    ended: Counter[str] = Counter()
    names = list(CALLS)
    for number in range(inputs):
        name = names[number % len(names)]
        # Each input has its own seed, so that it can be run again separately.
        draw = random.Random(f"{seed}/{number}")  # noqa: S311 - not for cryptography
        try:
            ended[run_one(draw, name)] += 1
        except Exception as error:
            sys.stdout.write(f"input {number} of seed {seed}: {name} let {type(error).__name__} escape\n")
            raise
        if (number + 1) % 20_000 == 0:
            sys.stdout.write(f"{number + 1} inputs, {time.monotonic() - started:.0f} s\n")
            sys.stdout.flush()
    for how, count in ended.most_common():
        sys.stdout.write(f"{count:>8}  {how}\n")
    sys.stdout.write(f"{inputs} inputs of seed {seed} in {time.monotonic() - started:.0f} s: nothing else escaped.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else 1))
