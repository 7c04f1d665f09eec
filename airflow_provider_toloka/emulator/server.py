"""``TolokaEmulator``, the emulator as a server."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_toloka.emulator import DEFAULT_TOKEN
from airflow_provider_toloka.emulator.account import Account
from airflow_provider_toloka.emulator.control import Control
from airflow_provider_toloka.emulator.operations import Duration
from airflow_provider_toloka.emulator.options import ArchivedAnswer, Options, Tolokers

if TYPE_CHECKING:
    import uvicorn

_START_SECONDS = 10


class TolokaEmulator(Control):
    """An emulated Toloka in a separate thread: use it as a context manager, or call ``start()`` and ``stop()``.

    Its content can be changed and read before, while and after it runs. A second ``start()`` continues with the same
    state, at the same address.

    :param seed: the content of the account: ``"demo"``, ``"stale"``, the path of a JSON file, or such a state as a dict
        (see ``state``). By default the account is empty.
    :param operation_seconds: how long an operation takes, in seconds, or a range to draw from. By default, it is
        finished in the first response.
    :param tokens: the accepted tokens.
    :param host: the address to listen on.
    :param port: the port to listen on; 0 selects a free one.
    :param requests_per_second: the rate limit; 0: unlimited.
    :param admin: serve ``/admin/`` too: faults, requests and state over HTTP, for everyone who can reach the port.
    :param archived_project_answer: the answer to archiving an archived project: ``"204"``, ``"409"``
        or ``"operation"`` (a new operation, finished). Toloka's own client cannot read ``"204"`` there.
    :param tolokers: simulated Tolokers, who work on open pools; default: none.
    :param quotas: whether to enforce Toloka's quotas for creating and aggregating with 429.
    :param accounts: the accounts allowed in the header ``X-Act-Under-Account-ID``, ``None``: any; others get 403.
    :param list_lag: how many seconds lists do not show a project, pool or training that was created by a request.
    :param keep_metadata: whether to keep the ``metadata`` of created objects.
    :param clock: returns the time, in seconds since 1970, for operations, limits and ages.
    :param random_seed: makes random durations and ids reproducible.
    """

    def __init__(
        self,
        seed: str | Path | Mapping[str, Any] | None = None,
        *,
        operation_seconds: Duration = 0,
        tokens: Sequence[str] = (DEFAULT_TOKEN,),
        host: str = "127.0.0.1",
        port: int = 0,
        requests_per_second: int = 300,
        admin: bool = False,
        archived_project_answer: ArchivedAnswer = "operation",
        tolokers: Tolokers | None = None,
        quotas: bool = True,
        accounts: Collection[str] | None = (),
        list_lag: float = 0,
        keep_metadata: bool = True,
        clock: Callable[[], float] = time.time,
        random_seed: int = 0,
    ) -> None:
        options = Options(
            archived_project_answer=archived_project_answer,
            tolokers=tolokers,
            quotas=quotas,
            accounts=accounts,
            list_lag=list_lag,
            keep_metadata=keep_metadata,
        )
        super().__init__(
            Account(clock=clock, operation_seconds=operation_seconds, random_seed=random_seed, options=options)
        )
        self.tokens = tuple(tokens)
        self._host = host
        self._port = port
        self._requests_per_second = requests_per_second
        self._with_admin = admin
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        if seed is not None:
            self.load(seed)

    # Running

    def start(self) -> Self:
        """Start the server.

        :returns: the emulator.
        :raises ImportError: the extra ``emulator`` is not installed.
        :raises OSError: the port is taken.
        """
        if self._thread:
            raise RuntimeError("the emulator is already running")
        try:
            from airflow_provider_toloka.emulator.admin import Admin
            from airflow_provider_toloka.emulator.app import Api
            from airflow_provider_toloka.emulator.serving import listen, make_server
        except ImportError as error:
            needed = 'the Toloka emulator needs: pip install "airflow-provider-toloka[emulator]"'
            raise ImportError(needed) from error
        listener = listen(self._host, self._port)
        self._port = listener.getsockname()[1]
        api = Api(
            self._account,
            tokens=self.tokens,
            requests_per_second=self._requests_per_second,
            faults=self._faults,
            journal=self._journal,
            admin=Admin(self) if self._with_admin else None,
        )
        server = make_server(api)
        self._server = server
        self._thread = threading.Thread(
            target=lambda: asyncio.run(server.serve(sockets=[listener])), name="toloka-emulator", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + _START_SECONDS
        while not server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("the emulator did not start")
            self._thread.join(0.001)
        return self

    def stop(self) -> None:
        """Release held responses, close all connections and stop the server. Stopping twice is not an error."""
        if self._thread is None or self._server is None:
            return
        self._faults.release()
        self._server.should_exit = True
        self._thread.join()
        self._thread = self._server = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The address, such as ``http://127.0.0.1:41234``; known after the first start."""
        if not self._port:
            raise RuntimeError("the emulator has no address before it is started")
        return f"http://{self._host}:{self._port}"

    @property
    def token(self) -> str:
        """An accepted token."""
        return self.tokens[0]

    @property
    def connection(self) -> dict[str, Any]:
        """The fields of an Airflow connection to it, as in the JSON of ``AIRFLOW_CONN_...``."""
        host, _, port = self.url.rpartition(":")
        return {"conn_type": "toloka", "host": host, "port": int(port), "password": self.token}
