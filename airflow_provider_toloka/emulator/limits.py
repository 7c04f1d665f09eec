"""Limits (the section "Rate limiting" of the API's description) and who may come in ("Accessing the API")."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection

from airflow_provider_toloka.emulator.errors import ApiError

QUOTAS = (("MIN", 60, 20), ("DAY", 24 * 60 * 60, 100))
"""Interval, its seconds, and how many projects may be created in it; as many pools, and as many trainings."""

_KEY_DOTS = 2
_KEY_FIRST_DOTS = (22, 23, 24)


class Limits:
    """Counts requests in sliding windows.

    :param requests_per_second: 0 for as many as there come.
    """

    def __init__(self, requests_per_second: int) -> None:
        self.requests_per_second = requests_per_second
        self._requests: deque[float] = deque()
        self._created: dict[str, deque[float]] = defaultdict(deque)

    def request(self, now: float) -> None:
        """Count a request.

        :raises ApiError: 429 when it is one too many for this second.
        """
        if not self.requests_per_second:
            return
        while self._requests and not now - 1 < self._requests[0] <= now:  # the clock may have been put back
            self._requests.popleft()
        if len(self._requests) >= self.requests_per_second:
            raise ApiError(429, message="Too many requests in a second", headers={"Retry-After": "1"})
        self._requests.append(now)

    def check_quota(self, kind: str, now: float) -> None:
        """Check that one more object may be created.

        :raises ApiError: 429 with the interval that is used up.
        """
        for interval, length, most in QUOTAS:
            if sum(now - length < at for at in self._created[kind]) >= most:
                message = f"The quota for creating {kind} is used up"
                raise ApiError(429, "TOO_MANY_REQUESTS", message, payload={"interval": interval})

    def count_created(self, kind: str, now: float) -> None:
        """Count a created object."""
        created = self._created[kind]
        created.append(now)
        if len(created) > QUOTAS[-1][-1]:
            created.popleft()


def authenticate(header: str | None, tokens: Collection[str]) -> None:
    """Check the header ``Authorization``.

    A key has two dots, the first of them at index 22, 23 or 24, and comes as ``ApiKey``; any other token as ``OAuth``.

    :raises ApiError: 401 when it is missing, of another scheme than its token's, or unknown.
    """
    scheme, _, token = (header or "").partition(" ")
    is_key = token.count(".") == _KEY_DOTS and token.index(".") in _KEY_FIRST_DOTS
    if scheme != ("ApiKey" if is_key else "OAuth"):
        raise ApiError(401, message="Authorization: OAuth <token> or Authorization: ApiKey <key> is expected")
    if token not in tokens:
        raise ApiError(401, message="The token is not known")
