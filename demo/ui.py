"""Run Airflow with the example DAGs and an emulated Toloka, until it is interrupted.

``make ui`` runs it. All that it writes is in the folder ``.airflow``. ``UI_PORT`` and ``TOLOKA_PORT`` in the
environment name other ports.
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
    """Run until interrupted; give the exit status."""
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
        say(f"Cannot start: {error}. Is a port taken? UI_PORT and TOLOKA_PORT in the environment name other ones.")
        return 1


def interrupt(*_: object) -> None:
    """End as Ctrl-C does, once."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def say(text: str) -> None:
    """Tell the user."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def serve(airflow: StandaloneAirflow, toloka: TolokaEmulator) -> int:
    """Run Airflow until it ends, and leave none of its processes."""
    say(f"Starting Airflow; its log goes to {airflow.log.relative_to(ROOT)}")
    try:
        if airflow.start():
            say(
                f"\n    Airflow: {airflow.url}  user admin, password {airflow.password}\n"
                f"    Toloka:  {toloka.url}/api/v1 (emulated), the connection toloka_default leads there\n\n"
                "Ctrl-C stops both."
            )
        status = airflow.wait()
        say(f"Airflow ended; the reason is in {airflow.log.relative_to(ROOT)}.")
        return status or 1
    finally:
        airflow.stop()


if __name__ == "__main__":
    sys.exit(main())
