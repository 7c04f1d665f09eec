"""The emulator's HTTP server. Requires the extra ``emulator``, and is imported when an emulator starts."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from airflow_provider_toloka.emulator.app import Api


def make_server(api: Api) -> uvicorn.Server:
    """Create a server for an API, to run in the caller's event loop.

    :param api: the application.
    """

    class Protocol(H11Protocol):
        """An HTTP protocol whose connections the application can close."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._peer = transport.get_extra_info("peername")[:2]
            api.transports[self._peer] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            api.transports.pop(self._peer, None)

    config = uvicorn.Config(
        cast("Any", api),
        http=Protocol,
        ws="none",
        lifespan="off",
        proxy_headers=False,
        server_header=False,
        date_header=False,  # the application sends its own, by the account's clock
        access_log=False,
        log_config=None,
        log_level="warning",
        # Longer than clients keep pooled connections idle, so that none is closed when a client reuses it.
        timeout_keep_alive=300,
        timeout_graceful_shutdown=5,
    )
    return uvicorn.Server(config)


def listen(host: str, port: int) -> socket.socket:
    """Open the socket to listen on.

    :raises OSError: the port is taken.
    """
    # asyncio recognizes a TCP socket by its protocol number, and then sends small responses without a delay of 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except BaseException:
        listener.close()
        raise
    return listener
