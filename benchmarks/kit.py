"""Upload tasks and read answers with Toloka's own client, toloka-kit. It runs in a separate environment.

``python kit.py upload|export URL FILE`` prints its figures as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from toloka import client as kit

#: The maximum per request that toloka-kit recommends.
TASKS_AT_ONCE = 10_000


def upload(toloka: Any, file: Path) -> int:
    """Upload the tasks of a JSON Lines file; ``create_tasks`` also reads them back."""
    with file.open() as lines:
        tasks = [kit.Task(pool_id="1", **json.loads(line)) for line in lines]
    created = 0
    for first in range(0, len(tasks), TASKS_AT_ONCE):
        created += len(toloka.create_tasks(tasks[first : first + TASKS_AT_ONCE], allow_defaults=True).items)
    return created


def export(toloka: Any, file: Path) -> int:
    """Write the answers to a JSON Lines file."""
    rows = 0
    with file.open("w") as lines:
        for assignment in toloka.get_assignments(pool_id="1", status="ACCEPTED", batch_size=300):
            for task, solution in zip(assignment.tasks, assignment.solutions, strict=True):
                row = {"id": assignment.id, "input": task.input_values, "output": solution.output_values}
                lines.write(json.dumps(row) + "\n")
                rows += 1
    return rows


def peak() -> float:
    """Return the peak of this process's memory in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


def main() -> None:
    """Run what the command line names."""
    what, url, file = sys.argv[1:]
    toloka = kit.TolokaClient("a token", url=url)
    before = peak()
    started = time.monotonic()
    count = {"upload": upload, "export": export}[what](toloka, Path(file))
    wall = time.monotonic() - started
    print(json.dumps({"count": count, "wall": wall, "memory": peak() - before}))


if __name__ == "__main__":
    main()
