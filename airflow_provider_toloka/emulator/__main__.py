"""``python -m airflow_provider_toloka.emulator``: run the emulator until it is interrupted."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence
from typing import get_args

from airflow_provider_toloka.emulator import DEFAULT_TOKEN, TolokaEmulator, Tolokers
from airflow_provider_toloka.emulator.options import ArchivedAnswer


def _duration(text: str) -> float | tuple[float, float]:
    low, dash, high = text.partition("-")
    return (float(low), float(high)) if dash else float(low)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_toloka.emulator", description="Run an emulated Toloka on this machine."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8765, help="port; 0 takes a free one (default: %(default)s)")
    content = parser.add_mutually_exclusive_group()
    content.add_argument("--seed", default="demo", choices=("demo", "stale", "none"), help="the content of the account")
    content.add_argument("--state", metavar="FILE", help="a JSON file with the content of the account")
    parser.add_argument(
        "--operation-seconds", type=_duration, default=0.0, metavar="N or LOW-HIGH", help="how long an operation takes"
    )
    parser.add_argument("--token", action="append", help=f"an accepted token; repeatable (default: {DEFAULT_TOKEN})")
    parser.add_argument("--requests-per-second", type=int, default=300, help="0 for no limit (default: %(default)s)")
    people = parser.add_argument_group("simulated Tolokers, who work on open pools")
    people.add_argument("--tolokers", type=int, default=0, metavar="N", help="the number of Tolokers (default: 0)")
    people.add_argument(
        "--toloker-seconds",
        type=_duration,
        default=0.0,
        metavar="N or LOW-HIGH",
        help="how long a Toloker takes for a task suite",
    )
    people.add_argument(
        "--mistakes", type=float, default=0.0, metavar="PART", help="the share of wrong answers, 0 to 1"
    )
    parser.add_argument("--no-quotas", action="store_true", help="do not limit how many objects are created in a day")
    parser.add_argument(
        "--list-lag", type=float, default=0.0, metavar="SECONDS", help="how long lists do not show new objects"
    )
    parser.add_argument(
        "--archived-project-answer",
        choices=get_args(ArchivedAnswer),
        default="operation",
        help="the answer to archiving an archived project, which Toloka does not document (default: %(default)s)",
    )
    parser.add_argument("--any-account", action="store_true", help="accept any account in X-Act-Under-Account-ID")
    parser.add_argument("--admin", action="store_true", help="serve /admin/ too, for everyone who can reach the port")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    :param arguments: as given on the command line.
    :returns: the exit status.
    """
    options = _parser().parse_args(arguments)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    try:
        emulator = TolokaEmulator(
            seed=options.state or (None if options.seed == "none" else options.seed),
            operation_seconds=options.operation_seconds,
            tokens=options.token or (DEFAULT_TOKEN,),
            host=options.host,
            port=options.port,
            requests_per_second=options.requests_per_second,
            tolokers=Tolokers(options.tolokers, options.toloker_seconds, options.mistakes),
            quotas=not options.no_quotas,
            list_lag=options.list_lag,
            accounts=None if options.any_account else (),
            archived_project_answer=options.archived_project_answer,
            admin=options.admin,
        ).start()
    except (ImportError, OSError, ValueError) as error:
        sys.stderr.write(f"The emulator cannot start: {error}\n")
        return 1
    sys.stdout.write(
        f"Toloka emulator at {emulator.url}/api/v1 (Ctrl+C stops it). For Airflow:\n"
        f"export AIRFLOW_CONN_TOLOKA_DEFAULT='{json.dumps(emulator.connection)}'\n"
    )
    sys.stdout.flush()
    stopped.wait()
    emulator.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
