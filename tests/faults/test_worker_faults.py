"""Workers killed, stopped, hung and broken: what was in work is told, the next one serves."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
import zmq

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
)
from voxfleet.core import Batch, Hypothesis, SpooledSegment, WorkClass
from voxfleet.engines.fake import hear
from voxfleet.engines.fake_options import FakeOptions
from voxfleet.errors import NotReadyError, RecognitionError, StartError, WorkerLostError
from voxfleet.fleet.local_pool import LocalPool
from voxfleet.fleet.worker_slot import RestartPolicy
from voxfleet.scheduling.dispatcher import Dispatcher
from voxfleet.scheduling.retries import MAX_LOSSES

REPOSITORY = Path(__file__).resolve().parents[2]
SOUND = noise(1.0)
TEXT = hear(segment(SOUND)).text
QUICK = RestartPolicy(first_backoff_s=0.01, longest_backoff_s=0.02, most_failed_starts=3)


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


async def test_sound_is_not_blamed_for_signals_from_outside(tmp_path: Path) -> None:
    async with local_pool(FakeOptions(fixed_s=0.4), restarts=QUICK) as rig:
        dispatcher = Dispatcher(rig.pool)
        dispatcher.start()
        sound = spool(tmp_path, SOUND)
        asked = asyncio.create_task(dispatcher.recognise(sound, WorkClass.INTERACTIVE))
        killed: list[int] = []
        for _ in range(3):
            await until(lambda: rig.row().busy and rig.pid() not in killed)
            killed.append(rig.pid())
            os.kill(killed[-1], signal.SIGKILL)
        assert (await asyncio.wait_for(asked, LIMIT_S)).text == TEXT
        await dispatcher.stop()


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


async def test_a_message_nobody_can_read_costs_the_worker(tmp_path: Path) -> None:
    sound = spool(tmp_path, SOUND, hotwords=("stay",))
    async with local_pool(FakeOptions(fault="hang@stay")) as rig:
        working = asyncio.create_task(recognise(rig.pool, sound))
        await until(lambda: rig.row().busy)
        with zmq.Context() as context, context.socket(zmq.DEALER) as stranger:
            stranger.setsockopt(zmq.IDENTITY, b"fake-0.1")
            stranger.connect(f"ipc://{rig.folder / 'workers'}")
            stranger.send(b"nonsense")
            with pytest.raises(WorkerLostError, match="answered nonsense"):
                await working
        assert texts(await recognise(rig.pool, spool(tmp_path, SOUND))) == [TEXT]


async def test_dying_at_work_again_and_again_never_ends_the_server(tmp_path: Path) -> None:
    lost = spool(tmp_path, SOUND, hotwords=("boom",))
    async with local_pool(FakeOptions(fault="crash@boom"), restarts=QUICK) as rig:
        for _ in range(2 * QUICK.most_failed_starts):
            with pytest.raises(WorkerLostError, match="ended with status 70"):
                await recognise(rig.pool, lost)
        assert texts(await recognise(rig.pool, spool(tmp_path, SOUND))) == [TEXT]


@asynccontextmanager
async def dispatching(pool: LocalPool) -> AsyncIterator[Callable[..., Awaitable[Hypothesis]]]:
    """What the pipeline has of the fleet: ask for one segment's text, whatever dies meanwhile."""
    dispatcher = Dispatcher(pool)
    dispatcher.start()

    async def ask(segment: SpooledSegment) -> Hypothesis:
        async with asyncio.timeout(LIMIT_S):
            return await dispatcher.recognise(segment, WorkClass.INTERACTIVE)

    try:
        yield ask
    finally:
        await dispatcher.stop()


async def test_bad_requests_in_turn_cost_nobody_but_their_clients(tmp_path: Path) -> None:
    poison = spool(tmp_path, SOUND, "bad", hotwords=("poison",))
    innocent = spool(tmp_path, SOUND, "good")
    async with (
        local_pool(FakeOptions(fault="crash@poison")) as rig,
        dispatching(rig.pool) as ask,
    ):
        for _ in range(10):
            with pytest.raises(RecognitionError, match="ended the model's process 2 times") as end:
                await ask(poison)
            assert end.value.status == 422
            assert (await ask(innocent)).text == TEXT


