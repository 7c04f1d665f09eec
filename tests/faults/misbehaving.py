"""A gateway between Airflow and an emulated Toloka, which spoils answers in the ways that the emulator cannot."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import ssl
import struct
import threading
import time
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler
from typing import Any, Self, TypeAlias
from urllib.parse import urlsplit

from airflow_provider_toloka.emulator import TolokaEmulator
from airflow_provider_toloka.emulator.faults import Faults
from tests.serving import reply, serving

#: The maximum duration of a misbehaviour, if no client gives up.
LONGEST = 30.0
#: For so long nobody listens, after the gateway has gone away.
AWAY = 0.3


@dataclass(frozen=True)
class Exchange:
    """One request that met a fault.

    :param handler: speaks to the client.
    :param gateway: where it came to.
    """

    handler: BaseHTTPRequestHandler
    gateway: Gateway

    def fetch(self) -> tuple[int, bytes]:
        """Let Toloka carry the request out, and give the status and the body of its answer."""
        return self.gateway.fetch(self.handler)

    def write(self, data: bytes) -> None:
        self.handler.wfile.write(data)

    def write_slowly(self, data: bytes, pause: float = 0.05) -> None:
        """Write byte by byte."""
        for start in range(min(len(data), int(LONGEST / pause))):
            self.write(data[start : start + 1])
            time.sleep(pause)

    def hang_up(self) -> None:
        """Close the connection, in order."""
        self.handler.close_connection = True

    def reset(self) -> None:
        """Let the client have a TCP reset."""
        connection = self.handler.connection
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.hang_up()
        # Not by its own close(), which would first end the connection in order.
        os.close(connection.detach())


Misbehaviour: TypeAlias = Callable[[Exchange], None]


class Gateway:
    """Passes on what is asked of Toloka, but for the requests that meet a fault. A context manager.

    :param toloka: where to.
    :param misbehave: how an answer is spoilt.
    :param tls: what it presents itself with; None: it speaks plain http.
    """

    def __init__(self, toloka: TolokaEmulator, misbehave: Misbehaviour, tls: ssl.SSLContext | None = None) -> None:
        #: Which requests are to be spoilt, and how often.
        self.rules = Faults()
        self._toloka = toloka
        self._misbehave = misbehave
        self._tls = tls
        self._serving = ExitStack()
        self._coming_back: threading.Timer | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        if self._coming_back:
            self._coming_back.join()
        self.close()

    def open(self) -> None:
        """Listen, again on the same port."""
        port = urlsplit(self.url).port or 0
        self.url = self._serving.enter_context(serving(self._answer, self._tls, port))

    def close(self) -> None:
        """Listen no more."""
        self._serving.close()

    def go_away(self) -> None:
        """Listen no more for a moment."""
        self.close()
        self._coming_back = threading.Timer(AWAY, self.open)
        self._coming_back.start()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path.partition("?")[0].removeprefix("/api/v1")
        exchange = Exchange(handler, self)
        if self.rules.take(handler.command, path, None):
            self._misbehave(exchange)
        else:
            pass_on(exchange)

    def fetch(self, handler: BaseHTTPRequestHandler) -> tuple[int, bytes]:
        """Let Toloka carry a request out, and give the status and the body of its answer."""
        connection = http.client.HTTPConnection(self._toloka.url.removeprefix("http://"), timeout=LONGEST)
        with contextlib.closing(connection):
            connection.request(handler.command, handler.path, headers=dict(handler.headers))
            response = connection.getresponse()
            return response.status, response.read()


# What may happen to an exchange


def pass_on(exchange: Exchange) -> None:
    status, body = exchange.fetch()
    reply(exchange.handler, body, status)


def go_away(exchange: Exchange) -> None:
    exchange.fetch()
    exchange.gateway.go_away()
    exchange.hang_up()


def redirect_to_http(exchange: Exchange) -> None:
    exchange.fetch()
    reply(exchange.handler, status=307, Location="http://127.0.0.1/")


def raw(data: bytes) -> Misbehaviour:
    """Let Toloka do its work, and give these bytes for an answer."""

    def misbehave(exchange: Exchange) -> None:
        exchange.fetch()
        exchange.write(data)
        exchange.hang_up()

    return misbehave


def reset_before(exchange: Exchange) -> None:
    exchange.reset()


def reset_after(exchange: Exchange) -> None:
    exchange.fetch()
    exchange.reset()


def reset_amid(exchange: Exchange) -> None:
    status, body = exchange.fetch()
    exchange.write(_head(status, body) + body[: len(body) // 2])
    time.sleep(0.05)
    exchange.reset()


def cut_headers(exchange: Exchange) -> None:
    exchange.fetch()
    exchange.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    exchange.hang_up()


def dribble_headers(exchange: Exchange) -> None:
    status, body = exchange.fetch()
    exchange.write_slowly(_head(status, body).replace(b"\r\n\r\n", b"\r\nX-Padding: " + b"x" * 10_000 + b"\r\n\r\n"))


def dribble_body(exchange: Exchange) -> None:
    status, body = exchange.fetch()
    body += b" " * 10_000
    exchange.write(_head(status, body))
    exchange.write_slowly(body)


def trickle_without_end(exchange: Exchange) -> None:
    exchange.fetch()
    exchange.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    until = time.monotonic() + LONGEST
    while time.monotonic() < until:
        exchange.write(b"1\r\n \r\n")
        time.sleep(0.05)


def pour_without_end(exchange: Exchange) -> None:
    exchange.fetch()
    exchange.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    until = time.monotonic() + LONGEST
    while time.monotonic() < until:
        exchange.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")


def a_gigabyte(exchange: Exchange) -> None:
    exchange.fetch()
    exchange.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    for _ in range(1000):
        exchange.write(b" " * 1_000_000)


def gzip_bomb(exchange: Exchange) -> None:
    exchange.fetch()
    headers = {"Content-Encoding": "gzip"}
    reply(exchange.handler, bomb(), 200, **headers)


def gzip_bomb_in_gzip(exchange: Exchange) -> None:
    exchange.fetch()
    headers = {"Content-Encoding": "gzip, gzip"}
    reply(exchange.handler, bomb_in_a_bomb(), 200, **headers)


def no_content_with_body(exchange: Exchange) -> None:
    exchange.fetch()
    exchange.write(b'HTTP/1.1 204 No Content\r\nContent-Length: 8\r\n\r\n{"a": 1}')


def altered(change: Callable[[dict[str, Any]], Any], methods: tuple[str, ...] = ("GET", "POST")) -> Misbehaviour:
    """Return Toloka's own answer, with each object in it changed.

    :param change: returns the replacement for the object.
    :param methods: the other requests have their own answer.
    """

    def misbehave(exchange: Exchange) -> None:
        status, body = exchange.fetch()
        if body and status < 300 and exchange.handler.command in methods:
            content = json.loads(body)
            if "items" in content:
                content["items"] = [change(item) for item in content["items"]]
            else:
                content = change(content)
            body = json.dumps(content).encode()
        reply(exchange.handler, body, status)

    return misbehave


def rewritten(change: Callable[[bytes], bytes]) -> Misbehaviour:
    """Return Toloka's own answer, with its bytes changed."""

    def misbehave(exchange: Exchange) -> None:
        status, body = exchange.fetch()
        reply(exchange.handler, change(body), status)

    return misbehave


@cache
def bomb() -> bytes:
    """Make a megabyte of gzip that holds a gigabyte."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    first, later = (packer.compress(b" " * 10_000_000) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + later * 99


@cache
def bomb_in_a_bomb() -> bytes:
    """Make some kilobytes of gzip that hold fifty bombs."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(bomb() * 50) + packer.flush()


def _head(status: int, body: bytes) -> bytes:
    return f"HTTP/1.1 {status} So\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
