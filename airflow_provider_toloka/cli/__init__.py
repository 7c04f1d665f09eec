"""The command line: ``python -m airflow_provider_toloka``. Sends read requests only."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from airflow_provider_toloka import __version__
from airflow_provider_toloka.cli.exit_codes import INTERRUPTED, OK

__all__ = ["main"]

_DESCRIPTION = """\
Apache Airflow provider for Toloka: commands for use outside Airflow.

  python -m airflow_provider_toloka stale      list an account's stale projects; read-only
  python -m airflow_provider_toloka.emulator   run an emulated Toloka, for demos and tests

Run a command with --help for its options."""

_EPILOG = """\
credentials:
  TOLOKA_TOKEN      the API token (never an argument: other users of the machine could read it)
  TOLOKA_URL        another base URL, such as http://127.0.0.1:8080; default: the environment's
  --conn-id ID      use an Airflow connection instead

exit codes:
  0    the account was read
  1    with --exit-code: there are stale projects
  2    wrong arguments, or no usable credentials
  3    Toloka refused the token, or does not allow it to read this
  4    another request to Toloka failed
  5    the output, or a file, could not be written
  130  interrupted

example:
  TOLOKA_TOKEN=... python -m airflow_provider_toloka stale --inactive-for 180d --html stale.html"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit code.

    :param arguments: the command line; default None: the process's own.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return OK
    # Imported here, so that --help is fast.
    from airflow_provider_toloka.cli import stale

    try:
        return stale.run(options)
    except KeyboardInterrupt:
        print("Interrupted; nothing was changed.", file=sys.stderr)  # noqa: T201
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_toloka",
        usage="%(prog)s [--version] COMMAND ...",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"airflow-provider-toloka {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", help=argparse.SUPPRESS)
    stale = commands.add_parser(
        "stale",
        description="List the projects of an account that nobody uses. Nothing is changed at Toloka.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    stale.add_argument(
        "--inactive-for",
        required=True,
        metavar="AGE",
        help="how long a project must have been idle: 180d, 12h, 26w, or ISO 8601 such as P180D",
    )
    stale.add_argument("--name-pattern", metavar="GLOB", help="only projects whose name matches, such as 'test *'")
    stale.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="ID",
        help="the id of a project to leave out, or the address of its page; repeatable",
    )
    stale.add_argument("--html", metavar="FILE", help="write the report as a self-contained web page")
    stale.add_argument("--csv", metavar="FILE", help="write the report as CSV")
    stale.add_argument("--json", action="store_true", help="print the report as JSON instead of the table")
    stale.add_argument("--conn-id", metavar="ID", help="use this Airflow connection instead of TOLOKA_TOKEN")
    stale.add_argument(
        "--environment",
        choices=("production", "sandbox"),
        help="the environment of the token; default: production",
    )
    stale.add_argument("--exit-code", action="store_true", help="exit with 1 when there are stale projects")
    return parser
