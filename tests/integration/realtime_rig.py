"""The realtime routes over stand-in sessions, on a real socket of the test's own loop."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.integration.standin_service import StandInService
from tests.integration.standin_session import StandInSession
from voxfleet.errors import VoxfleetError
from voxfleet.gateway.access import Access, Keys
from voxfleet.gateway.client_secrets import ClientSecrets
from voxfleet.gateway.docs_pages import bare_app
from voxfleet.gateway.http_errors import answer_voxfleet_error
from voxfleet.gateway.http_protocol import LimitedHttpProtocol
from voxfleet.gateway.realtime_api import RealtimeApi, RealtimeLimits
from voxfleet.gateway.websocket_log import WebsocketLog
from voxfleet.gateway.websocket_protocol import LimitedWebSocketProtocol
from voxfleet.transcribe.hotword_text import WITHOUT_LISTS, HotwordLists

JsonObject = dict[str, object]


def realtime_app(
    service: StandInService,
    keys: Keys | None = None,
    secrets: ClientSecrets | None = None,
    lists: HotwordLists = WITHOUT_LISTS,
) -> ASGIApp:
    made = secrets or ClientSecrets()
    app = bare_app("9.9", docs=False)
    app.exception_handler(VoxfleetError)(answer_voxfleet_error)
    app.include_router(RealtimeApi(service, lists, RealtimeLimits(), made).router())
    return WebsocketLog(Access(app, keys, secrets=made) if keys else app)


@asynccontextmanager
async def live(
    app: ASGIApp, protocol: type[LimitedWebSocketProtocol] = LimitedWebSocketProtocol
) -> AsyncIterator[str]:
    """The port's address without its scheme."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            app,
            http=LimitedHttpProtocol,
            ws=protocol,
            ws_per_message_deflate=False,
            log_config=None,
            log_level="warning",
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0)
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


class Client:
    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def send(self, kind: str, **content: object) -> None:
        await self.socket.send(json.dumps({"type": kind, **content}))

    async def append(self, sound: bytes) -> None:
        await self.send("input_audio_buffer.append", audio=base64.b64encode(sound).decode())

    async def update(self, **session: object) -> JsonObject:
        await self.send("session.update", session=session)
        return await self.next()

    async def next(self) -> JsonObject:
        async with asyncio.timeout(10):
            event = json.loads(await self.socket.recv())
        assert isinstance(event, dict)
        assert str(event["event_id"]).startswith("event_")
        return event

    async def error(self) -> JsonObject:
        """The next event, which must be an error."""
        event = await self.next()
        assert event["type"] == "error", event
        error = event["error"]
        assert isinstance(error, dict)
        assert set(error) == {"type", "code", "message", "param", "event_id"}
        return error

    async def closed(self) -> tuple[int | None, str | None]:
        async with asyncio.timeout(20):
            await self.socket.wait_closed()
        return self.socket.close_code, self.socket.close_reason


@asynccontextmanager
async def talking(
    address: str,
    query: str = "intent=transcription",
    headers: Mapping[str, str] | None = None,
    protocols: tuple[str, ...] = (),
) -> AsyncIterator[Client]:
    async with connect(
        f"ws://{address}/v1/realtime?{query}",
        additional_headers=headers,
        subprotocols=[Subprotocol(name) for name in protocols] or None,
        max_size=None,
        proxy=None,
    ) as opened:
        yield Client(opened)


async def until_closed(session: StandInSession) -> None:
    async with asyncio.timeout(10):
        while not session.closed:
            await asyncio.sleep(0.01)
