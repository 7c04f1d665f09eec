"""The hook: Toloka's API with an Airflow connection."""

from __future__ import annotations

import threading
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self, TypeVar

from airflow.providers.common.compat.connection import get_async_connection, get_async_extra_dejson
from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_toloka._metrics import observer_for
from airflow_provider_toloka._text import shown
from airflow_provider_toloka.client.api import TolokaApi
from airflow_provider_toloka.client.async_client import AsyncTolokaClient
from airflow_provider_toloka.client.client import TolokaClient
from airflow_provider_toloka.client.config import (
    LEGACY_PREFIX,
    Settings,
    legacy_fields,
    read_extra,
    unknown_keys,
)
from airflow_provider_toloka.client.methods import ClientMethods
from airflow_provider_toloka.client.redaction import redact
from airflow_provider_toloka.client.retry import RetryPolicy
from airflow_provider_toloka.client.sansio import Answer, Flow, NoAnswer, Request, Response, drive
from airflow_provider_toloka.exceptions import TolokaApiError, TolokaAuthenticationError
from airflow_provider_toloka.provider_info import get_provider_info

if TYPE_CHECKING:
    import requests
    from airflow.providers.common.compat.sdk import Connection

T = TypeVar("T")

_CONNECTION_TYPE = get_provider_info()["connection-types"][0]
#: Of threads whose requests are refused together, one reads the connection again. A hook with a lock of its own could
#: not be pickled.
_reading_again = threading.Lock()


