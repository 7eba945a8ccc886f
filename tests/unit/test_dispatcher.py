"""The dispatcher against a pool whose every step the test decides: late batches, nothing lost."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.hand_pool import HandPool, ask, heard, running, until_waiting
from voxfleet.core import Batch, Hypothesis
from voxfleet.errors import (
    NotReadyError,
    PoisonError,
    RecognitionError,
    VoxfleetError,
    WorkerLostError,
)
from voxfleet.pool_contract import BatchResult, Room
from voxfleet.scheduling.dispatcher import Dispatcher


async def test_batch_is_formed_when_there_is_room_not_before() -> None:
    pool = HandPool()
    async with running(pool) as dispatcher:
        asked = [ask(dispatcher, name) for name in "abc"]
        await until_waiting(dispatcher, 3)
        assert pool.batches == []
        pool.offer()
        assert [(await task).text for task in asked] == ["a", "b", "c"]
    assert pool.batches == [["a", "b", "c"]]


async def test_a_cancelled_caller_leaves_the_queue_and_hurts_nobody() -> None:
    pool = HandPool()
    async with running(pool) as dispatcher:
        gone, stays = ask(dispatcher, "gone"), ask(dispatcher, "stays")
        await until_waiting(dispatcher, 2)
        gone.cancel()
        await until_waiting(dispatcher, 1)
        pool.offer()
        assert (await stays).text == "stays"
    assert pool.batches == [["stays"]]


async def test_room_that_nobody_needs_any_more_is_given_back() -> None:
    pool = HandPool()
    async with running(pool) as dispatcher:
        gone = ask(dispatcher, "gone")
        await until_waiting(dispatcher, 1)
        gone.cancel()
        await until_waiting(dispatcher, 0)
        pool.offer(7)
        while not pool.released:
            await asyncio.sleep(0)
    assert pool.released == [Room("w1", 7)]


async def test_one_bad_segment_fails_alone() -> None:
    def answer(batch: Batch) -> BatchResult:
        bad = RecognitionError("b: no")
        return BatchResult(
            tuple(bad if s.id == "b" else Hypothesis(s.id) for s in batch.segments), 0.1
        )

    pool = HandPool(answer)
    async with running(pool) as dispatcher:
        asked = [ask(dispatcher, name) for name in "abc"]
        await until_waiting(dispatcher, 3)
        pool.offer()
        results = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(result) for result in results] == [Hypothesis, RecognitionError, Hypothesis]


async def test_a_killer_is_found_and_its_neighbours_are_answered() -> None:
    def answer(batch: Batch) -> BatchResult:
        if any(s.id == "killer" for s in batch.segments):
            raise WorkerLostError("w1 died")
        return heard(batch)

    pool = HandPool(answer)
    async with running(pool) as dispatcher:
        asked = [ask(dispatcher, name) for name in ("a", "killer", "c")]
        await until_waiting(dispatcher, 3)
        for _ in range(6):
            pool.offer()
        results = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(result) for result in results] == [Hypothesis, PoisonError, Hypothesis]
    assert pool.batches[0] == ["a", "killer", "c"]
    # in halves, until the killer is alone
    assert pool.batches[1] == ["a", "killer"]
    assert pool.batches.count(["killer"]) == 2
    assert pool.trials == [False] + [True] * (len(pool.batches) - 1)


async def test_no_worker_will_ever_come() -> None:
    pool = HandPool()
    async with running(pool) as dispatcher:
        asked = [ask(dispatcher, name) for name in "ab"]
        await until_waiting(dispatcher, 2)
        pool.rooms.put_nowait(NotReadyError("all workers failed"))
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(result) for result in results] == [NotReadyError, NotReadyError]
        later = ask(dispatcher, "later")
        pool.offer()
        assert (await later).text == "later"


async def test_a_fault_nobody_foresaw_reaches_the_caller(caplog: pytest.LogCaptureFixture) -> None:
    def answer(batch: Batch) -> BatchResult:
        raise ZeroDivisionError

    pool = HandPool(answer)
    async with running(pool) as dispatcher:
        pool.offer()
        with pytest.raises(VoxfleetError, match="its log says why"):
            await ask(dispatcher, "a")
    assert "ZeroDivisionError" in caplog.text


async def test_stopping_tells_everyone_who_waits() -> None:
    pool = HandPool()
    async with running(pool) as dispatcher:
        asked = ask(dispatcher, "a")
        await until_waiting(dispatcher, 1)
    with pytest.raises(NotReadyError, match="stopping"):
        await asked


async def test_nobody_waits_for_a_dispatcher_that_does_not_run() -> None:
    dispatcher = Dispatcher(HandPool())
    with pytest.raises(NotReadyError, match="not been started"):
        await ask(dispatcher, "early")
    dispatcher.start()
    assert dispatcher.refusal == ""
    await dispatcher.stop()
    with pytest.raises(NotReadyError, match="stopping"):
        await ask(dispatcher, "late")
    assert dispatcher.waiting == 0


async def test_a_dispatcher_that_fails_tells_who_waits_and_who_comes_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class BrokenPool(HandPool):
        async def room(self, avoid: frozenset[str] = frozenset()) -> Room:
            await self.rooms.get()
            raise ZeroDivisionError

    pool = BrokenPool()
    async with running(pool) as dispatcher:
        asked = [ask(dispatcher, name) for name in "ab"]
        await until_waiting(dispatcher, 2)
        pool.offer()
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(result) for result in results] == [NotReadyError, NotReadyError]
        with pytest.raises(NotReadyError, match=r"the dispatcher failed \(ZeroDivisionError\)"):
            await ask(dispatcher, "later")
    assert "ZeroDivisionError" in caplog.text
