"""How fast requests follow each other: the controller by itself, in the simulation, and over a real network."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_toloka.client import AsyncTolokaClient, TolokaClient
from airflow_provider_toloka.client.api import TolokaApi
from airflow_provider_toloka.client.config import Settings
from airflow_provider_toloka.client.rate_limit import RateController
from airflow_provider_toloka.client.sansio import Response, drive_async
from airflow_provider_toloka.client.state import AccountState, account_state
from airflow_provider_toloka.client.transports.aio import CONNECTIONS, AiohttpTransport
from airflow_provider_toloka.emulator import TolokaEmulator
from benchmarks import rate_simulation as simulation

#: A clock ticks on between two questions.
TICK = 1e-6
DAY = 24 * 60 * 60.0
#: API: "Rate limiting".
LIMIT = 300


class Process:
    """A process that sends as fast as its controller lets it; each request is answered after 50 ms."""

    def __init__(self, rate: RateController, *, now: float = 1000.0) -> None:
        self.rate = rate
        self.now = now
        self.sent: list[float] = []

    def work(self, seconds: float, is_accepted: Callable[[float], bool] = lambda _: True) -> int:
        """Send for some time; return how many requests."""
        end, count = self.now + seconds, len(self.sent)
        under_way: list[float] = []
        while True:
            wait = self.rate.acquire(self.now)
            if not wait:
                self.sent.append(self.now)
                under_way.append(self.now)
            answer = under_way[0] + 0.05 if under_way else end
            self.now = min(end, answer, self.now + wait + TICK) if wait else self.now
            while under_way and under_way[0] + 0.05 <= self.now:
                sent = under_way.pop(0)
                (self.rate.accepted if is_accepted(sent) else self.rate.refused)(sent=sent, now=self.now)
            if self.now >= end:
                return len(self.sent) - count

    def seconds_until_next(self) -> float:
        """Wait for the next turn; return how long that took."""
        begin = self.now
        while wait := self.rate.acquire(self.now):
            self.now += wait + TICK
        self.sent.append(self.now)
        return self.now - begin


def most_in_a_second(times: list[float]) -> int:
    """Count the requests of the fullest second."""
    most = first = 0
    for last, time_ in enumerate(times):
        while times[first] <= time_ - 1:
            first += 1
        most = max(most, last - first + 1)
    return most


def refused_once(*, retry_after: float | None = None, draw: Callable[[], float] = lambda: 0.5) -> Process:
    """Let a process work for five seconds, then be refused."""
    process = Process(RateController(draw=draw))
    process.work(5)
    process.rate.refused(sent=process.now - 0.01, now=process.now, retry_after=retry_after)
    return process


# By itself


def test_a_lone_process_comes_close_to_the_limit_and_never_passes_it() -> None:
    process = Process(RateController())
    process.work(3)
    assert process.work(10) >= 0.95 * 10 * LIMIT
    assert most_in_a_second(process.sent) <= LIMIT


@given(
    highest=st.sampled_from([3, 60, LIMIT]),
    happens=st.lists(st.tuples(st.sampled_from(["work", "rest", "refuse"]), st.floats(0, 3)), max_size=12),
)
def test_whatever_toloka_answers_the_upper_bound_is_kept(highest: int, happens: list[tuple[str, float]]) -> None:
    process = Process(RateController(highest=highest))
    for what, seconds in happens:
        if what == "work":
            process.work(seconds)
        elif what == "rest":
            process.now += seconds
        else:
            process.work(seconds, lambda _: False)
    assert most_in_a_second(process.sent) <= 1.03 * highest + 2


def test_an_upper_bound_below_the_first_rate_holds_from_the_first_second_on() -> None:
    process = Process(RateController(highest=10))
    assert process.work(1) <= 12


def test_an_upper_bound_may_be_above_the_documented_limit() -> None:
    process = Process(RateController(highest=1000))
    process.work(5)
    assert process.work(1) >= 950


def test_it_never_comes_to_a_standstill() -> None:
    process = Process(RateController())
    process.work(30, lambda _: False)
    assert process.work(10, lambda _: False) >= 10


def test_refusals_of_what_was_under_way_when_the_rate_fell_change_nothing() -> None:
    once, often = refused_once(), refused_once()
    for _ in range(30):
        often.rate.refused(sent=often.now - 0.02, now=often.now + 0.03)
    once.now, often.now = once.now + 0.03, often.now + 0.03
    assert often.work(5) == once.work(5)


def test_a_longer_wait_that_toloka_asks_for_is_kept() -> None:
    assert 7 <= refused_once(retry_after=7).seconds_until_next() <= 9


def test_a_wait_of_a_second_is_left_to_the_refused_request() -> None:
    # The header counts whole seconds, and the window of the limit is one: other requests need not wait for its end.
    assert refused_once(retry_after=1).seconds_until_next() < 1


def test_an_absurd_wait_holds_nobody_up_for_good() -> None:
    assert refused_once(retry_after=3600.0).seconds_until_next() <= 65


def test_processes_that_were_refused_together_do_not_come_back_together() -> None:
    first, last = (refused_once(draw=lambda part=part: part) for part in (0.0, 1.0))  # type: ignore[misc]
    assert last.seconds_until_next() - first.seconds_until_next() > 0.02


def test_without_a_refusal_two_seconds_are_enough_to_come_to_the_limit() -> None:
    process = Process(RateController())
    process.work(2)
    assert process.rate.rate >= 0.95 * LIMIT


def send_slowly(process: Process, count: int) -> None:
    """Send a request in every 0.2 s; each is answered before the next."""
    for _ in range(count):
        process.seconds_until_next()
        process.rate.accepted(sent=process.now, now=process.now + 0.15)
        process.now += 0.2


def refuse_next(process: Process) -> None:
    """Send a request, which is refused."""
    process.seconds_until_next()
    process.rate.refused(sent=process.now, now=process.now + 0.01)
    process.now += 0.01


@pytest.mark.parametrize(("accepted", "shortest", "longest"), [(5, 0.17, 0.35), (6, 0.05, 0.06)])
def test_the_pause_is_longer_if_more_than_one_of_seven_is_refused(
    accepted: int, shortest: float, longest: float
) -> None:
    process = refused_once()
    send_slowly(process, accepted)
    refuse_next(process)
    assert shortest <= process.seconds_until_next() <= longest


def test_one_refusal_among_hundreds_costs_next_to_nothing() -> None:
    process = Process(RateController(draw=lambda: 0.5))
    process.work(5)
    before = process.rate.rate
    refuse_next(process)
    process.seconds_until_next()
    assert 0.9 * before <= process.rate.rate < before


def settled(seconds: float) -> Process:
    """Return a process whose start is over."""
    process = refused_once()
    for _ in range(3):
        send_slowly(process, 2)
        refuse_next(process)
    process.work(seconds)
    return process


def test_a_process_with_the_whole_limit_gives_up_half_of_it_when_one_of_a_hundred_is_refused() -> None:
    process = settled(seconds=20)
    refuse_next(process)
    process.work(0.5)
    before = process.rate.rate
    assert before >= 0.8 * LIMIT
    refuse_next(process)
    process.seconds_until_next()
    assert 0.43 * before <= process.rate.rate <= 0.51 * before


def test_a_start_goes_on_after_two_refusals_at_a_low_rate() -> None:
    process = Process(RateController(draw=lambda: 0.5))
    process.work(0.5)
    refuse_next(process)
    process.work(0.4)
    refuse_next(process)
    before = process.rate.rate
    process.work(1)
    assert process.rate.rate >= 2 * before


def test_a_rate_that_is_not_used_up_does_not_fall_to_what_is_used() -> None:
    process = settled(seconds=20)
    send_slowly(process, 20)
    before = process.rate.rate
    refuse_next(process)
    process.seconds_until_next()
    assert process.rate.rate >= before / 4


def small_share() -> Process:
    """Return a process whose start is over, and which sends 20 requests per second: large shares fall further."""
    process = Process(RateController(highest=20, draw=lambda: 0.5))
    for _ in range(4):
        process.work(0.5)
        refuse_next(process)
    process.work(20)
    assert process.rate.rate == pytest.approx(20)
    return process


def fall(process: Process) -> float:
    """Let Toloka refuse a request; return the part of the rate that is left."""
    process.seconds_until_next()
    before = process.rate.rate
    process.rate.refused(sent=process.now, now=process.now + 0.01)
    process.now += 0.01
    return process.rate.rate / before


def test_one_refusal_of_thirty_takes_a_seventh_and_what_was_refused() -> None:
    process = small_share()
    refuse_next(process)
    process.work(1.6)
    assert 0.82 <= fall(process) <= 0.845


def test_one_refusal_of_four_takes_a_fifth_and_an_eighth() -> None:
    process = small_share()
    refuse_next(process)
    process.work(10)
    refuse_next(process)
    process.now += 2  # what the second before was used for is forgotten
    send_slowly(process, 3)
    assert 0.69 <= fall(process) <= 0.72


def test_what_was_under_way_when_the_rate_fell_says_nothing_about_the_lower_rate() -> None:
    process = refused_once()
    for _ in range(30):
        process.rate.accepted(sent=process.now - 0.03, now=process.now + 0.02)
    process.now += 0.02
    refuse_next(process)
    assert 0.17 <= process.seconds_until_next() <= 0.35


def test_a_rate_does_not_recover_while_nothing_is_sent() -> None:
    process = settled(seconds=20)
    refuse_next(process)
    process.work(0.5)
    refuse_next(process)
    fallen = process.rate.rate
    process.now += 30
    process.seconds_until_next()
    idle = process.rate.rate
    process.work(5)
    assert 1.3 * idle < process.rate.rate
    assert idle <= 1.5 * fallen


def test_what_toloka_accepted_in_the_last_second_may_be_sent_again() -> None:
    process = small_share()
    refuse_next(process)
    process.seconds_until_next()
    process.rate.accepted(sent=process.now, now=process.now + 0.02)
    process.now += 0.03
    assert 0.8 <= fall(process) <= 0.89


def test_a_rate_falls_to_what_is_answered_if_the_rest_is_still_under_way() -> None:
    process = small_share()
    refuse_next(process)
    process.work(2)
    for number in range(20):
        process.seconds_until_next()
        if number % 2:
            process.rate.accepted(sent=process.now, now=process.now)
    assert 0.4 <= fall(process) <= 0.5


def test_a_start_that_was_far_off_ends_at_a_cautious_rate() -> None:
    process = Process(RateController(draw=lambda: 0.5))
    process.work(1.3)
    refuse_next(process)
    send_slowly(process, 2)
    refuse_next(process)
    process.work(1)
    assert 30 <= process.rate.rate <= 70


def test_after_a_long_quiet_time_it_begins_anew_also_if_it_was_slow() -> None:
    process = settled(seconds=0)
    process.work(20, lambda _: False)
    process.now += 5
    process.seconds_until_next()
    process.rate.accepted(sent=process.now, now=process.now + 2)
    process.now += 2 + 13 * 3600.0
    process.seconds_until_next()
    assert process.rate.rate >= 30


@pytest.mark.parametrize("jump", [-3600.0, -13 * 3600.0, -DAY, 13 * 3600.0, DAY, 400 * DAY])
def test_a_clock_that_jumps_holds_nobody_up(jump: float) -> None:
    process = refused_once()
    process.now += jump
    assert process.seconds_until_next() <= 2
    process.work(3)
    assert process.work(5) >= 5 * 100


@pytest.mark.parametrize("quiet", [120.0, 13 * 3600.0, 400 * DAY])
def test_after_a_long_quiet_time_it_begins_anew(quiet: float) -> None:
    process = Process(RateController())
    process.work(10)
    process.now += quiet
    assert 30 <= process.work(0.5) / 0.5 <= 200  # the account may be busy by now
    process.work(3)
    assert process.work(5) >= 0.95 * 5 * LIMIT


def test_a_short_quiet_time_is_no_reason_to_begin_anew() -> None:
    process = Process(RateController())
    process.work(10)
    process.now += 5
    assert process.work(1) >= 0.95 * LIMIT


def test_a_rate_that_is_not_used_does_not_rise() -> None:
    process = refused_once()
    used = refused_once()
    process.now += 30
    assert process.work(0.5) < used.work(5) / 5


def test_threads_share_the_rate() -> None:
    rate, sent, lock = RateController(highest=100, start=100), [], threading.Lock()
    end = time.monotonic() + 1.0

    def work() -> None:
        while (now := time.monotonic()) < end:
            if wait := rate.acquire(now):
                time.sleep(wait)
            else:
                with lock:
                    sent.append(now)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sent) <= 105


# Many processes, simulated


@pytest.fixture(params=[False, True], ids=["fixed window", "sliding window"])
def network(request: pytest.FixtureRequest) -> simulation.Network:
    return simulation.Network(round_trip=0.05, sliding=request.param, seed=7)


def test_a_limit_that_it_was_not_told_is_found(network: simulation.Network) -> None:
    (process,) = simulation.simulate(network, [(0.0, 3000)], limit=lambda _: 60)
    assert process.seconds <= 1.15 * 3000 / 60
    assert process.refused <= 0.1 * 3000


@pytest.mark.parametrize(("count", "work", "most"), [(4, 1000, 0.1), (14, 180, 0.12), (40, 180, 0.14)])
def test_a_crowd_uses_the_limit_and_is_seldom_refused(
    network: simulation.Network, count: int, work: int, most: float
) -> None:
    processes = simulation.simulate(network, [(number / count, work) for number in range(count)])
    assert max(process.accepted[-1] for process in processes) <= 1.5 * count * work / LIMIT
    assert simulation.refused_part(processes) <= most


def test_equal_tasks_of_a_crowd_take_about_equally_long(network: simulation.Network) -> None:
    processes = simulation.simulate(network, [(number / 14, 900) for number in range(14)])
    seconds = [process.seconds for process in processes]
    assert max(seconds) <= 2 * min(seconds)


def test_a_newcomer_gets_its_share(network: simulation.Network) -> None:
    _, late = simulation.simulate(network, [(0.0, 9000), (10.0, 9000)], until=19.0)
    assert late.per_second(10.1, 11.1) >= 30
    assert late.per_second(14, 19) >= LIMIT / 4


def test_a_limit_that_falls_and_rises_is_followed(network: simulation.Network) -> None:
    def limit(now: float) -> float:
        return LIMIT / 10 if 10 <= now < 40 else LIMIT

    (process,) = simulation.simulate(network, [(0.0, 10**6)], limit=limit, until=48.0)
    assert process.per_second(15, 40) >= 0.85 * LIMIT / 10
    assert process.per_second(15, 40, process.sent) <= 1.2 * LIMIT / 10
    assert process.per_second(45, 48) >= 0.9 * LIMIT


# Over a network


def settings_of(toloka: TolokaEmulator, *, most: float | None = None, token: str | None = None) -> Settings:
    return Settings(token=token or toloka.token, base_url=f"{toloka.url}/api/v1", max_requests_per_second=most)


async def ask(settings: Settings, times: int, state: AccountState | None = None) -> None:
    api = TolokaApi(settings)
    async with AiohttpTransport(settings, state=state) as transport:
        flows = (drive_async(api.get_requester(), transport.send, transport.sleep) for _ in range(times))
        await asyncio.gather(*flows)


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
                await asyncio.sleep(0.2)
                writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"id":"1"}')
                answered += 1
        except asyncio.IncompleteReadError:
            writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        settings = Settings(token="x", base_url=f"http://127.0.0.1:{port}/api/v1")
        await ask(settings, 3 * CONNECTIONS, AccountState(RateController(highest=5000, start=5000)))
        assert answered == 3 * CONNECTIONS
    assert max(now_open) == len(opened) == CONNECTIONS


async def test_the_upper_bound_of_the_connection_is_kept() -> None:
    with TolokaEmulator(requests_per_second=0) as toloka:
        await ask(settings_of(toloka, most=50), 100)
        starts = [request.at for request in toloka.requests]
    assert len(starts) == 100
    assert starts[-1] - starts[0] >= 1.85


async def test_plain_and_asynchronous_clients_share_one_rate() -> None:
    with TolokaEmulator(requests_per_second=0) as toloka:
        settings = settings_of(toloka, most=40)

        def plain() -> None:
            with TolokaClient(settings) as client:
                for _ in range(30):
                    client.get_requester()

        started = time.monotonic()
        await asyncio.gather(asyncio.to_thread(plain), asyncio.to_thread(plain), ask(settings, 30))
        seconds = time.monotonic() - started
    assert len(toloka.requests) == 90
    assert seconds >= 2.1


async def test_all_succeed_when_the_limit_is_lower_than_documented() -> None:
    with TolokaEmulator(requests_per_second=60) as toloka:
        settings = settings_of(toloka)
        await ask(settings, 240)
        statuses = [request.status for request in toloka.requests]
    assert statuses.count(200) == 240
    assert 0 < statuses.count(429) <= 80


async def test_a_new_client_begins_where_the_last_one_stood() -> None:
    with TolokaEmulator(requests_per_second=30) as toloka:
        settings = settings_of(toloka)
        await ask(settings, 120)
        toloka.clear_requests()
        async with AsyncTolokaClient(settings) as client:
            begin = time.monotonic()
            await asyncio.gather(*(client.get_requester() for _ in range(20)))
            seconds = time.monotonic() - begin
        refused = sum(request.status == 429 for request in toloka.requests)
    assert seconds >= 0.3  # a process that knows nothing yet sends 20 requests faster than that
    assert refused <= 6


def test_accounts_have_rates_of_their_own() -> None:
    settings = Settings(token="made-up", base_url="https://own-rates.test/api/v1")
    others = [
        Settings(token="other", base_url=settings.base_url),
        Settings(token="made-up", base_url="https://other.test/api/v1"),
        Settings(token="made-up", base_url=settings.base_url, act_under_account_id="7"),
        Settings(token="made-up", base_url=settings.base_url, max_requests_per_second=7),
    ]
    states = [account_state(one) for one in (settings, *others)]
    assert all(one is not other for one, other in itertools.combinations(states, 2))
    assert account_state(Settings(token="made-up", base_url=settings.base_url, timeout=7, retries=1)) is states[0]
    assert states[-1].rate.rate <= 7


def test_accounts_that_are_not_used_are_forgotten_when_there_are_many() -> None:
    def settings(number: int) -> Settings:
        return Settings(token="made-up", base_url=f"https://many-{number}.test/api/v1")

    first, kept = account_state(settings(0)), account_state(settings(1))
    for number in range(2, 1000):
        account_state(settings(number))
        assert account_state(settings(1)) is kept
    assert account_state(settings(0)) is not first


@pytest.mark.parametrize(
    ("body", "is_slower"),
    [(b'{"payload": {"interval": "MIN"}}', False), (b'{"payload": {"interval": "DAY"}}', False), (b"{}", True)],
)
def test_a_quota_for_one_kind_of_call_slows_down_no_other(body: bytes, is_slower: bool) -> None:
    process = Process(RateController())
    process.work(5)
    state = AccountState(process.rate)
    state.learn(Response(429, {}, body, time.time()), sent=process.now - 0.01, now=process.now)
    assert (process.work(1) < 0.95 * LIMIT) is is_slower
