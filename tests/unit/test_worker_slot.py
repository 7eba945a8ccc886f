"""A worker's slot: its states, its one piece of work, and when it lives again."""

from __future__ import annotations

import pytest

from voxfleet.core import Batch
from voxfleet.fleet.worker_slot import RateMeter, RestartPolicy, WorkerSlot, batch_limit_s
from voxfleet.pool_contract import WorkerState

POLICY = RestartPolicy(first_backoff_s=1.0, longest_backoff_s=5.0, most_deaths=7)


def ready_slot() -> WorkerSlot:
    slot = WorkerSlot("w-0")
    slot.begin_life()
    slot.pid = 1
    slot.become_ready(30.0)
    return slot


def test_restarts_at_once_then_ever_later_then_never() -> None:
    assert [POLICY.delay_s(deaths) for deaths in range(1, 8)] == [0, 1, 2, 4, 5, 5, None]


def test_deaths_in_a_row_make_a_worker_fail() -> None:
    slot = ready_slot()
    for _ in range(6):
        assert slot.end_life("killed by SIGKILL", POLICY) is not None
        slot.begin_life()
    assert slot.end_life("killed by SIGSEGV", POLICY) is None
    assert (slot.state, slot.reason) == (WorkerState.FAILED, "killed by SIGSEGV")


def test_a_finished_batch_forgives_earlier_deaths() -> None:
    slot = ready_slot()
    slot.end_life("x", POLICY)
    slot.begin_life()
    slot.become_ready(30.0)
    slot.take(Batch("b", ()))
    slot.finish_batch()
    assert slot.end_life("x", POLICY) == 0.0


def test_room_is_promised_once() -> None:
    slot = ready_slot()
    room = slot.promise()
    free = [slot.free]
    slot.take(Batch("b", ()))
    free.append(slot.free)
    slot.finish_batch()
    free.append(slot.free)
    assert (room.worker_id, room.credit_s, free) == ("w-0", 30.0, [False, False, True])


def test_each_life_has_its_own_name_and_the_dead_do_not_speak() -> None:
    slot = ready_slot()
    first = slot.name
    assert slot.speaks_as(first)
    slot.end_life("x", POLICY)
    assert not slot.speaks_as(first)
    slot.begin_life()
    slot.pid = 2
    assert not slot.speaks_as(first)
    assert slot.speaks_as(slot.name)


def test_a_death_voids_the_promise() -> None:
    slot = ready_slot()
    slot.promise()
    slot.end_life("x", POLICY)
    assert slot.room is None


def test_the_snapshot_counts_restarts_and_keeps_the_reason_until_ready() -> None:
    slot = ready_slot()
    slot.end_life("hung", POLICY)
    slot.begin_life()
    row = slot.snapshot("m", "cpu")
    assert (row.restarts, row.reason, row.state) == (1, "hung", WorkerState.STARTING)
    slot.become_ready(1.0)
    assert slot.snapshot("m", "cpu").reason == ""


def test_a_move_that_is_not_in_the_table_is_refused() -> None:
    slot = ready_slot()
    with pytest.raises(ValueError, match="ready cannot become starting"):
        slot.move(WorkerState.STARTING)


def test_the_rate_follows_recent_batches() -> None:
    meter = RateMeter()
    assert meter.rate is None
    meter.observe(10.0, 1.0)
    assert meter.rate == pytest.approx(10.0)
    for _ in range(30):
        meter.observe(10.0, 5.0)
    assert meter.rate == pytest.approx(2.0, rel=0.05)


def test_the_limit_of_a_batch_is_four_times_the_prediction() -> None:
    assert batch_limit_s(30.0, 3.0, 10.0) == 40.0
    assert batch_limit_s(1.0, 3.0, 10.0) == 10.0
