"""Flows over both transports."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from airflow_provider_toloka.client import AsyncTolokaClient, TolokaClient
from airflow_provider_toloka.client.config import Settings
from airflow_provider_toloka.client.sansio import Flow, NoAnswer, Request, Response
from airflow_provider_toloka.client.transports.aio import AiohttpTransport
from airflow_provider_toloka.client.transports.sync import RequestsTransport
from airflow_provider_toloka.emulator import TolokaEmulator


class Drive(Protocol):
    """Runs a flow over one of the transports."""

    def __call__(self, settings: Settings, flow: Flow[Any], **options: Any) -> Any: ...


def over_requests(settings: Settings, flow: Flow[Any], **options: Any) -> Any:
    with TolokaClient(settings, transport=RequestsTransport(settings, **options)) as client:
        return client.run(flow)


def over_aiohttp(settings: Settings, flow: Flow[Any], **options: Any) -> Any:
    async def main() -> Any:
        async with (
            AiohttpTransport(settings, **options) as transport,
            AsyncTolokaClient(settings, transport=transport) as client,
        ):
            return await client.run(flow)

    return asyncio.run(main())


def settings_for(url: str, **more: Any) -> Settings:
    return Settings(**{"token": "AQAD-made-up", **more}, base_url=f"{url}/api/v1", environment="custom")


def emulated(emulator: TolokaEmulator, **more: Any) -> Settings:
    return settings_for(emulator.url, token=emulator.token, **more)


def send(_: Settings, path: str, method: Any = "GET") -> Flow[Response | NoAnswer]:
    answer: Response | NoAnswer = yield Request(method, path)
    return answer
