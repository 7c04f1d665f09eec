"""``python -m airflow_provider_toloka``: the commands of this package, outside Airflow."""

from __future__ import annotations

import sys

from airflow_provider_toloka.cli import main

if __name__ == "__main__":
    sys.exit(main())
