"""What the dispatcher does with poison, deadlines, live speech, and places in the queue."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.hand_pool import HandPool, ask, heard, running, segment, until_waiting
from voxfleet.core import Batch, WorkClass
from voxfleet.errors import (
    DeadlineError,
    PoisonError,
    WorkerLostError,
)
from voxfleet.pool_contract import BatchResult, Room, TimeModel
from voxfleet.scheduling.dispatcher import Dispatcher


def dies(batch: Batch) -> BatchResult:
    raise WorkerLostError("w1 died")


async def test_sound_that_killed_is_refused_for_a_while_and_other_sound_is_not() -> None:
    pool = HandPool(dies)
    async with running(pool) as dispatcher:
        for _ in range(3):
            pool.offer()
        killer = segment("killer", digest="d1")
        with pytest.raises(PoisonError, match="2 times"):
            await dispatcher.recognise(killer, WorkClass.INTERACTIVE)
        with pytest.raises(PoisonError, match="has ended the model's process before"):
            await dispatcher.recognise(segment("again", digest="d1"), WorkClass.BATCH)
        assert len(pool.batches) == 2
        pool.answer = heard
        other = await dispatcher.recognise(segment("other", digest="d2"), WorkClass.BATCH)
        assert other.text == "other"


async def test_who_left_while_the_worker_died_is_not_tried_again() -> None:
    pool = HandPool()
    dying = asyncio.Event()

    async def recognise(batch: Batch, room: Room) -> BatchResult:
        pool.batches.append([each.id for each in batch.segments])
        await dying.wait()
        raise WorkerLostError("w1 died")

    pool.recognise = recognise  # type: ignore[method-assign]
    async with running(pool) as dispatcher:
        gone = ask(dispatcher, "gone")
        pool.offer()
        while not pool.batches:
            await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        dying.set()
        pool.offer()
        for _ in range(10):
            await asyncio.sleep(0)
        assert pool.batches == [["gone"]]


async def test_a_deadline_that_passes_in_the_queue_ends_the_wait() -> None:
    pool = HandPool()
    async with running(pool) as dispatcher:
        late = asyncio.create_task(
            dispatcher.recognise(segment("late"), WorkClass.INTERACTIVE, deadline_s=0.0)
        )
        stays = ask(dispatcher, "stays")
        await until_waiting(dispatcher, 2)
        pool.offer()
        with pytest.raises(DeadlineError, match="waited for a worker"):
            await late
        assert (await stays).text == "stays"
    assert pool.batches == [["stays"]]


#: a quarter of a second for ten padded seconds
PACE = TimeModel(0.0, 0.025, learned=True)


async def asked_with(pool: HandPool, dispatcher: Dispatcher) -> list[list[str]]:
    """The batches that four waiting segments of 5 s make of one worker's room after the other."""
    asked = [ask(dispatcher, name) for name in "abcd"]
    await until_waiting(dispatcher, 4)
    for _ in range(4):
        pool.offer(100.0, PACE)
    await asyncio.gather(*asked)
    return pool.batches


async def test_batches_are_small_while_somebody_speaks_live() -> None:
    pool = HandPool()
    async with running(pool) as dispatcher:
        with dispatcher.live_session():
            assert await asked_with(pool, dispatcher) == [["a", "b"], ["c", "d"]]


async def test_batches_are_small_after_live_speech() -> None:
    pool = HandPool()
    async with running(pool) as dispatcher:
        live = asyncio.create_task(dispatcher.recognise(segment("live"), WorkClass.REALTIME))
        pool.offer()
        await live
        assert await asked_with(pool, dispatcher) == [["live"], ["a", "b"], ["c", "d"]]


async def test_batches_are_large_when_nobody_speaks_live() -> None:
    pool = HandPool()
    async with running(pool) as dispatcher:
        with dispatcher.live_session():
            pass
        assert await asked_with(pool, dispatcher) == [["a", "b", "c", "d"]]


async def test_the_place_of_who_waits_is_told() -> None:
    pool = HandPool()
    async with running(pool) as dispatcher:
        asked = [ask(dispatcher, name) for name in "ab"]
        await until_waiting(dispatcher, 2)
        assert [dispatcher.place(name) for name in ("a", "b", "nobody")] == [0, 1, None]
        pool.offer()
        await asyncio.gather(*asked)
