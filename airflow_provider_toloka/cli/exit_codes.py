"""Exit codes; documented in ``--help`` and in ``docs/reports.md``."""

from __future__ import annotations

OK = 0
FOUND = 1
WRONG_USE = 2  # argparse's own
REFUSED = 3
NOT_READ = 4
NOT_WRITTEN = 5
INTERRUPTED = 130
