"""Settings of a connection: the account, the server and the limits. Sends nothing.

The hook, the trigger and the Test button share these rules.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_toloka import __version__
from airflow_provider_toloka._text import one_line, shown
from airflow_provider_toloka.client.parsing import check_id, check_truth

#: API: "servers".
ENVIRONMENTS = {"production": "https://toloka.dev", "sandbox": "https://sandbox.toloka.dev"}
#: Toloka's site by the address of its API; any other host is assumed to serve both.
_WEB = {
    ENVIRONMENTS["production"]: "https://platform.toloka.ai",
    ENVIRONMENTS["sandbox"]: "https://platform.sandbox.toloka.ai",
}
API_PATH = "/api/v1"
LEGACY_PREFIX = "extra__toloka__"
#: The keys of a connection's extra.
KEYS = (
    "environment",
    "act_under_account_id",
    "timeout",
    "retries",
    "max_requests_per_second",
    "ca_bundle",
    "allow_http",
)
#: The keys that only the 0.0.x package had.
_FORMER_KEYS = ("token", "url")

DEFAULT_TIMEOUT = 30.0
DEFAULT_RETRIES = 5

_TOKEN = re.compile(r"[\x21-\x7e]+")
#: API paths are appended to the host, and messages contain it, so it must not need escaping.
_PATH = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]*", re.ASCII)
_HOST = re.compile(r"([A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one Toloka connection, checked.

    :param token: the API token; never shown in ``repr``.
    :param base_url: the address of the API, without a slash at the end.
    :param environment: ``production``, ``sandbox``, or ``custom`` if the connection has a host.
    :param act_under_account_id: the requester to act for; None: the token's own account.
    :param timeout: how long one request may take, in seconds.
    :param retries: how often a failed request is retried; 0: never.
    :param max_requests_per_second: an upper bound for the rate; None: what Toloka accepts.
    :param ca_bundle: the file or folder with the certificates of the trusted authorities; None: those in the
        environment, else certifi's and the system's.
    """

    token: str = field(repr=False)
    base_url: str = ENVIRONMENTS["production"] + API_PATH
    environment: str = "production"
    act_under_account_id: str | None = None
    timeout: float = DEFAULT_TIMEOUT
    retries: int = DEFAULT_RETRIES
    max_requests_per_second: float | None = None
    ca_bundle: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "token", _token(self.token))

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
        :param port: the TCP port; 0 means no port.
        :param schema: ``http`` or ``https``, if the host has no scheme.
        :param extra: ``environment``, ``act_under_account_id``, ``timeout``, ``retries``,
            ``max_requests_per_second``, ``ca_bundle``, ``allow_http``; also under their names in the 0.0.x
            package. Other keys are ignored: see :func:`unknown_keys`.
        :raises ValueError: a value cannot be used; the message names it and the remedy.
        """
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
        most = extra.get("max_requests_per_second")
        return cls(
            token=password or extra.get("token", ""),
            base_url=_base_url(address or ENVIRONMENTS[environment], port, schema, allow_http=allow_http),
            environment="custom" if address else environment,
            act_under_account_id=None if account is None else check_id("act_under_account_id", account),
            timeout=_positive("timeout", extra.get("timeout", DEFAULT_TIMEOUT)),
            retries=_whole("retries", extra.get("retries", DEFAULT_RETRIES)),
            max_requests_per_second=None if most is None else _positive("max_requests_per_second", most),
            ca_bundle=_existing("ca_bundle", extra.get("ca_bundle")),
        )

    @property
    def headers(self) -> dict[str, str]:
        """The headers of every request."""
        return {"Accept": "application/json", "User-Agent": f"airflow-provider-toloka/{__version__}"}

    @property
    def account_headers(self) -> dict[str, str]:
        """The credentials as headers, for the connection's own origin only."""
        headers = {"Authorization": self.authorization}
        if self.act_under_account_id:
            headers["X-Act-Under-Account-ID"] = self.act_under_account_id
        return headers

    @property
    def authorization(self) -> str:
        """The value of the ``Authorization`` header: ``ApiKey`` or ``OAuth``, depending on the token's form."""
        is_api_key = self.token.count(".") == 2 and self.token.index(".") in (22, 23, 24)
        return f"{'ApiKey' if is_api_key else 'OAuth'} {self.token}"

    @property
    def where(self) -> str:
        """The environment and the host, for messages."""
        return f"{self.environment}, {self.base_url}"

    @property
    def site(self) -> str:
        """The address of Toloka's site for this account."""
        parts = urlsplit(self.base_url)
        host = f"{parts.scheme}://{parts.netloc}"
        return _WEB.get(host, host)


