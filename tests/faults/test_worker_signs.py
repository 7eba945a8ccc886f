"""Signs of life, progress, lost devices, memory: what workers tell without an answer."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.faults.test_worker_faults import QUICK, SOUND, TEXT, dispatching, kill_each_life
from tests.integration.media_rig import until
from tests.integration.worker_rig import local_pool, noise, recognise, spool, texts
from voxfleet.engines.fake_options import FakeOptions
from voxfleet.errors import NotReadyError, PoisonError, WorkerLostError
from voxfleet.fleet.worker_slot import RestartPolicy
from voxfleet.pool_contract import WorkerState


async def test_a_failed_worker_is_tried_again_after_a_while(tmp_path: Path) -> None:
    patient = RestartPolicy(first_backoff_s=0.01, most_failed_starts=2, restart_failed_after_s=0.5)
    async with local_pool(FakeOptions(load_s=0.3), restarts=patient) as rig:
        await kill_each_life(rig, 3)
        await until(lambda: rig.row().state is WorkerState.FAILED)
        assert "fake-0 has failed: killed by SIGKILL" in rig.pool.snapshot().degraded
        with pytest.raises(NotReadyError, match="no worker is left"):
            await rig.pool.room()
        await until(lambda: rig.row().state is WorkerState.READY)
        assert texts(await recognise(rig.pool, spool(tmp_path, SOUND))) == [TEXT]
        assert rig.pool.snapshot().degraded == ""


async def test_an_idle_worker_that_says_nothing_is_replaced(tmp_path: Path) -> None:
    async with local_pool(silence_limit_s=2.5) as rig:
        first = rig.pid()
        os.kill(first, signal.SIGSTOP)
        await until(lambda: rig.row().restarts == 1)
        assert "no sign of life for 2.5 s" in rig.row().last_error
        assert texts(await recognise(rig.pool, spool(tmp_path, SOUND))) == [TEXT]


async def test_a_slow_batch_that_gets_on_is_no_hang(tmp_path: Path) -> None:
    # four seconds for a batch in ten steps; only a second and a half may pass without any
    slow = FakeOptions(fixed_s=0.4, fault="slow@2")
    async with local_pool(slow, hung_after_s=1.6) as rig:
        for _ in range(2):
            assert texts(await recognise(rig.pool, spool(tmp_path, SOUND))) == [TEXT]
        assert rig.row().restarts == 0


async def test_a_lost_device_restarts_all_who_share_it(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []

    def share(key: str, worker_id: str) -> None:
        told.append((key, worker_id))
        rig.pool.restart_device(key, worker_id)

    fake = FakeOptions(fault="device@gpu")
    async with local_pool(
        fake, instances=2, device_key="GPU-1", on_device_fault=share, restarts=QUICK
    ) as rig:
        await until(lambda: all(r.state is WorkerState.READY for r in rig.pool.snapshot().workers))
        before = [rig.pid(number) for number in range(2)]
        with pytest.raises(WorkerLostError, match="lost its device"):
            await recognise(rig.pool, spool(tmp_path, SOUND, hotwords=("gpu",)))
        await until(lambda: all(r.restarts == 1 for r in rig.pool.snapshot().workers))
        await until(lambda: all(r.state is WorkerState.READY for r in rig.pool.snapshot().workers))
        assert not {rig.pid(number) for number in range(2)} & set(before)
        assert len(told) == 1
        assert told[0][0] == "GPU-1"


async def test_memory_that_runs_out_makes_batches_smaller_for_a_while(tmp_path: Path) -> None:
    fake = FakeOptions(out_of_memory_above_s=8.0, speed=10_000)
    async with local_pool(fake) as rig:
        sounds = [spool(tmp_path, noise(2.0, seed), f"s{seed}") for seed in range(12)]
        assert "engine_fault" not in texts(await recognise(rig.pool, *sounds))
        assert rig.row().out_of_memory >= 1
        room = await rig.pool.room()
        assert room.credit_s == 12.0
        rig.pool.release(room)
        assert rig.row().restarts == 0


async def test_a_lost_device_that_is_no_card_concerns_nobody_else(tmp_path: Path) -> None:
    told: list[str] = []
    fake = FakeOptions(fault="device@gpu")
    async with local_pool(
        fake, instances=2, on_device_fault=lambda key, _: told.append(key), restarts=QUICK
    ) as rig:
        await until(lambda: all(r.state is WorkerState.READY for r in rig.pool.snapshot().workers))
        with pytest.raises(WorkerLostError, match="lost its device"):
            await recognise(rig.pool, spool(tmp_path, SOUND, hotwords=("gpu",)))
        await until(lambda: all(r.state is WorkerState.READY for r in rig.pool.snapshot().workers))
        assert sum(row.restarts for row in rig.pool.snapshot().workers) == 1
        assert told == []


async def test_sound_that_ends_the_process_as_if_all_were_well_is_blamed(tmp_path: Path) -> None:
    bad = spool(tmp_path, SOUND, "bad", hotwords=("bad",))
    good = spool(tmp_path, SOUND, "good")
    async with (
        local_pool(FakeOptions(fault="exit@bad"), restarts=QUICK) as rig,
        dispatching(rig.pool) as ask,
    ):
        with pytest.raises(PoisonError, match="ended the model's process 2 times"):
            await ask(bad)
        assert (await ask(good)).text == TEXT
