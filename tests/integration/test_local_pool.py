"""Workers as real processes: start, devices, memory, preference, an orderly end."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from pathlib import Path

import psutil
import pytest

from tests.integration.worker_rig import (
    LIMIT_S,
    local_pool,
    noise,
    recognise,
    segment,
    spool,
    texts,
)
from voxfleet.core import Batch
from voxfleet.engines.fake import hear
from voxfleet.engines.fake_options import FakeOptions
from voxfleet.errors import NotReadyError, StartError
from voxfleet.fleet import local_pool as local_pool_module
from voxfleet.fleet.device_env import on_device
from voxfleet.pool_contract import WorkerState


@pytest.mark.parametrize(
    ("device", "shown", "told", "visible"),
    [
        ("cpu", None, "cpu", ""),
        ("cpu", "4,5", "cpu", ""),
        ("cuda", None, "cuda:0", "0"),
        ("cuda:3", None, "cuda:0", "3"),
        ("cuda", "4,5", "cuda:0", "4"),
        ("cuda:1", "4, GPU-8f1", "cuda:0", "GPU-8f1"),
    ],
)
def test_a_worker_sees_its_own_device_only(
    device: str, shown: str | None, told: str, visible: str
) -> None:
    assert on_device(device, shown) == (told, {"CUDA_VISIBLE_DEVICES": visible})


@pytest.mark.parametrize(
    ("device", "shown"), [("cuda:2", "4,5"), ("cuda:-1", None), ("cuda:x", "4")]
)
def test_a_device_that_is_not_there_keeps_its_name(device: str, shown: str | None) -> None:
    assert on_device(device, shown) == (device, {})


async def test_the_bundled_model_serves() -> None:
    async with local_pool(model="pocketsphinx") as rig:
        assert (rig.pool.info.model, rig.pool.info.languages) == ("pocketsphinx", ("en",))
        sound = spool(rig.folder, noise(0.5) // 1000)
        assert texts(await recognise(rig.pool, sound)) == [""]


async def test_an_unknown_model_names_its_neighbour() -> None:
    with pytest.raises(StartError, match=r"'fakke' is unknown; did you mean fake"):
        async with local_pool(model="fakke"):
            pytest.fail("it started")


async def test_a_model_that_takes_too_long_to_load() -> None:
    with pytest.raises(StartError, match=r"no worker was ready within 0\.5 s"):
        async with local_pool(FakeOptions(load_s=600.0), start_timeout_s=0.5, stop_grace_s=0.1):
            pytest.fail("it started")


async def test_nothing_is_known_before_the_start() -> None:
    async with local_pool(started=False) as rig:
        with pytest.raises(NotReadyError, match="not been started"):
            await rig.pool.room()
        with pytest.raises(NotReadyError):
            _ = rig.pool.info
        assert not rig.pool.snapshot().ready


async def test_memory_is_really_taken() -> None:
    async with local_pool(FakeOptions(memory_mb=200)) as rig:
        assert psutil.Process(rig.pid()).memory_info().rss > 200 * 2**20


async def test_the_socket_is_for_its_owner_alone() -> None:
    async with local_pool() as rig:
        assert stat.S_IMODE((rig.folder / "workers").stat().st_mode) == 0o600


async def test_avoided_workers_are_used_only_when_no_other_is_free() -> None:
    async with local_pool(instances=2) as rig:
        async with asyncio.timeout(LIMIT_S):
            both = [await rig.pool.room(), await rig.pool.room()]
            ids = {room.worker_id for room in both}
            assert ids == {"fake-0", "fake-1"}
            for room in both:
                rig.pool.release(room)
            assert (await rig.pool.room(frozenset({"fake-0"}))).worker_id == "fake-1"
            assert (await rig.pool.room(frozenset({"fake-0"}))).worker_id == "fake-0"


async def test_two_workers_compute_at_the_same_time(tmp_path: Path) -> None:
    async with local_pool(instances=2) as rig:
        sounds = [noise(2.0, seed) for seed in range(6)]
        answers = await asyncio.gather(
            *(recognise(rig.pool, spool(tmp_path, s, f"s{i}")) for i, s in enumerate(sounds))
        )
        assert [texts(answer) for answer in answers] == [[hear(segment(s)).text] for s in sounds]


async def test_a_terminated_worker_finishes_its_batch_first(tmp_path: Path) -> None:
    segment_in_pipe = spool(tmp_path, noise(1.0))
    sound = segment_in_pipe.path.read_bytes()
    segment_in_pipe.path.unlink()
    os.mkfifo(segment_in_pipe.path)
    async with local_pool() as rig:
        room = await rig.pool.room()
        working = asyncio.create_task(rig.pool.recognise(Batch("b", (segment_in_pipe,)), room))
        # opens when the worker opens the other end: then the batch is in work
        pipe = await asyncio.wait_for(
            asyncio.to_thread(segment_in_pipe.path.open, "wb", buffering=0), LIMIT_S
        )
        os.kill(rig.pid(), signal.SIGTERM)
        with pipe:
            pipe.write(sound)
        result = await asyncio.wait_for(working, LIMIT_S)
        assert texts(result) == [hear(segment(noise(1.0))).text]


async def test_stopping_ends_every_process_and_removes_the_socket() -> None:
    async with local_pool(instances=2) as rig:
        processes = [psutil.Process(rig.pid(number)) for number in range(2)]
        await rig.pool.stop()
        assert not any(process.is_running() for process in processes)
        assert not (rig.folder / "workers").exists()
        assert {row.state for row in rig.pool.snapshot().workers} == {WorkerState.DRAINING}
        await rig.pool.stop()


async def test_a_pool_whose_own_task_fails_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    async with local_pool() as rig:
        monkeypatch.setattr(local_pool_module, "result_of", broken)
        with pytest.raises(NotReadyError, match=r"the pool failed \(RuntimeError\)"):
            await recognise(rig.pool, spool(tmp_path, noise(1.0)))
        with pytest.raises(NotReadyError, match="the pool failed"):
            await rig.pool.room()
        assert not rig.pool.snapshot().ready
        assert rig.row().state is WorkerState.FAILED
