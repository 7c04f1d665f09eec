"""Run all cases with their comparisons; print the table, and write it to ``RESULTS.md``."""

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

from benchmarks.cases import CASES, FEW_ANSWERS, FEW_TASKS, LATENCY, SECONDS_PER_UPLOAD

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "RESULTS.md"


def measure(case: str) -> dict[str, Any]:
    """Run a case in a separate process."""
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
    _, projects, _, limit = case.split()
    known = limit == "300"
    most = (1.12 if projects == "1000" else 1.4) if known else 1.5 if projects == "50" else 1.15
    refused = got["refused"] / got["requests"]
    reached = got["archived"] == int(projects) and got["ratio"] <= most and refused <= (0.01 if known else 0.1)
    return (
        f"| {projects} | {limit}/s | {got['archived']} | {got['requests']} ({got['refused']}) "
        f"| {got['wall']:.1f} s | {got['bound']:.1f} s | {got['ratio']:.2f} | ≤ {most} | {verdict(reached)} |"
    )


def sharing(case: str) -> str:
    got = measure(case)
    reached = got["ratio"] <= 1.5 and got["refused"] <= 0.1 and got["slowest_to_fastest"] <= 2
    return (
        f"| {case.split()[1]} | {got['wall']:.1f} s | {got['bound']:.1f} s | {got['ratio']:.2f} | {got['refused']:.1%} "
        f"| {got['slowest_to_fastest']:.2f} | {verdict(reached)} |"
    )


def waiting(case: str) -> str:
    got = measure(case)
    return (
        f"| {case} | {got['requests_per_second']:.2f} | {got['cpu']:.1%} | {got['start']:.2f} ms | {got['memory']:.0f} MB "
        f"| {got['p50']:.1f} s | {got['p99']:.1f} s |"
    )


def moving(case: str, what: str, most: float, memory: float) -> str:
    got = measure(case)
    reached = got["ratio"] <= most and got["memory"] < memory
    return (
        f"| {what} | {got['requests']} | {got['wall']:.1f} s | {got['bare']:.1f} s | {got['ratio']:.2f} | ≤ {most} "
        f"| {max(0, got['memory']):.0f} MB | < {memory:.0f} MB | {verdict(reached)} |"
    )


def comparing(case: str, what: str) -> str:
    ours, kit = measure(case), measure(f"{case}, toloka-kit")
    return "".join(
        f"| {what}, {name} | {got['requests']} | {got['wall']:.1f} s | {got['wall'] / ours['bare']:.2f} "
        f"| {max(0, got['memory']):.0f} MB |\n"
        for name, got in (("this package", ours), ("toloka-kit", kit))
    )


def main() -> None:
    """Measure, print, and write the results."""
    retired = [retiring(case) for case in CASES if case.startswith("retire")]
    shared = [sharing(case) for case in CASES if case.startswith("together")]
    waits = [waiting(case) for case in CASES if case.startswith(("wait", "one"))]
    moved = [
        moving("upload", "1,000,000 tasks from a JSON Lines file", 1.2, 200),
        moving("export", "1,000,000 assignments to a JSON Lines file", 1.15, 150),
    ]
    beside = [
        comparing("few upload", f"{FEW_TASKS:,} tasks"),
        comparing("few export", f"{FEW_ANSWERS:,} assignments"),
    ]
    pools, found, imported = measure("pools 10000"), measure("find"), measure("imports")
    text = f"""# Results of the benchmark

`make bench` wrote this on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores ({platform.machine()}), {platform.system()},
Python {platform.python_version()}, Airflow {version("apache-airflow")}. Client and server run in a process each, on the same machine.

## Archive projects with four closed pools each

Found by the search for stale projects, then archived with their pools. The emulator answers after 50 ms, its operations
take 0.5 s. Bound: (5 calls for each project, and the pages of the account) / limit + 2 × 0.5 s. The client's rate is
adaptive; it does not know the limit of 60 requests per second.

| projects | server's limit | archived | requests (refused) | wall time | bound | ratio | goal | reached |
|---|---|---|---|---|---|---|---|---|
{chr(10).join(retired)}

## Processes that share an account

Each process sends 360 requests at once; they do not communicate. Bound: all requests / 300. Goals: at most 1.5 × the bound,
10 % of the requests refused, the slowest process at most twice as long as the fastest. `benchmarks/rate_simulation.py` has more.

| processes | wall time | bound | ratio | refused | slowest / fastest | reached |
|---|---|---|---|---|---|---|
{chr(10).join(shared)}

## Wait for operations of 30 to 60 s, interval 5 s

`wait N`: N triggers of this provider in one process. `one by one N`: each wait polls its own operation over one shared
session. Delay: from the operation's finish to the trigger's event. CPU: of one core, from the sixth second on, when all
have started; the start is listed separately. The emulator has no limit here.

| case | requests per second | CPU | start of a wait, CPU | memory | delay, median | delay, p99 |
|---|---|---|---|---|---|---|
{chr(10).join(waits)}

Goal: at most 1 request per second in addition to the rotation's 5, at most 2 % of a core at 5,000, p99 at most 5.5 s.

## Upload tasks and export answers

The operators, against a server that responds after {LATENCY * 1000:.0f} ms, and to an upload of up to 5,000 tasks after \
{SECONDS_PER_UPLOAD * 1000:.0f} ms. Bare: the same uploads or pages, sent one after the other with `requests`. Memory:
the peak over the import.

| what | requests | wall time | bare | ratio | goal | memory | goal | reached |
|---|---|---|---|---|---|---|---|---|
{chr(10).join(moved)}

The same, less of it, with Toloka's own client, toloka-kit 1.2.3, in its own environment: `create_tasks`, which also reads
the tasks back, 50 per page, and `get_assignments` with pages of 300. Ratio: to the bare requests of this package.

| what | requests | wall time | ratio | memory |
|---|---|---|---|---|
{"".join(beside)}
## Wait for 10,000 open pools, interval 60 s

All triggers run in one process: {pools["requests_per_second"]:.2f} requests per second on average over two minutes (goal: at most 1), \
{pools["cpu"]:.1%} of a core.

## Search 20,000 projects with 80,000 pools for stale ones

A server with prepared pages, because the emulator would be the bottleneck.

{found["pages"]} requests (pages only), {found["wall"]:.2f} s: {found["ratio"]:.2f} × the {found["bound"]:.2f} s that \
the pages take at 240 per second (goal: 1.3). Peak memory over the import: {found["memory"]:.0f} MB (goal: under 150 MB).

## Import of operators and sensors

{imported["over_sdk"]:.0f} ms over the {imported["sdk"]:.0f} ms of the bare Airflow SDK, byte-compiled, median of 7 (goal: at most 60 ms).
"""
    RESULTS.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
