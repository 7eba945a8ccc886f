"""What becomes of files when the database is away, and of files whose faults pass or do not."""

from __future__ import annotations

import asyncio
import logging
import random

import pytest

from tests.unit.runner_rig import AWAY, RunnerRig, heard, new_job, running, segment
from voxfleet.errors import (
    CorruptAudioError,
    NotReadyError,
    OverloadError,
    VoxfleetError,
    WorkerLostError,
)
from voxfleet.jobs.job import FINAL_FILES, FileState, JobState
from voxfleet.jobs.job_runner import RunnerSettings

# -- the database is away -------------------------------------------------------------------------


async def test_a_database_that_is_away_is_asked_seldom_and_told_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "voxfleet.jobs")
    async with running() as rig:
        rig.store.away = AWAY
        rig.store.calls.clear()
        await rig.time.advance(60)
        assert 12 <= rig.count("claim") <= 20
        rig.store.away = None
        await rig.submit(new_job("j"))
        await rig.time.advance(5.1)
        assert rig.state() is FileState.DONE
    lines = [line for line in caplog.messages if "claimed" in line]
    assert len(lines) == 2
    assert "the database is away" in lines[0]
    assert "over" in lines[1]


async def test_files_run_on_without_a_database_and_their_texts_are_stored_later() -> None:
    async with running() as rig:
        rig.ears.at_once = False
        await rig.submit(new_job("j", "a.wav", "b.wav"))
        rig.store.away = AWAY
        await rig.time.advance(10)
        assert list(rig.ears.busy) == ["j-0", "j-1"]
        rig.ears.answer("j-0")
        await rig.time.advance(10)
        assert rig.state() is FileState.RUNNING
        rig.store.away = None
        await rig.time.advance(5.1)
        assert rig.state() is FileState.DONE
        assert len(rig.ears.asked) == 2


async def test_a_text_that_comes_too_late_is_dropped() -> None:
    async with running() as rig:
        rig.ears.at_once = False
        await rig.submit(new_job("j"))
        rig.store.away = AWAY
        rig.ears.answer("j-0")
        await rig.time.advance(60)
        rig.store.away = None
        # another server was quicker
        await rig.store.expire(rig.time.now_s)
        await rig.store.claim("server-2", 1, 30, rig.time.now_s)
        await rig.time.advance(5.1)
        assert rig.state() is FileState.RUNNING
        assert await rig.store.result("j", 0) is None
        assert rig.runner.running == 0


async def test_a_text_that_the_database_never_takes_is_not_tried_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running(RunnerSettings(running_files=2, attempts=2)) as rig:

        async def refuse(*_: object) -> bool:
            raise VoxfleetError("this text is too large for the database")

        monkeypatch.setattr(rig.store, "complete", refuse)
        await rig.submit(new_job("j"))
        assert rig.state() is FileState.QUEUED
        await rig.time.advance(10)
        assert rig.state() is FileState.FAILED
        assert rig.file().attempts == 2


# -- faults ---------------------------------------------------------------------------------------


async def test_a_fault_of_the_file_ends_it_at_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "voxfleet.jobs")
    async with running() as rig:
        rig.ears.faults["a.wav"] = [CorruptAudioError("a.wav: a secret remark")]
        await rig.submit(new_job("j", "a.wav", "b.wav"))
        assert rig.store.stored["j"].job.state is JobState.PARTLY_FAILED
        fault = rig.file().fault
    assert fault
    assert (fault.code, fault.message) == ("corrupt_audio", "a.wav: a secret remark")
    assert rig.file().attempts == 1
    assert any("corrupt_audio" in line for line in caplog.messages)
    assert not any("remark" in line for line in caplog.messages)


@pytest.mark.parametrize("fault", [WorkerLostError("x"), ZeroDivisionError(), OverloadError("x")])
async def test_a_fault_that_passes_is_tried_again_later(fault: Exception) -> None:
    async with running() as rig:
        rig.ears.faults["a.wav"] = [fault]
        await rig.submit(new_job("j"))
        assert rig.state() is FileState.QUEUED
        await rig.time.advance(4.9)
        assert len(rig.ears.asked) == 1
        await rig.time.advance(1.2)
        assert rig.state() is FileState.DONE
        assert rig.file().attempts == 2


async def test_attempts_are_used_up_one_day() -> None:
    async with running(RunnerSettings(running_files=1, attempts=3)) as rig:
        rig.ears.faults["a.wav"] = [WorkerLostError("x") for _ in range(9)]
        await rig.submit(new_job("j"))
        await rig.time.advance(60)
        assert rig.state() is FileState.FAILED
        assert len(rig.ears.asked) == 3


