"""Ten thousand requests as nobody should send them: no 500, no hang, nothing that grows or is left.

VOXFLEET_FUZZ_REQUESTS is another number of requests, VOXFLEET_FUZZ_SEED makes others. A fault is
told with the number of its request, which `fuzzed_request` makes again.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import struct
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.outsiders.fuzzed_requests import KINDS, Ending, FuzzedRequest, fuzzed_request
from tests.outsiders.outsider_rig import SMALL_CARD, StrangersServer, strangers_server
from tests.outsiders.stranger_sound import CODECS, encoded, noise

#: read when pytest collects, before settings from outside are hidden from the tests
REQUESTS = int(os.environ.get("VOXFLEET_FUZZ_REQUESTS", "10000"))
SEED = int(os.environ.get("VOXFLEET_FUZZ_SEED", "20261124"))
CONNECTIONS = 8
#: for one connection, from its first byte to its end
ANSWER_LIMIT_S = 20
#: requests before memory is measured: caches, imports and pools have their size then
WARM_UP_SHARE = 0.2
MAX_GROWTH_MB = {"gateway": 20, "children": 60}
MAX_MORE_DESCRIPTORS = 5
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


@pytest.fixture(scope="module")
def sounds() -> list[bytes]:
    return [noise(0.3), *(encoded(container) for container in CODECS)]


class Stranger:
    """Sends fuzzed requests to one address and writes down what was wrong with the answers."""

    def __init__(
        self, address: tuple[str, int], sounds: Sequence[bytes], limit_s: float = ANSWER_LIMIT_S
    ) -> None:
        self._address = address
        self._sounds = sounds
        self._limit_s = limit_s
        self.statuses: Counter[int] = Counter()
        self.faults: list[str] = []

    async def send(self, numbers: range) -> None:
        waiting = iter(numbers)
        await asyncio.gather(*(self._work(waiting) for _ in range(CONNECTIONS)))

    async def _work(self, numbers: Iterator[int]) -> None:
        for number in numbers:
            request = fuzzed_request(SEED, number, self._sounds)
            try:
                async with asyncio.timeout(self._limit_s):
                    answer = await self._exchange(request)
            except TimeoutError:
                self.faults.append(f"{number} ({request.kind}): neither answered nor closed")
                continue
            self._judge(request, answer)

    async def _exchange(self, request: FuzzedRequest) -> bytes:
        reader, writer = await asyncio.open_connection(*self._address)
        try:
            # a server that closes early is right to do so
            with suppress(OSError):
                await self._tell(writer, request)
            return await self._hear(reader, request)
        except asyncio.IncompleteReadError as cut:
            return cut.partial
        except ConnectionError:
            return b""
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _tell(self, writer: asyncio.StreamWriter, request: FuzzedRequest) -> None:
        for piece in request.pieces:
            writer.write(piece)
            await writer.drain()
        if request.ending is Ending.HALF:
            writer.write_eof()
        elif request.ending is Ending.RESET:
            at_once = struct.pack("ii", 1, 0)
            connection: socket.socket = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)

    async def _hear(self, reader: asyncio.StreamReader, request: FuzzedRequest) -> bytes:
        if request.ending in (Ending.LEAVE, Ending.RESET):
            return b""
        if request.ending is Ending.HALF:
            return await reader.read(-1)
        # a whole request on a connection that stays open: its head tells where the answer ends
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if length:
            return head + await reader.readexactly(int(length[1]))
        return head + await reader.readuntil(b"0\r\n\r\n")

    def _judge(self, request: FuzzedRequest, answer: bytes) -> None:
        statuses = [int(status) for status in _STATUS.findall(answer)]
        self.statuses.update(statuses)
        if 500 in statuses:
            self.faults.append(f"{request.number} ({request.kind}): {answer[-300:]!r}")
        if request.ending is Ending.WAIT and not statuses:
            self.faults.append(f"{request.number} ({request.kind}): closed without an answer")


def memory_mb(server: StrangersServer) -> dict[str, float]:
    gateway = psutil.Process(server.process.pid)
    children = gateway.children(recursive=True)
    return {
        "gateway": gateway.memory_info().rss / 1e6,
        "children": sum(child.memory_info().rss for child in children) / 1e6,
    }


def descriptors(server: StrangersServer) -> int:
    return psutil.Process(server.process.pid).num_fds()


async def test_nothing_breaks_hangs_or_grows(tmp_path: Path, sounds: list[bytes]) -> None:
    warm_up = int(REQUESTS * WARM_UP_SHARE)
    with strangers_server(tmp_path, SMALL_CARD) as server:
        stranger = Stranger((server.host, server.port), sounds)
        await stranger.send(range(warm_up))
        server.wait_until_idle()
        memory_before, descriptors_before = memory_mb(server), descriptors(server)
        await stranger.send(range(warm_up, REQUESTS))
        server.wait_until_idle()
        grown = {part: now - memory_before[part] for part, now in memory_mb(server).items()}
        sys.stdout.write(f"\n{REQUESTS} requests: {stranger.statuses}, grown by {grown} MB\n")
        assert stranger.faults == []
        # most were understood well enough to be answered, and some to be heard
        assert stranger.statuses[200] > REQUESTS * 0.05
        assert stranger.statuses[400] > REQUESTS * 0.05
        # refused for want of room or of time: what a fault would make of all of them
        refused = sum(stranger.statuses[status] for status in (502, 503, 504))
        assert refused < REQUESTS * 0.05
        assert {part: mb for part, mb in grown.items() if mb > MAX_GROWTH_MB[part]} == {}
        assert descriptors(server) <= descriptors_before + MAX_MORE_DESCRIPTORS
        assert server.left_over() == []
        assert server.faults() == []


def test_a_request_is_made_from_its_number_alone(sounds: list[bytes]) -> None:
    first = [fuzzed_request(SEED, number, sounds) for number in range(300)]
    assert first == [fuzzed_request(SEED, number, sounds) for number in range(300)]
    assert len({request.pieces for request in first}) > 290
    assert {request.kind for request in first} == set(KINDS)


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", "500 Oh"),
        (b"", "neither answered nor closed"),
    ],
)
async def test_a_server_that_breaks_or_hangs_is_found_out(
    sounds: list[bytes], said: bytes, fault: str
) -> None:
    answering: set[asyncio.Task[object]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            answering.add(task)
        writer.write(said)
        if not said:
            # until the stranger has given up
            await reader.read(-1)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as bad:
        stranger = Stranger(bad.sockets[0].getsockname()[:2], sounds, limit_s=0.2)
        await stranger.send(range(30))
        await asyncio.gather(*answering, return_exceptions=True)
    assert any(fault in told for told in stranger.faults)
