"""The emulator as something to start and stop: ``TolokaEmulator``."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_toloka.emulator import DEFAULT_TOKEN
from airflow_provider_toloka.emulator.account import Account
from airflow_provider_toloka.emulator.faults import Fault, Faults
from airflow_provider_toloka.emulator.journal import RequestRecord
from airflow_provider_toloka.emulator.operations import Duration
from airflow_provider_toloka.emulator.rules import ArchivedAnswer
from airflow_provider_toloka.emulator.seeds import seed_state
from airflow_provider_toloka.emulator.tables import View
from airflow_provider_toloka.emulator.timestamps import Moment

if TYPE_CHECKING:
    import uvicorn

_START_SECONDS = 10


class TolokaEmulator:
    """A Toloka on this machine, in a thread of its own: a context manager, or ``start()`` and ``stop()``.

    It can be filled and read before, while and after it runs; a second ``start()`` goes on with the same state, at the
    same address.

    :param seed: what is in the account: ``"demo"``, ``"stale"``, the path of a JSON file, or such a state as a dict
        (see ``state``). By default the account is empty.
    :param operation_seconds: how long an operation takes, in seconds, or a lowest and highest number to draw from.
        By default it is finished in the first answer.
    :param tokens: the tokens that are let in.
    :param host: the address to listen on.
    :param port: the port to listen on; 0 takes a free one.
    :param requests_per_second: the requests of one second that are answered; 0 for all of them.
    :param admin: serve ``/admin/`` too: faults, requests and state over HTTP. Whoever reaches the port can use it.
    :param archived_project_answer: how the archiving of an archived project is answered: ``"204"``, ``"409"``
        or ``"operation"`` (a new operation, finished).
    :param clock: gives the time, in seconds since 1970. Operations, limits and ages go by it.
    :param random_seed: makes drawn durations and ids repeatable.
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
        archived_project_answer: ArchivedAnswer = "204",
        clock: Callable[[], float] = time.time,
        random_seed: int = 0,
    ) -> None:
        self.tokens = tuple(tokens)
        self._host = host
        self._port = port
        self._requests_per_second = requests_per_second
        self._with_admin = admin
        self._archived_project_answer: ArchivedAnswer = archived_project_answer
        self._account = Account(clock=clock, operation_seconds=operation_seconds, random_seed=random_seed)
        self._faults = Faults()
        self._journal: list[RequestRecord] = []
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        if seed is not None:
            self.load(seed)

    # Running

    def start(self) -> Self:
        """Start to answer.

        :returns: the emulator.
        :raises ImportError: when the extra ``emulator`` is not installed.
        :raises OSError: when the port is taken.
        """
        if self._thread:
            raise RuntimeError("the emulator runs already")
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
            archived_project_answer=self._archived_project_answer,
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
        """Stop to answer, and close all connections. Held answers go first. Stopping twice is no error."""
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
        """The address, such as ``http://127.0.0.1:41234``; known once it was started."""
        if not self._port:
            raise RuntimeError("the emulator has no address before it is started")
        return f"http://{self._host}:{self._port}"

    @property
    def token(self) -> str:
        """A token that is let in."""
        return self.tokens[0]

    @property
    def connection(self) -> dict[str, Any]:
        """An Airflow connection to it, as ``AIRFLOW_CONN_...`` takes it in JSON."""
        host, _, port = self.url.rpartition(":")
        return {"conn_type": "toloka", "host": host, "port": int(port), "password": self.token}

    # What is in the account

    def add_project(self, public_name: str = "A project", *, status: str = "ACTIVE", **fields: Any) -> View:
        """Add a project.

        :param public_name: its name.
        :param status: ``ACTIVE`` or ``ARCHIVED``.
        :param fields: any other field of ``ProjectViewV1``, such as ``id``, ``created`` or ``private_comment``.
            Times are seconds since 1970, datetimes, or text as the API has it.
        :returns: the project, as the API shows it.
        """
        with self._account.lock:
            return dict(self._account.add_project(public_name, status, **fields))

    def add_pool(
        self,
        project_id: str,
        *,
        status: str = "CLOSED",
        active_assignments: int = 0,
        last_rejected: Moment | None = None,
        training_id: str | None = None,
        **fields: Any,
    ) -> View:
        """Add a pool.

        :param project_id: the project it is in.
        :param status: ``OPEN``, ``CLOSED``, ``LOCKED`` or ``ARCHIVED``.
        :param active_assignments: as long as there are any, it cannot be archived.
        :param last_rejected: when an assignment was last rejected; for 9 days from then it cannot be archived.
        :param training_id: the training it requires.
        :param fields: any other field of ``PoolViewV1``, such as ``id``, ``created`` or ``last_started``.
        :returns: the pool, as the API shows it.
        """
        with self._account.lock:
            pool = self._account.add_pool(project_id, status, active_assignments, last_rejected, training_id, **fields)
            return dict(pool)

    def add_training(self, project_id: str, *, status: str = "CLOSED", **fields: Any) -> View:
        """Add a training.

        :param project_id: the project it is in.
        :param status: ``OPEN``, ``CLOSED``, ``LOCKED`` or ``ARCHIVED``.
        :param fields: any other field of ``TrainingViewV1``, such as ``id``, ``created`` or ``last_started``.
        :returns: the training, as the API shows it.
        """
        with self._account.lock:
            return dict(self._account.add_training(project_id, status, **fields))

    def add_operation(
        self,
        type: str,  # noqa: A002  the API's own name
        *,
        status: str = "SUCCESS",
        finishes_in: float | None = None,
        outcome: str = "SUCCESS",
        log: list[dict[str, Any]] | None = None,
        **fields: Any,
    ) -> View:
        """Add an operation.

        :param type: such as ``PROJECT.ARCHIVE``; one that the API does not have is not refused.
        :param status: how it stands: ``PENDING``, ``RUNNING``, ``SUCCESS`` or ``FAIL``.
        :param finishes_in: seconds until it ends, for one that is not finished; without it, it never ends.
        :param outcome: how it ends then: ``SUCCESS``, with the effect that its type has, or ``FAIL``.
        :param log: the answer to ``GET /operations/{id}/log``.
        :param fields: any other field, such as ``id``, ``parameters``, ``details`` or ``progress``; ``None`` is shown
            as null.
        :returns: the operation, as the API shows it.
        """
        with self._account.lock:
            return dict(self._account.add_operation(type, status, finishes_in, outcome, log, **fields))

    def load(self, seed: str | Path | Mapping[str, Any]) -> None:
        """Replace what is in the account.

        :param seed: as for the class.
        :raises ValueError: when it is no state of an account.
        """
        with self._account.lock:
            self._account.load(seed_state(seed, self._account.clock()))

    def state(self) -> dict[str, list[View]]:
        """Return all that is in the account, in the form that ``seed`` takes."""
        with self._account.lock:
            return self._account.dump()

    @property
    def projects(self) -> dict[str, View]:
        """The projects, by id."""
        return self._snapshot("projects")

    @property
    def pools(self) -> dict[str, View]:
        """The pools, by id."""
        return self._snapshot("pools")

    @property
    def trainings(self) -> dict[str, View]:
        """The trainings, by id."""
        return self._snapshot("trainings")

    @property
    def operations(self) -> dict[str, View]:
        """The operations, by id."""
        return self._snapshot("operations")

    def _snapshot(self, kind: str) -> dict[str, View]:
        with self._account.lock:
            now = self._account.settle()
            present = self._account.operations.present
            return {row["id"]: dict(present(row, now)) for row in self._account.tables[kind]}

    # What was asked, and what is to go wrong

    @property
    def requests(self) -> list[RequestRecord]:
        """The API requests that have come, oldest first."""
        with self._account.lock:
            return [replace(record) for record in self._journal]

    def clear_requests(self) -> None:
        """Forget the requests that have come."""
        with self._account.lock:
            self._journal.clear()

    def fault(self, rule: str, **what: Any) -> Fault:
        """Let the answers to some requests go wrong.

        :param rule: method and path as under ``/api/v1``, such as ``POST /projects/*/archive``.
        :param what: how: ``times``, ``status``, ``body``, ``headers``, ``carry_out``, ``delay``, ``disconnect``,
            ``hold``; see ``Fault``.
        :returns: the rule in force, to ``wait()`` for a request that meets it, and to ``release()`` what it holds.
        """
        fault = Fault(rule, **what)
        self._faults.add(fault)
        return fault

    @property
    def faults(self) -> list[Fault]:
        """The faults, those that are used up too, until they are cleared."""
        return self._faults.all()

    def clear_faults(self) -> None:
        """Withdraw all faults, and let the held answers go."""
        self._faults.clear()

    def release(self) -> None:
        """Let all held and delayed answers go."""
        self._faults.release()

    def fail_next(self, type: str, times: int = 1, details: dict[str, Any] | None = None) -> None:  # noqa: A002
        """Let the next operations of a type end as ``FAIL``.

        :param type: such as ``PROJECT.ARCHIVE``.
        :param times: how many of them.
        :param details: their field ``details``.
        """
        with self._account.lock:
            self._account.operations.fail_next(type, times, details)

    def finish(self, operation_id: str) -> None:
        """Let an operation that is under way finish now, however long it was to take.

        :param operation_id: its id; one that has finished stays as it is.
        """
        with self._account.lock:
            self._account.operations.finish(operation_id, self._account.settle())
