from __future__ import annotations

import pytest

from tests.client.transports import Drive, over_aiohttp, over_requests


@pytest.fixture(params=[over_requests, over_aiohttp], ids=["requests", "aiohttp"])
def drive(request: pytest.FixtureRequest) -> Drive:
    """Run flows over each of the transports."""
    chosen: Drive = request.param
    return chosen
