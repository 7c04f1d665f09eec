"""The hook: an Airflow connection turned into calls of Toloka's API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

from airflow.providers.common.compat.connection import get_async_connection, get_async_extra_dejson
from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_toloka._text import shown
from airflow_provider_toloka.client.api.calls import Listing
from airflow_provider_toloka.client.api.toloka_api import TolokaApi
from airflow_provider_toloka.client.config import LEGACY_PREFIX, Settings, legacy_fields
from airflow_provider_toloka.client.retry import RetryPolicy
from airflow_provider_toloka.client.sansio import Flow
from airflow_provider_toloka.exceptions import TolokaApiError
from airflow_provider_toloka.hooks.twins import async_call, async_list, sync_call, sync_list
from airflow_provider_toloka.provider_info import get_provider_info

if TYPE_CHECKING:
    import requests
    from airflow.providers.common.compat.sdk import Connection

    from airflow_provider_toloka.client.transports.aio import AsyncDriver

T = TypeVar("T")

_CONNECTION_TYPE = get_provider_info()["connection-types"][0]


class TolokaHook(BaseHook):
    """Toloka's API, with the token and the environment of an Airflow connection.

    Each call has an async twin, named with ``_async`` at its end. As a context manager, plain or async, the hook keeps
    its HTTP connections for all calls within, and closes them at the end.

    :param toloka_conn_id: the id of a connection of type ``toloka``.
    :param retry_policy: how failed requests are sent again; default: as often as the connection says.
    :param max_requests_per_second: the highest rate of concurrent requests; default: the connection's, which is 240.
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
        self._api: TolokaApi | None = None
        self._session: requests.Session | None = None
        self._driver: AsyncDriver | None = None

    get_requester = sync_call(TolokaApi.get_requester)
    get_project = sync_call(TolokaApi.get_project)
    get_pool = sync_call(TolokaApi.get_pool)
    get_training = sync_call(TolokaApi.get_training)
    get_operation = sync_call(TolokaApi.get_operation)
    get_operation_log = sync_call(TolokaApi.get_operation_log)
    list_projects = sync_list(TolokaApi.list_projects)
    list_pools = sync_list(TolokaApi.list_pools)
    list_trainings = sync_list(TolokaApi.list_trainings)
    list_operations = sync_list(TolokaApi.list_operations)
    archive_project = sync_call(TolokaApi.archive_project)
    close_pool = sync_call(TolokaApi.close_pool)
    archive_pool = sync_call(TolokaApi.archive_pool)
    close_training = sync_call(TolokaApi.close_training)
    archive_training = sync_call(TolokaApi.archive_training)
    wait_for_operation = sync_call(TolokaApi.wait_for_operation)

    get_requester_async = async_call(TolokaApi.get_requester)
    get_project_async = async_call(TolokaApi.get_project)
    get_pool_async = async_call(TolokaApi.get_pool)
    get_training_async = async_call(TolokaApi.get_training)
    get_operation_async = async_call(TolokaApi.get_operation)
    get_operation_log_async = async_call(TolokaApi.get_operation_log)
    list_projects_async = async_list(TolokaApi.list_projects)
    list_pools_async = async_list(TolokaApi.list_pools)
    list_trainings_async = async_list(TolokaApi.list_trainings)
    list_operations_async = async_list(TolokaApi.list_operations)
    archive_project_async = async_call(TolokaApi.archive_project)
    close_pool_async = async_call(TolokaApi.close_pool)
    archive_pool_async = async_call(TolokaApi.archive_pool)
    close_training_async = async_call(TolokaApi.close_training)
    archive_training_async = async_call(TolokaApi.archive_training)
    wait_for_operation_async = async_call(TolokaApi.wait_for_operation)

    def get_conn(self) -> requests.Session:
        """Give a session ready to use: the token and the account are in its headers.

        :returns: the hook's session, opened at the first call.
        :raises ValueError: the connection cannot be used; the message names the field and the remedy.
        """
        from airflow_provider_toloka.client.transports.sync import open_session

        if self._session is None:
            self._session = open_session(self.api.settings)
        return self._session

    def test_connection(self) -> tuple[bool, str]:
        """Ask Toloka whose token it is, for the Test button.

        :returns: whether it works, and one sentence on it.
        """
        try:
            self._api = TolokaApi(self._read_settings(), RetryPolicy(retries=0))
            with self:
                requester = self.get_requester()
        except (TolokaApiError, ValueError) as error:
            return False, str(error)
        name = f" ({shown(requester.name)})" if requester.name else ""
        return True, f"Connected to Toloka as account {requester.id}{name}: {self.api.settings.where}."

    @property
    def api(self) -> TolokaApi:
        """The API's calls as flows, with the connection's settings."""
        if self._api is None:
            self._api = TolokaApi(self._read_settings(), self.retry_policy)
        return self._api

    async def api_async(self) -> TolokaApi:
        """Give the same, reading the connection without blocking the event loop."""
        if self._api is None:
            connection = await get_async_connection(self.toloka_conn_id, hook=self)
            settings = self._settings(connection, await get_async_extra_dejson(connection))
            self._api = TolokaApi(settings, self.retry_policy)
        return self._api

    def run(self, flow: Flow[T]) -> T:
        """Drive a flow of the API to its end.

        :param flow: the flow.
        :returns: its result.
        """
        from airflow_provider_toloka.client.transports.sync import run

        return run(flow, self.get_conn(), self.api.settings.timeout)

    async def run_async(self, flow: Flow[T]) -> T:
        """Drive a flow of the API to its end, without blocking the event loop.

        :param flow: the flow.
        :returns: its result.
        """
        from airflow_provider_toloka.client.transports.aio import AsyncDriver

        if self._driver is not None:
            return await self._driver.run(flow)
        async with AsyncDriver((await self.api_async()).settings) as driver:
            return await driver.run(flow)

    def items(self, listing: Listing[T]) -> Iterator[T]:
        """Go over a list of the API, reading each page when it is come to.

        :param listing: the list.
        """
        last_id = None
        while True:
            page = self.run(listing.page(last_id))
            yield from page.items
            last_id = page.last_id
            if last_id is None:
                return

    async def items_async(self, listing: Listing[T]) -> AsyncIterator[T]:
        """Go over a list of the API, reading each page when it is come to, without blocking the event loop.

        :param listing: the list.
        """
        async for page in self.pages_async(listing):
            for item in page:
                yield item

    async def pages_async(self, listing: Listing[T]) -> AsyncIterator[list[T]]:
        """Go over a list of the API page by page, without blocking the event loop.

        :param listing: the list.
        """
        last_id = None
        while True:
            page = await self.run_async(listing.page(last_id))
            yield page.items
            last_id = page.last_id
            if last_id is None:
                return

    @property
    def requests_sent(self) -> int:
        """How many requests were sent since the hook was entered as an async context manager."""
        return self._driver.requests if self._driver else 0

    @property
    def requests_per_second(self) -> float:
        """How fast concurrent requests may follow each other now."""
        return self._driver.pacer.rate if self._driver else self.api.settings.max_requests_per_second

    def close(self) -> None:
        """Close the HTTP connections of the plain calls."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        from airflow_provider_toloka.client.transports.aio import AsyncDriver

        self._driver = await AsyncDriver((await self.api_async()).settings).__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        driver, self._driver = self._driver, None
        if driver is not None:
            await driver.__aexit__()

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Give the standard fields of the connection form, for Airflow before 3.2."""
        behaviour = _CONNECTION_TYPE["ui-field-behaviour"]
        return {key.replace("-", "_"): value for key, value in behaviour.items()}

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Give the custom fields of the connection form, for Airflow before 3.2."""
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

    def _read_settings(self) -> Settings:
        connection = self.get_connection(self.toloka_conn_id)
        return self._settings(connection, connection.extra_dejson)

    def _settings(self, connection: Connection, extra: Mapping[str, Any]) -> Settings:
        try:
            settings = Settings.from_connection(
                password=connection.password,
                host=connection.host,
                port=connection.port,
                schema=connection.schema,
                extra={**extra, "max_requests_per_second": self.max_requests_per_second}
                if self.max_requests_per_second is not None
                else extra,
            )
        except ValueError as error:
            raise ValueError(f"Connection {self.toloka_conn_id!r}: {error}") from None
        if legacy := legacy_fields(extra):
            self.log.warning(
                "Connection %r still has the fields of airflow-provider-toloka 0.0.x: %s. They work, but move them: "
                "the token into the field 'API token' (password), the URL into the host, the others without %r.",
                self.toloka_conn_id,
                ", ".join(legacy),
                LEGACY_PREFIX,
            )
        return settings
