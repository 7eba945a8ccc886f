"""A worker's slot: its states, its one piece of work, and when it lives again."""

from __future__ import annotations

import pytest

from voxfleet.core import Batch
from voxfleet.fleet.worker_slot import RestartPolicy, WorkerSlot
from voxfleet.pool_contract import WorkerState

POLICY = RestartPolicy(first_backoff_s=1.0, longest_backoff_s=5.0, most_failed_starts=3)


def ready_slot() -> WorkerSlot:
    slot = WorkerSlot("w-0")
    slot.begin_life()
    slot.pid = 1
    slot.become_ready()
    return slot


def die(slot: WorkerSlot, batch: Batch | None = None) -> float | None:
    """End a ready life, with this batch in hand, and begin the next one where there is one."""
    if batch:
        slot.take(batch)
    delay_s = slot.end_life("died", POLICY)
    slot.begin_life()
    slot.become_ready()
    return delay_s


def test_deaths_at_work_restart_at_once_then_ever_later_for_ever() -> None:
    slot = ready_slot()
    delays = [die(slot, Batch("b", ())) for _ in range(2000)]
    assert delays[:6] == [0, 1, 2, 4, 5, 5]
    assert set(delays[6:]) == {5}


def test_only_lives_that_never_became_ready_make_a_worker_fail() -> None:
    slot = ready_slot()
    die(slot)
    assert slot.end_life("killed by SIGKILL", POLICY) is not None
    for _ in range(2):
        slot.begin_life()
        assert slot.end_life("killed by SIGKILL", POLICY) is not None
    slot.begin_life()
    assert slot.end_life("killed by SIGSEGV", POLICY) is None
    assert (slot.state, slot.reason) == (WorkerState.FAILED, "killed by SIGSEGV")


def test_becoming_ready_forgives_failed_starts() -> None:
    slot = WorkerSlot("w-0")
    for _ in range(2 * POLICY.most_failed_starts):
        slot.begin_life()
        assert slot.end_life("x", POLICY) is not None
        slot.begin_life()
        slot.become_ready()
        slot.end_life("x", POLICY)


def test_the_death_of_a_suspect_costs_the_worker_nothing() -> None:
    slot = ready_slot()
    known = Batch("b", (), suspect=True)
    assert [die(slot, known) for _ in range(50)] == [0] * 50
    assert [die(slot), die(slot), die(slot, known), die(slot)] == [0, 1, 0, 2]


def test_a_finished_batch_forgives_earlier_deaths() -> None:
    slot = ready_slot()
    slot.end_life("x", POLICY)
    slot.begin_life()
    slot.become_ready()
    slot.take(Batch("b", ()))
    slot.finish_batch()
    assert slot.end_life("x", POLICY) == 0.0


def test_trouble_is_told_from_the_third_death_in_a_row_and_forgiven_after_a_minute() -> None:
    slot = ready_slot()
    die(slot)
    die(slot)
    assert slot.trouble == ""
    die(slot)
    assert "w-0 ended 3 times in a row" in slot.trouble
    for _ in range(59):
        slot.pass_time(1.0)
    assert slot.trouble
    slot.pass_time(2.0)
    assert slot.trouble == ""
    assert slot.end_life("x", POLICY) == 0.0


def test_time_in_which_it_starts_forgives_nothing() -> None:
    slot = ready_slot()
    for _ in range(3):
        slot.end_life("x", POLICY)
        slot.begin_life()
    slot.pass_time(1000.0)
    assert slot.trouble


def test_room_is_promised_once() -> None:
    slot = ready_slot()
    room = slot.promise(30.0)
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
    slot.promise(30.0)
    slot.end_life("x", POLICY)
    assert slot.room is None


def test_the_snapshot_counts_restarts_and_keeps_the_reason_until_ready() -> None:
    slot = ready_slot()
    slot.end_life("hung", POLICY)
    slot.begin_life()
    row = slot.snapshot("m", "cpu")
    assert (row.restarts, row.reason, row.state) == (1, "hung", WorkerState.STARTING)
    slot.become_ready()
    assert slot.snapshot("m", "cpu").reason == ""


def test_a_move_that_is_not_in_the_table_is_refused() -> None:
    slot = ready_slot()
    with pytest.raises(ValueError, match="ready cannot become starting"):
        slot.move(WorkerState.STARTING)
