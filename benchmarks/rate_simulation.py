"""Simulate processes that share one account's limit, and print a Markdown table of goals and results.

The processes do not communicate. Each uses the shipped :class:`RateController`; only the network, the server
and the clock are simulated: discrete events, no I/O, reproducible.

Some goals exclude each other, so the last lines count how many are reached. At a round trip of 200 ms, 265 requests
within 1.45 s need a start so fast that 14 processes that start at once have over a tenth of their requests refused;
a slower start delays a newcomer. At 20 to 50 ms, the same trade-off leaves a few figures just beyond their goals.

    python -m benchmarks.rate_simulation
"""

from __future__ import annotations

import heapq
import itertools
import random
import statistics
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from airflow_provider_toloka.client.rate_limit import RateController

LIMIT = 300.0
ROUND_TRIPS = (0.02, 0.05, 0.2, 0.5)
SEEDS = (1, 2, 3, 4, 5, 6, 7)
#: The number of concurrent requests of the shipped transport.
CONNECTIONS = 150
#: A refused request is retried after ``Retry-After``, plus a random part of the second number.
RETRY_AFTER, JITTER = 1.0, 0.25
#: A waiting request asks again after at most this many seconds, as in the transports.
NAP = 0.25

Limit: TypeAlias = Callable[[float], float]


class Server:
    """Accepts a number of requests per second: of its clock (fixed window), or before each request (sliding)."""

    def __init__(self, limit: Limit, *, sliding: bool) -> None:
        self._limit, self._sliding = limit, sliding
        self._window, self._count = -1, 0
        self._accepted: deque[float] = deque()

    def accepts(self, now: float) -> bool:
        """Count a request; return whether it is accepted."""
        if not self._sliding:
            if int(now) != self._window:
                self._window, self._count = int(now), 0
            self._count += 1
            return self._count <= self._limit(now)
        while self._accepted and self._accepted[0] <= now - 1:
            self._accepted.popleft()
        if len(self._accepted) >= self._limit(now):
            return False
        self._accepted.append(now)
        return True


@dataclass
class Process:
    """A process with a number of independent requests to send."""

    start: float
    work: int
    rate: RateController = field(default_factory=RateController)
    in_flight: int = 0
    is_waiting: bool = False
    sent: list[float] = field(default_factory=list)
    accepted: list[float] = field(default_factory=list)
    refused: int = 0

    @property
    def seconds(self) -> float:
        """The duration of the work."""
        return self.accepted[-1] - self.start

    def per_second(self, begin: float, end: float, times: Sequence[float] | None = None) -> float:
        """Return the events per second between two times; default: the accepted requests."""
        return sum(begin <= time < end for time in (self.accepted if times is None else times)) / (end - begin)


@dataclass(frozen=True)
class Network:
    """The network: the round trip in seconds, ±10 % each way."""

    round_trip: float
    sliding: bool
    seed: int


class Simulation:
    """Simulates the events between processes and a server."""

    def __init__(self, network: Network, starts: Sequence[tuple[float, int]], limit: Limit) -> None:
        self._drawn = random.Random(network.seed)  # noqa: S311 - not for cryptography
        self._round_trip = network.round_trip
        self._server = Server(limit, sliding=network.sliding)
        #: The server's seconds start at another time than ours.
        self._phase = self._drawn.random()
        self._numbers = itertools.count()
        self._events: list[tuple[float, int, Callable[..., None], Process, Any]] = []
        self._left = sum(work for _, work in starts)
        self.processes = [Process(start, work, RateController(draw=self._drawn.random)) for start, work in starts]

    def run(self, until: float) -> None:
        """Run until all work is done, or the time is over."""
        for process in self.processes:
            self._later(process.start, self._send, process)
        while self._events and self._left and self._events[0][0] <= until:
            now, _, what, process, value = heapq.heappop(self._events)
            what(now, process, value)

    def _later(self, time: float, what: Callable[..., None], process: Process, value: Any = None) -> None:
        heapq.heappush(self._events, (time, next(self._numbers), what, process, value))

    def _one_way(self) -> float:
        return self._round_trip / 2 * self._drawn.uniform(0.9, 1.1)

    def _wake(self, now: float, process: Process) -> None:
        if not process.is_waiting:
            process.is_waiting = True
            self._later(now, self._send, process)

    def _send(self, now: float, process: Process, _: None) -> None:
        process.is_waiting = False
        while process.work and process.in_flight < CONNECTIONS:
            if wait := process.rate.acquire(now):
                process.is_waiting = True
                self._later(now + min(wait, NAP) + 1e-6, self._send, process)
                return
            process.work -= 1
            process.in_flight += 1
            process.sent.append(now)
            self._later(now + self._one_way(), self._arrive, process, now)

    def _arrive(self, now: float, process: Process, sent: float) -> None:
        is_accepted = self._server.accepts(now + self._phase)
        self._later(now + self._one_way(), self._answer, process, (sent, is_accepted))

    def _answer(self, now: float, process: Process, value: tuple[float, bool]) -> None:
        sent, is_accepted = value
        process.in_flight -= 1
        if is_accepted:
            self._left -= 1
            process.accepted.append(now)
            process.rate.accepted(sent=sent, now=now)
        else:
            process.refused += 1
            process.rate.refused(sent=sent, now=now, retry_after=RETRY_AFTER)
            self._later(now + RETRY_AFTER + JITTER * self._drawn.random(), self._again, process)
        self._wake(now, process)

    def _again(self, now: float, process: Process, _: None) -> None:
        process.work += 1
        self._wake(now, process)


