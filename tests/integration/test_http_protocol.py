"""What a connection takes from a client, byte for byte: never more than it may, never ambiguous."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.types import Receive, Scope, Send

from voxfleet.gateway.http_protocol import MAX_HEAD_BYTES, MAX_PIPELINED
from voxfleet.gateway.http_server import HttpServer, bind
from voxfleet.gateway.http_settings import HttpSettings

LIMIT_S = 10.0
GET = b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /0 HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


class Echo:
    """Answers with what it understood; a path of `/hold` waits until its client has left."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.left = asyncio.Event()
        self.answer = asyncio.Event()
        self.answer.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.append(scope["path"])
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left.set()
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if scope["path"] == "/hold":
            assert (await receive())["type"] == "http.disconnect"
            self.left.set()
            return
        await self.answer.wait()
        names = b",".join(name for name, _ in scope["headers"])
        said = b"[%s %s %s]" % (scope["path"].encode(), body, names)
        length = str(len(said)).encode()
        start = {"status": 200, "headers": [(b"content-length", length)]}
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": said})


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def until(self, end: bytes) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(end), LIMIT_S)

    async def all(self) -> bytes:
        """Everything until the server closes; a reset is a close."""
        said = b""
        try:
            while piece := await asyncio.wait_for(self.reader.read(65536), LIMIT_S):
                said += piece
        except ConnectionResetError:
            pass
        return said


@asynccontextmanager
async def connected(app: Echo) -> AsyncIterator[Connection]:
    with bind("127.0.0.1", 0) as listener:
        server = HttpServer(app, listener, HttpSettings(1))
        serving = asyncio.create_task(server.serve())
        reader, writer = await asyncio.open_connection(*listener.getsockname()[:2], limit=2**20)
        yield Connection(reader, writer)
        writer.close()
        server.stop()
        await asyncio.wait_for(serving, LIMIT_S)


async def answer_to(request: bytes) -> bytes:
    async with connected(Echo()) as connection:
        connection.send(request)
        return await connection.all()


