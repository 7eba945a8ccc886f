"""What the dispatcher tells of segments: how long they waited, were computed, and were tried."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.hand_pool import HandPool, heard, segment, until_waiting
from voxfleet.core import Batch, WorkClass
from voxfleet.errors import WorkerLostError
from voxfleet.observe.request_record import RequestRecord, current_request
from voxfleet.observe.stages import Stage, Stages
from voxfleet.pool_contract import BatchResult, RetryReason
from voxfleet.scheduling.dispatcher import Dispatcher


class StageBook:
    """Remembers what it is told, and in whose request's task."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Stage]] = []

    def stage_took(self, stage: Stage, took_s: float) -> None:
        assert took_s >= 0
        request = current_request.get()
        self.told.append((request.id if request else "", stage))

    def sound_answered(self, model: str, audio_s: float) -> None: ...


async def ask_as(request_id: str, dispatcher: Dispatcher, name: str) -> None:
    current_request.set(RequestRecord(request_id))
    await dispatcher.recognise(segment(name), WorkClass.INTERACTIVE)


async def test_each_segment_tells_its_own_request() -> None:
    pool, book = HandPool(), StageBook()
    dispatcher = Dispatcher(pool, stages=Stages(book))
    dispatcher.start()
    asked = [asyncio.create_task(ask_as(f"r-{name}", dispatcher, name)) for name in "ab"]
    await until_waiting(dispatcher, 2)
    pool.offer()
    await asyncio.gather(*asked)
    await dispatcher.stop()
    both = [Stage.WAIT, Stage.COMPUTE]
    assert sorted(book.told) == sorted((r, stage) for r in ("r-a", "r-b") for stage in both)


async def test_who_leaves_the_queue_has_waited_and_no_more() -> None:
    book = StageBook()
    dispatcher = Dispatcher(HandPool(), stages=Stages(book))
    dispatcher.start()
    asked = asyncio.create_task(ask_as("r", dispatcher, "a"))
    await until_waiting(dispatcher, 1)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    await dispatcher.stop()
    assert book.told == [("r", Stage.WAIT)]


@pytest.mark.parametrize(
    ("blames", "reason"),
    [(True, RetryReason.BATCH_SUSPECTED), (False, RetryReason.WORKER_LOST)],
)
async def test_retries_are_counted_by_reason_and_times_once(
    blames: bool, reason: RetryReason
) -> None:
    lost = [2]

    def answer(batch: Batch) -> BatchResult:
        if lost[0]:
            lost[0] -= 1
            raise WorkerLostError("w1 died", blames_work=blames)
        return heard(batch)

    pool, book = HandPool(answer), StageBook()
    dispatcher = Dispatcher(pool, stages=Stages(book))
    dispatcher.start()
    asked = [asyncio.create_task(ask_as("r", dispatcher, name)) for name in "ab"]
    await until_waiting(dispatcher, 2)
    for _ in range(4):
        pool.offer()
    await asyncio.gather(*asked)
    await dispatcher.stop()
    # two in the first batch, and one of them again
    assert dispatcher.retries == {reason: 3}
    assert sorted(stage for _, stage in book.told) == ["compute", "compute", "wait", "wait"]
