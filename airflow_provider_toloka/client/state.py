"""What this process knows about an account at Toloka beyond a single client: how fast to go, and what time it is there.

Clients of the same account share one :class:`AccountState`, plain or async, one after the other or side by side. A new
client therefore begins at the rate that the last one had reached.
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

#: A process that deals with more accounts than this forgets those it has not used for the longest time.
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
        """Learn from what came back.

        :param answer: the answer, or what happened in its place.
        :param sent: when the request was sent, in seconds of a clock that does not jump.
        :param now: the present time of the same clock.
        """
        if isinstance(answer, NoAnswer):
            return
        self.clock.learn(answer.headers, sent=answer.received - (now - sent), received=answer.received)
        # A quota limits one kind of call; the others may go on at full speed.
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
    """Return what this process knows about the account of a connection.

    :param settings: the connection's.
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