@pytest.mark.parametrize(
    "request_",
    [
        # whose end two servers in a row could see in different places
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        POST + b"Content-Length: 2, 2\r\n\r\nab",
        POST + b"Content-Length: +2\r\n\r\nab",
        POST + b"Content-Length: -1\r\n\r\nab",
        POST + b"Content-Length: 1 2\r\n\r\nab",
        POST + b"Content-Length: 99999999999999999999999\r\n\r\nab",
        POST + b"Transfer-Encoding: gzip\r\n\r\nabc",
        POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        # chunks
        CHUNKED + b"xyz\r\n",
        CHUNKED + b"-1\r\n\r\n",
        CHUNKED + b"0x1\r\na\r\n0\r\n\r\n",
        CHUNKED + b"fffffffffffffffffffffff\r\na\r\n0\r\n\r\n",
        CHUNKED + b"1\na\n0\n\n",
        CHUNKED + b"1\r\naX0\r\n\r\n",
        CHUNKED + b"1;a\nb\r\na\r\n0\r\n\r\n",
        # lines
        b"GET / HTTP/1.1\nHost: x\n\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rB: c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA B: c\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ],
)
async def test_what_is_ambiguous_is_refused_and_the_connection_closed(request_: bytes) -> None:
    said = await answer_to(request_)
    assert said.startswith(b"HTTP/1.1 400 ")
    assert said.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(
    "flood",
    [
        b"GET /" + b"a" * 1_000_000,
        b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 1_000_000,
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 200_000,
        b"\r\n" * 500_000,
    ],
    ids=["url", "value", "headers", "empty lines"],
)
async def test_a_head_that_does_not_end_is_refused(flood: bytes) -> None:
    app = Echo()
    async with connected(app) as connection:
        connection.send(flood)
        said = await connection.all()
    # a sender who has not stopped may lose the answer with the connection
    assert said == b"" or said.startswith(b"HTTP/1.1 431 ")
    assert app.asked == []


async def test_a_head_that_comes_slowly_and_does_not_end_sees_why_it_is_refused() -> None:
    async with connected(Echo()) as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n")
        for _ in range(MAX_HEAD_BYTES // 1000 + 1):
            connection.send(b"A: " + b"a" * 995 + b"\r\n")
            await connection.writer.drain()
        said = await connection.all()
    assert said.startswith(b"HTTP/1.1 431 ")
    head, _, body = said.partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}".encode() in head


async def test_trailers_that_do_not_end_close_the_connection() -> None:
    app = Echo()
    async with connected(app) as connection:
        connection.send(CHUNKED + b"1\r\na\r\n0\r\n" + b"A: b\r\n" * 200_000)
        await connection.all()
        await asyncio.wait_for(app.left.wait(), LIMIT_S)


async def test_a_trailer_adds_nothing_to_the_head() -> None:
    async with connected(Echo()) as connection:
        connection.send(CHUNKED + b"1\r\na\r\n0\r\nX-Late: 1\r\n\r\n")
        said = await connection.until(b"]")
    assert said.endswith(b"[/0 a host,transfer-encoding]")


async def test_a_body_of_any_length_is_no_head() -> None:
    body = b"a" * (4 * MAX_HEAD_BYTES)
    async with connected(Echo()) as connection:
        for _ in range(2):
            connection.send(POST + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            said = await connection.until(b"]")
            assert said.startswith(b"HTTP/1.1 200 ")
            assert body in said


async def test_requests_in_a_row_are_answered_in_their_order() -> None:
    async with connected(Echo()) as connection:
        connection.send(b"".join(GET % number for number in range(MAX_PIPELINED)))
        for number in range(MAX_PIPELINED):
            assert (await connection.until(b"]")).endswith(b"[/%d  host]" % number)


async def test_more_requests_than_are_kept_close_the_connection() -> None:
    app = Echo()
    app.answer.clear()
    async with connected(app) as connection:
        connection.send(b"".join(GET % number for number in range(1_000)))
        assert await connection.all() == b""
        app.answer.set()
    assert app.asked == ["/0"]


async def test_nonsense_behind_a_request_is_not_its_answer() -> None:
    app = Echo()
    app.answer.clear()
    async with connected(app) as connection:
        connection.send(GET % 0 + b"\x00 nonsense\r\n\r\n")
        assert await connection.all() == b""
        app.answer.set()


@pytest.mark.parametrize("upgrade", [b"", b"Connection: Upgrade\r\nUpgrade: h2c\r\n"])
async def test_what_follows_the_last_request_is_dropped(upgrade: bytes) -> None:
    last = b"GET /0 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + upgrade + b"\r\n"
    said = await answer_to(last + GET % 1)
    assert said.count(b"HTTP/1.1 200 ") == 1
    assert b"[/0 " in said


async def test_who_leaves_with_several_requests_leaves_the_first_one_too() -> None:
    app = Echo()
    async with connected(app) as connection:
        connection.send(b"GET /hold HTTP/1.1\r\nHost: x\r\n\r\n" + GET % 1)
        while not app.asked:
            await asyncio.sleep(0.01)
        connection.writer.close()
        await asyncio.wait_for(app.left.wait(), LIMIT_S)
    assert app.asked == ["/hold"]


@pytest.mark.parametrize(
    "body",
    [b"Content-Length: 3\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"],
)
@pytest.mark.parametrize("pieces", [1, 2])
async def test_a_proposal_of_another_protocol_is_ignored(body: bytes, pieces: int) -> None:
    """As Java's client makes it; what follows the head is this request's body and the next one."""
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    sent = POST + upgrade + body + GET % 1
    middle = len(sent) - len(body + GET) + 25 if pieces == 2 else len(sent)
    async with connected(Echo()) as connection:
        connection.send(sent[:middle])
        await asyncio.sleep(0.05)
        connection.send(sent[middle:])
        assert b"[/0 abc " in await connection.until(b"]")
        assert b"[/1 " in await connection.until(b"]")
        connection.send(GET % 2)
        assert b"[/2 " in await connection.until(b"]")
