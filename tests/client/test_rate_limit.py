"""How fast requests follow each other: the pacer by itself, and the driver that asks it, over a real network."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_toloka.client import AsyncTolokaClient
from airflow_provider_toloka.client.api import TolokaApi
from airflow_provider_toloka.client.config import Settings
from airflow_provider_toloka.client.rate_limit import BURST_SECONDS, CAUTION, Pacer
from airflow_provider_toloka.client.retry import RetryPolicy
from airflow_provider_toloka.client.transports.aio import CONNECTIONS
from airflow_provider_toloka.emulator import TolokaEmulator

EPSILON = 1e-9
RATES = st.sampled_from([1, 3, 60, 240, 1000])


def most_in_a_second(times: list[float]) -> int:
    """Count the requests of the fullest second."""
    window: list[float] = []
    most = 0
    for time in sorted(times):
        window = [*(other for other in window if other > time - 1), time]
        most = max(most, len(window))
    return most


def allowed(rate: float) -> float:
    return rate * (1 + BURST_SECONDS) + 1 + EPSILON


def rate_at(pacer: Pacer, now: float) -> float:
    """Tell how fast two requests follow each other when many come at once."""
    times = [pacer.start_at(now) for _ in range(3)]
    while times[-2] <= now:
        times.append(pacer.start_at(now))
    return 1 / (times[-1] - times[-2])


@given(rate=RATES, gaps=st.lists(st.floats(0, 0.05) | st.floats(0, 2) | st.just(0.0), max_size=150))
def test_the_rate_is_kept_in_every_second(rate: float, gaps: list[float]) -> None:
    pacer = Pacer(rate)
    arrivals = list(itertools.accumulate(gaps, initial=100.0))
    starts = [pacer.start_at(now) for now in arrivals]
    assert all(start >= now for start, now in zip(starts, arrivals, strict=True))
    assert starts == sorted(starts)
    assert most_in_a_second(starts) <= allowed(rate)


@given(
    rate=RATES,
    happens=st.lists(st.tuples(st.sampled_from(["start", "accept", "refuse"]), st.floats(0, 3)), max_size=150),
)
def test_whatever_toloka_answers_the_highest_rate_is_never_passed(
    rate: float, happens: list[tuple[str, float]]
) -> None:
    pacer, now = Pacer(rate), 0.0
    starts: list[float] = []
    for what, gap in happens:
        if what == "start":
            now += gap / rate
            starts.append(pacer.start_at(now))
        elif what == "accept":
            pacer.accepted(now)
        else:
            now += gap
            pacer.refused(now - gap / 2, now, pause=1.0)
    assert most_in_a_second(starts) <= allowed(rate)


@pytest.mark.parametrize("rate", [20, 240])
def test_the_rate_is_used_to_the_full(rate: float) -> None:
    pacer = Pacer(rate)
    starts = [pacer.start_at(5.0) for _ in range(3 * rate)]  # type: ignore[call-overload]
    assert starts[-1] - 5.0 <= 3


def test_after_a_quiet_time_a_short_burst_goes_at_once() -> None:
    pacer = Pacer(240)
    pacer.start_at(0)
    at_once = sum(pacer.start_at(60) == 60 for _ in range(100))
    assert at_once == pytest.approx(240 * BURST_SECONDS + 1, abs=1)


def refused_at_sixty() -> tuple[Pacer, float]:
    """Slow a pacer down: Toloka has accepted 60 in the last second, then refused one."""
    pacer = Pacer(240)
    for i in range(60):
        pacer.accepted(i / 60)
    pacer.refused(0.5, 1.0, pause=1.0)
    return pacer, 1.0


def test_a_refusal_slows_down_to_less_than_what_was_accepted() -> None:
    pacer, now = refused_at_sixty()
    assert pacer.start_at(now) >= now + 1  # the pause
    assert rate_at(pacer, now + 1) == pytest.approx(CAUTION * 60)


def test_it_slows_down_once_for_all_requests_that_were_under_way() -> None:
    once, now = refused_at_sixty()
    often, _ = refused_at_sixty()
    for i in range(30):
        often.refused(0.5 + i / 100, now + i / 100, pause=1.0)
    assert often.start_at(now + 1) == once.start_at(now + 1)
    assert rate_at(often, now + 1) == rate_at(once, now + 1)


def test_a_refusal_of_what_was_sent_since_slows_it_down_further() -> None:
    pacer, now = refused_at_sixty()
    for i in range(30):
        pacer.accepted(now + 1.5 + i / 100)
    pacer.refused(now + 1.2, now + 2, pause=1.0)
    assert rate_at(pacer, now + 3) == pytest.approx(CAUTION * 30)


def test_it_recovers_little_by_little_up_to_the_highest() -> None:
    pacer, now = refused_at_sixty()
    rates = [rate_at(pacer, now + 1 + seconds) for seconds in (0, 10, 30, 60, 300, 3000)]
    assert rates == sorted(rates)
    assert rates[1] < rates[0] * 1.3
    assert rates[3] > rates[0] * 2
    assert rates[-2:] == pytest.approx([240, 240])


def test_it_never_comes_to_a_standstill() -> None:
    pacer = Pacer(240)
    for second in range(20):
        pacer.refused(second, second, pause=0.0)
    assert rate_at(pacer, 20) >= 1


# The driver


def api_of(toloka: TolokaEmulator, *, rate: float = 240) -> TolokaApi:
    settings = Settings(token=toloka.token, base_url=f"{toloka.url}/api/v1", max_requests_per_second=rate)
    return TolokaApi(settings, RetryPolicy(retries=5))


async def test_all_requests_share_few_connections_which_are_reused() -> None:
    opened: set[asyncio.StreamWriter] = set()
    now_open: list[int] = []
    answered = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        opened.add(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                now_open.append(sum(not one.is_closing() for one in opened))
                await asyncio.sleep(0.02)
                writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"id":"1"}')
                answered += 1
        except asyncio.IncompleteReadError:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        settings = Settings(token="x", base_url=f"http://127.0.0.1:{port}/api/v1", max_requests_per_second=5000)
        api = TolokaApi(settings)
        async with AsyncTolokaClient(settings) as client:
            await asyncio.gather(*(client.run(api.get_requester()) for _ in range(300)))
            assert client.requests_sent == 300
        assert answered == 300
    assert max(now_open) == len(opened) == CONNECTIONS


async def test_the_rate_of_the_connection_is_kept() -> None:
    with TolokaEmulator(requests_per_second=0) as toloka:
        api = api_of(toloka, rate=50)
        async with AsyncTolokaClient(api.settings) as client:
            await asyncio.gather(*(client.run(api.get_requester()) for _ in range(100)))
        starts = [request.at for request in toloka.requests]
    assert len(starts) == 100
    assert starts[-1] - starts[0] >= 1.85  # 2, less the burst


async def test_all_succeed_when_the_limit_is_lower_than_was_said() -> None:
    with TolokaEmulator(requests_per_second=60) as toloka:
        api = api_of(toloka)
        async with AsyncTolokaClient(api.settings) as client:
            found = await asyncio.gather(*(client.run(api.get_requester()) for _ in range(240)))
        statuses = [request.status for request in toloka.requests]
    assert len(found) == 240
    assert statuses.count(200) == 240
    assert 0 < statuses.count(429) <= 4 * CONNECTIONS
