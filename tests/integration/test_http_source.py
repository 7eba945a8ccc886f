"""A file over HTTP: fetched whole or not at all, from allowed places, in bounded time and size."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.integration.webhook_receiver import Receiver, receiving, status
from voxfleet.errors import (
    AudioTooLargeError,
    NotFoundError,
    OverloadError,
    PermissionDeniedError,
    RequestError,
    VoxfleetError,
)
from voxfleet.jobs.http_source import HttpSource
from voxfleet.jobs.scratch_copy import scratch_copy
from voxfleet.jobs.source_rules import SourceRules

LOCAL = ("127.0.0.0/8",)
NAME = "talk.wav"


def sound(body: bytes, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def a_source(
    *places: str,
    timeout_s: float = 5,
    allowed_networks: tuple[str, ...] = LOCAL,
    clock: Callable[[], float] = lambda: 0.0,
) -> AsyncIterator[HttpSource]:
    source = HttpSource(SourceRules(places), allowed_networks, timeout_s, clock)
    try:
        yield source
    finally:
        await source.close()


async def fetched(source: HttpSource, url: str, folder: Path, max_bytes: int = 1000) -> bytes:
    try:
        async with scratch_copy(folder, NAME, max_bytes) as copy:
            await source.fetch(url, copy)
            assert copy.path.stat().st_mode & 0o777 == 0o600
            return copy.path.read_bytes()
    finally:
        assert left_in(folder) == []


def left_in(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.exists() else []


async def refused(source: HttpSource, url: str, folder: Path) -> VoxfleetError:
    with pytest.raises(VoxfleetError) as raised:
        await fetched(source, url, folder)
    assert NAME in raised.value.message
    assert "\n" not in raised.value.message
    return raised.value


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"


@pytest.mark.parametrize("size_bytes", [0, 1, 999, 3_000_001])
async def test_a_file_is_fetched_whole(scratch: Path, size_bytes: int) -> None:
    body = bytes(itertools.islice(itertools.cycle(range(251)), size_bytes))
    async with receiving(sound(body)) as receiver, a_source(receiver.url(path="/in")) as source:
        url = receiver.url(path="/in/a.wav?signature=x%2Fy")
        assert await fetched(source, url, scratch, 4_000_000) == body
    assert receiver.received[0].path == "/in/a.wav?signature=x%2Fy"
    assert receiver.received[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("code", "kind", "retryable"),
    [
        (400, RequestError, False),
        (401, PermissionDeniedError, False),
        (403, PermissionDeniedError, False),
        (404, NotFoundError, False),
        (410, NotFoundError, False),
        (204, RequestError, False),
        (206, RequestError, False),
        (304, RequestError, False),
        (408, OverloadError, True),
        (429, OverloadError, True),
        (500, OverloadError, True),
        (503, OverloadError, True),
    ],
)
async def test_a_status_says_whether_it_may_pass(
    scratch: Path, code: int, kind: type[VoxfleetError], retryable: bool
) -> None:
    async with receiving(status(code)) as receiver, a_source(receiver.url(path="/")) as source:
        fault = await refused(source, receiver.url(path="/a.wav?hidden"), scratch)
    assert type(fault) is kind
    assert fault.retryable is retryable
    assert "hidden" not in fault.message
    if kind is RequestError:
        assert str(code) in fault.message


@pytest.mark.parametrize(
    ("asked", "waits_s"),
    [("17", 17), ("99999999", 3600), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-1", None)],
)
async def test_a_host_may_ask_for_time(scratch: Path, asked: str, waits_s: float | None) -> None:
    answer = status(503, f"retry-after: {asked}")
    async with receiving(answer) as receiver, a_source(receiver.url(path="/")) as source:
        assert (await refused(source, receiver.url(), scratch)).retry_after_s == waits_s


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_a_redirect_inside_is_followed(scratch: Path, code: int) -> None:
    answers = status(code, "location: b.wav"), sound(b"sound")
    async with receiving(*answers) as receiver, a_source(receiver.url(path="/in")) as source:
        assert await fetched(source, receiver.url(path="/in/a.wav"), scratch) == b"sound"
    assert [request.path for request in receiver.received] == ["/in/a.wav", "/in/b.wav"]


@pytest.mark.parametrize(
    "location",
    [
        "/out/b.wav",
        "../out/b.wav",
        "/in/%2e%2e/out/b.wav",
        "http://127.0.0.2/in/b.wav",
        "//evil.example/in/b.wav",
        "file:///etc/passwd",
        "s3://bucket/in/b.wav",
        "/srv/in/b.wav",
        "http://user@127.0.0.1/in/b.wav",
        "http://[",
        "",
    ],
)
async def test_a_redirect_elsewhere_is_not(scratch: Path, location: str) -> None:
    answers = status(302, f"location: {location}"), status(302, "location: /out/c.wav")
    async with (
        receiving(*answers) as receiver,
        a_source(receiver.url(path="/in"), "s3://bucket", "/srv/in") as source,
    ):
        fault = await refused(source, receiver.url(path="/in/a.wav"), scratch)
    assert not any(request.path.startswith("/out") for request in receiver.received)
    assert type(fault) is RequestError
    assert "redirects" in fault.message


async def test_a_circle_of_redirects_ends(scratch: Path) -> None:
    answer = status(302, "location: /in/a.wav")
    async with receiving(answer) as receiver, a_source(receiver.url(path="/in")) as source:
        fault = await refused(source, receiver.url(path="/in/a.wav"), scratch)
    assert (type(fault), len(receiver.received)) == (RequestError, 6)
    assert "redirects more than 5 times" in fault.message


async def test_a_host_that_became_private_is_refused(scratch: Path) -> None:
    async with (
        receiving(sound(b"")) as receiver,
        a_source(receiver.url(path="/"), allowed_networks=()) as source,
    ):
        with pytest.raises(PermissionDeniedError, match=r"webhooks\.allowed_networks"):
            await fetched(source, receiver.url(), scratch)
    assert receiver.connections == 0


async def test_a_file_that_says_it_is_too_large_is_not_fetched(scratch: Path) -> None:
    async with receiving(sound(b"x" * 1001)) as receiver, a_source(receiver.url(path="/")) as it:
        assert type(await refused(it, receiver.url(), scratch)) is AudioTooLargeError


async def test_a_file_without_end_is_cut_off(scratch: Path) -> None:
    """Refused after a little more than the limit, and nothing of it stays."""
    head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"
    async with (
        receiving(head, endless=b"x" * 100_000) as receiver,
        a_source(receiver.url(path="/")) as source,
    ):
        with pytest.raises(AudioTooLargeError, match=r"server\.max_upload_mb"):
            await fetched(source, receiver.url(), scratch, 5_000_000)
        assert receiver.sent_bytes < 20_000_000


async def test_a_packed_file_is_refused(scratch: Path) -> None:
    answer = sound(b"\x1f\x8b", "content-encoding: gzip")
    async with receiving(answer) as receiver, a_source(receiver.url(path="/")) as source:
        assert type(await refused(source, receiver.url(), scratch)) is RequestError


async def test_a_host_that_trickles_is_left(scratch: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n"
    ticks = itertools.count()
    async with (
        receiving(head, endless=b"x", pause_s=0.001) as receiver,
        a_source(receiver.url(path="/"), clock=lambda: next(ticks) * 10.0) as source,
    ):
        fault = await refused(source, receiver.url(), scratch)
    assert (type(fault), fault.retryable) == (OverloadError, True)
    assert "bytes a second" in fault.message


async def test_a_host_that_is_silent_is_left(scratch: Path) -> None:
    async with receiving(None) as receiver, a_source(receiver.url(path="/"), timeout_s=0.2) as it:
        fault = await refused(it, receiver.url(), scratch)
    assert (type(fault), fault.retryable) == (OverloadError, True)


async def test_a_host_that_is_not_there_may_be_later(scratch: Path) -> None:
    async with receiving() as receiver:
        url = receiver.url(path="/a.wav")
    async with a_source(url) as source:
        assert (await refused(source, url, scratch)).retryable


@pytest.mark.parametrize("answer", [b"garbage\r\n\r\n", b"", sound(b"x" * 900)[:-1]])
async def test_an_answer_that_breaks_off_is_no_file(scratch: Path, answer: bytes) -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(once, "127.0.0.1", 0)
    url = Receiver(port=server.sockets[0].getsockname()[1]).url(path="/a.wav")
    async with server, a_source(url) as source:
        fault = await refused(source, url, scratch)
    assert (type(fault), fault.retryable) == (OverloadError, True)


async def test_whoever_leaves_takes_the_copy_along(scratch: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"
    async with (
        receiving(head, endless=b"x" * 100_000, pause_s=0.001) as receiver,
        a_source(receiver.url(path="/")) as source,
    ):
        task = asyncio.create_task(fetched(source, receiver.url(), scratch, 1 << 40))
        async with asyncio.timeout(10):
            while not left_in(scratch):
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert left_in(scratch) == []
