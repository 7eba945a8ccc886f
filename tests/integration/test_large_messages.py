"""Large websocket messages: few at once, none for ever, and small ones are not held up by them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect

from tests.integration.realtime_rig import live
from voxfleet.gateway import websocket_protocol
from voxfleet.gateway.message_gate import MessageGate
from voxfleet.gateway.websocket_protocol import LimitedWebSocketProtocol

PLACES = 2
CLIENTS = 6
LARGE = bytes(1_000_000)
#: what one that waits for a place may hold: the small part of its message, and what one read brings
HELD_BYTES = 262_144 + 262_144


class App:
    """Takes messages when it is let; knows how long each was."""

    def __init__(self) -> None:
        self.lengths: list[int] = []
        self.takes = asyncio.Event()
        self.takes.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            self.lengths.append(len(message["bytes"]))
            await self.takes.wait()


class Seen(LimitedWebSocketProtocol):
    made: list[Seen]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.made.append(self)
        super().connection_made(transport)

    @property
    def held_bytes(self) -> int:
        return self._gathered_bytes + len(self._unread)

    @property
    def is_inside(self) -> bool:
        return self._has_place


@pytest.fixture(autouse=True)
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(LimitedWebSocketProtocol, "gate", MessageGate(PLACES))
    Seen.made = []
    yield
    assert not any(protocol.is_inside for protocol in Seen.made)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def opened(address: str, count: int) -> list[ClientConnection]:
    return [await connect(f"ws://{address}/", compression=None) for _ in range(count)]


async def test_all_large_messages_come_through_a_few_at_a_time() -> None:
    app = App()
    app.takes.clear()
    async with live(app, Seen) as address:
        clients = await opened(address, CLIENTS)
        sending = [asyncio.create_task(client.send(LARGE)) for client in clients for _ in range(2)]
        await until(lambda: len(app.lengths) == PLACES)
        # all the others wait: what they are sent stays with their senders
        await asyncio.sleep(0.1)
        assert len(app.lengths) == PLACES
        waiting = [each.held_bytes for each in Seen.made if not each.is_inside]
        assert len(waiting) == CLIENTS - PLACES
        assert max(waiting) < HELD_BYTES
        app.takes.set()
        await asyncio.gather(*sending)
        await until(lambda: len(app.lengths) == 2 * CLIENTS)
        assert set(app.lengths) == {len(LARGE)}
        await asyncio.gather(*(client.close() for client in clients))
        await until(lambda: all(each.disconnected for each in Seen.made))


async def unfinished(client: ClientConnection) -> None:
    """The first half of a large message, in pieces."""

    async def pieces() -> object:
        for _ in range(8):
            yield bytes(64_000)
        await asyncio.Event().wait()

    await client.send(pieces())  # type: ignore[arg-type]


async def test_small_messages_pass_by_and_who_leaves_frees_the_place() -> None:
    app = App()
    async with live(app, Seen) as address:
        *stalled, patient, small = await opened(address, PLACES + 2)
        stalling = [asyncio.create_task(unfinished(client)) for client in stalled]
        await until(lambda: sum(each.is_inside for each in Seen.made) == PLACES)
        sending = asyncio.create_task(patient.send(LARGE))
        for _ in range(50):
            await small.send(bytes(20_000))
        await until(lambda: app.lengths.count(20_000) == 50)
        assert len(LARGE) not in app.lengths
        for client in stalled:
            client.transport.abort()
        await sending
        await until(lambda: len(LARGE) in app.lengths)
        for task in stalling:
            task.cancel()
        await asyncio.gather(*stalling, return_exceptions=True)
        await asyncio.gather(patient.close(), small.close())
        await until(lambda: all(each.disconnected for each in Seen.made))


async def test_who_holds_a_place_and_hardly_sends_loses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket_protocol, "UPLOAD_WINDOW_S", 1.0)
    async with live(App(), Seen) as address:
        (client,) = await opened(address, 1)
        stalling = asyncio.create_task(unfinished(client))
        await until(lambda: any(each.is_inside for each in Seen.made))
        await asyncio.sleep(0.1)
        (held,) = Seen.made
        held.look(0.0)
        assert not held.transport.is_closing()
        held.look(0.0)
        assert held.transport.is_closing()
        stalling.cancel()
        await asyncio.gather(stalling, return_exceptions=True)
        await until(lambda: held.disconnected)