async def test_a_source_that_is_away_is_tried_again() -> None:
    async with running() as rig:
        rig.sources.fault = OverloadError("the bucket is away")
        await rig.submit(new_job("j"))
        assert rig.state() is FileState.QUEUED
        rig.sources.fault = None
        await rig.time.advance(6.1)
        assert rig.state() is FileState.DONE


async def test_no_model_uses_up_no_attempt_and_is_not_asked_in_a_frenzy() -> None:
    async with running(RunnerSettings(running_files=1, attempts=2)) as rig:
        rig.ears.faults["a.wav"] = [NotReadyError("no model") for _ in range(12)]
        await rig.submit(new_job("j"))
        await rig.time.advance(30)
        assert 5 <= len(rig.ears.asked) <= 10
        await rig.time.advance(60)
        assert rig.state() is FileState.DONE
        assert rig.file().attempts == 1


async def test_work_that_somebody_else_ended_is_not_lost() -> None:
    async with running() as rig:
        rig.ears.faults["a.wav"] = [asyncio.CancelledError()]
        await rig.submit(new_job("j"))
        assert rig.state() is FileState.QUEUED
        await rig.time.advance(6.1)
        assert rig.state() is FileState.DONE


async def test_a_claim_that_fails_unforeseen_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running() as rig:

        async def broken(*_: object) -> bool:
            raise RuntimeError("a bug")

        with monkeypatch.context() as patched:
            patched.setattr(rig.store, "claim", broken)
            await rig.submit(new_job("j"))
            await rig.time.advance(1.1)
        await rig.time.advance(5.1)
        assert rig.state() is FileState.DONE
    assert any("claiming" in line for line in caplog.messages)


# -- checkpoints ----------------------------------------------------------------------------------


async def test_a_second_try_is_given_what_the_first_had_heard() -> None:
    async with running() as rig:
        rig.ears.at_once = False
        await rig.submit(new_job("j"))
        first = rig.ears.asked[0].checkpoints
        assert first
        first.keep(segment(0), heard(0))
        # before anything was written by itself
        rig.ears.fail("j-0", WorkerLostError("x"))
        await rig.time.advance(6.1)
        second = rig.ears.asked[1].checkpoints
        assert second
        assert second.found(segment(0)) == heard(0)


async def test_a_file_that_is_done_writes_no_checkpoint() -> None:
    async with running() as rig:
        rig.ears.at_once = False
        await rig.submit(new_job("j"))
        parts = rig.ears.asked[0].checkpoints
        assert parts
        parts.keep(segment(0), heard(0))
        rig.ears.answer("j-0")
        await rig.time.advance(10)
        assert rig.count("keep_checkpoints") == 0


# -- whatever happens -----------------------------------------------------------------------------


async def trouble(rig: RunnerRig, dice: random.Random) -> None:
    """One more thing that goes wrong, or a file that is done."""
    happens = dice.randrange(6)
    if happens == 0:
        rig.store.away = dice.choice([AWAY, None, None])
    elif happens == 1:
        rig.ready = dice.random() < 0.7
    elif happens == 2:
        rig.store.requeue(rig.time.now_s, lambda _: dice.random() < 0.3)
    elif rig.ears.busy:
        request_id = dice.choice(list(rig.ears.busy))
        if happens == 3:
            kinds = [WorkerLostError("x"), NotReadyError("x"), KeyError("x")]
            rig.ears.fail(request_id, dice.choice(kinds))
        else:
            rig.ears.answer(request_id)
    await rig.time.advance(dice.random() * 8)


@pytest.mark.parametrize("seed", range(25))
async def test_every_file_ends_once_whatever_happens(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311
    async with running(RunnerSettings(running_files=4, attempts=4)) as rig:
        rig.ears.at_once = False
        for number in range(4):
            await rig.submit(new_job(f"j{number}", *(f"{place}.wav" for place in range(5))))
        for _ in range(80):
            await trouble(rig, dice)
            assert rig.runner.running <= 4
        rig.store.away, rig.ready, rig.ears.at_once = None, True, True
        for request_id in rig.ears.busy:
            rig.ears.answer(request_id)
        # what was postponed for ten minutes, and leases that nobody keeps
        for _ in range(8):
            await rig.store.expire(rig.time.now_s)
            await rig.time.advance(100)
        files = [row.file for job in rig.store.stored.values() for row in job.files]
        assert all(file.state in FINAL_FILES for file in files)
        # the store itself refuses a second end; nothing was lost by trouble that passes
        failed = [file for file in files if file.state is FileState.FAILED]
        assert all(file.attempts >= 4 for file in failed)
        assert len(failed) < 10
