"""Connections that go nowhere are ended: no head, no request, an answer that nobody reads."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.types import Receive, Scope, Send

from voxfleet.gateway import http_protocol, http_server
from voxfleet.gateway.http_server import HttpServer, bind
from voxfleet.gateway.http_settings import HttpSettings

LIMIT_S = 10.0
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Talker:
    """Answers with more than any buffer between it and its client holds."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(1000):
                more = {"type": "http.response.body", "body": b"x" * 1_000_000, "more_body": True}
                await send(more)
        finally:
            self.ended.set()


async def brief(scope: Scope, receive: Receive, send: Send) -> None:
    length = [(b"content-length", b"4")]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": b"done"})


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    # a look each tenth of a second
    monkeypatch.setattr(http_server, "_TICKS_PER_LOOK", 1)
    monkeypatch.setattr(http_protocol, "IDLE_LIMIT_S", 0.3)


@asynccontextmanager
async def listening(app: object) -> AsyncIterator[tuple[str, int]]:
    with bind("127.0.0.1", 0) as listener:
        server = HttpServer(app, listener, HttpSettings(1))  # type: ignore[arg-type]
        serving = asyncio.create_task(server.serve())
        yield listener.getsockname()[:2]
        server.stop()
        await asyncio.wait_for(serving, LIMIT_S)


@pytest.mark.parametrize("said", [b"", b"GET / HT", GET[:-2], GET], ids=str)
async def test_a_client_that_says_nothing_more(said: bytes) -> None:
    async with listening(brief) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(said)
        heard = await asyncio.wait_for(reader.read(), LIMIT_S)
        assert heard.endswith(b"done" if said == GET else b"")
        writer.close()


async def test_a_client_that_does_not_read() -> None:
    talker = Talker()
    async with listening(talker) as address:
        with socket.create_connection(address) as client:
            client.sendall(GET)
            await asyncio.wait_for(talker.ended.wait(), LIMIT_S)


async def test_a_client_that_reads_slowly_is_not_cut_off() -> None:
    talker = Talker()
    async with listening(talker) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(GET)
        for _ in range(30):
            await asyncio.sleep(0.03)
            assert len(await asyncio.wait_for(reader.readexactly(3_000_000), LIMIT_S)) == 3_000_000
        assert not talker.ended.is_set()
        writer.close()
