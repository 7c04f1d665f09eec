"""A mail server that keeps what it is given."""

from __future__ import annotations

import json
import socketserver
import threading
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType
from typing import Self


class Mailbox:
    """Listens on this machine as an SMTP server does, without login and encryption."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        mails = self.mails

        class Session(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(b"220 mailbox\r\n")
                for line in self.rfile:
                    command = line[:4].upper()
                    if command.startswith(b"DATA"):
                        self.wfile.write(b"354 go on\r\n")
                        lines = iter(self.rfile.readline, b".\r\n")
                        mail = message_from_bytes(b"".join(lines), policy=policy.default)
                        mails.append(mail)
                    self.wfile.write(b"221 bye\r\n" if command == b"QUIT" else b"250 ok\r\n")
                    if command == b"QUIT":
                        return

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session)
        self._server.daemon_threads = True

    @property
    def connection(self) -> str:
        """The Airflow connection that leads here."""
        extra = {"disable_ssl": True, "disable_tls": True}
        host, port = self._server.server_address[:2]
        return json.dumps({"conn_type": "smtp", "host": host, "port": port, "extra": extra})

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