def simulate(
    network: Network, starts: Sequence[tuple[float, int]], *, limit: Limit = lambda _: LIMIT, until: float = 1e9
) -> list[Process]:
    """Simulate processes.

    :param starts: when each process starts, and its number of requests.
    :param limit: the server's limit at a time.
    :param until: the latest time to stop.
    """
    simulation = Simulation(network, starts, limit)
    simulation.run(until)
    return simulation.processes


Figures: TypeAlias = Iterator[tuple[str, float]]


def refused_part(processes: Sequence[Process]) -> float:
    refused = sum(process.refused for process in processes)
    return refused / (refused + sum(len(process.accepted) for process in processes))


def alone(network: Network) -> Figures:
    (process,) = simulate(network, [(0.0, 5014)])
    full = min(process.per_second(second, second + 1) for second in range(3, 14))
    yield "alone: slowest second from the fourth on, of the limit", full / LIMIT
    yield "alone: refused", refused_part([process])
    yield "alone: 5,014 requests (1,000 projects × 4 pools), of the bound", process.seconds * LIMIT / 5014
    (process,) = simulate(network, [(0.0, 265)])
    yield "alone: 265 requests (50 projects × 4 pools), seconds", process.seconds


def unknown_limit(network: Network) -> Figures:
    (process,) = simulate(network, [(0.0, 3000)], limit=lambda _: 60)
    yield "alone, limit 60/s: of the bound", process.seconds * 60 / 3000
    yield "alone, limit 60/s: refused", refused_part([process])


def crowd(network: Network) -> Figures:
    for count, work in ((4, 300), (4, 1250), (14, 180), (14, 720), (40, 180)):
        drawn = random.Random(network.seed * 100 + count)  # noqa: S311 - not for cryptography
        processes = simulate(network, [(drawn.random(), work) for _ in range(count)])
        first = min(process.start for process in processes)
        wall = max(process.accepted[-1] for process in processes) - first
        seconds = [process.seconds for process in processes]
        name = f"{count} at once, {work} requests each"
        yield f"{name}: of the bound of all", wall * LIMIT / (count * work)
        yield f"{name}: refused", refused_part(processes)
        yield f"{name}: slowest / fastest", max(seconds) / min(seconds)


def coming_and_going(network: Network) -> Figures:
    drawn = random.Random(network.seed)  # noqa: S311 - not for cryptography
    starts = [(drawn.uniform(0, 60), drawn.choice((200, 500, 1000))) for _ in range(30)]
    processes = simulate(network, starts)
    yield "30 come and go within a minute: refused", refused_part(processes)
    last = max(process.accepted[-1] for process in processes)
    busy = sum(any(p.start <= t < p.accepted[-1] for p in processes) for t in (i / 10 for i in range(int(last * 10))))
    yield "30 come and go within a minute: of the bound", busy / 10 * LIMIT / sum(work for _, work in starts)


