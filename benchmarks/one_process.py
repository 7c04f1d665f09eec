"""One of several processes that share an account: report readiness, wait for a line, work, print the seconds."""

from __future__ import annotations

import asyncio
import logging
import sys
import time

from airflow_provider_toloka.client.transports import aio  # noqa: F401 - the import is a separate case
from airflow_provider_toloka.hooks.toloka import TolokaHook


async def work(requests: int) -> None:
    async with TolokaHook().async_client() as client:
        await asyncio.gather(*(client.get_requester() for _ in range(requests)))


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    TolokaHook().api  # noqa: B018 - Airflow's own start is not measured
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.monotonic()
    asyncio.run(work(int(sys.argv[1])))
    print(time.monotonic() - started)
