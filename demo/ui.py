"""Run Airflow with the example DAGs and an emulated Toloka, until it is interrupted.

``make ui`` runs it. It writes only to the folder ``.airflow``. Set ``UI_PORT`` and ``TOLOKA_PORT`` in the environment
to change the ports.
"""

from __future__ import annotations

import os
import signal
import sys

from airflow_provider_toloka.emulator import TolokaEmulator
from demo.standalone import ROOT, StandaloneAirflow

HOME = ROOT / ".airflow"
UI_PORT = int(os.environ.get("UI_PORT", "8080"))
TOLOKA_PORT = int(os.environ.get("TOLOKA_PORT", "8765"))


def main() -> int:
    """Run until interrupted; return the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    airflow = StandaloneAirflow(HOME, UI_PORT)
    try:
        with TolokaEmulator("demo", operation_seconds=(3, 10), port=TOLOKA_PORT) as toloka:
            say("Preparing Airflow's database")
            airflow.prepare(toloka.connection)
            return serve(airflow, toloka)
    except KeyboardInterrupt:
        say("\nStopped.")
        return 0
    except OSError as error:
        say(f"Cannot start: {error}. If a port is taken, set UI_PORT or TOLOKA_PORT.")
        return 1


def interrupt(*_: object) -> None:
    """End as on Ctrl-C, once."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def say(text: str) -> None:
    """Print a message."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def serve(airflow: StandaloneAirflow, toloka: TolokaEmulator) -> int:
    """Run Airflow until it exits, and end all its processes."""
    say(f"Starting Airflow; its log is written to {airflow.log.relative_to(ROOT)}")
    try:
        if airflow.start():
            say(
                f"\n    Airflow: {airflow.url}  user admin, password {airflow.password}\n"
                f"    Toloka:  {toloka.url}/api/v1 (emulated, connection toloka_default)\n\n"
                "Ctrl-C stops both."
            )
        status = airflow.wait()
        say(f"Airflow has exited. See {airflow.log.relative_to(ROOT)}.")
        return status or 1
    finally:
        airflow.stop()


if __name__ == "__main__":
    sys.exit(main())