def newcomer(network: Network) -> Figures:
    start = 10 + network.seed / 4
    _, late = simulate(network, [(0.0, 9000), (start, 9000)], until=start + 10)
    begin = start + network.round_trip
    yield "a newcomer: accepted in its first second", late.per_second(begin, begin + 1)
    yield "a newcomer: in its seconds 4 to 8, of the limit", late.per_second(start + 4, start + 8) / LIMIT


def changing_limit(network: Network) -> Figures:
    (process,) = simulate(network, [(0.0, 10**6)], limit=lambda now: LIMIT / 10 if 10 <= now < 70 else LIMIT, until=79)
    low = LIMIT / 10
    yield "limit falls to 30/s: accepted from the fifth second on, of it", process.per_second(15, 70) / low
    yield "limit falls to 30/s: sent from the fifth second on, of it", process.per_second(15, 70, process.sent) / low
    yield "limit is back: accepted from the fifth second on, of it", process.per_second(75, 79) / LIMIT


#: The first goal whose text starts a figure's name applies: whether it should be at least or at most a value.
GOALS: dict[str, tuple[str, float]] = {
    "alone: slowest": ("≥", 0.95),
    "alone: refused": ("≤", 0.01),
    "alone: 5,014": ("≤", 1.12),
    "alone: 265": ("≤", 1.45),
    "alone, limit 60/s: of": ("≤", 1.15),
    "a newcomer: accepted": ("≥", 30),
    "a newcomer: in its": ("≥", 1 / 3),
    "limit falls to 30/s: accepted": ("≥", 0.85),
    "limit falls to 30/s: sent": ("≤", 1.15),
    "limit is back": ("≥", 0.9),
}
#: The first goal whose text ends it.
GOALS_BY_END: dict[str, tuple[str, float]] = {
    "refused": ("≤", 0.1),
    "of the bound": ("≤", 1.5),
    "of the bound of all": ("≤", 1.5),
    "slowest / fastest": ("≤", 2.0),
}
CASES = (alone, unknown_limit, crowd, coming_and_going, newcomer, changing_limit)


def goal(name: str) -> tuple[str, float]:
    by_start = [goal for words, goal in GOALS.items() if name.startswith(words)]
    by_end = [goal for words, goal in GOALS_BY_END.items() if name.endswith(words)]
    return (by_start + by_end)[0]


def is_reached(values: Sequence[float], sign: str, value: float) -> bool:
    """Return whether the median of the seeds reaches the goal."""
    median = statistics.median(values)
    return median >= value if sign == "≥" else median <= value


def cell(values: Sequence[float], sign: str, value: float) -> str:
    """Return the median of the seeds, and the worst one; bold: the median misses the goal."""
    median, worst = statistics.median(values), min(values) if sign == "≥" else max(values)
    digits = 0 if value >= 30 else 3 if value <= 0.1 else 2
    shown = f"{median:.{digits}f} ({worst:.{digits}f})"
    return shown if is_reached(values, sign, value) else f"**{shown}**"


def table() -> str:
    """Run the cases; return their results as a Markdown table, and the number of goals that are reached."""
    columns = [(sliding, round_trip) for sliding in (False, True) for round_trip in ROUND_TRIPS]
    results: dict[str, dict[tuple[bool, float], list[float]]] = {}
    for column, seed, case in itertools.product(columns, SEEDS, CASES):
        for name, value in case(Network(column[1], column[0], seed)):
            results.setdefault(name, {}).setdefault(column, []).append(value)
    heads = [f"{'sliding' if sliding else 'fixed'}, {round_trip * 1000:.0f} ms" for sliding, round_trip in columns]
    rows = [f"| what | goal | {' | '.join(heads)} |", "|---" * (len(heads) + 2) + "|"]
    for name, by_column in results.items():
        sign, value = goal(name)
        cells = " | ".join(cell(by_column[column], sign, value) for column in columns)
        rows.append(f"| {name} | {sign} {value:.3g} | {cells} |")
    rows.append("")
    for round_trip in ROUND_TRIPS:
        figures = [
            is_reached(by_column[sliding, round_trip], *goal(name))
            for name, by_column in results.items()
            for sliding in (False, True)
        ]
        rows.append(f"- {round_trip * 1000:.0f} ms: {sum(figures)} of {len(figures)} figures reach their goals.")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())
