"""Toloka's API for plain code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from airflow_provider_toloka.client.api import TolokaApi
from airflow_provider_toloka.client.config import KEYS, Settings, unknown_keys
from airflow_provider_toloka.client.methods import ClientMethods
from airflow_provider_toloka.client.observer import Observer
from airflow_provider_toloka.client.retry import RetryPolicy
from airflow_provider_toloka.client.sansio import Answer, Flow, Request, drive

if TYPE_CHECKING:
    import requests

T = TypeVar("T")


class Transport(Protocol):
    """The transport of a :class:`TolokaClient`."""

    requests: int

    def send(self, request: Request) -> Answer:
        """Send a request; return the result."""

    def sleep(self, seconds: float) -> float:
        """Sleep; return the time afterwards, in seconds since the epoch."""

    def close(self) -> None:
        """Close the connections."""


class TolokaClient(ClientMethods):
    """Toloka's API for any Python program. A context manager; it keeps its HTTP connections until it is closed.

    Failed requests are retried, and nothing is submitted twice: a call that changes something reads the state first,
    and reads it again after a lost response.

    :param settings: the token, the address and the limits: see :meth:`from_token`.
    :param retry: the retry policy; default: as in the settings.
    :param transport: sends the requests; default: uses the ``requests`` library.
    :param observer: receives reports on the work, for metrics; default: nobody.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        retry: RetryPolicy | None = None,
        transport: Transport | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._api = TolokaApi(settings, retry, observer)
        self._transport = transport

    @classmethod
    def from_token(
        cls, token: str, *, url: str | None = None, retry: RetryPolicy | None = None, **options: Any
    ) -> Self:
        """Return a client for a token.

        :param token: an OAuth token or an API key.
        :param url: the host or base URL of the API; default: the environment's.
        :param retry: the retry policy.
        :param options: ``environment``, ``act_under_account_id``, ``timeout``, ``retries`` and the other settings of
            an Airflow connection's extra.
        :raises ValueError: an option is unknown, or a value cannot be used; the message names it.
        """
        return cls(settings_for(token, url, options), retry=retry)

    @property
    def api(self) -> TolokaApi:
        """The calls as flows."""
        return self._api

    @property
    def transport(self) -> Transport:
        """The transport, opened on first use."""
        if self._transport is None:
            from airflow_provider_toloka.client.transports.sync import RequestsTransport

            self._transport = RequestsTransport(self.api.settings, observer=self.api.observer)
        return self._transport

    def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end.

        :param flow: a call of :attr:`api`.
        :returns: the flow's result.
        """
        return drive(flow, self.transport.send, self.transport.sleep)

    @property
    def requests_sent(self) -> int:
        """The number of requests sent, including retries."""
        return self.transport.requests

    @property
    def session(self) -> requests.Session:
        """The ``requests`` session of the default transport, for calls that this class does not have.

        The token and the account id are sent to the connection's own origin only. A request without ``timeout`` gets
        the connection's. Redirects are not followed, and certificates are checked against the connection's trust store,
        whatever ``verify`` is.

        :raises TypeError: the client was given a transport of another kind.
        """
        from airflow_provider_toloka.client.transports.sync import RequestsTransport

        if not isinstance(self.transport, RequestsTransport):
            raise TypeError("This client uses another transport, which has no requests session.")
        return self.transport.session

    def close(self) -> None:
        """Close the HTTP connections; the next call opens new ones."""
        if self._transport is not None:
            self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def settings_for(token: str, url: str | None, options: Mapping[str, Any]) -> Settings:
    """Return the settings for a token; see :meth:`TolokaClient.from_token`."""
    if unknown := unknown_keys(options):
        raise ValueError(f"Unknown option {', '.join(unknown)}. Options: {', '.join(KEYS)}.")
    return Settings.from_connection(password=token, host=url, extra=options)
