"""The hook: Toloka's API with an Airflow connection."""

from __future__ import annotations

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
from airflow_provider_toloka.client.retry import RetryPolicy
from airflow_provider_toloka.client.sansio import Flow
from airflow_provider_toloka.exceptions import TolokaApiError
from airflow_provider_toloka.provider_info import get_provider_info

if TYPE_CHECKING:
    import requests
    from airflow.providers.common.compat.sdk import Connection

T = TypeVar("T")

_CONNECTION_TYPE = get_provider_info()["connection-types"][0]


class TolokaHook(ClientMethods, BaseHook):
    """A client of Toloka's API with an Airflow connection.

    The hook has the methods of ``TolokaClient``; ``async with hook.async_client() as client`` has the same ones for an
    event loop. As a context manager, the hook closes its HTTP connections at the end.

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

    @property
    def client(self) -> TolokaClient:
        """The client of the connection, which is read on first use.

        :raises ValueError: the connection cannot be used; the message names the field and the remedy.
        """
        if self._client is None:
            connection = self.get_connection(self.toloka_conn_id)
            settings = self._named_settings(connection)
            _ = connection.extra_dejson  # masks the secrets in it
            observer = observer_for(settings, self.toloka_conn_id)
            self._client = TolokaClient(settings, retry=self.retry_policy, observer=observer)
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
        return self.client.run(flow)

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
