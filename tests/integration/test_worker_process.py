"""A worker process seen from its socket: heartbeats all its life, its last words, how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from tests.integration.media_rig import LIMIT_S
from voxfleet.core import RecognitionOptions
from voxfleet.engines.catalog import EngineOptions
from voxfleet.engines.fake_options import FakeOptions
from voxfleet.engines.text_catalog import TextEngineOptions
from voxfleet.wire.channel import GarbledMessageError, Hub
from voxfleet.wire.child_process import ChildProcess
from voxfleet.wire.heartbeat import BEAT_EVERY_S
from voxfleet.wire.messages import (
    FromChild,
    Heartbeat,
    Recognise,
    Recognised,
    SegmentOrder,
    StartFailed,
    Stop,
    TextWorkerReady,
    WorkerReady,
)
from voxfleet.worker_process import DEVICE_FAULT_STATUS, START_FAILED_STATUS

NAME = "w0"
#: two seconds are what it would take to give up on words that nobody takes
AT_ONCE_S = 1.5


class Rig:
    """One worker process and the hub that it dialled."""

    def __init__(self, hub: Hub, process: ChildProcess) -> None:
        self.hub = hub
        self.process = process
        self.beats: list[int] = []

    async def message(self, limit_s: float = LIMIT_S) -> FromChild:
        name, message = await asyncio.wait_for(self.hub.receive(), limit_s)
        assert name == NAME
        if isinstance(message, Heartbeat):
            self.beats.append(message.progress)
        return message

    async def heard(self) -> FromChild:
        """The next word that is no heartbeat."""
        while isinstance(message := await self.message(), Heartbeat):
            pass
        return message

    async def beat(self) -> int:
        """The progress in the next message, which is a heartbeat."""
        message = await self.message()
        assert isinstance(message, Heartbeat)
        return message.progress

    async def all_that_lies_there(self) -> list[FromChild]:
        found = []
        while True:
            try:
                found.append(await self.message(limit_s=0.2))
            except TimeoutError:
                return found


@asynccontextmanager
async def started(folder: Path, module: str, settings: object) -> AsyncIterator[Rig]:
    hub = Hub(folder / "socket")
    arguments = (hub.address, NAME, msgspec.json.encode(settings).decode())
    process = await ChildProcess.start(module, arguments, log_path=folder / "log")
    try:
        yield Rig(hub, process)
    finally:
        process.kill()
        await process.wait(LIMIT_S)
        hub.close()


@asynccontextmanager
async def worker(folder: Path, fake: FakeOptions) -> AsyncIterator[Rig]:
    async with started(folder, "voxfleet.worker", EngineOptions("fake", fake=fake)) as rig:
        yield rig


@asynccontextmanager
async def ready_worker(folder: Path, fake: FakeOptions) -> AsyncIterator[Rig]:
    async with worker(folder, fake) as rig:
        assert isinstance(await rig.heard(), WorkerReady)
        yield rig


def work(folder: Path) -> Recognise:
    path = folder / "s.pcm"
    path.write_bytes(b"\x01\x00" * 8_000)
    return Recognise("b1", (SegmentOrder("s", str(path), 0.0, RecognitionOptions()),))


async def test_it_beats_while_it_loads_and_then_says_that_it_is_ready(tmp_path: Path) -> None:
    async with worker(tmp_path, FakeOptions(load_s=2.5 * BEAT_EVERY_S)) as rig:
        assert isinstance(await rig.heard(), WorkerReady)
        assert rig.beats == [0, 0, 0]


async def test_a_batch_is_progress_and_told_to_stop_it_ends_at_once(tmp_path: Path) -> None:
    async with ready_worker(tmp_path, FakeOptions()) as rig:
        await rig.hub.send(NAME, work(tmp_path))
        assert isinstance(await rig.heard(), Recognised)
        assert set(rig.beats) == {0}
        assert await rig.beat() > 0
        await rig.hub.send(NAME, Stop())
        assert await rig.process.wait(AT_ONCE_S) == 0


async def test_a_slow_batch_shows_progress_and_a_hung_one_only_life(tmp_path: Path) -> None:
    async with ready_worker(tmp_path, FakeOptions(fixed_s=0.4, fault="slow@1,hang@2")) as rig:
        await rig.hub.send(NAME, work(tmp_path))
        slow = [await rig.beat() for _ in range(3)]
        assert slow == sorted(set(slow))
        assert isinstance(await rig.heard(), Recognised)
        await rig.hub.send(NAME, work(tmp_path))
        hung = [await rig.beat() for _ in range(4)]
        # the first may have been on its way before
        assert len(set(hung[1:])) == 1


async def test_a_stopped_process_is_silent_until_it_goes_on(tmp_path: Path) -> None:
    async with ready_worker(tmp_path, FakeOptions()) as rig:
        os.kill(rig.process.pid, signal.SIGSTOP)
        await rig.all_that_lies_there()
        with pytest.raises(TimeoutError):
            await rig.message(limit_s=2.5 * BEAT_EVERY_S)
        os.kill(rig.process.pid, signal.SIGCONT)
        await rig.beat()


async def test_a_lost_device_ends_the_process_without_a_word(tmp_path: Path) -> None:
    async with ready_worker(tmp_path, FakeOptions(fault="device")) as rig:
        await rig.hub.send(NAME, work(tmp_path))
        assert await rig.process.wait(LIMIT_S) == DEVICE_FAULT_STATUS
        said = await rig.all_that_lies_there()
        assert [message for message in said if not isinstance(message, Heartbeat)] == []
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert "told that its device is lost" in line


@pytest.mark.parametrize(("fault", "status"), [("crash", 70), ("exit", 0)])
async def test_a_process_that_ends_in_a_batch_says_nothing(
    tmp_path: Path, fault: str, status: int
) -> None:
    async with ready_worker(tmp_path, FakeOptions(fault=fault)) as rig:
        await rig.hub.send(NAME, work(tmp_path))
        assert await rig.process.wait(LIMIT_S) == status
        assert set(map(type, await rig.all_that_lies_there())) <= {Heartbeat}


async def test_a_process_may_end_or_hang_while_it_loads(tmp_path: Path) -> None:
    async with worker(tmp_path, FakeOptions(fault="load_exit")) as rig:
        assert await rig.process.wait(LIMIT_S) == 70
        assert set(map(type, await rig.all_that_lies_there())) <= {Heartbeat}
    async with worker(tmp_path, FakeOptions(fault="load_hang")) as rig:
        assert [await rig.beat() for _ in range(3)] == [0, 0, 0]


async def test_why_it_cannot_load_is_its_last_word(tmp_path: Path) -> None:
    async with worker(tmp_path, FakeOptions(fault="load")) as rig:
        message = await rig.heard()
        assert isinstance(message, StartFailed)
        assert "told not to load" in message.failure.message
        assert await rig.process.wait(AT_ONCE_S) == START_FAILED_STATUS


async def test_a_corrupt_answer_is_no_message(tmp_path: Path) -> None:
    async with ready_worker(tmp_path, FakeOptions(fault="corrupt@1")) as rig:
        await rig.hub.send(NAME, work(tmp_path))
        with pytest.raises(GarbledMessageError, match=NAME):
            await rig.heard()
        await rig.hub.send(NAME, work(tmp_path))
        assert isinstance(await rig.heard(), Recognised)


async def test_halves_fit_where_a_whole_batch_does_not(tmp_path: Path) -> None:
    async with ready_worker(tmp_path, FakeOptions(out_of_memory_above_s=0.5)) as rig:
        (order,) = work(tmp_path).segments
        await rig.hub.send(NAME, Recognise("b1", (order,) * 4))
        answer = await rig.heard()
        assert isinstance(answer, Recognised)
        assert [bool(found.hypothesis) for found in answer.answers] == [True] * 4
        assert answer.out_of_memory == 3


async def test_a_text_worker_beats_too(tmp_path: Path) -> None:
    async with started(tmp_path, "voxfleet.text_worker", TextEngineOptions()) as rig:
        assert await rig.heard() == TextWorkerReady(())
        assert await rig.beat() == 0
        await rig.hub.send(NAME, Stop())
        assert await rig.process.wait(AT_ONCE_S) == 0