class TolokaHook(ClientMethods, BaseHook):
    """A client of Toloka's API with an Airflow connection.

    The hook has the methods of ``TolokaClient``; ``async with hook.async_client() as client`` has the same ones for an
    event loop. As a context manager, the hook closes its HTTP connections at the end.

    When Toloka refuses the token, the hook reads the connection again. If it has changed, such as after a rotation of
    the token, the request is sent once more with the new settings; if it now leads to another host or account, the call
    fails.

    :param toloka_conn_id: the id of a connection of type ``toloka``; default ``toloka_default``.
    :param retry_policy: the retry policy; default: as in the connection.
    :param max_requests_per_second: upper bound of the request rate; default: the connection's.
    """

    conn_name_attr = "toloka_conn_id"
    default_conn_name = "toloka_default"
    conn_type = "toloka"
    hook_name = "Toloka"

    def __init__(
        self,
        toloka_conn_id: str = default_conn_name,
        *,
        retry_policy: RetryPolicy | None = None,
        max_requests_per_second: float | None = None,
    ) -> None:
        super().__init__()
        self.max_requests_per_second = max_requests_per_second
        self.toloka_conn_id = toloka_conn_id
        self.retry_policy = retry_policy
        self._client: TolokaClient | None = None
        self._requests_sent = 0
        #: Whether the connection has changed since the first use, so that flows may have begun with another token.
        self._has_changed = False

    @property
    def client(self) -> TolokaClient:
        """The client of the connection, which is read on first use.

        :raises ValueError: the connection cannot be used; the message names the field and the remedy.
        """
        if self._client is None:
            self._client = self._client_of(self._read_settings())
        return self._client

    @property
    def api(self) -> TolokaApi:
        """The calls of the API as flows."""
        return self.client.api

    def run(self, flow: Flow[T]) -> T:
        """Run a flow to its end.

        :param flow: a call of :attr:`api`.
        :returns: the flow's result.
        """
        return drive(flow, self._send, self.client.transport.sleep)

    @property
    def requests_sent(self) -> int:
        """The number of requests that the hook's methods have sent, including retries."""
        return self._requests_sent

    def async_client(self) -> AsyncTolokaClient:
        """Return a client for an event loop, reading the connection now.

        Inside a running event loop, such as a trigger's, use :meth:`read_async_client`.

        :raises ValueError: the connection cannot be used; the message names the field and the remedy.
        """
        api = self.client.api
        return AsyncTolokaClient(api.settings, retry=self.retry_policy, observer=api.observer)

    async def read_async_client(self) -> AsyncTolokaClient:
        """Return a client for an event loop, reading the connection without blocking the loop.

        :raises ValueError: the connection cannot be used; the message names the field and the remedy.
        """
        connection = await get_async_connection(self.toloka_conn_id, hook=self)
        settings = self._named_settings(connection)
        await get_async_extra_dejson(connection)  # masks the secrets in it
        observer = observer_for(settings, self.toloka_conn_id)
        return AsyncTolokaClient(settings, retry=self.retry_policy, observer=observer)

    def get_conn(self) -> requests.Session:
        """Return the ``requests`` session of the client: see :attr:`TolokaClient.session`.

        :raises ValueError: the connection cannot be used; the message names the field and the remedy.
        """
        return self.client.session

    def test_connection(self) -> tuple[bool, str]:
        """Request the token's account, for the Test button, without using the hook's own client.

        :returns: whether the connection works, and one or two sentences about it.
        """
        try:
            # Not by id: Airflow tests a connection under a temporary id.
            connection = self.get_connection(self.toloka_conn_id)
            settings = self._settings(connection)
            _ = connection.extra_dejson  # masks the secrets in it
            with TolokaClient(settings, retry=RetryPolicy(retries=0)) as client:
                requester = client.get_requester()
        except (TolokaApiError, ValueError) as error:
            return False, str(error)
        name = f" ({shown(requester.name)})" if requester.name else ""
        told = f"Connected to Toloka as account {requester.id}{name}: {client.api.settings.where}."
        unknown = unknown_keys(read_extra(connection.extra))
        return True, f"{told} Unknown keys in the extra are ignored: {', '.join(unknown)}." if unknown else told

    def close(self) -> None:
        """Close the HTTP connections; the next call opens new ones."""
        if self._client is not None:
            self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return the standard fields of the connection form, for Airflow before 3.2."""
        behaviour = _CONNECTION_TYPE["ui-field-behaviour"]
        return {key.replace("-", "_"): value for key, value in behaviour.items()}

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the custom fields of the connection form, for Airflow before 3.2."""
        from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
        from wtforms import IntegerField, StringField
        from wtforms.validators import Optional, any_of

        widgets = {}
        for name, conn_field in _CONNECTION_TYPE["conn-fields"].items():
            schema = conn_field["schema"]
            validators = [Optional(), *([any_of(schema["enum"])] if "enum" in schema else [])]
            widgets[name] = (IntegerField if "integer" in schema["type"] else StringField)(
                conn_field["label"],
                widget=BS3TextFieldWidget(),
                validators=validators,
                description=conn_field["description"],
                default=schema.get("default"),
            )
        return widgets

    def _send(self, request: Request) -> Answer:
        client = self.client
        answer = self._send_by(client, request)
        if isinstance(answer, Response) and answer.status == HTTPStatus.UNAUTHORIZED:
            # A refused request was not executed.
            renewed = self._renewed(client)
            if renewed is not None:
                answer = self._send_by(renewed, request)
        return _without(self.client.api.settings.token, answer) if self._has_changed else answer

    def _send_by(self, client: TolokaClient, request: Request) -> Answer:
        answer = client.transport.send(request)
        if not (isinstance(answer, NoAnswer) and answer.kind == "late"):
            self._requests_sent += 1
        return answer

    def _renewed(self, refused: TolokaClient) -> TolokaClient | None:
        """Read the connection again; return a client with the changed settings.

        :param refused: the client whose token Toloka refuses.
        :returns: None: the connection has not changed.
        :raises TolokaAuthenticationError: the connection now leads to another host or account.
        """
        with _reading_again:
            if self._client is not refused:
                return self.client
            before, settings = refused.api.settings, self._read_settings()
            if settings == before:
                return None
            # A token is for its own host, and a flow continues with what it has read from one account.
            if (settings.base_url, settings.act_under_account_id) != (before.base_url, before.act_under_account_id):
                raise TolokaAuthenticationError(
                    f"Toloka refuses the token, and connection {self.toloka_conn_id!r} now leads to "
                    f"{_destination(settings)}, not to {_destination(before)}. Clear the task to start again there.",
                    status=HTTPStatus.UNAUTHORIZED,
                )
            self.log.warning("Toloka refused the token; connection %r has changed since", self.toloka_conn_id)
            self._has_changed = True
            self._client = self._client_of(settings)
            refused.close()
            return self._client

    def _read_settings(self) -> Settings:
        connection = self.get_connection(self.toloka_conn_id)
        settings = self._named_settings(connection)
        _ = connection.extra_dejson  # masks the secrets in it
        return settings

    def _client_of(self, settings: Settings) -> TolokaClient:
        observer = observer_for(settings, self.toloka_conn_id)
        return TolokaClient(settings, retry=self.retry_policy, observer=observer)

    def _settings(self, connection: Connection) -> Settings:
        extra = read_extra(connection.extra)
        if self.max_requests_per_second is not None:
            extra["max_requests_per_second"] = self.max_requests_per_second
        return Settings.from_connection(
            password=connection.password,
            host=connection.host,
            port=connection.port,
            schema=connection.schema,
            extra=extra,
        )

    def _named_settings(self, connection: Connection) -> Settings:
        try:
            settings = self._settings(connection)
        except ValueError as error:
            raise ValueError(f"Connection {self.toloka_conn_id!r}: {error}") from None
        extra = read_extra(connection.extra)
        if legacy := legacy_fields(extra):
            self.log.warning(
                "Connection %r still has the fields of airflow-provider-toloka 0.0.x: %s. Move them: "
                "the token into the field 'API token' (password), the URL into the host, the others without %r.",
                self.toloka_conn_id,
                ", ".join(legacy),
                LEGACY_PREFIX,
            )
        if unknown := unknown_keys(extra):
            self.log.warning(
                "Connection %r has unknown keys in its extra, which are ignored: %s.",
                self.toloka_conn_id,
                ", ".join(unknown),
            )
        return settings


def _destination(settings: Settings) -> str:
    """Return the host and the account that the settings lead to, for messages."""
    account = settings.act_under_account_id
    return settings.where + (f", account {account}" if account else "")


def _without(token: str, answer: Answer) -> Answer:
    """Redact a token in an answer. A flow redacts only the token that the connection had when the flow was made."""
    if isinstance(answer, NoAnswer):
        return replace(answer, reason=redact(token, answer.reason))
    # This encoding keeps every byte as it is.
    body = redact(token, answer.body.decode("latin-1")).encode("latin-1")
    return replace(answer, body=body, headers={name: redact(token, text) for name, text in answer.headers.items()})
