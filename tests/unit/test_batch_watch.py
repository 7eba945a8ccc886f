"""A batch in work: it may stand still for so long, counted from its last progress."""

from __future__ import annotations

import asyncio

import pytest

from voxfleet.errors import WorkerLostError
from voxfleet.fleet.batch_watch import BatchWatch
from voxfleet.fleet.pace_meter import BatchLimit
from voxfleet.pool_contract import BatchResult


def watch(limit_s: float = 10.0) -> BatchWatch:
    answer: asyncio.Future[BatchResult] = asyncio.get_running_loop().create_future()
    return BatchWatch(answer, BatchLimit(limit_s, learned=True))


async def test_it_is_given_up_once_when_it_stood_still_too_long() -> None:
    watched = watch()
    assert [watched.exceeded(4.0) for _ in range(5)] == [False, False, True, False, False]


async def test_progress_begins_the_time_anew() -> None:
    watched = watch()
    for _ in range(20):
        assert not watched.exceeded(6.0)
        watched.progress()
    assert [watched.exceeded(6.0), watched.exceeded(6.0)] == [False, True]


async def test_the_first_end_counts() -> None:
    watched = watch()
    watched.end(WorkerLostError("gone"))
    watched.end(BatchResult((), 0.1))
    with pytest.raises(WorkerLostError):
        await watched.answer


async def test_who_has_gone_away_is_told_nothing() -> None:
    watched = watch()
    watched.answer.cancel()
    watched.end(BatchResult((), 0.1))
    assert watched.answer.cancelled()
