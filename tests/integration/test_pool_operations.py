"""What an operator does to running workers: restart, drain, add, remove; no batch is lost by it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psutil
import pytest

from tests.integration.media_rig import until
from tests.integration.worker_rig import (
    LIMIT_S,
    PoolRig,
    local_pool,
    noise,
    recognise,
    segment,
    spool,
    texts,
    worker_spec,
)
from voxfleet.core import Batch
from voxfleet.engines.fake import hear
from voxfleet.engines.fake_options import FakeOptions
from voxfleet.errors import NotFoundError, NotReadyError
from voxfleet.pool_contract import BatchResult, WorkerState

SOUND = noise(1.0)
TEXT = hear(segment(SOUND)).text
SLOW = FakeOptions(fixed_s=0.5)


async def working(rig: PoolRig, folder: Path) -> asyncio.Task[BatchResult]:
    """A batch that is being computed."""
    task = asyncio.create_task(recognise(rig.pool, spool(folder, SOUND, "held")))
    await until(lambda: any(row.busy for row in rig.pool.snapshot().workers))
    return task


async def test_a_restart_waits_for_the_batch_and_a_new_process_serves(tmp_path: Path) -> None:
    async with local_pool(SLOW) as rig:
        first = rig.pid()
        held = await working(rig, tmp_path)
        rig.pool.restart("fake-0", "asked to by a test")
        assert (rig.row().state, rig.row().reason) == (WorkerState.DRAINING, "asked to by a test")
        waiting = asyncio.create_task(recognise(rig.pool, spool(tmp_path, SOUND, "next")))
        assert texts(await held) == [TEXT]
        assert texts(await waiting) == [TEXT]
        assert rig.pid() != first
        assert (rig.row().restarts, rig.row().last_error) == (1, "")


async def test_a_restart_while_it_loads_starts_loading_anew() -> None:
    async with local_pool(FakeOptions(load_s=0.5), instances=2) as rig:
        await until(lambda: all(r.state is WorkerState.READY for r in rig.pool.snapshot().workers))
        rig.pool.restart("fake-0", "once")

        def loads() -> bool:
            row = next(r for r in rig.pool.snapshot().workers if r.id == "fake-0")
            return row.restarts == 1 and row.state is WorkerState.STARTING and row.pid is not None

        await until(loads)
        rig.pool.restart("fake-0", "again")
        await until(lambda: all(r.state is WorkerState.READY for r in rig.pool.snapshot().workers))
        restarts = {r.id: r.restarts for r in rig.pool.snapshot().workers}
        assert restarts == {"fake-0": 2, "fake-1": 0}


async def test_a_drained_worker_stays_away_until_it_is_restarted(tmp_path: Path) -> None:
    async with local_pool(SLOW, instances=2) as rig:
        await until(lambda: all(row.pid for row in rig.pool.snapshot().workers))
        held = await working(rig, tmp_path)
        busy = next(row for row in rig.pool.snapshot().workers if row.busy)
        process = psutil.Process(busy.pid)
        rig.pool.drain(busy.id, "drained")
        assert texts(await held) == [TEXT]
        await until(lambda: not process.is_running())

        def row_now() -> tuple[WorkerState, int | None]:
            row = next(row for row in rig.pool.snapshot().workers if row.id == busy.id)
            return row.state, row.pid

        await until(lambda: row_now() == (WorkerState.DRAINING, None))
        room = await rig.pool.room()
        assert room.worker_id != busy.id
        rig.pool.release(room)
        rig.pool.restart(busy.id, "back")
        await until(lambda: row_now()[0] is WorkerState.READY)


async def test_when_all_are_drained_who_asks_is_told_and_a_restart_mends_it(
    tmp_path: Path,
) -> None:
    async with local_pool() as rig:
        rig.pool.drain("fake-0", "drained")
        with pytest.raises(NotReadyError, match="every worker has been drained"):
            await rig.pool.room()
        await until(lambda: rig.row().pid is None)
        rig.pool.restart("fake-0", "back")
        await until(lambda: rig.row().state is WorkerState.READY)
        assert texts(await recognise(rig.pool, spool(tmp_path, SOUND))) == [TEXT]


async def test_one_more_worker_joins_and_one_goes_for_good(tmp_path: Path) -> None:
    async with local_pool(SLOW) as rig:
        rig.pool.add(worker_spec(1, fake=SLOW))
        await until(lambda: all(r.state is WorkerState.READY for r in rig.pool.snapshot().workers))
        assert [row.id for row in rig.pool.snapshot().workers] == ["fake-0", "fake-1"]
        held = await working(rig, tmp_path)
        busy = next(row for row in rig.pool.snapshot().workers if row.busy)
        rig.pool.remove(busy.id, "not needed any more")
        assert [spec.id for spec in rig.pool.specs] != [busy.id]
        assert texts(await held) == [TEXT]
        await until(lambda: len(rig.pool.snapshot().workers) == 1)
        assert not psutil.pid_exists(busy.pid or 0)
        assert texts(await recognise(rig.pool, spool(tmp_path, SOUND))) == [TEXT]
        with pytest.raises(NotFoundError, match=f"{busy.id!r} is unknown; there are fake-"):
            rig.pool.restart(busy.id, "x")


async def test_a_promised_room_is_kept_before_a_worker_leaves(tmp_path: Path) -> None:
    async with local_pool() as rig:
        room = await rig.pool.room()
        rig.pool.restart("fake-0", "again")
        async with asyncio.timeout(LIMIT_S):
            result = await rig.pool.recognise(Batch("b", (spool(tmp_path, SOUND),)), room)
            assert texts(result) == [TEXT]
            await until(lambda: rig.row().restarts == 1)


async def test_a_room_given_back_lets_the_worker_leave() -> None:
    async with local_pool() as rig:
        room = await rig.pool.room()
        rig.pool.restart("fake-0", "again")
        rig.pool.release(room)
        await until(lambda: rig.row().restarts == 1)


async def test_stopping_ends_drained_workers_too() -> None:
    async with local_pool(instances=2) as rig:
        rig.pool.drain("fake-0", "drained")
        await until(lambda: rig.row().pid is None)
        await asyncio.wait_for(rig.pool.stop(), LIMIT_S)
        assert {row.pid for row in rig.pool.snapshot().workers} == {None}
