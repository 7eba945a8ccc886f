"""Events on their way to one client: in order, and bounded where the client does not read.

Knows neither what they say nor what carries them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import msgspec

MAX_EVENTS = 1_000
MAX_BYTES = 1_000_000


class UnreadEvents(Exception):  # noqa: N818  (the client's fault, and nobody's error)
    """The client has left so many events unread that no more are kept for it."""


class Outbox:
    def __init__(self, send: Callable[[str], Awaitable[None]]) -> None:
        self._send = send
        self._waiting: asyncio.Queue[str | None] = asyncio.Queue()
        self._chars = 0

    def put(self, event: Mapping[str, object]) -> None:
        """Raises UnreadEvents."""
        text = msgspec.json.encode(event).decode()
        if self._waiting.qsize() >= MAX_EVENTS or self._chars + len(text) > MAX_BYTES:
            raise UnreadEvents
        self._chars += len(text)
        self._waiting.put_nowait(text)

    def end(self) -> None:
        """`run` returns when what waits has been sent."""
        self._waiting.put_nowait(None)

    async def run(self) -> None:
        while (text := await self._waiting.get()) is not None:
            await self._send(text)
            self._chars -= len(text)
