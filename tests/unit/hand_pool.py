"""A pool whose every step the test decides, and a dispatcher that runs on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from voxfleet.core import SAMPLE_RATE_HZ, Batch, EngineInfo, Hypothesis, SpooledSegment, WorkClass
from voxfleet.errors import (
    VoxfleetError,
)
from voxfleet.pool_contract import BatchResult, PoolSnapshot, Room, TimeModel
from voxfleet.scheduling.dispatcher import Dispatcher

Answerer = Callable[[Batch], BatchResult]


def heard(batch: Batch) -> BatchResult:
    return BatchResult(tuple(Hypothesis(segment.id) for segment in batch.segments), 0.1)


class HandPool:
    """A pool with one room, given out when the test says so."""

    info = EngineInfo("hand", ("en",), 1.0)

    def __init__(self, answer: Answerer = heard) -> None:
        self.answer = answer
        self.rooms: asyncio.Queue[Room | VoxfleetError] = asyncio.Queue()
        self.batches: list[list[str]] = []
        self.trials: list[bool] = []
        self.released: list[Room] = []

    def offer(self, credit_s: float = 100.0, pace: TimeModel | None = None) -> None:
        self.rooms.put_nowait(Room("w1", credit_s, pace))

    async def start(self) -> None: ...
    async def stop(self) -> None: ...

    async def room(self, avoid: frozenset[str] = frozenset()) -> Room:
        room = await self.rooms.get()
        if isinstance(room, VoxfleetError):
            raise room
        return room

    async def recognise(self, batch: Batch, room: Room) -> BatchResult:
        self.batches.append([segment.id for segment in batch.segments])
        self.trials.append(batch.suspect)
        return self.answer(batch)

    def release(self, room: Room) -> None:
        self.released.append(room)

    def snapshot(self) -> PoolSnapshot:
        return PoolSnapshot("hand", (), None)


def segment(name: str, duration_s: float = 5.0, digest: str = "") -> SpooledSegment:
    return SpooledSegment(name, Path(name), 0.0, int(duration_s * SAMPLE_RATE_HZ), digest=digest)


@asynccontextmanager
async def running(pool: HandPool) -> AsyncIterator[Dispatcher]:
    dispatcher = Dispatcher(pool)
    dispatcher.start()
    yield dispatcher
    await dispatcher.stop()


def ask(dispatcher: Dispatcher, name: str) -> asyncio.Task[Hypothesis]:
    return asyncio.create_task(dispatcher.recognise(segment(name), WorkClass.INTERACTIVE))


async def until_waiting(dispatcher: Dispatcher, count: int) -> None:
    while dispatcher.waiting != count:
        await asyncio.sleep(0)
