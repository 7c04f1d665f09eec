"""A small HTTP server for tests beyond the emulator: TLS variants, other responses, request headers."""

from __future__ import annotations

import select
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@contextmanager
def serving(
    answer: Callable[[BaseHTTPRequestHandler], None], tls: ssl.SSLContext | None = None, port: int = 0
) -> Iterator[str]:
    """Run an HTTP server with one response to everything; port 0 selects a free one."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            answer(self)

        def do_POST(self) -> None:
            answer(self)

        def do_CONNECT(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass  # a client that turns away is what some tests are about

    server = Server(("127.0.0.1", port), Handler)
    if tls:
        # The handshake is each connection's own: one that fails or stalls does not keep the others waiting.
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def reply(handler: BaseHTTPRequestHandler, body: bytes = b"{}", status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in {**headers, "Content-Length": str(len(body))}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


def tunnel(handler: BaseHTTPRequestHandler) -> None:
    """Do what a proxy does for TLS; every name is this machine's."""
    with socket.create_connection(("127.0.0.1", int(handler.path.rpartition(":")[2]))) as host:
        handler.send_response(200)
        handler.end_headers()
        relay(handler.connection, host)
    handler.close_connection = True


def relay(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes on between two sockets until one of them ends."""
    while True:
        for ready in select.select([one, other], [], [])[0]:
            data = ready.recv(65_536)
            if not data:
                return
            (other if ready is one else one).sendall(data)


@contextmanager
def socks_proxy(names: list[str]) -> Iterator[str]:
    """Run a SOCKS 5 proxy, to which every name is this machine's.

    :param names: takes the addresses that it is asked for.
    """

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.read(self.rfile.read(2)[1])  # the ways to log in
            self.wfile.write(b"\x05\x00")
            kind = self.rfile.read(4)[3]
            length = self.rfile.read(1)[0] if kind == 3 else 4
            address = self.rfile.read(length)
            names.append(address.decode() if kind == 3 else socket.inet_ntoa(address))
            port = int.from_bytes(self.rfile.read(2))
            with socket.create_connection(("127.0.0.1", port)) as host:
                self.wfile.write(b"\x05\x00\x00\x01" + bytes(6))
                relay(self.connection, host)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def self_signed_tls(folder: Path) -> ssl.SSLContext:
    """Make a certificate that nobody vouches for.

    :param folder: where its files go.
    """
    key, certificate = str(folder / "key.pem"), str(folder / "certificate.pem")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    subprocess.run(
        [*command.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
