"""Write ``benchmarks/MUTATION.md`` from what mutmut has found: ``make mutation PART=archiving`` runs both.

A mutant is the code with one small change. If the tests still pass, they would not notice such a fault. The results of
modules that were not tried this time are kept from the file.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MUTANTS = ROOT / "mutants" / "airflow_provider_toloka"
RESULTS = Path(__file__).with_name("MUTATION.md")
#: mutmut's exit codes: the tests passed, or no test runs the code.
SURVIVED = {0: "survived", 33: "no tests", 5: "no tests"}


def outcomes() -> Iterator[tuple[str, str, int | None]]:
    """Yield module, mutant and exit code of each mutant; None: it was not tried."""
    for path in sorted(MUTANTS.rglob("*.py.meta")):
        module = str(path.relative_to(MUTANTS)).removesuffix(".meta")
        for name, code in json.loads(path.read_text())["exit_code_by_key"].items():
            yield module, name, code


def earlier() -> tuple[dict[str, Counter[str]], dict[str, list[str]]]:
    """Read the counts and the survivors of each module from the file."""
    counts: dict[str, Counter[str]] = {}
    survivors: dict[str, list[str]] = defaultdict(list)
    for line in RESULTS.read_text().splitlines() if RESULTS.exists() else ():
        if found := re.match(r"\| `(\S+)` \| (\d+) \| (\d+) \| (\d+) \|", line):
            module, (every, tried, killed) = found[1], map(int, found.group(2, 3, 4))
            if not (ROOT / "airflow_provider_toloka" / module).exists():
                continue
            counts[module] = Counter({"killed": killed, "survived": tried - killed, "not tried": every - tried})
        elif found := re.match(r"- `((\w+(?:\.\w+)*)\.\S+)`", line):
            survivors[found[2].replace(".", "/") + ".py"].append(found[1])
    return counts, survivors


def main() -> int:
    """Write the table; return the exit status."""
    tried: dict[str, Counter[str]] = defaultdict(Counter)
    survived: dict[str, list[str]] = defaultdict(list)
    for module, name, code in outcomes():
        outcome = "not tried" if code is None else SURVIVED.get(code, "killed")
        tried[module][outcome] += 1
        if outcome not in ("killed", "not tried"):
            survived[module].append(name.removeprefix("airflow_provider_toloka."))
    tried = {module: count for module, count in tried.items() if count.keys() - {"not tried"}}
    if not tried:
        sys.stderr.write("There are no results: run make mutation first.\n")
        return 1
    counts, survivors = earlier()
    counts |= tried
    survivors |= {module: survived[module] for module in tried}
    lines = [
        "# Mutation tests",
        "",
        f"Written by `make mutation`, last on {datetime.now(UTC):%Y-%m-%d}. A mutant is killed if a test fails. Of",
        "some modules, only a part of the mutants was tried. To see the change of a survivor, run",
        "`mutmut show airflow_provider_toloka.NAME`.",
        "",
        "| Module | Mutants | Tried | Killed | Score of the tried |",
        "|---|---|---|---|---|",
    ]
    total = Counter[str]()
    for module, count in sorted(counts.items()):
        lines.append(row(f"`{module}`", count))
        total += count
    lines += [row("all", total), "", "## Survivors", ""]
    lines += [f"- `{name}`" for module in sorted(survivors) for name in survivors[module]]
    RESULTS.write_text("\n".join(lines) + "\n")
    sys.stdout.write("\n".join(lines[: 8 + len(counts)]) + "\n")
    return 0


def row(title: str, count: Counter[str]) -> str:
    """Return a row of the table."""
    tried = count.total() - count["not tried"]
    return f"| {title} | {count.total()} | {tried} | {count['killed']} | {100 * count['killed'] / tried:.0f} % |"


if __name__ == "__main__":
    sys.exit(main())
