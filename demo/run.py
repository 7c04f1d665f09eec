"""Run the example DAGs with Airflow against an emulated Toloka, and show its projects before and after.

``make demo`` runs it. It writes only to the folder ``.demo``.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from airflow_provider_toloka.emulator import TolokaEmulator, Tolokers
from airflow_provider_toloka.reporting import Outcome, ReportedProject, log_lines

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".demo"
DAGS = ROOT / "example_dags"
LOG = HOME / "demo.log"

ANSWERS = HOME / "answers"

#: Each part has its own account: title, seed of the emulator, DAGs with the configuration of their runs. The file of a
#: DAG has its name.
PARTS: tuple[tuple[str, str | None, tuple[tuple[str, dict[str, Any]], ...]], ...] = (
    (
        "A small account",
        "demo",
        (
            ("toloka_archive_project", {}),
            ("toloka_submit_and_wait", {}),
            ("toloka_mapped", {}),
            ("toloka_deferrable", {}),
            ("toloka_hook", {}),
        ),
    ),
    (
        "The clean-up of an account",
        "stale",
        (("toloka_monthly_cleanup", {"preview": True}), ("toloka_monthly_cleanup", {"preview": False})),
    ),
    ("Labelling images, with simulated Tolokers", None, (("toloka_labelling", {"folder": str(ANSWERS)}),)),
)
TOLOKERS = Tolokers(3, mistakes=0.1)
OPERATION_SECONDS = (0.5, 1.5)
SHOWN_REQUESTS = 12
SHOWN_ROWS = 3

Projects = dict[str, tuple[str, str, str]]
Say = Callable[[str], None]


def main() -> int:
    """Run all parts; return the exit status."""
    HOME.mkdir(exist_ok=True)
    # All output of Airflow goes to the log file; ours goes to the terminal.
    screen = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    with LOG.open("w") as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())

    def say(text: str) -> None:
        screen.write(f"{text}\n")

    say(f"Airflow's log is written to {LOG.relative_to(ROOT)}.")
    try:
        failed = run_parts(say)
    except BaseException as error:
        say(f"\nThe demo failed: {error!r}. See {LOG.relative_to(ROOT)}.")
        raise
    if failed:
        say(f"\nFailed: {', '.join(failed)}. See {LOG.relative_to(ROOT)}.")
    return 1 if failed else 0


def run_parts(say: Say) -> list[str]:
    """Run all DAGs; return those that failed."""
    prepare_airflow()
    from airflow import __version__

    say(f"Airflow {__version__} is ready.")
    return [dag_id for title, seed, runs in PARTS for dag_id in run_part(say, title, seed, runs)]


def prepare_airflow() -> None:
    """Create a separate folder and database for Airflow, before it is imported."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
        del os.environ[name]
    os.environ.update(
        AIRFLOW_HOME=str(HOME),
        AIRFLOW__CORE__DAGS_FOLDER=str(DAGS),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
    )
    from airflow.utils.db import initdb

    initdb()


def run_part(say: Say, title: str, seed: str | None, runs: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    """Run DAGs against an account; return those that failed."""
    failed = []
    shutil.rmtree(ANSWERS, ignore_errors=True)
    with TolokaEmulator(seed, operation_seconds=OPERATION_SECONDS, tolokers=TOLOKERS) as toloka:
        os.environ["AIRFLOW_CONN_TOLOKA_DEFAULT"] = json.dumps(toloka.connection)
        before = projects(toloka)
        say(f"\n{title}: {len(before)} projects in an emulated Toloka at {toloka.url}")
        for dag_id, conf in runs:
            toloka.clear_requests()
            started = time.monotonic()
            dag = load_dag(dag_id)
            say(f"\n{dag_id}: {(dag.doc_md or '').strip().splitlines()[0]}")
            for name, value in conf.items():
                say(f"    with {name} = {value}")
            run = dag.test(run_conf=conf)
            posts = [request for request in toloka.requests if request.method == "POST"]
            for request in posts[:SHOWN_REQUESTS]:
                say(f"    POST {request.path} -> {request.status}")
            if len(posts) > SHOWN_REQUESTS:
                say(f"    ... and {len(posts) - SHOWN_REQUESTS} more")
            for line in preview_lines(run):
                say(f"    {line}")
            tasks = Counter(str(ti.state) for ti in run.get_task_instances())
            counts = ", ".join(f"{count} {state}" for state, count in tasks.items())
            say(f"    DAG run: {run.state} (tasks: {counts}; {time.monotonic() - started:.1f} s)")
            if str(run.state) != "success":
                failed.append(dag_id)
        say(f"\n{title}, before and after:\n\n{table(before, projects(toloka))}")
    for file in sorted(ANSWERS.glob("*.jsonl")):
        rows = file.read_text().splitlines()
        say("\n".join([f"\n{file.relative_to(ROOT)}: {len(rows)} lines", *rows[:SHOWN_ROWS], "..."]))
    return failed


def load_dag(dag_id: str) -> Any:
    """Import the DAG from the file with its name."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(DAGS / f"{dag_id}.py")
    if bag.import_errors:
        raise ImportError(f"{bag.import_errors}")
    return bag.dags[dag_id]


def preview_lines(run: Any) -> list[str]:
    """Return the projects that a preview would archive, as in its log; empty: the run was not a preview."""
    lines = []
    for ti in run.get_task_instances():
        result = ti.xcom_pull(task_ids=ti.task_id)
        found = result.get(Outcome.WOULD_ARCHIVE.value) if isinstance(result, dict) else None
        if found:
            would = [ReportedProject.from_json({**one, "outcome": Outcome.WOULD_ARCHIVE}) for one in found]
            title = Outcome.WOULD_ARCHIVE.label.capitalize()
            lines += [title, *log_lines.rows(would, has_title=True), log_lines.preview_line(would)]
    return lines


def projects(toloka: TolokaEmulator) -> Projects:
    """Return the name, the pools and trainings by status, and the status of each project, by id."""
    contents: dict[str, Counter[str]] = {id_: Counter() for id_ in toloka.projects}
    for item in (*toloka.pools.values(), *toloka.trainings.values()):
        contents[item["project_id"]][item["status"].lower()] += 1
    return {
        id_: (
            project["public_name"],
            ", ".join(f"{count} {status}" for status, count in sorted(contents[id_].items())) or "none",
            project["status"],
        )
        for id_, project in sorted(toloka.projects.items(), key=lambda item: int(item[0]))
    }


def table(before: Projects, after: Projects) -> str:
    """Return a table of the projects."""
    rows = [("id", "name", "pools and trainings", "project")]
    for id_, (name, contents, status) in after.items():
        _, old_contents, old_status = before.get(id_, ("", "none", "none"))
        rows.append((id_, name, change(old_contents, contents), change(old_status, status)))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    rows.insert(1, tuple("-" * width for width in widths))  # type: ignore[arg-type]  # four of them
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines)


def change(old: str, new: str) -> str:
    """Return a value before and after, or once if it is the same."""
    return new if old == new else f"{old} -> {new}"


if __name__ == "__main__":
    sys.exit(main())
