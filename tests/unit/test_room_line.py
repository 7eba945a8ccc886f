"""Waiting for a worker: in order, away from the avoided, and nothing lost to those who leave."""

from __future__ import annotations

import asyncio

import pytest

from voxfleet.errors import NotReadyError
from voxfleet.fleet.room_line import RoomLine, choose
from voxfleet.fleet.worker_slot import WorkerSlot
from voxfleet.pool_contract import Room

NOBODY: frozenset[str] = frozenset()


def slots(count: int) -> list[WorkerSlot]:
    made = [WorkerSlot(f"w-{number}") for number in range(count)]
    for slot in made:
        slot.become_ready()
    return made


def line_of(made: list[WorkerSlot]) -> RoomLine:
    return RoomLine(lambda: made, lambda slot: slot.promise(10.0))


def wait(line: RoomLine, avoid: frozenset[str] = NOBODY) -> asyncio.Task[Room]:
    return asyncio.create_task(line.wait(avoid))


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_first_come_first_served() -> None:
    line = line_of(slots(1))
    room = await line.wait(NOBODY)
    second, third = wait(line), wait(line)
    await settle()
    assert not second.done()
    line.release(room)
    again = await second
    assert not third.done()
    line.release(again)
    await third


async def test_avoided_workers_come_last_but_come() -> None:
    line = line_of(slots(2))
    assert (await line.wait(frozenset({"w-0"}))).worker_id == "w-1"
    assert (await line.wait(frozenset({"w-0"}))).worker_id == "w-0"


async def test_workers_take_turns_where_little_is_asked() -> None:
    line = line_of(slots(3))
    seen = []
    for _ in range(6):
        room = await line.wait(NOBODY)
        seen.append(room.worker_id)
        line.release(room)
    assert seen == ["w-0", "w-1", "w-2"] * 2


async def test_releasing_twice_frees_nobody_elses_room() -> None:
    line = line_of(slots(1))
    room = await line.wait(NOBODY)
    line.release(room)
    await line.wait(NOBODY)
    line.release(room)
    third = wait(line)
    await settle()
    assert not third.done()
    third.cancel()


async def test_who_leaves_the_line_takes_no_room() -> None:
    line = line_of(slots(1))
    room = await line.wait(NOBODY)
    leaving, staying = wait(line), wait(line)
    await settle()
    leaving.cancel()
    await settle()
    line.release(room)
    assert (await staying).worker_id == "w-0"


async def test_a_room_given_to_someone_who_just_left_goes_on() -> None:
    line = line_of(slots(1))
    room = await line.wait(NOBODY)
    leaving, staying = wait(line), wait(line)
    await settle()
    line.release(room)  # given to `leaving`, who is cancelled before it can run
    leaving.cancel()
    assert (await staying).worker_id == "w-0"


async def test_everybody_is_sent_away() -> None:
    line = line_of(slots(0))
    waiting = [wait(line), wait(line)]
    await settle()
    line.refuse("no worker is left")
    for task in waiting:
        with pytest.raises(NotReadyError, match="no worker is left"):
            await task


def test_the_least_burdened_of_the_free_is_next() -> None:
    made = slots(3)
    burdens = {"w-0": 5.0, "w-1": 1.0, "w-2": 3.0}

    def chosen(avoid: frozenset[str] = NOBODY) -> str | None:
        slot = choose(made, avoid, lambda slot: burdens[slot.id])
        return slot.id if slot else None

    assert chosen() == "w-1"
    assert chosen(frozenset({"w-1"})) == "w-2"
    made[1].promise(10.0)
    assert chosen() == "w-2"
