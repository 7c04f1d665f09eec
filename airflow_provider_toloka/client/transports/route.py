"""The route to the API's host: the proxy and the trusted certificates, for both transports.

The proxy is the one that the ``requests`` library finds in the environment: ``HTTPS_PROXY``, ``HTTP_PROXY``,
``ALL_PROXY`` and ``NO_PROXY``. The trusted certificates are the connection's ``ca_bundle``, else those of the first of
``REQUESTS_CA_BUNDLE``, ``CURL_CA_BUNDLE`` and ``SSL_CERT_FILE`` that is set, else certifi's and the system's.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_environ_proxies, prepend_scheme_if_needed, select_proxy

from airflow_provider_toloka._text import shown
from airflow_provider_toloka.client.config import Settings
from airflow_provider_toloka.client.sansio import NoAnswer

BUNDLE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")

#: A waiting request asks again after at most this many seconds, because the rate may have risen.
LONGEST_NAP = 0.25
#: Limits of a response. A page of 300 pools may have a few megabytes; pages that exceed this are read in smaller ones.
LARGEST_BODY = 10_000_000
#: http.client's own limits, which cannot be changed; aiohttp gets the same. It counts the empty line as a header.
LARGEST_HEADER = 65_536
MOST_HEADERS = 99


@dataclass(frozen=True)
class Route:
    """The route of requests to the API.

    :param url: the API's base URL.
    :param proxy: the proxy's URL, with its credentials; None: requests are sent to the host itself.
    :param bundle: the file or folder with the certificates of the trusted authorities; None: certifi's and
        the system's.
    :param trusted: a description of these certificates for messages.
    """

    url: str
    proxy: str | None = field(repr=False)
    bundle: Path | None
    trusted: str

    @cached_property
    def tls(self) -> ssl.SSLContext:
        """The TLS context, for the host and for a proxy that is reached over TLS.

        :raises ValueError: the bundle cannot be read; the message names it.
        """
        try:
            if self.bundle is None:
                context = ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH)
                context.load_default_certs()
            elif self.bundle.is_dir():
                context = ssl.create_default_context(capath=str(self.bundle))
            else:
                context = ssl.create_default_context(cafile=str(self.bundle))
        except OSError as error:
            raise ValueError(f"Could not read the trusted certificates ({self.trusted}): {error}.") from None
        context.set_alpn_protocols(["http/1.1"])
        return context

    @property
    def needs_tls(self) -> bool:
        """Whether the host or the proxy is reached over TLS."""
        return self.url.startswith("https:") or (self.proxy or "").startswith("https:")

    @property
    def is_socks(self) -> bool:
        """Whether the proxy speaks SOCKS."""
        return self.proxy is not None and self.proxy.startswith("socks")

    def no_answer(self, kind: Any, reason: str) -> NoAnswer:
        """Return why there is no response, with the proxy and the certificates, which may be the cause."""
        told = [reason]
        if kind == "tls":
            told.append(f"trusted certificates: {self.trusted}")
        if self.proxy is not None:
            told.append(f"through the proxy {_shown(urlsplit(self.proxy))}")
        return NoAnswer(kind, "; ".join(told))


def find_route(settings: Settings) -> Route:
    """Return the route to a connection's API, depending on this process's environment.

    :param settings: the connection's settings.
    :raises ValueError: the environment is invalid; the message says what to change.
    """
    bundle, trusted = _find_bundle(settings)
    route = Route(settings.base_url, _find_proxy(settings.base_url), bundle, trusted)
    if route.needs_tls:
        _ = route.tls  # read now, so that both transports fail in the same way if it is invalid
    return route


def _find_bundle(settings: Settings) -> tuple[Path | None, str]:
    if settings.ca_bundle is not None:
        return Path(settings.ca_bundle), f"the connection's ca_bundle {shown(settings.ca_bundle)}"
    for variable in BUNDLE_VARIABLES:
        if named := os.environ.get(variable):
            if not Path(named).exists():
                raise ValueError(f"The environment variable {variable} names {shown(named)}, which does not exist.")
            return Path(named), f"{variable} {shown(named)}"
    return None, "certifi's and the system's"


def _find_proxy(url: str) -> str | None:
    found = select_proxy(url, get_environ_proxies(url))
    if not found:
        return None
    try:
        proxy: str = prepend_scheme_if_needed(found, "http")  # type: ignore[no-untyped-call]  # it has no types yet
        parts = urlsplit(proxy)
        told = _shown(parts)
    except ValueError:
        raise ValueError(f"The environment names a proxy for {url} that is not a valid URL.") from None
    if parts.scheme not in ("http", "https", "socks4", "socks4a", "socks5", "socks5h") or not parts.hostname:
        raise ValueError(f"The environment names the proxy {told} for {url}; it should be an http, https or socks URL.")
    if parts.scheme.startswith("socks"):
        _require_socks(told, url)
    return proxy


def _require_socks(proxy: str, url: str) -> None:
    # Check both, so that plain and async code work or fail together.
    try:
        for module in ("socks", "aiohttp_socks"):
            import_module(module)
    except ImportError:
        raise ValueError(
            f"The environment names the SOCKS proxy {proxy} for {url}, but SOCKS support is not installed. "
            "Install airflow-provider-toloka[socks], or exempt the host in NO_PROXY."
        ) from None


def _shown(proxy: SplitResult) -> str:
    """Return a proxy's address without its credentials."""
    host = f"[{proxy.hostname}]" if ":" in (proxy.hostname or "") else proxy.hostname
    return f"{proxy.scheme}://{host or ''}" + (f":{proxy.port}" if proxy.port else "")


def reason(error: BaseException) -> str:
    """Return the innermost cause of a library's error on one line: the operating system's or the TLS library's.

    :param error: the library's error.
    """
    inner = error.__cause__ or next((arg for arg in error.args if isinstance(arg, BaseException)), None)
    if inner is not None:
        return reason(inner)
    return " ".join(str(error).split()) or type(error).__name__
