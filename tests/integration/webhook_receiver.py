"""A receiver of webhooks on a real socket that answers as it is told, for tests."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

#: bytes of an answer, or None for silence
Answer = bytes | None

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def status(code: int, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {code} Told", "content-length: 0", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@dataclass(frozen=True, slots=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """`answers` are given one after the other, the last one from then on."""

    answers: Sequence[Answer] = (OK,)
    #: sent behind the answer, again and again
    endless: bytes = b""
    pause_s: float = 0.0
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    open_now: int = 0
    most_open: int = 0
    sent_bytes: int = 0
    port: int = 0
    serving: set[asyncio.Task[object]] = field(default_factory=set)

    def url(self, host: str = "127.0.0.1", path: str = "/hook", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        try:
            while True:
                await self._answer_one(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
        finally:
            self.serving.discard(task)

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.received.append(await _read(reader))
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            answer = self.answers[min(len(self.received), len(self.answers)) - 1]
            if answer is None:
                # until the sender has gone
                await reader.readexactly(1)
                return
            writer.write(answer)
            await writer.drain()
            while self.endless:
                writer.write(self.endless)
                await writer.drain()
                self.sent_bytes += len(self.endless)
                await asyncio.sleep(self.pause_s)
        finally:
            self.open_now -= 1


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip()
        for name, _, value in (line.partition(":") for line in head[1:] if line)
    }
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(head[0].split(" ")[1], headers, body)


@asynccontextmanager
async def receiving(
    *answers: Answer, context: ssl.SSLContext | None = None, **more: float | bytes
) -> AsyncIterator[Receiver]:
    receiver = Receiver(answers or (OK,))
    for name, value in more.items():
        setattr(receiver, name, value)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=context)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        serving = list(receiver.serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await server.wait_closed()


async def until(true: Callable[[], bool], limit_s: float = 10.0) -> None:
    """Gives up its turn until it is so; fails after the limit."""
    async with asyncio.timeout(limit_s):
        while not true():
            await asyncio.sleep(0.005)
