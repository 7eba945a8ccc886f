"""A pool of real worker processes with the `fake` engine, and made segments to feed it with.

Records every batch that travels. Knows the pool's contract; measures nothing by itself.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np

from voxfleet.core import SAMPLE_RATE_HZ, Batch, EngineInfo, SpooledSegment
from voxfleet.engines.catalog import EngineOptions
from voxfleet.engines.fake_options import FakeOptions
from voxfleet.fleet.local_pool import LocalPool, LocalPoolSettings
from voxfleet.fleet.worker_spec import WorkerSpec
from voxfleet.pool_contract import BatchResult, PoolSnapshot, Room, WorkerState
from voxfleet.scheduling.dispatcher import Dispatcher

SEED = 4
#: sound is made in lengths that are multiples of this
STEP_S = 0.1
_START_LIMIT_S = 120.0
_LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class Travelled:
    """One batch that was answered; `backlog` is how many waited when it was formed, it included."""

    ended_s: float
    segments: int
    audio_s: float
    padded_s: float
    credit_s: float
    backlog: int
    compute_s: float


class RecordingPool:
    """A LocalPool whose batches are written down; `backlog` says how many still wait."""

    def __init__(self, pool: LocalPool) -> None:
        self._pool = pool
        self.dispatcher: Dispatcher | None = None
        self.travelled: list[Travelled] = []

    @property
    def info(self) -> EngineInfo:
        return self._pool.info

    async def start(self) -> None:
        await self._pool.start()

    async def stop(self) -> None:
        await self._pool.stop()

    async def room(self, avoid: frozenset[str] = frozenset()) -> Room:
        return await self._pool.room(avoid)

    def release(self, room: Room) -> None:
        self._pool.release(room)

    def snapshot(self) -> PoolSnapshot:
        return self._pool.snapshot()

    async def recognise(self, batch: Batch, room: Room) -> BatchResult:
        waiting = self.dispatcher.waiting if self.dispatcher else 0
        result = await self._pool.recognise(batch, room)
        self.travelled.append(
            Travelled(
                ended_s=asyncio.get_running_loop().time(),
                segments=len(batch.segments),
                audio_s=sum(segment.duration_s for segment in batch.segments),
                padded_s=batch.padded_s,
                credit_s=room.credit_s,
                backlog=waiting + len(batch.segments),
                compute_s=result.compute_s,
            )
        )
        return result


class MadeSound:
    """Noise of every length, each in a file of its own, and any number of segments of it.

    Segments of one length share a file: nobody here deletes it.
    """

    def __init__(self, folder: Path, least_s: float, most_s: float) -> None:
        self._paths: dict[int, Path] = {}
        self._numbers = count(1)
        most = np.random.default_rng(SEED).integers(-3000, 3000, round(most_s * SAMPLE_RATE_HZ))
        sound = most.astype("<i2").tobytes()
        for steps in range(round(least_s / STEP_S), round(most_s / STEP_S) + 1):
            path = folder / f"{steps}.pcm"
            path.write_bytes(sound[: 2 * _samples(steps)])
            self._paths[steps] = path

    def segment(self, duration_s: float) -> SpooledSegment:
        steps = min(max(round(duration_s / STEP_S), min(self._paths)), max(self._paths))
        return SpooledSegment(
            f"s{next(self._numbers)}",
            self._paths[steps],
            0.0,
            _samples(steps),
            digest=f"{steps:032x}",
        )


def _samples(steps: int) -> int:
    return round(steps * STEP_S * SAMPLE_RATE_HZ)


@dataclass(frozen=True, slots=True)
class Rig:
    pool: RecordingPool
    dispatcher: Dispatcher
    sound: MadeSound

    @property
    def travelled(self) -> Sequence[Travelled]:
        return self.pool.travelled

    def worker_pids(self) -> list[int]:
        return [row.pid for row in self.pool.snapshot().workers if row.pid is not None]


@asynccontextmanager
async def fleet_rig(
    workers: int, fake: FakeOptions, least_s: float, most_s: float
) -> AsyncIterator[Rig]:
    """All workers are ready when it is given."""
    with tempfile.TemporaryDirectory(prefix="vox-") as scratch:
        folder = Path(scratch)
        sound = MadeSound(folder, least_s, most_s)
        options = EngineOptions("fake", fake=fake)
        specs = [WorkerSpec(f"fake-{number}", "fake", options) for number in range(workers)]
        settings = LocalPoolSettings(log_dir=folder, silence_limit_s=_START_LIMIT_S)
        pool = RecordingPool(LocalPool("fake", specs, folder / "workers", settings))
        dispatcher = Dispatcher(pool)
        pool.dispatcher = dispatcher
        await pool.start()
        try:
            await _all_ready(pool)
            dispatcher.start()
            yield Rig(pool, dispatcher, sound)
        finally:
            await dispatcher.stop()
            await pool.stop()


async def _all_ready(pool: RecordingPool) -> None:
    async with asyncio.timeout(_START_LIMIT_S):
        # no pool says that its last worker is ready
        while any(row.state is not WorkerState.READY for row in pool.snapshot().workers):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)
