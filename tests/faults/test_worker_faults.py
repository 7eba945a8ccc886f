"""Workers killed, stopped, hung and broken: what was in work is told, the next one serves."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from tests.integration.media_rig import until
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
from voxfleet.engines.fake import hear
from voxfleet.engines.fake_options import FakeOptions
from voxfleet.errors import NotReadyError, StartError, WorkerLostError
from voxfleet.fleet.worker_slot import RestartPolicy
from voxfleet.pool_contract import WorkerState

REPOSITORY = Path(__file__).resolve().parents[2]
SOUND = noise(1.0)
TEXT = hear(segment(SOUND)).text
QUICK = RestartPolicy(first_backoff_s=0.01, most_deaths=3)


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


async def test_killed_while_computing(tmp_path: Path) -> None:
    sound = spool(tmp_path, SOUND, hotwords=("stay",))
    async with local_pool(FakeOptions(fault="hang@stay")) as rig:
        working = asyncio.create_task(recognise(rig.pool, sound))
        await until(lambda: rig.row().busy)
        first = rig.pid()
        os.kill(first, signal.SIGKILL)
        with pytest.raises(WorkerLostError, match="fake-0 killed by SIGKILL"):
            await working
        assert texts(await recognise(rig.pool, spool(tmp_path, SOUND))) == [TEXT]
        assert rig.pid() != first
        assert rig.row().restarts == 1


async def test_killed_with_its_room_promised(tmp_path: Path) -> None:
    async with local_pool() as rig:
        room = await rig.pool.room()
        os.kill(rig.pid(), signal.SIGKILL)
        await until(lambda: rig.row().restarts == 1)
        with pytest.raises(WorkerLostError, match="was lost before"):
            await rig.pool.recognise(Batch("b", (spool(tmp_path, SOUND),)), room)
        assert texts(await recognise(rig.pool, spool(tmp_path, SOUND))) == [TEXT]


async def test_a_stopped_process_counts_as_hung(tmp_path: Path) -> None:
    async with local_pool(hung_after_s=1.0) as rig:
        os.kill(rig.pid(), signal.SIGSTOP)
        with pytest.raises(WorkerLostError, match="hung: it gave no answer to a batch in 1 s"):
            await recognise(rig.pool, spool(tmp_path, SOUND))
        assert texts(await recognise(rig.pool, spool(tmp_path, SOUND))) == [TEXT]


async def test_a_hung_worker_is_replaced_though_its_caller_has_left(tmp_path: Path) -> None:
    sound = spool(tmp_path, SOUND, hotwords=("stay",))
    async with local_pool(FakeOptions(fault="hang@stay"), hung_after_s=1.0) as rig:
        working = asyncio.create_task(recognise(rig.pool, sound))
        await until(lambda: rig.row().busy)
        working.cancel()
        assert texts(await recognise(rig.pool, spool(tmp_path, SOUND))) == [TEXT]
        assert rig.row().restarts == 1


async def test_an_answer_nobody_can_read_costs_the_worker(tmp_path: Path) -> None:
    sound = spool(tmp_path, SOUND, hotwords=("odd",))
    async with local_pool(FakeOptions(fault="garbage@odd")) as rig:
        with pytest.raises(WorkerLostError, match="answered nonsense"):
            await recognise(rig.pool, sound)
        assert texts(await recognise(rig.pool, spool(tmp_path, SOUND))) == [TEXT]


async def test_dying_again_and_again_ends_in_a_reason(tmp_path: Path) -> None:
    sound = spool(tmp_path, SOUND)
    async with local_pool(FakeOptions(fault="crash"), restarts=QUICK) as rig:
        for _ in range(3):
            with pytest.raises(WorkerLostError, match="ended with status 70"):
                await recognise(rig.pool, sound)
        row = rig.row()
        assert (row.state, row.reason) == (WorkerState.FAILED, "ended with status 70")
        with pytest.raises(NotReadyError, match=r"no worker is left: .* ended with status 70"):
            await rig.pool.room()


async def test_who_waits_for_a_room_hears_that_none_will_come(tmp_path: Path) -> None:
    restarts = RestartPolicy(most_deaths=1)
    async with local_pool(FakeOptions(fault="crash"), restarts=restarts) as rig:
        room = await rig.pool.room()
        waiting = asyncio.create_task(rig.pool.room())
        with pytest.raises(WorkerLostError):
            await rig.pool.recognise(Batch("b", (spool(tmp_path, SOUND),)), room)
        with pytest.raises(NotReadyError, match="no worker is left"):
            await asyncio.wait_for(waiting, LIMIT_S)


async def test_deaths_with_finished_batches_in_between_are_forgiven(tmp_path: Path) -> None:
    sound = spool(tmp_path, SOUND)
    async with local_pool(FakeOptions(fault="crash@2"), restarts=QUICK) as rig:
        for _ in range(4):
            assert texts(await recognise(rig.pool, sound)) == [TEXT]
            with pytest.raises(WorkerLostError):
                await recognise(rig.pool, sound)
        assert texts(await recognise(rig.pool, sound)) == [TEXT]


async def test_a_process_that_dies_while_loading_is_given_up(tmp_path: Path) -> None:
    async with local_pool(
        FakeOptions(load_s=600.0), restarts=RestartPolicy(most_deaths=1), started=False
    ) as rig:
        starting = asyncio.create_task(rig.pool.start())
        await until(lambda: rig.row().pid is not None)
        os.kill(rig.pid(), signal.SIGKILL)
        with pytest.raises(StartError, match="killed by SIGKILL"):
            await asyncio.wait_for(starting, LIMIT_S)


async def test_the_other_worker_goes_on(tmp_path: Path) -> None:
    async with local_pool(FakeOptions(fault="hang@stay"), instances=2) as rig:
        await until(lambda: all(row.pid for row in rig.pool.snapshot().workers))
        lost = spool(tmp_path, SOUND, "lost", hotwords=("stay",))
        working = asyncio.create_task(recognise(rig.pool, lost))
        await until(lambda: any(row.busy for row in rig.pool.snapshot().workers))
        assert texts(await recognise(rig.pool, spool(tmp_path, SOUND))) == [TEXT]
        busy = next(row for row in rig.pool.snapshot().workers if row.busy)
        os.kill(busy.pid or 0, signal.SIGKILL)
        with pytest.raises(WorkerLostError, match=busy.id):
            await working


async def test_stopping_ends_a_process_that_cannot_listen(tmp_path: Path) -> None:
    async with local_pool(stop_grace_s=0.2) as rig:
        process = psutil.Process(rig.pid())
        os.kill(process.pid, signal.SIGSTOP)
        await asyncio.wait_for(rig.pool.stop(), LIMIT_S)
        assert gone(process)


PARENT = """
import asyncio
from tests.integration.worker_rig import local_pool

async def main():
    async with local_pool(instances=2) as rig:
        while not all(row.pid for row in rig.pool.snapshot().workers):
            await asyncio.sleep(0.01)
        print(rig.pid(0), rig.pid(1), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_workers_die_with_a_parent_that_was_killed() -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE, cwd=REPOSITORY
    )
    assert parent.stdout is not None
    line = await asyncio.wait_for(parent.stdout.readline(), LIMIT_S)
    workers = [psutil.Process(int(pid)) for pid in line.split()]
    assert len(workers) == 2
    parent.kill()
    await asyncio.wait_for(parent.wait(), LIMIT_S)
    await until(lambda: all(gone(worker) for worker in workers))