async def test_a_machine_slower_than_guessed_learns_and_answers(tmp_path: Path) -> None:
    # two seconds a batch where the model promises a thousandth: killed once, then waited for
    slow = FakeOptions(fixed_s=2.0)
    async with local_pool(slow, hung_after_s=0.8) as rig, dispatching(rig.pool) as ask:
        assert (await ask(spool(tmp_path, SOUND))).text == TEXT
        assert rig.row().restarts == 1
        assert (await ask(spool(tmp_path, SOUND))).text == TEXT
        assert rig.row().restarts == 1


async def test_a_hang_is_the_sounds_fault_only_where_the_pace_is_known(tmp_path: Path) -> None:
    stuck = spool(tmp_path, SOUND, "stuck", hotwords=("stay",))
    fake = FakeOptions(fault="hang@stay")
    async with local_pool(fake, hung_after_s=0.1) as rig, dispatching(rig.pool) as ask:
        with pytest.raises(WorkerLostError, match="hung") as end:
            await ask(stuck)
        assert end.value.status == 503
        await until(lambda: rig.row().restarts == MAX_LOSSES)
        assert (await ask(spool(tmp_path, SOUND))).text == TEXT
        with pytest.raises(RecognitionError, match="ended the model's process 2 times"):
            await ask(stuck)


async def test_who_waits_for_a_room_hears_that_none_will_come(tmp_path: Path) -> None:
    restarts = RestartPolicy(first_backoff_s=0.01, most_failed_starts=2)
    async with local_pool(FakeOptions(load_s=0.3), restarts=restarts) as rig:
        await rig.pool.room()
        waiting = asyncio.create_task(rig.pool.room())
        await kill_each_life(rig, 3)
        with pytest.raises(NotReadyError, match=r"no worker is left: .* killed by SIGKILL"):
            await asyncio.wait_for(waiting, LIMIT_S)
        with pytest.raises(NotReadyError, match="no worker is left"):
            await rig.pool.room()


async def kill_each_life(rig: PoolRig, count: int) -> None:
    """The process there is, then its successors while they load."""
    killed: set[int | None] = {None}
    for _ in range(count):
        await until(lambda: rig.row().pid not in killed)
        killed.add(rig.pid())
        os.kill(rig.pid(), signal.SIGKILL)


async def test_deaths_with_finished_batches_in_between_are_forgiven(tmp_path: Path) -> None:
    sound = spool(tmp_path, SOUND)
    async with local_pool(FakeOptions(fault="crash@2"), restarts=QUICK) as rig:
        for _ in range(4):
            assert texts(await recognise(rig.pool, sound)) == [TEXT]
            with pytest.raises(WorkerLostError):
                await recognise(rig.pool, sound)
        assert texts(await recognise(rig.pool, sound)) == [TEXT]


async def test_a_model_whose_loading_kills_the_process_is_given_up() -> None:
    async with local_pool(FakeOptions(load_s=600.0), restarts=QUICK, started=False) as rig:
        starting = asyncio.create_task(rig.pool.start())
        await kill_each_life(rig, 3)
        with pytest.raises(StartError, match="killed by SIGKILL"):
            await asyncio.wait_for(starting, LIMIT_S)
        assert (rig.row().restarts, rig.row().last_error) == (2, "killed by SIGKILL")


async def test_a_start_that_cannot_succeed_is_not_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with local_pool(FakeOptions(fault="load"), instances=2, started=False) as rig:
        with pytest.raises(StartError, match="told not to load"):
            await rig.pool.start()
        assert [row.restarts for row in rig.pool.snapshot().workers] == [0, 0]
    # one that is refused while the other still loads is told of; the last one is the start's fault
    assert len(caplog.records) <= 1
    assert all("told not to load" in record.getMessage() for record in caplog.records)


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
