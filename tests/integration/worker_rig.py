"""What tests of engines and worker pools need: made sound, spooled segments, running pools."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxfleet.core import (
    SAMPLE_RATE_HZ,
    Batch,
    Hypothesis,
    RecognitionOptions,
    Segment,
    SpooledSegment,
    Waveform,
)
from voxfleet.engines.catalog import EngineOptions
from voxfleet.engines.fake_options import FakeOptions
from voxfleet.fleet.local_pool import LocalPool, LocalPoolSettings
from voxfleet.fleet.worker_slot import RestartPolicy
from voxfleet.fleet.worker_spec import WorkerSpec
from voxfleet.pool_contract import BatchResult, WorkerPool, WorkerSnapshot

LIMIT_S = 30.0


def noise(seconds: float, seed: int = 1) -> NDArray[np.int16]:
    source = np.random.default_rng(seed)
    return source.integers(-3000, 3000, round(seconds * SAMPLE_RATE_HZ)).astype(np.int16)


def segment(
    samples: NDArray[np.int16], name: str = "s", options: RecognitionOptions | None = None
) -> Segment:
    return Segment(name, Waveform(samples), options or RecognitionOptions())


def spool(
    folder: Path, samples: NDArray[np.int16], name: str = "s", hotwords: tuple[str, ...] = ()
) -> SpooledSegment:
    path = folder / f"{name}.pcm"
    path.write_bytes(samples.astype("<i2").tobytes())
    options = RecognitionOptions(hotwords=hotwords)
    return SpooledSegment(name, path, 0.0, len(samples), options=options)


def texts(result: BatchResult) -> list[str]:
    return [item.text if isinstance(item, Hypothesis) else item.code for item in result.results]


async def recognise(pool: WorkerPool, *segments: SpooledSegment) -> BatchResult:
    """One batch from waiting for room to its answer, within a limit."""
    async with asyncio.timeout(LIMIT_S):
        return await pool.recognise(Batch("b", segments), await pool.room())


@dataclass(frozen=True)
class PoolRig:
    pool: LocalPool
    folder: Path

    def row(self, number: int = 0) -> WorkerSnapshot:
        return self.pool.snapshot().workers[number]

    def pid(self, number: int = 0) -> int:
        pid = self.row(number).pid
        assert pid is not None
        return pid


def worker_spec(
    number: int, model: str = "fake", fake: FakeOptions | None = None, device_key: str = ""
) -> WorkerSpec:
    options = EngineOptions(model, fake=fake or FakeOptions())
    return WorkerSpec(f"{model}-{number}", model, options, device_key=device_key)


@asynccontextmanager
async def local_pool(
    fake: FakeOptions | None = None,
    *,
    model: str = "fake",
    instances: int = 1,
    hung_after_s: float = LIMIT_S,
    silence_limit_s: float = LIMIT_S,
    start_timeout_s: float = LIMIT_S,
    stop_grace_s: float = 2.0,
    restarts: RestartPolicy | None = None,
    started: bool = True,
    device_key: str = "",
    on_device_fault: Callable[[str, str], None] = lambda _key, _worker: None,
) -> AsyncIterator[PoolRig]:
    """A pool of real processes; its folder is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="vox-") as scratch:
        folder = Path(scratch)
        settings = LocalPoolSettings(
            log_dir=folder,
            start_timeout_s=start_timeout_s,
            min_batch_timeout_s=hung_after_s,
            silence_limit_s=silence_limit_s,
            stop_grace_s=stop_grace_s,
            restarts=restarts or RestartPolicy(),
        )
        specs = [worker_spec(number, model, fake, device_key) for number in range(instances)]
        pool = LocalPool(model, specs, folder / "workers", settings, on_device_fault)
        try:
            if started:
                await pool.start()
            yield PoolRig(pool, folder)
        finally:
            await pool.stop()
