"""What every worker pool promises, asked of each with the fake engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.integration.worker_rig import (
    LIMIT_S,
    local_pool,
    noise,
    recognise,
    segment,
    spool,
    texts,
)
from voxfleet.core import Batch
from voxfleet.engines.catalog import EngineOptions
from voxfleet.engines.fake import FakeEngine, hear
from voxfleet.engines.fake_options import FakeOptions
from voxfleet.errors import NotReadyError, StartError, WorkerLostError
from voxfleet.fleet.in_process_pool import InProcessPool
from voxfleet.pool_contract import Room, WorkerPool, WorkerState

POOLS = ("local", "in-process")


@asynccontextmanager
async def running(kind: str, fake: FakeOptions | None = None) -> AsyncIterator[WorkerPool]:
    if kind == "local":
        async with local_pool(fake) as rig:
            yield rig.pool
        return
    pool = InProcessPool(FakeEngine(EngineOptions("fake", fake=fake or FakeOptions())))
    try:
        await pool.start()
        yield pool
    finally:
        await pool.stop()


@pytest.fixture(params=POOLS)
async def pool(request: pytest.FixtureRequest) -> AsyncIterator[WorkerPool]:
    async with running(request.param) as made:
        yield made


async def test_answers_each_segment_in_order(pool: WorkerPool, tmp_path: Path) -> None:
    sounds = [noise(1.0 + seed / 2, seed) for seed in range(4)]
    segments = [spool(tmp_path, sound, f"s{i}") for i, sound in enumerate(sounds)]
    result = await recognise(pool, *segments)
    assert texts(result) == [hear(segment(sound)).text for sound in sounds]
    assert result.compute_s >= 0


async def test_words_and_options_cross_whole(pool: WorkerPool, tmp_path: Path) -> None:
    wanted = spool(tmp_path, noise(10.0), hotwords=("Zhou",))
    result = await recognise(pool, wanted)
    assert result.results == (hear(segment(noise(10.0), options=wanted.options)),)


async def test_a_broken_spool_file_fails_only_its_own_segment(
    pool: WorkerPool, tmp_path: Path
) -> None:
    good = spool(tmp_path, noise(1.0), "good")
    gone = spool(tmp_path, noise(1.0), "gone")
    gone.path.unlink()
    odd = spool(tmp_path, noise(1.0), "odd")
    odd.path.write_bytes(b"abc")
    empty = spool(tmp_path, np.empty(0, np.int16), "empty")
    result = await recognise(pool, gone, good, odd, empty)
    text = hear(segment(noise(1.0))).text
    assert texts(result) == ["engine_fault", text, "engine_fault", ""]


async def test_one_room_at_a_time_in_order(pool: WorkerPool) -> None:
    room = await pool.room()
    assert room.credit_s >= 30.0
    waiting = [asyncio.create_task(pool.room()) for _ in range(2)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting[0].done()
    pool.release(room)
    pool.release(await asyncio.wait_for(waiting[0], LIMIT_S))
    pool.release(await asyncio.wait_for(waiting[1], LIMIT_S))


async def test_a_room_can_be_used_once(pool: WorkerPool, tmp_path: Path) -> None:
    room = await pool.room()
    batch = Batch("b", (spool(tmp_path, noise(1.0)),))
    await pool.recognise(batch, room)
    with pytest.raises(WorkerLostError):
        await pool.recognise(batch, room)


async def test_a_room_nobody_promised_is_refused(pool: WorkerPool) -> None:
    with pytest.raises(WorkerLostError):
        await pool.recognise(Batch("b", ()), Room("nobody", 30.0))


async def test_a_caller_who_leaves_breaks_nothing(pool: WorkerPool, tmp_path: Path) -> None:
    segments = [spool(tmp_path, noise(1.0))]
    room = await pool.room()
    leaving = asyncio.create_task(pool.recognise(Batch("left", tuple(segments)), room))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert leaving.cancelled()
    assert texts(await recognise(pool, *segments)) == [hear(segment(noise(1.0))).text]


async def test_the_snapshot_tells_state_and_measured_rate(pool: WorkerPool, tmp_path: Path) -> None:
    before = pool.snapshot()
    assert (before.ready, before.rate, before.model) == (True, None, "fake")
    await recognise(pool, spool(tmp_path, noise(1.0)))
    after = pool.snapshot()
    (row,) = after.workers
    assert (row.state, row.busy, row.restarts) == (WorkerState.READY, False, 0)
    assert after.rate is not None
    assert after.rate > 0


@pytest.mark.parametrize("kind", POOLS)
async def test_an_engine_that_fails_is_an_answer(kind: str, tmp_path: Path) -> None:
    faults = FakeOptions(fault="broken@bad,error@wrong,out_of_memory@big,garbage@odd")
    segments = [
        spool(tmp_path, noise(1.0), name, hotwords=(name,))
        for name in ("good", "bad", "wrong", "big", "odd")
    ]
    async with running(kind, faults) as pool:
        good, *others = texts(await recognise(pool, *segments))
        assert good == hear(segment(noise(1.0), options=segments[0].options)).text
        assert others == ["engine_fault", "recognition_failed", "engine_fault", "engine_fault"]
        assert pool.snapshot().ready


@pytest.mark.parametrize("kind", POOLS)
async def test_an_answer_too_few_costs_only_whom_it_comes_with(kind: str, tmp_path: Path) -> None:
    async with running(kind, FakeOptions(fault="wrong_count@bad")) as pool:
        hotwords = {"a": (), "b": ("bad",), "c": ()}
        segments = [spool(tmp_path, noise(1.0), n, hotwords=w) for n, w in hotwords.items()]
        text = hear(segment(noise(1.0))).text
        assert texts(await recognise(pool, *segments)) == [text, "engine_fault", text]


@pytest.mark.parametrize("kind", POOLS)
async def test_stopping_tells_who_waits_and_what_is_in_work(kind: str, tmp_path: Path) -> None:
    async with running(kind, FakeOptions(fixed_s=0.5)) as pool:
        room = await pool.room()
        waiting = asyncio.create_task(pool.room())
        batch = Batch("b", (spool(tmp_path, noise(1.0)),))
        working = asyncio.create_task(pool.recognise(batch, room))
        await asyncio.sleep(0)
        await asyncio.wait_for(pool.stop(), LIMIT_S)
        for task in (waiting, working):
            with pytest.raises(NotReadyError, match="stopping"):
                await asyncio.wait_for(task, LIMIT_S)
        with pytest.raises(NotReadyError):
            await pool.room()


@pytest.mark.parametrize("kind", POOLS)
async def test_a_model_that_cannot_be_loaded_says_why(kind: str) -> None:
    with pytest.raises(StartError, match="told not to load"):
        async with running(kind, FakeOptions(fault="load")):
            pytest.fail("it started")
