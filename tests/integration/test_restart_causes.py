"""Real workers whose processes end in different ways: each restart counted by its cause."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from tests.integration.worker_rig import LIMIT_S, PoolRig, local_pool, noise, recognise, spool
from voxfleet.pool_contract import RestartCause, WorkerSnapshot, WorkerState


async def after_restarts(rig: PoolRig, restarts: int) -> WorkerSnapshot:
    async with asyncio.timeout(LIMIT_S):
        while rig.row().restarts < restarts or rig.row().state is not WorkerState.READY:
            await asyncio.sleep(0.02)
    return rig.row()


async def test_a_killed_a_stopped_and_a_restarted_process() -> None:
    async with local_pool(silence_limit_s=1.0) as rig:
        os.kill(rig.pid(), signal.SIGKILL)
        await after_restarts(rig, 1)
        os.kill(rig.pid(), signal.SIGSTOP)
        await after_restarts(rig, 2)
        rig.pool.restart("fake-0", "restarted by an operator")
        row = await after_restarts(rig, 3)
        assert row.restarts_by_cause == {
            RestartCause.KILLED: 1,
            RestartCause.SILENT: 1,
            RestartCause.ORDERED: 1,
        }


async def test_what_batches_held_is_counted_for_good(tmp_path: Path) -> None:
    async with local_pool() as rig:
        long, short = spool(tmp_path, noise(2.0), "long"), spool(tmp_path, noise(1.0), "short")
        await recognise(rig.pool, long, short)
        first = rig.row()
        assert (first.batches, first.segments) == (1, 2)
        assert (first.audio_s, first.padded_s) == (3.0, 4.0)
        assert first.offered_s >= 4.0
        os.kill(rig.pid(), signal.SIGKILL)
        row = await after_restarts(rig, 1)
        assert (row.padded_s, row.offered_s) == (first.padded_s, first.offered_s)
