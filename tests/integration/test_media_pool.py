"""Files through real media processes: what they give, and that they leave nothing behind."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from tests.integration.media_rig import (
    ENERGY,
    LIMIT_S,
    Rig,
    bursts,
    read_all,
    running_pool,
    taken,
    until,
    write_stillness,
    write_wav,
)
from voxfleet.core import SAMPLE_RATE_HZ, AudioOptions, ChannelMode, VadMode, WorkClass
from voxfleet.errors import (
    AudioError,
    AudioTooLongError,
    CancelledError,
    EmptyAudioError,
    NotAudioError,
    NotReadyError,
    StartError,
)
from voxfleet.media.media_pool import MediaPool
from voxfleet.media.media_settings import MediaSettings

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def rig() -> AsyncIterator[Rig]:
    async with running_pool(MediaSettings(processes=1, window=4)) as rig:
        yield rig


async def test_segments_hold_the_sound_of_the_file(rig: Rig, tmp_path: Path) -> None:
    samples = bursts(20)
    path = write_wav(tmp_path / "a.wav", samples)
    async with rig.pool.open(path, "a.wav", ENERGY) as file:
        info = await file.info()
        ids = []
        async for segment in file:
            ids.append(segment.id)
            _, start_s, sound = taken(segment)
            start = round(start_s * SAMPLE_RATE_HZ)
            assert sound == samples[start : start + len(sound) // 2].tobytes()
            assert len(sound) // 2 == segment.sample_count
    assert len(ids) == len(set(ids)) == 20
    assert (info.sample_rate_hz, info.channels) == (SAMPLE_RATE_HZ, 1)
    assert file.duration_s == file.decoded_s == pytest.approx(70.0)
    assert (file.channels, file.warnings) == (1, ())
    assert rig.left_over() == []


async def test_split_gives_each_channel_its_own_segments(rig: Rig, tmp_path: Path) -> None:
    left, right = bursts(3), bursts(3, still_s=2.0, loud_s=0.5)[: len(bursts(3))]
    right = np.pad(right, (0, len(left) - len(right)))
    path = write_wav(tmp_path / "call.wav", np.stack((left, right), 1).reshape(-1), channels=2)
    options = AudioOptions(vad=VadMode.ENERGY, channel=ChannelMode.SPLIT)
    file = rig.pool.open(path, "call.wav", options)
    pieces = await read_all(file)
    assert file.channels == 2
    for channel, source in enumerate((left, right)):
        own = [(start_s, sound) for number, start_s, sound in pieces if number == channel]
        assert own
        for start_s, sound in own:
            start = round(start_s * SAMPLE_RATE_HZ)
            assert sound == source[start : start + len(sound) // 2].tobytes()


@pytest.mark.parametrize(
    ("content", "error"),
    [(b"plain text, no sound " * 50, NotAudioError), (b"", EmptyAudioError)],
)
async def test_a_bad_file_raises_its_own_error_and_nobody_elses(
    rig: Rig, tmp_path: Path, content: bytes, error: type[AudioError]
) -> None:
    bad_path = tmp_path / "bad.bin"
    bad_path.write_bytes(content)
    good = rig.pool.open(write_wav(tmp_path / "good.wav", bursts(5)), "good.wav", ENERGY)
    bad = rig.pool.open(bad_path, "the clients name.mp3", ENERGY)
    with pytest.raises(error, match="the clients name"):
        await bad.info()
    with pytest.raises(error):
        await read_all(bad)
    assert len(await read_all(good)) == 5
    assert rig.left_over() == []


async def test_unread_segments_pause_a_file_and_reading_resumes_it(
    rig: Rig, tmp_path: Path
) -> None:
    path = write_wav(tmp_path / "a.wav", bursts(40))
    other = write_wav(tmp_path / "b.wav", bursts(40, seed=2))
    async with rig.pool.open(path, "a.wav", ENERGY) as file:
        await file.info()
        folder = rig.spool_dir / file.id
        await until(lambda: folder.is_dir() and len(list(folder.iterdir())) == 4)
        # another file passes it by from end to end while it is paused
        assert len(await read_all(rig.pool.open(other, "b.wav", ENERGY))) == 40
        assert len(list(folder.iterdir())) == 4
        most, count = 0, 0
        async for segment in file:
            most = max(most, len(list(folder.iterdir())))
            taken(segment)
            count += 1
    assert count == 40
    assert most <= 5
    assert rig.left_over() == []


@pytest.mark.parametrize("work_class", [WorkClass.INTERACTIVE, WorkClass.BATCH])
async def test_a_long_file_neither_delays_a_short_one_nor_needs_memory(
    rig: Rig, tmp_path: Path, work_class: WorkClass
) -> None:
    short_path = write_wav(tmp_path / "short.wav", bursts(4))
    before = rig.processes()[0].memory_info().rss
    long = rig.pool.open(write_stillness(tmp_path / "long.wav", 3), "long.wav", ENERGY, work_class)
    try:
        await until(lambda: long.decoded_s > 60)
        for _ in range(3):
            begun = time.monotonic()
            assert len(await read_all(rig.pool.open(short_path, "short.wav", ENERGY))) == 4
            assert time.monotonic() - begun < 1.0
        assert not long.over
        await until(lambda: long.decoded_s > 3600)
        rss = rig.processes()[0].memory_info().rss
        assert rss < 200e6
        assert rss - before < 40e6
    finally:
        await long.close()


async def test_closing_in_the_middle_ends_the_work_and_removes_the_segments(
    rig: Rig, tmp_path: Path
) -> None:
    path = write_wav(tmp_path / "a.wav", bursts(40))
    file = rig.pool.open(path, "a.wav", ENERGY)
    segment = await anext(file)
    assert segment.path.exists()
    await asyncio.wait_for(file.close(), LIMIT_S)
    assert rig.left_over() == []
    await file.close()
    with pytest.raises(CancelledError, match=r"a\.wav"):
        await anext(file)


async def test_a_reader_that_is_cancelled_leaves_nothing(rig: Rig, tmp_path: Path) -> None:
    long_path = write_stillness(tmp_path / "long.wav", 3)
    file = rig.pool.open(long_path, "long.wav", ENERGY)
    reader = asyncio.create_task(read_all(file))
    await until(lambda: file.decoded_s > 30)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert rig.left_over() == []
    reached_s = file.decoded_s
    # the process does other things now
    short_path = write_wav(tmp_path / "short.wav", bursts(4))
    assert len(await read_all(rig.pool.open(short_path, "short.wav", ENERGY))) == 4
    assert file.decoded_s == reached_s


async def test_limits_of_one_file_are_told_and_end_only_that_file(tmp_path: Path) -> None:
    settings = MediaSettings(processes=1, max_audio_hours=0.05)
    async with running_pool(settings) as rig:
        long_path = write_stillness(tmp_path / "long.wav", 1)
        with pytest.raises(AudioTooLongError, match=r"long\.wav: more than 0\.05 hours"):
            await read_all(rig.pool.open(long_path, "long.wav", ENERGY))
        path = write_wav(tmp_path / "a.wav", bursts(4))
        assert len(await read_all(rig.pool.open(path, "a.wav", ENERGY))) == 4
        assert len(rig.processes()) == 1


async def test_a_file_that_costs_too_much_work_fails(tmp_path: Path) -> None:
    async with running_pool(MediaSettings(processes=1, decode_timeout_s=0.02)) as rig:
        long_path = write_stillness(tmp_path / "long.wav", 0.9)
        with pytest.raises(AudioError, match=r"long\.wav: decoding \d+ s of its sound took"):
            await read_all(rig.pool.open(long_path, "long.wav", ENERGY))
        process = rig.processes()
        short_path = write_wav(tmp_path / "short.wav", bursts(1))
        assert len(await read_all(rig.pool.open(short_path, "short.wav", ENERGY))) == 1
        assert rig.processes() == process


async def test_a_file_that_needs_too_much_memory_fails_and_the_process_lives(
    tmp_path: Path,
) -> None:
    settings = MediaSettings(processes=1, memory_limit_mb=24, slice_s=1800, turn_s=60)
    async with running_pool(settings) as rig:
        process = rig.processes()
        # a slice of half an hour cannot be held in so little
        long_path = write_stillness(tmp_path / "long.wav", 0.6)
        with pytest.raises(AudioError, match=r"long\.wav: .*24 MB of memory"):
            await read_all(rig.pool.open(long_path, "long.wav", ENERGY))
        path = write_wav(tmp_path / "a.wav", bursts(4))
        assert len(await read_all(rig.pool.open(path, "a.wav", ENERGY))) == 4
        assert rig.processes() == process


async def test_files_are_shared_among_the_processes(tmp_path: Path) -> None:
    async with running_pool(MediaSettings(processes=2)) as rig:
        await until(lambda: sum(child.ready for child in rig.pool.children()) == 2)
        long_path = write_stillness(tmp_path / "long.wav", 3)
        files = [rig.pool.open(long_path, f"{index}.wav", ENERGY) for index in range(2)]
        assert [list(child.files.values()) for child in rig.pool.children()] in (
            [[files[0]], [files[1]]],
            [[files[1]], [files[0]]],
        )
        await until(lambda: all(file.decoded_s > 60 for file in files))
        for file in files:
            await file.close()


async def test_stopping_tells_every_reader_and_leaves_nothing(tmp_path: Path) -> None:
    async with running_pool(MediaSettings(processes=1)) as rig:
        file = rig.pool.open(write_stillness(tmp_path / "long.wav", 3), "long.wav", ENERGY)
        reader = asyncio.create_task(read_all(file))
        await until(lambda: file.decoded_s > 0)
        await rig.pool.stop()
        with pytest.raises(NotReadyError, match="stopping"):
            await reader
        with pytest.raises(NotReadyError):
            rig.pool.open(tmp_path / "long.wav", "long.wav")
        await until(lambda: rig.processes() == [])


async def test_a_pool_that_cannot_start_says_why_and_leaves_no_process(tmp_path: Path) -> None:
    settings = MediaSettings(processes=1, start_timeout_s=0.01, step_timeout_s=0.02)
    folder = tmp_path / "spool"
    pool = MediaPool(settings, tmp_path / "m.sock", folder, tmp_path / "media.log")
    with pytest.raises(StartError, match="decoding cannot start"):
        await pool.start()
    assert list(folder.iterdir()) == []
    with pytest.raises(NotReadyError):
        pool.open(tmp_path / "a.wav", "a.wav")


async def test_a_spool_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    pool = MediaPool(MediaSettings(processes=1), tmp_path / "m.sock", tmp_path / "file" / "spool")
    with pytest.raises(StartError, match="file/spool"):
        await pool.start()


async def test_what_a_killed_server_left_in_the_spool_goes_and_nothing_else(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "spool"
    (folder / "f0123456789abcdef").mkdir(parents=True)
    (folder / "f0123456789abcdef" / "0.pcm").write_bytes(b"old")
    (folder / "media-0.7.turn").write_bytes(b"f0123456789abcdef")
    (folder / "mine").mkdir()
    pool = MediaPool(MediaSettings(processes=1), tmp_path / "m.sock", folder)
    await pool.start()
    assert not (folder / "f0123456789abcdef").exists()
    await pool.stop()
    assert [path.name for path in folder.iterdir()] == ["mine"]


@pytest.mark.parametrize("module", ["numpy", "av", "onnxruntime", "soundfile"])
async def test_the_gateway_side_loads_no_decoder(module: str) -> None:
    probe = f"import sys, voxfleet.media.media_pool; sys.exit({module!r} in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", probe)
    assert await asyncio.wait_for(process.wait(), LIMIT_S) == 0
