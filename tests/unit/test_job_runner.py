"""Files of jobs are claimed, run and ended, whatever happens to the database and the workers."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tests.unit.runner_rig import AWAY, SERVER, RunnerRig, heard, new_job, running, segment
from voxfleet.core import AudioInfo, WorkClass
from voxfleet.errors import (
    WorkerLostError,
)
from voxfleet.jobs.job import FileResult, FileState, Lease
from voxfleet.jobs.job_runner import RunnerSettings, files_at_once
from voxfleet.jobs.result_codec import read_transcription


async def test_a_job_is_run_the_moment_it_is_submitted() -> None:
    async with running() as rig:
        await rig.submit(new_job("j", "a.wav", "b.wav", "c.wav", client="tenant"))
        # no time has passed
        assert [rig.state("j", position) for position in range(3)] == [FileState.DONE] * 3
        content = await rig.store.result("j", 1)
    assert content
    assert read_transcription(content).transcripts[0].text == "text of b.wav"
    asked = rig.ears.asked[1]
    assert (asked.id, asked.name, asked.client) == ("j-1", "b.wav", "tenant")
    assert asked.work_class is WorkClass.BATCH
    assert asked.timeout_s is None
    assert asked.use_results
    assert asked.use_decoded


async def test_as_many_run_as_there_is_room_for() -> None:
    async with running(RunnerSettings(running_files=3)) as rig:
        rig.ears.at_once = False
        await rig.submit(new_job("j", *(f"{number}.wav" for number in range(100))))
        await rig.time.advance(5)
        assert list(rig.ears.busy) == ["j-0", "j-1", "j-2"]
        rig.ears.answer("j-1")
        await rig.time.settle()
        assert list(rig.ears.busy) == ["j-0", "j-2", "j-3"]


async def test_much_room_is_filled_at_once() -> None:
    async with running(RunnerSettings(running_files=200)) as rig:
        rig.ears.at_once = False
        await rig.submit(new_job("j", *(f"{number}.wav" for number in range(150))))
        # in several short transactions, and no time has passed
        assert len(rig.ears.busy) == 150
        assert rig.count("claim") >= 3


def test_room_follows_the_workers_where_nobody_said_how_much() -> None:
    assert [files_at_once(0, workers) for workers in (0, 1, 2, 5)] == [8, 8, 8, 20]
    assert files_at_once(3, 5) == 3


async def test_what_another_server_submitted_is_seen_within_a_second() -> None:
    async with running() as rig:
        await rig.store.enqueue(new_job("j"), rig.time.now_s)
        await rig.time.advance(1.1)
        assert rig.state() is FileState.DONE


async def test_an_empty_queue_costs_one_question_a_second() -> None:
    async with running() as rig:
        rig.store.calls.clear()
        await rig.time.advance(60)
        assert set(rig.store.calls) == {"claim"}
        assert rig.count("claim") <= 60


async def test_nothing_is_claimed_before_a_model_is_ready() -> None:
    rig = RunnerRig()
    rig.ready = False
    await rig.store.enqueue(new_job("j"), rig.time.now_s)
    following = asyncio.create_task(rig.runner.follow())
    await rig.time.advance(30)
    assert rig.store.calls.count("claim") == 0
    rig.ready = True
    await rig.time.advance(1.1)
    assert rig.state() is FileState.DONE
    following.cancel()


async def test_what_an_earlier_life_had_is_taken_back_once() -> None:
    rig = RunnerRig()
    rig.ears.at_once = False
    await rig.store.enqueue(new_job("j"), rig.time.now_s)
    await rig.store.claim(SERVER, 1, 30, rig.time.now_s)
    for _ in range(2):
        # begun again, as a watch that failed is
        following = asyncio.create_task(rig.runner.follow())
        await rig.time.advance(1.1)
        assert list(rig.ears.busy) == ["j-0"]
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    assert rig.count("take_back") == 1
    assert len(rig.ears.asked) == 1
    await rig.runner.stop(0)


# -- leases ---------------------------------------------------------------------------------------


async def test_a_long_file_keeps_its_lease() -> None:
    async with running() as rig:
        rig.ears.at_once = False
        await rig.submit(new_job("j"))
        for _ in range(100):
            await rig.time.advance(3)
            assert await rig.store.expire(rig.time.now_s) == 0
        rig.ears.answer("j-0")
        await rig.time.settle()
        assert rig.state() is FileState.DONE


async def test_progress_is_told_while_a_file_runs() -> None:
    async with running() as rig:
        rig.ears.at_once = False
        await rig.submit(new_job("j"))
        listener = rig.ears.asked[0].listener
        assert listener
        listener.opened(AudioInfo("wav", "pcm", 16_000, 1, 42.0))
        listener.recognised(segment(2), heard(2))
        listener.recognised(segment(0), heard(0))
        await rig.time.advance(1.1)
        assert (rig.file().heard_s, rig.file().duration_s) == (30.0, 42.0)


async def test_a_cancel_ends_a_running_file_within_a_second() -> None:
    async with running() as rig:
        rig.ears.at_once = False
        await rig.submit(new_job("j", "a.wav", "b.wav"))
        await rig.submit(new_job("k"))
        await rig.store.cancel("j", rig.time.now_s)
        await rig.time.advance(1.1)
        assert list(rig.ears.busy) == ["k-0"]
        assert rig.sources.open == {"a.wav"}
        assert rig.state("j", 1) is FileState.CANCELLED


async def test_a_server_that_was_thought_lost_changes_nothing() -> None:
    async with running() as rig:
        rig.ears.at_once = False
        await rig.submit(new_job("j"))
        other = rig.another(RunnerSettings(running_files=2), "server-2")
        await rig.store.take_back(SERVER, rig.time.now_s)
        await rig.store.claim("server-2", 1, 30, rig.time.now_s)
        rig.ears.answer("j-0")
        await rig.time.settle()
        # its end came before any heartbeat told it
        assert rig.state() is FileState.RUNNING
        assert await rig.store.result("j", 0) is None
        await other.stop(0)


async def test_a_heartbeat_that_comes_with_the_end_takes_nothing_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "voxfleet.jobs")
    async with running() as rig:
        complete = rig.store.complete

        async def slow(lease: Lease, result: FileResult, now_s: float) -> bool:
            stored = await complete(lease, result, now_s)
            await rig.time.sleep(5)
            return stored

        monkeypatch.setattr(rig.store, "complete", slow)
        await rig.submit(new_job("j"))
        # the file is done already, so its lease counts as lost
        await rig.time.advance(6)
        assert rig.runner.running == 0
    assert [line for line in caplog.messages if "file 0" in line] == ["job j file 0: done"]


async def test_a_file_that_is_claimed_again_here_runs_once() -> None:
    async with running() as rig:
        rig.ears.at_once = False
        await rig.submit(new_job("j"))
        # its lease ran out unnoticed, as on a machine that slept
        rig.store.requeue(rig.time.now_s, lambda _: True)
        rig.runner.wake()
        await rig.time.settle()
        assert len(rig.ears.asked) == 2
        assert rig.runner.running == 1
        rig.ears.answer("j-0")
        await rig.time.settle()
        assert rig.state() is FileState.DONE


# -- stopping -------------------------------------------------------------------------------------


async def test_a_server_that_stops_gives_its_files_back_as_if_never_claimed() -> None:
    async with running() as rig:
        rig.ears.at_once = False
        await rig.submit(new_job("j", "a.wav", "b.wav", "c.wav"))
        parts = rig.ears.asked[1].checkpoints
        assert parts
        parts.keep(segment(0), heard(0))
        await rig.runner.stop(0)
        await rig.time.advance(5)
        assert [rig.state("j", position) for position in range(3)] == [FileState.QUEUED] * 3
        assert [rig.file("j", position).attempts for position in range(3)] == [0, 0, 0]
        assert rig.count("release") == 1
        assert len(rig.store.stored["j"].files[1].parts) == 1
        assert len(rig.ears.asked) == 2


async def test_what_runs_may_finish_in_the_time_of_grace() -> None:
    async with running() as rig:
        rig.ears.at_once = False
        await rig.submit(new_job("j", "a.wav", "b.wav", "c.wav"))
        assert rig.following
        rig.following.cancel()
        stopping = asyncio.create_task(rig.runner.stop(60))
        for _ in range(20):
            # longer than a lease, and nobody follows any more
            await rig.time.advance(3)
            assert await rig.store.expire(rig.time.now_s) == 0
        rig.ears.answer("j-0")
        rig.ears.answer("j-1")
        await rig.time.settle()
        await stopping
        states = [rig.state("j", position) for position in range(3)]
        assert states == [FileState.DONE, FileState.DONE, FileState.QUEUED]


async def test_a_worker_that_stops_with_its_server_uses_up_no_attempt() -> None:
    async with running(RunnerSettings(running_files=1, attempts=1)) as rig:
        rig.ears.at_once = False
        await rig.submit(new_job("j"))
        stopping = asyncio.create_task(rig.runner.stop(60))
        await rig.time.settle()
        rig.ears.fail("j-0", WorkerLostError("x"))
        await rig.time.settle()
        await stopping
        assert (rig.state(), rig.file().attempts) == (FileState.QUEUED, 0)


async def test_a_claim_that_is_on_its_way_when_the_server_stops_is_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running() as rig:
        rig.ears.at_once = False
        claim, answered = rig.store.claim, asyncio.Event()

        async def slow(server: str, most: int, lease_s: float, now_s: float) -> object:
            claimed = await claim(server, most, lease_s, now_s)
            await answered.wait()
            return claimed

        monkeypatch.setattr(rig.store, "claim", slow)
        await rig.submit(new_job("j"))
        assert rig.state() is FileState.RUNNING
        assert rig.following
        rig.following.cancel()
        stopping = asyncio.create_task(rig.runner.stop(0))
        await rig.time.settle()
        answered.set()
        await stopping
        assert (rig.state(), rig.file().attempts) == (FileState.QUEUED, 0)


async def test_stopping_without_a_database_ends_too(caplog: pytest.LogCaptureFixture) -> None:
    async with running() as rig:
        rig.ears.at_once = False
        await rig.submit(new_job("j"))
        rig.store.away = AWAY
        await rig.runner.stop(0)
        rig.store.away = None
        assert rig.state() is FileState.RUNNING
    assert any("starts again" in line for line in caplog.messages)
