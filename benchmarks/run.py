"""Run all cases, side by side with what they are compared to; print the table, and write it to ``RESULTS.md``."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.cases import CASES

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "RESULTS.md"


def measure(case: str) -> dict[str, Any]:
    """Run one case in a process of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "benchmarks.cases", case]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT, env=environment)  # noqa: S603
    figures: dict[str, Any] = json.loads(output.stdout.splitlines()[-1])
    print(case, figures, flush=True)
    return figures


def verdict(reached: bool) -> str:
    return "yes" if reached else "**no**"


def retiring(case: str) -> str:
    got = measure(case)
    _, projects, _, limit, _, rate = case.split()
    known = limit == "300"
    most = 1.25 if known else 1.5
    reached = got["archived"] == int(projects) and got["ratio"] <= most and not (known and got["refused"])
    return (
        f"| {projects} | {limit}/s | {rate}/s | {got['archived']} | {got['requests']} ({got['refused']}) "
        f"| {got['wall']:.1f} s | {got['bound']:.1f} s | {got['ratio']:.2f} | ≤ {most} | {verdict(reached)} |"
    )


def waiting(case: str) -> str:
    got = measure(case)
    return (
        f"| {case} | {got['requests_per_second']:.2f} | {got['cpu']:.1%} | {got['start']:.2f} ms | {got['memory']:.0f} MB "
        f"| {got['p50']:.1f} s | {got['p99']:.1f} s |"
    )


def main() -> None:
    """Measure, print, write."""
    retired = [retiring(case) for case in CASES if case.startswith("retire")]
    waits = [waiting(case) for case in CASES if case.startswith(("wait", "one"))]
    found, imported = measure("find"), measure("imports")
    text = f"""# Results of the benchmark

`make bench` wrote this on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores ({platform.machine()}), {platform.system()},
Python {platform.python_version()}, Airflow {version("apache-airflow")}. Client and server run in a process each, on the same machine.

## Archive projects with four closed pools each

Found by the search for stale projects, then archived with their pools. The emulator answers after 50 ms, its operations
take 0.5 s. Bound: (5 calls for each project, and the pages of the account) / limit + 2 × 0.5 s. The client's rate is the
connection's `max_requests_per_second`: 240 is the default, which leaves a fifth of Toloka's limit to others, and so
cannot come under 1.25 with many projects. Of the limit of 60 requests per second, the client does not know.

| projects | server's limit | client's rate | archived | requests (refused) | wall time | bound | ratio | goal | reached |
|---|---|---|---|---|---|---|---|---|---|
{chr(10).join(retired)}

## Wait for operations of 30 to 60 s, interval 5 s

`wait N`: N triggers of this provider in one process. `one by one N`: each wait polls its own operation over one shared
session. Delay: from the operation's finish to the trigger's event. CPU: of one core, from the sixth second on, when all
have begun; what it takes to begin is told apart. The emulator has no limit here.

| case | requests per second | CPU | start of a wait, CPU | memory | delay, median | delay, p99 |
|---|---|---|---|---|---|---|
{chr(10).join(waits)}

Goal: at most 1 request per second beside the rotation's 5, at most 2 % of a core at 5,000, p99 at most 5.5 s.

## Search 20,000 projects with 80,000 pools for stale ones

A leaner server than the emulator, which would be the bottleneck: it sends pages that were written beforehand.

{found["pages"]} requests (pages only), {found["wall"]:.2f} s: {found["ratio"]:.2f} × the {found["bound"]:.2f} s that \
the pages take at 240 per second (goal: 1.3). Peak memory over the import: {found["memory"]:.0f} MB (goal: under 150 MB).

## Import of operators and sensors

{imported["over_sdk"]:.0f} ms over the {imported["sdk"]:.0f} ms of the bare Airflow SDK, byte-compiled, median of 7 (goal: at most 60 ms).
"""
    RESULTS.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
