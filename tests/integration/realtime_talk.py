"""A client that speaks to a real server by OpenAI's realtime events, and keeps what it was told."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

LIMIT_S = 60.0
_INPUT = "conversation.item.input_audio_transcription"

Event = dict[str, Any]


@dataclass
class Talk:
    """`told` has every event in order; the rest is what they come to."""

    line: ClientConnection
    told: list[Event] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    over: bool = False

    async def send(self, kind: str, **fields: object) -> None:
        await self.line.send(json.dumps({"type": kind, **fields}))

    async def say(
        self, pcm: bytes, pieces_bytes: Sequence[int] = (3_200,), pause_s: float = 0.0
    ) -> None:
        """The sound in pieces of these sizes in turn."""
        at = turn = 0
        while at < len(pcm):
            size = pieces_bytes[turn % len(pieces_bytes)]
            piece = base64.b64encode(pcm[at : at + size]).decode()
            await self.send("input_audio_buffer.append", audio=piece)
            at, turn = at + size, turn + 1
            await asyncio.sleep(pause_s)

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.told if event["type"] == kind]

    @property
    def texts(self) -> list[str]:
        return [event["transcript"] for event in self.of(f"{_INPUT}.completed")]

    def deltas(self, item_id: str) -> str:
        found = self.of(f"{_INPUT}.delta")
        return "".join(event["delta"] for event in found if event["item_id"] == item_id)

    async def until(self, kind: str, count: int = 1) -> list[Event]:
        async with asyncio.timeout(LIMIT_S):
            while len(self.of(kind)) < count:
                assert not self.over, self.told
                self.news.clear()
                await self.news.wait()
        return self.of(kind)

    async def until_texts(self, count: int) -> list[str]:
        await self.until(f"{_INPUT}.completed", count)
        return self.texts

    async def until_over(self) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not self.over:
                self.news.clear()
                await self.news.wait()

    async def listen(self) -> None:
        try:
            async for message in self.line:
                self.told.append(json.loads(message))
                self.news.set()
        except ConnectionClosed:
            pass
        self.over = True
        self.news.set()


def updated(rate_hz: int = 16_000, **fields: object) -> Event:
    """A session of that rate; `turn_detection`, `transcription` go to its input, the rest to it."""
    of_input = [name for name in ("turn_detection", "transcription") if name in fields]
    inner: Event = {name: fields.pop(name) for name in of_input}
    sound: Event = {"input": {"format": {"type": "audio/pcm", "rate": rate_hz}, **inner}}
    return {"session": {"type": "transcription", "audio": sound, **fields}}


@asynccontextmanager
async def talking(address: str, query: str = "", **fields: object) -> AsyncIterator[Talk]:
    url = address.replace("http", "ws", 1) + f"/v1/realtime?intent=transcription{query}"
    async with connect(url, proxy=None, max_size=None) as line:
        talk = Talk(line)
        listening = asyncio.create_task(talk.listen())
        await talk.send("session.update", **updated(**fields))  # type: ignore[arg-type]
        await talk.until("session.updated")
        try:
            yield talk
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
