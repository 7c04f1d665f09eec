"""Run Airflow with the example DAGs and an emulated Toloka, until it is interrupted.

``make ui`` runs it. All that it writes is in the folder ``.airflow``. ``UI_PORT`` and ``TOLOKA_PORT`` in the
environment name other ports.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from airflow_provider_toloka.emulator import TolokaEmulator

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".airflow"
LOG = HOME / "standalone.log"
PASSWORDS = HOME / "passwords.json"
UI_PORT = os.environ.get("UI_PORT", "8080")
TOLOKA_PORT = int(os.environ.get("TOLOKA_PORT", "8765"))

START_SECONDS = 300
STOP_SECONDS = 20


def main() -> int:
    """Run until interrupted; give the exit status."""
    HOME.mkdir(exist_ok=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    environment = airflow_environment()
    try:
        with TolokaEmulator("demo", operation_seconds=(3, 10), port=TOLOKA_PORT) as toloka:
            say("Preparing Airflow's database")
            prepare(environment, toloka)
            return serve(environment, toloka)
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


def airflow_environment() -> dict[str, str]:
    """Give the environment for an Airflow of its own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    return environment | {
        # `airflow standalone` starts the other parts by the name `airflow`.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        "AIRFLOW_HOME": str(HOME),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "example_dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(PASSWORDS),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://localhost:{UI_PORT}/execution/",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": UI_PORT,
        "AIRFLOW__API__BASE_URL": f"http://localhost:{UI_PORT}",
    }


def prepare(environment: dict[str, str], toloka: TolokaEmulator) -> None:
    """Make the database, and put the connection into it, where the UI shows it."""
    add = ["connections", "add", "toloka_default", "--conn-json", json.dumps(toloka.connection)]
    for arguments in (["db", "migrate"], ["connections", "delete", "toloka_default"], add):
        run = subprocess.run(["airflow", *arguments], env=environment, capture_output=True, text=True, check=False)
        if run.returncode and "delete" not in arguments:
            raise OSError(f"airflow {arguments[0]} {arguments[1]}: {run.stdout}{run.stderr}")


def serve(environment: dict[str, str], toloka: TolokaEmulator) -> int:
    """Run ``airflow standalone`` until it ends, and leave none of its processes."""
    say(f"Starting Airflow; its log goes to {LOG.relative_to(ROOT)}")
    with LOG.open("w") as log:
        airflow = subprocess.Popen(
            ["airflow", "standalone"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        if wait_until_ready(airflow):
            password = json.loads(PASSWORDS.read_text())["admin"]
            say(
                f"\n    Airflow: http://localhost:{UI_PORT}  user admin, password {password}\n"
                f"    Toloka:  {toloka.url}/api/v1 (emulated), the connection toloka_default leads there\n\n"
                "Ctrl-C stops both."
            )
        status = airflow.wait()
        say(f"Airflow ended; the reason is in {LOG.relative_to(ROOT)}.")
        return status or 1
    finally:
        stop(airflow)


def wait_until_ready(airflow: subprocess.Popen[bytes]) -> bool:
    """Wait for the scheduler's and the triggerer's first sign of life."""
    deadline = time.monotonic() + START_SECONDS
    while airflow.poll() is None and time.monotonic() < deadline:
        time.sleep(1)
        try:
            with urllib.request.urlopen(f"http://localhost:{UI_PORT}/api/v2/monitor/health", timeout=5) as answer:
                health = json.load(answer)
        except (OSError, ValueError):
            continue
        if all(health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "triggerer")):
            return True
    return False


def stop(airflow: subprocess.Popen[bytes]) -> None:
    """End all processes of Airflow: they are one group."""
    for number, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, 5)):
        deadline = time.monotonic() + seconds
        try:
            os.killpg(airflow.pid, number)
            while time.monotonic() < deadline:
                airflow.poll()
                os.killpg(airflow.pid, 0)
                time.sleep(0.2)
        except ProcessLookupError:
            return


if __name__ == "__main__":
    sys.exit(main())
