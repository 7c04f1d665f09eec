"""Rate limits (section "Rate limiting" of the API's description) and credentials ("Accessing the API")."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping

from airflow_provider_toloka.emulator.errors import ApiError

_MINUTE, _HOUR, _DAY = ("MIN", 60), ("HOUR", 60 * 60), ("DAY", 24 * 60 * 60)
_CREATING = ((_MINUTE, 20), (_DAY, 100))
QUOTAS: Mapping[str, tuple[tuple[tuple[str, int], int], ...]] = {
    "creating projects": _CREATING,
    "creating pools": _CREATING,
    "creating trainings": _CREATING,
    "cloning pools": _CREATING,
    "cloning trainings": _CREATING,
    "creating skills": ((_MINUTE, 10), (_DAY, 100)),
    "creating tasks": ((_MINUTE, 200_000), (_DAY, 4_000_000)),
    "aggregating": ((_MINUTE, 5), (_HOUR, 30), (_DAY, 200)),
}
"""A quota: the action, the number, and the interval."""

_KEY_DOTS = 2
_KEY_FIRST_DOTS = (22, 23, 24)


class Limits:
    """Counts requests in sliding windows.

    :param requests_per_second: 0: unlimited.
    """

    def __init__(self, requests_per_second: int) -> None:
        self.requests_per_second = requests_per_second
        self._requests: deque[float] = deque()
        self._windows = {
            what: [_Window(interval, length, most) for (interval, length), most in quotas]
            for what, quotas in QUOTAS.items()
        }

    def request(self, now: float) -> None:
        """Count a request.

        :raises ApiError: 429: too many requests in this second.
        """
        if not self.requests_per_second:
            return
        while self._requests and not now - 1 < self._requests[0] <= now:  # the clock may have been set back
            self._requests.popleft()
        if len(self._requests) >= self.requests_per_second:
            raise ApiError(429, message="Too many requests in a second", headers={"Retry-After": "1"})
        self._requests.append(now)

    def check_quota(self, what: str, now: float, count: int = 1) -> None:
        """Check that a quota is not used up.

        :raises ApiError: 429, with the interval of the quota.
        """
        for window in self._windows[what]:
            if window.total(now) + count > window.most:
                message = f"The quota for {what} is used up"
                raise ApiError(429, "TOO_MANY_REQUESTS", message, payload={"interval": window.interval})

    def count(self, what: str, now: float, count: int = 1) -> None:
        """Count an action."""
        for window in self._windows[what]:
            window.add(now, count)


class _Window:
    # The actions of an interval, with their sum.
    def __init__(self, interval: str, length: int, most: int) -> None:
        self.interval = interval
        self.most = most
        self._length = length
        self._done: deque[tuple[float, int]] = deque()
        self._total = 0

    def total(self, now: float) -> int:
        while self._done and self._done[0][0] <= now - self._length:
            self._total -= self._done.popleft()[1]
        return self._total

    def add(self, now: float, count: int) -> None:
        self._done.append((now, count))
        self._total += count


def authenticate(header: str | None, tokens: Collection[str]) -> None:
    """Check the header ``Authorization``.

    A key has two dots, the first of them at index 22, 23 or 24, and comes as ``ApiKey``; any other token as ``OAuth``.

    :raises ApiError: 401: missing, of another scheme than its token's, or unknown.
    """
    scheme, _, token = (header or "").partition(" ")
    is_key = token.count(".") == _KEY_DOTS and token.index(".") in _KEY_FIRST_DOTS
    if scheme != ("ApiKey" if is_key else "OAuth"):
        raise ApiError(401, message="Authorization: OAuth <token> or Authorization: ApiKey <key> is expected")
    if token not in tokens:
        raise ApiError(401, message="The token is not known")


def check_account(account: str | None, known: Collection[str]) -> None:
    """Check the header ``X-Act-Under-Account-ID``.

    :raises ApiError: 403: the requester may not act for this account.
    """
    if account is not None and account not in known:
        raise ApiError(403, message=f"There is no access to account {account}")
