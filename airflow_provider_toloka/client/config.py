"""What a connection says: which Toloka, as whom, and how patiently. No I/O.

The rules of the connection stand here once, for the hook, the trigger and the Test button.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_toloka import __version__
from airflow_provider_toloka._text import one_line
from airflow_provider_toloka.client.parsing import check_id, check_truth

#: API: "servers".
ENVIRONMENTS = {"production": "https://toloka.dev", "sandbox": "https://sandbox.toloka.dev"}
#: Where a person looks at a project, by where the API is; another host is taken to have both.
_WEB = {
    ENVIRONMENTS["production"]: "https://platform.toloka.ai",
    ENVIRONMENTS["sandbox"]: "https://platform.sandbox.toloka.ai",
}
API_PATH = "/api/v1"
LEGACY_PREFIX = "extra__toloka__"

DEFAULT_TIMEOUT = 30.0
DEFAULT_RETRIES = 5
#: Toloka's own limit is 300; the rest is for whoever else works on the account.
DEFAULT_MAX_REQUESTS_PER_SECOND = 240.0

_TOKEN = re.compile(r"[\x21-\x7e]+")
#: API paths are put behind it, and it is told in messages: nothing in it is left to be escaped.
_PATH = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]*", re.ASCII)
_HOST = re.compile(r"([A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one Toloka connection, checked.

    :param token: the API token; never shown in ``repr``.
    :param base_url: where the API is, without a slash at the end.
    :param environment: ``production``, ``sandbox``, or ``custom`` where the connection names a host.
    :param act_under_account_id: the requester to act for; None: the token's own.
    :param timeout: how long one request may take, in seconds.
    :param retries: how often a failed request is sent again.
    :param max_requests_per_second: the highest rate of concurrent requests.
    """

    token: str = field(repr=False)
    base_url: str = ENVIRONMENTS["production"] + API_PATH
    environment: str = "production"
    act_under_account_id: str | None = None
    timeout: float = DEFAULT_TIMEOUT
    retries: int = DEFAULT_RETRIES
    max_requests_per_second: float = DEFAULT_MAX_REQUESTS_PER_SECOND

    @classmethod
    def from_connection(
        cls,
        *,
        password: str | None = None,
        host: str | None = None,
        port: int | None = None,
        schema: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Settings:
        """Read the fields of an Airflow connection.

        :param password: the API token.
        :param host: a host name, or a whole base URL; empty: the environment's.
        :param port: TCP port; 0 is the same as none.
        :param schema: ``http`` or ``https``, where the host does not say it.
        :param extra: ``environment``, ``act_under_account_id``, ``timeout``, ``retries``,
            ``max_requests_per_second``, ``allow_http``; also under the names that the 0.0.x package used.
        :raises ValueError: a value cannot be used; the message names it and the remedy.
        """
        if not isinstance(extra or {}, Mapping):
            raise ValueError(f"The connection's extra is a {type(extra).__name__}; it should be a JSON object.")
        extra = {
            key.removeprefix(LEGACY_PREFIX): value
            for key, value in sorted((extra or {}).items(), key=lambda item: not item[0].startswith(LEGACY_PREFIX))
            if value not in (None, "")
        }
        environment = str(extra.get("environment", "production")).lower()
        if environment not in ENVIRONMENTS:
            raise ValueError(
                f"The connection's environment is {extra['environment']!r}; it should be {' or '.join(ENVIRONMENTS)}."
            )
        allow_http = check_truth("The connection's allow_http", extra.get("allow_http", False))
        address = (host or "").strip() or str(extra.get("url", ""))
        account = extra.get("act_under_account_id")
        return cls(
            token=_token(password or extra.get("token")),
            base_url=_base_url(address or ENVIRONMENTS[environment], port, schema, allow_http=allow_http),
            environment="custom" if address else environment,
            act_under_account_id=None if account is None else check_id("act_under_account_id", account),
            timeout=_positive("timeout", extra.get("timeout", DEFAULT_TIMEOUT)),
            retries=int(_positive("retries", extra.get("retries", DEFAULT_RETRIES), whole=True)),
            max_requests_per_second=_positive(
                "max_requests_per_second", extra.get("max_requests_per_second", DEFAULT_MAX_REQUESTS_PER_SECOND)
            ),
        )

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request that are not the token's."""
        headers = {"Accept": "application/json", "User-Agent": f"airflow-provider-toloka/{__version__}"}
        if self.act_under_account_id:
            headers["X-Act-Under-Account-ID"] = self.act_under_account_id
        return headers

    @property
    def authorization(self) -> str:
        """The value of the ``Authorization`` header: ``ApiKey`` or ``OAuth``, told from the token's shape."""
        is_api_key = self.token.count(".") == 2 and self.token.index(".") in (22, 23, 24)
        return f"{'ApiKey' if is_api_key else 'OAuth'} {self.token}"

    @property
    def where(self) -> str:
        """The environment and the host, for messages."""
        return f"{self.environment}, {self.base_url}"

    @property
    def site(self) -> str:
        """The address of the site at which a person looks at what is on this account."""
        parts = urlsplit(self.base_url)
        host = f"{parts.scheme}://{parts.netloc}"
        return _WEB.get(host, host)


def legacy_fields(extra: Mapping[str, Any]) -> list[str]:
    """List the fields of the 0.0.x package that a connection's extra still uses."""
    return sorted(key for key, value in extra.items() if key.startswith(LEGACY_PREFIX) and value not in (None, ""))


def _token(value: object) -> str:
    token = value.strip() if isinstance(value, str) else ""
    if not token:
        raise ValueError("The connection has no API token. Put it into the field 'API token' (password).")
    if not _TOKEN.fullmatch(token):
        raise ValueError(
            "The connection's API token holds a blank or a character that no token has. "
            "Paste the token alone, without 'OAuth' or 'ApiKey' before it."
        )
    return token


def _positive(name: str, value: object, *, whole: bool = False) -> float:
    try:
        number = float(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not (0 < number < math.inf) or (whole and not number.is_integer()):
        kind = "whole number above 0" if whole else "number above 0"
        raise ValueError(f"The connection's {name} is {value!r}; it should be a {kind}.")
    return number


def _base_url(address: str, port: int | None, schema: str | None, *, allow_http: bool) -> str:
    if _is_ipv6(address):
        address = f"[{address}]"  # as Airflow gives it, when the connection is a URI
    _, has_scheme, rest = address.rpartition("://")
    url = address if has_scheme else f"{schema or 'https'}://{rest}"
    try:
        parts = urlsplit(url)
        host, own_port = parts.hostname, parts.port
    except ValueError as error:
        reason = one_line(_shown(str(error)))
        raise ValueError(f"The connection's host {_shown(address)!r} is no valid URL: {reason}.") from None
    if not _PATH.fullmatch(parts.path) or ".." in parts.path.split("/"):
        raise ValueError(f"The connection's host {_shown(address)!r} holds a path that does not belong into a URL.")
    if parts.scheme not in ("http", "https"):
        raise ValueError(
            f"The connection's host gives a URL that starts with {parts.scheme!r}; it should be https (or http)."
        )
    if not host or not (_HOST.fullmatch(host) or _is_ipv6(host)):
        raise ValueError(f"The connection's host {_shown(address)!r} holds no valid host name.")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(
            f"The connection's host should be a host name or a base URL such as {ENVIRONMENTS['production']}, "
            "without a user, a query or a fragment. The token belongs into the field 'API token' (password)."
        )
    if parts.scheme == "http" and not allow_http and not _is_loopback(host):
        raise ValueError(
            f"The connection's host {host!r} is spoken to over plain http: the token would travel in clear. "
            'Use https, or add "allow_http": true to the connection\'s extra.'
        )
    number = own_port or port or None
    netloc = (f"[{host}]" if ":" in host else host) + (f":{number}" if number else "")
    return f"{parts.scheme}://{netloc}{parts.path.rstrip('/') or API_PATH}"


def _shown(address: str) -> str:
    """Give the address without what may be a password in it."""
    return re.sub(r"[^/@]*@", "***@", address)


def _is_ipv6(host: str) -> bool:
    try:
        return ip_address(host).version == 6
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
