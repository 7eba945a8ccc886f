"""What is kept in order behind jobs, and that one duty's fault is not another's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from tests.unit.hand_time import HandTime
from tests.unit.runner_rig import AWAY, new_job
from tests.unit.standin_job_store import StandinJobStore
from voxfleet.errors import OverloadError, PermissionDeniedError
from voxfleet.jobs.job import Archive, ArchiveDue, FileResult, FileSource, FileState, NewJob
from voxfleet.jobs.job_keeper import JobKeeper

RETENTION_S = 2000.0


class Rig:
    def __init__(self) -> None:
        self.time = HandTime()
        self.store = StandinJobStore()
        self.removed: list[str] = []
        self.archived: list[str] = []
        self.blob_fault: Exception | None = None
        self.archive_faults: dict[str, Exception] = {}
        self.keeper = JobKeeper(
            self.store,
            RETENTION_S,
            self.remove_blobs,
            self.archive,
            self.time.clock,
            self.time.sleep,
        )

    async def remove_blobs(self, keys: Sequence[str]) -> None:
        if self.blob_fault:
            raise self.blob_fault
        self.removed.extend(keys)

    async def archive(self, due: ArchiveDue) -> None:
        fault = self.archive_faults.get(due.source.name)
        if fault:
            raise fault
        self.archived.append(due.source.name)

    async def done(self, job: NewJob) -> None:
        now_s = self.time.now_s
        await self.store.enqueue(job, now_s)
        for file in await self.store.claim("server-1", len(job.files), 30, now_s):
            await self.store.complete(file.lease, FileResult(b"{}", 1.0), now_s)

    async def to_archive(self, *names: str) -> None:
        job = new_job("j", *names)
        await self.done(replace(job, options=replace(job.options, archive=Archive.DELETE)))


@asynccontextmanager
async def keeping() -> AsyncIterator[Rig]:
    rig = Rig()
    following = asyncio.create_task(rig.keeper.follow())
    await rig.time.settle()
    yield rig
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


def uploaded(job_id: str) -> NewJob:
    source = FileSource("a.wav", f"{job_id}/0", uploaded=True)
    return replace(new_job(job_id), files=(source,))


async def test_files_of_a_server_that_is_lost_are_queued_again_within_seconds() -> None:
    async with keeping() as rig:
        await rig.store.enqueue(new_job("j"), rig.time.now_s)
        await rig.store.claim("server-2", 1, 30, rig.time.now_s)
        await rig.time.advance(29)
        assert rig.store.file("j").state is FileState.RUNNING
        await rig.time.advance(5)
        assert rig.store.file("j").state is FileState.QUEUED


async def test_old_jobs_go_with_their_blobs_and_young_ones_stay() -> None:
    async with keeping() as rig:
        for number in range(35):
            await rig.done(uploaded(f"old{number}"))
        await rig.time.advance(RETENTION_S - 300)
        await rig.done(uploaded("young"))
        assert len(rig.store.stored) == 36
        await rig.time.advance(300 + 61)
        assert list(rig.store.stored) == ["young"]
        assert sorted(rig.removed) == sorted(f"old{number}/0" for number in range(35))


async def test_blobs_that_cannot_be_removed_are_removed_later() -> None:
    async with keeping() as rig:
        rig.blob_fault = OverloadError("the bucket is away")
        for number in range(25):
            await rig.done(uploaded(f"old{number}"))
        await rig.time.advance(RETENTION_S + 200)
        # no more is forgotten than one piece
        assert len(rig.store.stored) == 15
        rig.blob_fault = None
        await rig.time.advance(61)
        assert rig.store.stored == {}
        assert len(rig.removed) == len(set(rig.removed)) == 25


async def test_sources_are_archived_once() -> None:
    async with keeping() as rig:
        await rig.to_archive(*(f"{number}.wav" for number in range(120)))
        await rig.time.advance(61)
        assert rig.archived == [f"{number}.wav" for number in range(120)]
        await rig.time.advance(300)
        assert len(rig.archived) == 120


async def test_sources_that_stay_where_they_are_keep_no_other_waiting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "voxfleet.jobs")
    async with keeping() as rig:
        names = [f"{number}.wav" for number in range(200)]
        for name in names[:150]:
            rig.archive_faults[name] = PermissionDeniedError(f"{name}: may not be deleted")
        await rig.to_archive(*names)
        await rig.time.advance(301)
        assert rig.archived == names[150:]
        assert len([line for line in caplog.messages if "moved or deleted" in line]) == 1
        rig.archive_faults.clear()
        await rig.time.advance(700)
        assert sorted(rig.archived) == sorted(names)
        assert any("over" in line for line in caplog.messages)


async def test_an_unforeseen_fault_of_one_source_is_only_its_own() -> None:
    async with keeping() as rig:
        rig.archive_faults["a.wav"] = KeyError("a bug")
        await rig.to_archive("a.wav", "b.wav")
        await rig.time.advance(61)
        assert rig.archived == ["b.wav"]


async def test_thousands_that_fail_are_neither_remembered_nor_asked_in_a_frenzy() -> None:
    async with keeping() as rig:
        names = [f"{number}.wav" for number in range(1200)]
        asked: list[str] = []

        async def archive(due: ArchiveDue) -> None:
            asked.append(due.source.name)
            raise PermissionDeniedError("x")

        rig.keeper._archive = archive
        await rig.to_archive(*names)
        await rig.time.advance(61)
        assert 1000 <= len(asked) <= 1100


async def test_one_duty_that_fails_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with keeping() as rig:

        async def broken(*_: object) -> int:
            raise RuntimeError("a bug")

        monkeypatch.setattr(rig.store, "expire", broken)
        await rig.to_archive("a.wav")
        await rig.time.advance(RETENTION_S + 120)
        assert rig.archived == ["a.wav"]
        assert rig.store.stored == {}
    assert any("leases" in line for line in caplog.messages)


async def test_a_database_that_is_away_is_told_of_once_a_duty(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "voxfleet.jobs")
    async with keeping() as rig:
        rig.store.away = AWAY
        await rig.time.advance(600)
        assert len(caplog.messages) == 3
        rig.store.away = None
        await rig.time.advance(61)
        assert len(caplog.messages) == 6
