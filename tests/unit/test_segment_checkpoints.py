"""Finished segments: what is kept, when it is stored, and what a later run is given."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.hand_time import HandTime
from tests.unit.runner_rig import heard, new_job, segment
from tests.unit.standin_job_store import StandinJobStore
from voxfleet.errors import OverloadError
from voxfleet.jobs.job import Lease
from voxfleet.jobs.segment_checkpoints import (
    FLUSH_EVERY_S,
    MOST_WAITING,
    SegmentCheckpoints,
    checkpoint_key,
)


class Rig:
    def __init__(self) -> None:
        self.time = HandTime()
        self.store = StandinJobStore()

    async def claimed(self) -> SegmentCheckpoints:
        """By a new run of the same file, that an earlier one has lost."""
        if not self.store.stored:
            await self.store.enqueue(new_job("j"), self.time.now_s)
        await self.store.take_back("server-1", self.time.now_s)
        (file,) = await self.store.claim("server-1", 1, 30, self.time.now_s)
        self.lease: Lease = file.lease
        return SegmentCheckpoints(self.store, file.lease, self.time.clock, self.time.sleep)

    @property
    def writes(self) -> int:
        return self.store.calls.count("keep_checkpoints")


async def test_a_later_run_finds_what_an_earlier_one_kept() -> None:
    rig = Rig()
    first = await rig.claimed()
    for index in range(3):
        first.keep(segment(index), heard(index))
    await first.flush()
    later = await rig.claimed()
    await later.load()
    # whole, with what was noted about it
    assert [later.found(segment(index)) for index in range(4)] == [*map(heard, range(3)), None]


async def test_another_sound_at_the_same_place_is_not_taken_for_it() -> None:
    rig = Rig()
    first = await rig.claimed()
    first.keep(segment(1), heard(1))
    await first.flush()
    later = await rig.claimed()
    await later.load()
    assert later.found(segment(1, digest="other")) is None
    assert later.found(replace(segment(1), channel=1)) is None
    assert later.found(replace(segment(1), start_s=10.5)) is None
    assert later.found(replace(segment(1), sample_count=160_001)) is None
    assert later.found(segment(1)) == heard(1)


async def test_a_segment_without_a_digest_is_neither_kept_nor_found() -> None:
    rig = Rig()
    parts = await rig.claimed()
    parts.keep(segment(1, digest=""), heard(1))
    await parts.flush()
    assert rig.writes == 0
    assert checkpoint_key(segment(1, digest="")) is None
    assert parts.found(segment(1, digest="")) is None


async def test_a_short_file_writes_nothing_and_a_long_one_once_in_a_while() -> None:
    rig = Rig()
    parts = await rig.claimed()
    async with parts:
        parts.keep(segment(0), heard(0))
        await rig.time.advance(FLUSH_EVERY_S - 0.1)
        assert rig.writes == 0
        for index in range(1, 40):
            parts.keep(segment(index), heard(index))
        await rig.time.advance(0.2)
        assert rig.writes == 1
        await rig.time.advance(10 * FLUSH_EVERY_S)
        # there was nothing more
        assert rig.writes == 1
    assert len(await rig.store.checkpoints(rig.lease)) == 40


async def test_nothing_is_stored_twice() -> None:
    rig = Rig()
    parts = await rig.claimed()
    for _ in range(2):
        parts.keep(segment(0), heard(0))
        await parts.flush()
    assert rig.writes == 1
    later = await rig.claimed()
    await later.load()
    later.keep(segment(0), heard(0))
    await later.flush()
    assert rig.writes == 1


async def test_what_could_not_be_stored_is_stored_later() -> None:
    rig = Rig()
    parts = await rig.claimed()
    async with parts:
        parts.keep(segment(0), heard(0))
        rig.store.away = OverloadError("away")
        await rig.time.advance(FLUSH_EVERY_S + 0.1)
        assert rig.writes == 1
        rig.store.away = None
        await rig.time.advance(FLUSH_EVERY_S)
    assert list(await rig.store.checkpoints(rig.lease)) == [checkpoint_key(segment(0))]


async def test_what_waits_for_a_database_that_is_away_is_bounded() -> None:
    rig = Rig()
    parts = await rig.claimed()
    rig.store.away = OverloadError("away")
    for index in range(3 * MOST_WAITING):
        parts.keep(segment(index), heard(index))
    await parts.flush()
    rig.store.away = None
    await parts.flush()
    assert len(await rig.store.checkpoints(rig.lease)) == MOST_WAITING


async def test_a_lost_lease_ends_the_writing() -> None:
    rig = Rig()
    parts = await rig.claimed()
    await rig.store.cancel("j", rig.time.now_s)
    for index in range(3):
        parts.keep(segment(index), heard(index))
        await parts.flush()
    assert rig.writes == 1


async def test_a_damaged_checkpoint_is_recognised_and_stored_again() -> None:
    rig = Rig()
    parts = await rig.claimed()
    key = checkpoint_key(segment(0))
    assert key
    await rig.store.keep_checkpoints(rig.lease, [(key, b"{damaged")], rig.time.now_s)
    await parts.load()
    assert parts.found(segment(0)) is None
    parts.keep(segment(0), heard(0))
    await parts.flush()
    again = SegmentCheckpoints(rig.store, rig.lease, rig.time.clock, rig.time.sleep)
    await again.load()
    assert again.found(segment(0)) == heard(0)
