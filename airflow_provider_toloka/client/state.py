"""The request rate and the clock of an account, shared by all clients in this process.

All clients of an account share one :class:`AccountState`, plain or async, sequential or concurrent. A new client
therefore starts at the rate that the last one has reached.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_toloka.client.clock import ServerClock
from airflow_provider_toloka.client.rate_limit import HIGHEST, RateController
from airflow_provider_toloka.client.responses import asked_wait, is_quota
from airflow_provider_toloka.client.sansio import NoAnswer, Response

if TYPE_CHECKING:
    from airflow_provider_toloka.client.config import Settings

#: Beyond this number of accounts, the least recently used ones are dropped.
_MOST_ACCOUNTS = 100
_TOO_MANY_REQUESTS = 429


@dataclass(frozen=True)
class AccountState:
    """The rate and the clock of one account, shared by all of its clients in this process.

    :param rate: decides when the next request may be sent.
    :param clock: Toloka's time.
    """

    rate: RateController
    clock: ServerClock = field(default_factory=ServerClock)

    def learn(self, answer: Response | NoAnswer, *, sent: float, now: float) -> None:
        """Update the rate and the clock after a request.

        :param answer: the response, or the failure.
        :param sent: when the request was sent, in seconds of a monotonic clock.
        :param now: the current time of the same clock.
        """
        if isinstance(answer, NoAnswer):
            return
        self.clock.learn(answer.headers, sent=answer.received - (now - sent), received=answer.received)
        # A quota limits one kind of call; the others may continue at full speed.
        if answer.status == _TOO_MANY_REQUESTS and not is_quota(answer):
            self.rate.refused(sent=sent, now=now, retry_after=asked_wait(answer))
        else:
            self.rate.accepted(sent=sent, now=now)


@dataclass(frozen=True)
class _Key:
    base_url: str
    act_under_account_id: str | None
    max_requests_per_second: float | None
    token: str = field(repr=False)


_states: dict[_Key, AccountState] = {}
_lock = threading.Lock()


def account_state(settings: Settings) -> AccountState:
    """Return this process's state for a connection's account.

    :param settings: the connection's settings.
    """
    key = _Key(settings.base_url, settings.act_under_account_id, settings.max_requests_per_second, settings.token)
    with _lock:
        state = _states.pop(key, None) or AccountState(
            RateController(highest=settings.max_requests_per_second or HIGHEST)
        )
        _states[key] = state  # the newest at the end
        if len(_states) > _MOST_ACCOUNTS:
            del _states[next(iter(_states))]
        return state
