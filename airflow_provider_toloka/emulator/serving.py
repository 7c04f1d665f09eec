"""The emulator's HTTP server. It needs the packages of the extra ``emulator``, and is imported when one is started."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from airflow_provider_toloka.emulator.app import Api


def make_server(api: Api) -> uvicorn.Server:
    """Make a server for an API, to be run in an event loop of the caller's.

    :param api: the application.
    """

    class Protocol(H11Protocol):
        """HTTP that lets the application close its connections."""

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
        date_header=False,  # the application sends one, by the account's clock
        access_log=False,
        log_config=None,
        log_level="warning",
        # Longer than a client is likely to leave a pooled connection unused: none is to be closed under its hands.
        timeout_keep_alive=300,
        timeout_graceful_shutdown=5,
    )
    return uvicorn.Server(config)


def listen(host: str, port: int) -> socket.socket:
    """Open the socket to listen on.

    :raises OSError: when the port is taken.
    """
    # By its protocol number asyncio knows a TCP socket, and sends small answers at once instead of 40 ms later.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except BaseException:
        listener.close()
        raise
    return listener
