"""Websockets whose clients send what comes to nothing: bounded, and others have their turn."""

from __future__ import annotations

import asyncio
import gc
import struct
from collections.abc import AsyncIterator, Callable

import pytest
from starlette.types import Receive, Scope, Send

from tests.integration.realtime_rig import live, realtime_app, talking, until_closed
from tests.integration.standin_service import StandInService
from voxfleet.gateway import websocket_protocol
from voxfleet.gateway.http_protocol import LimitedHttpProtocol
from voxfleet.gateway.websocket_protocol import LimitedWebSocketProtocol

_HEAD = (
    b"GET /v1/realtime HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)


def frame(opcode: int, data: bytes = b"", *, last: bool = True) -> bytes:
    """As a client masks it, with zeros."""
    size = bytes([128 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack("!H", len(data))
    return bytes([opcode | (128 if last else 0)]) + size + bytes(4) + data


@pytest.fixture
def service() -> StandInService:
    return StandInService()


@pytest.fixture
async def address(service: StandInService) -> AsyncIterator[str]:
    async with live(realtime_app(service)) as made:
        yield made


async def opened(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(_HEAD)
    await reader.readuntil(b"session.created")
    return reader, writer


async def longest_turn(until: Callable[[], bool]) -> float:
    """The most seconds that the loop had no time for anybody else."""
    clock, longest_s = asyncio.get_running_loop().time, 0.0
    before_s = clock()
    while not until():
        await asyncio.sleep(0)
        now_s = clock()
        longest_s, before_s = max(longest_s, now_s - before_s), now_s
    return longest_s


async def flood(writer: asyncio.StreamWriter, data: bytes) -> None:
    for _ in range(1_000):
        writer.write(data)
        try:
            await writer.drain()
        except ConnectionError:
            return
    raise AssertionError("the server took all of it")


@pytest.mark.parametrize(
    "data",
    [frame(9, b"x" * 125) * 500, frame(1, b"", last=False) + frame(0, b"", last=False) * 9_000],
    ids=["pings that nobody reads", "a message of nothing, without end"],
)
async def test_what_would_pile_up_ends_the_connection(
    service: StandInService, address: str, data: bytes
) -> None:
    _, writer = await opened(address)
    await flood(writer, data)
    await until_closed(service.sessions.opened[0])
    writer.close()


async def test_tiny_frames_leave_others_their_turn(service: StandInService, address: str) -> None:
    _, writer = await opened(address)
    writer.write(frame(10) * 200_000 + frame(8))
    turn = asyncio.create_task(longest_turn(lambda: service.sessions.opened[0].closed))
    async with asyncio.timeout(60):
        # all at once they would take several seconds
        assert await turn < 2.0
    writer.close()


async def test_large_messages_come_through_in_pieces(service: StandInService, address: str) -> None:
    async with talking(address) as client:
        await client.next()
        sound = bytes(range(256)) * 4_000
        for _ in range(5):
            await client.append(sound)
        await client.send("input_audio_buffer.nothing")
        await client.error()
        assert service.sessions.opened[0].sound == sound * 5


async def test_a_stopping_server_lets_an_app_end_it_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_protocol, "_LAST_WORDS_S", 0.2)
    service = StandInService()
    async with live(realtime_app(service)) as address:
        orderly = talking(address)
        other = talking(address)
        first, second = await orderly.__aenter__(), await other.__aenter__()
        await first.next()
        await second.next()
        asyncio.get_running_loop().call_later(0.15, service.sessions.opened[0].tell, None)
    assert await first.closed() == (1000, "the session has ended")
    assert (await second.closed())[0] == 1012
    for each in service.sessions.opened:
        await until_closed(each)


async def test_a_websocket_that_is_never_opened_is_ended() -> None:
    made: list[LimitedWebSocketProtocol] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "websocket.disconnect":
            pass

    class Seen(LimitedWebSocketProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.append(self)
            super().connection_made(transport)

    async with live(app, Seen) as address:
        host, port = address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(_HEAD)
        while not made:
            await asyncio.sleep(0)
        now_s = asyncio.get_running_loop().time()
        made[0].look(now_s + 59)
        assert not made[0].transport.is_closing()
        made[0].look(now_s + 61)
        assert await reader.read() == b""
        writer.close()


def handed_over() -> list[LimitedHttpProtocol]:
    """Those of other tests are no matter: they were made before."""
    return [each for each in gc.get_objects() if type(each) is LimitedHttpProtocol]


async def test_a_websocket_that_has_ended_leaves_nothing_for_the_collector(address: str) -> None:
    """The server's collector looks rarely: what cycles leave would be there for hours."""
    gc.collect()
    known = handed_over()
    gc.disable()
    try:
        for _ in range(5):
            _, writer = await opened(address)
            writer.close()
            await writer.wait_closed()
        async with asyncio.timeout(20):
            while any(each not in known for each in handed_over()):
                await asyncio.sleep(0.01)
    finally:
        gc.enable()