def read_extra(text: str | None) -> dict[str, Any]:
    """Return a connection's extra as a dict; empty if there is none.

    :param text: the stored extra. Airflow's own ``extra_dejson`` treats invalid JSON as an empty object.
    :raises ValueError: it is anything else.
    """
    if not text:
        return {}
    try:
        extra = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f" ({error})" if isinstance(error, json.JSONDecodeError) else ""
    else:
        if isinstance(extra, dict):
            return extra
        where = f", but is a JSON {_JSON_NAMES.get(type(extra), 'number')}"
    # Raised outside of the handler: the decoder's error contains the whole text, which may contain a token.
    raise ValueError(f"The connection's extra should be a JSON object{where}.")


_JSON_NAMES: dict[type, str] = {list: "array", str: "string", bool: "boolean", type(None): "null"}


def unknown_keys(extra: Mapping[str, Any]) -> list[str]:
    """Return the unknown keys of an extra, each with the nearest known key.

    :param extra: a connection's extra.
    :returns: for messages: ``'enviroment' (did you mean 'environment'?)``.
    """
    told = []
    for key in extra:
        name = str(key).removeprefix(LEGACY_PREFIX)
        if name not in (*KEYS, *_FORMER_KEYS):
            nearest = get_close_matches(name.lower(), KEYS, n=1)
            told.append(shown(key) + (f" (did you mean {nearest[0]!r}?)" if nearest else ""))
    return told


def legacy_fields(extra: Mapping[str, Any]) -> list[str]:
    """Return the fields of the 0.0.x package that a connection's extra still uses."""
    return sorted(key for key, value in extra.items() if key.startswith(LEGACY_PREFIX) and value not in (None, ""))


def _token(value: object) -> str:
    token = value.strip() if isinstance(value, str) else ""
    if not token:
        raise ValueError("The connection has no API token. Enter it in the field 'API token' (password).")
    if not _TOKEN.fullmatch(token):
        raise ValueError(
            "The connection's API token contains a blank or another invalid character. "
            "Paste the token alone, without 'OAuth' or 'ApiKey' before it."
        )
    return token


def _number(value: object) -> float:
    try:
        return float(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return math.nan


def _positive(name: str, value: object) -> float:
    number = _number(value)
    if not 0 < number < math.inf:
        raise ValueError(f"The connection's {name} is {shown(value)}; it should be a number above 0.")
    return number


def _whole(name: str, value: object) -> int:
    number = _number(value)
    if not (0 <= number < math.inf and number.is_integer()):
        raise ValueError(f"The connection's {name} is {shown(value)}; it should be a whole number, 0 or above.")
    return int(number)


def _existing(name: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not Path(value).exists():
        raise ValueError(
            f"The connection's {name} is {shown(value)}; it should be the path of a file or folder on this machine."
        )
    return value


def _base_url(address: str, port: int | None, schema: str | None, *, allow_http: bool) -> str:
    if _is_ipv6(address):
        address = f"[{address}]"  # from Airflow, if the connection is a URI
    _, has_scheme, rest = address.rpartition("://")
    url = address if has_scheme else f"{schema or 'https'}://{rest}"
    try:
        parts = urlsplit(url)
        host, own_port = parts.hostname, parts.port
    except ValueError as error:
        reason = one_line(_shown(str(error)))
        raise ValueError(f"The connection's host {_shown(address)!r} is not a valid URL: {reason}.") from None
    if not _PATH.fullmatch(parts.path) or ".." in parts.path.split("/"):
        raise ValueError(f"The connection's host {_shown(address)!r} contains an invalid URL path.")
    if parts.scheme not in ("http", "https"):
        raise ValueError(
            f"The connection's host is a URL with the scheme {parts.scheme!r}; it should be https (or http)."
        )
    if not host or not (_HOST.fullmatch(host) or _is_ipv6(host)):
        raise ValueError(f"The connection's host {_shown(address)!r} contains no valid host name.")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(
            f"The connection's host should be a host name or a base URL such as {ENVIRONMENTS['production']}, "
            "without a user, a query or a fragment. The token belongs in the field 'API token' (password)."
        )
    if parts.scheme == "http" and not allow_http and not _is_loopback(host):
        raise ValueError(
            f"The connection's host {host!r} uses plain http: the token would be sent unencrypted. "
            'Use https, or add "allow_http": true to the connection\'s extra.'
        )
    number = own_port or port or None
    netloc = (f"[{host}]" if ":" in host else host) + (f":{number}" if number else "")
    return f"{parts.scheme}://{netloc}{parts.path.rstrip('/') or API_PATH}"


def _shown(address: str) -> str:
    """Return the address without a password."""
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
