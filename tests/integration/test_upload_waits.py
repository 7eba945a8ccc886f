"""How long a client is waited for during its upload, on a real loop with short limits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

import httpx
import pytest
from starlette.types import Message, Receive

from tests.integration.standin_service import TRANSCRIBE, StandInService, digest
from voxfleet.errors import DeadlineError
from voxfleet.gateway.spool_file import SpoolFile, without
from voxfleet.gateway.upload_pace import UploadPace
from voxfleet.gateway.uploads import body_chunks

WINDOW_S = 0.1
LIMIT_S = 10.0


def chunk(body: bytes, *, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def client_of(messages: Iterable[Message]) -> Receive:
    """A client that sends these at once, and then nothing for ever."""
    left = iter(messages)

    async def receive() -> Message:
        for message in left:
            return message
        silence: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        return await silence

    return receive


async def read(receive: Receive, pace: UploadPace, pause_s: float = 0.0) -> int:
    size = 0
    async for piece in body_chunks(receive, pace):
        size += len(piece)
        await asyncio.sleep(pause_s)
    return size


async def test_who_sends_nothing_more_is_given_up_after_the_window() -> None:
    reading = read(client_of([chunk(b"x"), chunk(b"y")]), UploadPace(WINDOW_S, 1000))
    with pytest.raises(DeadlineError, match=r"too slow: 2 bytes came in 0\.1 s"):
        await asyncio.wait_for(reading, LIMIT_S)


async def test_the_reader_s_own_time_is_not_the_client_s() -> None:
    messages = [chunk(b"x"), chunk(b"y"), chunk(b"z", more=False)]
    reading = read(client_of(messages), UploadPace(WINDOW_S, 1000), pause_s=1.5 * WINDOW_S)
    assert await asyncio.wait_for(reading, LIMIT_S) == 3


async def test_silence_after_a_slow_reader_is_still_seen() -> None:
    # the timer rings while nobody waits, and is needed again
    reading = read(client_of([chunk(b"x")]), UploadPace(WINDOW_S, 1000), pause_s=1.5 * WINDOW_S)
    with pytest.raises(DeadlineError):
        await asyncio.wait_for(reading, LIMIT_S)


async def test_a_cancelled_reader_is_cancelled_and_not_late() -> None:
    reading = asyncio.create_task(read(client_of([chunk(b"x")]), UploadPace(LIMIT_S, 1000)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(reading, LIMIT_S)


async def test_a_task_goes_on_after_its_client_was_too_slow() -> None:
    async def twice() -> int:
        with pytest.raises(DeadlineError):
            await read(client_of([]), UploadPace(WINDOW_S, 1000))
        task = asyncio.current_task()
        assert task is not None
        return task.cancelling()

    assert await asyncio.wait_for(asyncio.create_task(twice()), LIMIT_S) == 0


async def test_many_chunks_need_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    armed: list[float] = []
    call_at = loop.call_at

    def noting(when: float, call: Callable[..., object], *args: object) -> asyncio.TimerHandle:
        armed.append(when)
        return call_at(when, call, *args)

    monkeypatch.setattr(loop, "call_at", noting)
    messages = [chunk(b"x")] * 100 + [chunk(b"", more=False)]
    assert await read(client_of(messages), UploadPace(60.0, 1.0)) == 100
    # one, and another where the machine made a chunk wait
    assert len(armed) < 10


async def test_what_is_written_already_wakes_no_thread(
    client: httpx.AsyncClient, service: StandInService, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    write = SpoolFile.write

    def noting(spool: SpoolFile, pieces: list[memoryview]) -> None:
        sizes.append(sum(map(len, pieces)))
        write(spool, pieces)

    monkeypatch.setattr(SpoolFile, "write", noting)
    files = {"file": ("a.wav", bytes(1_000_000))}
    assert (await client.post(TRANSCRIBE, files=files)).status_code == 200
    assert sizes == [1_000_000]


async def test_a_body_of_crumbs_is_kept_whole_and_no_crumb_for_long(
    client: httpx.AsyncClient, service: StandInService, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces_at_once: list[int] = []
    write = SpoolFile.write

    def noting(spool: SpoolFile, pieces: list[memoryview]) -> None:
        pieces_at_once.append(len(pieces))
        write(spool, pieces)

    async def crumbs() -> AsyncIterator[bytes]:
        for place in range(len(body)):
            yield body[place : place + 1]

    sound = bytes(place % 251 for place in range(3_000))
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    body = head + sound + b"\r\n--b--\r\n"
    monkeypatch.setattr(SpoolFile, "write", noting)
    kind = {"content-type": "multipart/form-data; boundary=b"}
    answer = await client.post(TRANSCRIBE, content=crumbs(), headers=kind)
    assert answer.status_code == 200
    assert service.heard == [digest(sound)]
    assert max(pieces_at_once) <= 1024
    assert len(pieces_at_once) > 1


@pytest.mark.parametrize(
    ("written", "left"),
    [
        (0, [b"ab", b"c", b"def"]),
        (1, [b"b", b"c", b"def"]),
        (2, [b"c", b"def"]),
        (5, [b"f"]),
        (6, []),
    ],
)
def test_what_the_kernel_did_not_take_is_left(written: int, left: list[bytes]) -> None:
    pieces = [memoryview(piece) for piece in (b"ab", b"c", b"def")]
    assert [bytes(piece) for piece in without(pieces, written)] == left
