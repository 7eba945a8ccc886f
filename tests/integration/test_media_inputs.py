"""Unusual files and wishes through real media processes: memory, names, channels, detectors."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.integration.media_rig import (
    ENERGY,
    Piece,
    bursts,
    read_all,
    running_pool,
    taken,
    until,
    write_stillness,
    write_wav,
)
from voxfleet.core import SAMPLE_RATE_HZ, AudioOptions, ChannelMode, VadMode
from voxfleet.errors import AudioError, NotAudioError, ParameterError
from voxfleet.media.media_settings import MediaSettings
from voxfleet.media.spool import remove

ONE = MediaSettings(processes=1)
WHOLE = AudioOptions(vad=VadMode.OFF)


@pytest.fixture
def oddly_named(tmp_path: Path) -> tuple[Path, Path]:
    """A recording and a text, whose names are not UTF-8."""
    good = Path(os.fsdecode(bytes(tmp_path) + b"/good\xff.wav"))
    bad = Path(os.fsdecode(bytes(tmp_path) + b"/bad\xff\x1b[31m.wav"))
    write_wav(tmp_path / "a.wav", bursts(4)).rename(good)
    bad.write_bytes(b"plain text, no sound " * 50)
    return good, bad


def sound_of(pieces: list[Piece]) -> bytes:
    return b"".join(sound for _, _, sound in pieces)


async def test_a_greedy_file_costs_its_neighbours_nothing(tmp_path: Path) -> None:
    settings = MediaSettings(processes=1, memory_limit_mb=24, slice_s=1800, turn_s=0.01)
    path = write_wav(tmp_path / "a.wav", bursts(30))
    greedy_path = write_stillness(tmp_path / "greedy.wav", 0.6)
    async with running_pool(settings) as rig:
        undisturbed = await read_all(rig.pool.open(path, "a.wav", ENERGY))
        # half an hour is one slice here, and more than a file may hold
        greedy = [rig.pool.open(greedy_path, f"greedy{index}.wav", ENERGY) for index in range(4)]
        await until(lambda: all(file.decoded_s > 300 for file in greedy))
        innocent = [rig.pool.open(path, f"{index}.wav", ENERGY) for index in range(3)]
        for pieces in await asyncio.gather(*map(read_all, innocent)):
            assert pieces == undisturbed
        for file in greedy:
            with pytest.raises(AudioError, match=r"greedy\d\.wav: .*24 MB of memory"):
                await read_all(file)
        assert rig.left_over() == []


async def test_the_memory_limit_is_that_of_a_file_and_not_of_all_together(tmp_path: Path) -> None:
    settings = MediaSettings(processes=1, memory_limit_mb=64, slice_s=300, window=1)
    samples = bursts(100)
    path = write_wav(tmp_path / "a.wav", samples)
    async with running_pool(settings) as rig:
        # each is paused with nearly all of its sound in memory: 11 MB, often more
        files = [rig.pool.open(path, f"{index}.wav", WHOLE) for index in range(10)]
        first = [[taken(await anext(file))] for file in files]
        for file, begun in zip(files, first, strict=True):
            assert sound_of(begun + await read_all(file)) == samples.tobytes()


async def test_a_name_that_is_no_text_harms_nobody(oddly_named: tuple[Path, Path]) -> None:
    good, bad = oddly_named
    async with running_pool(ONE) as rig:
        assert len(await read_all(rig.pool.open(good, good.name, ENERGY))) == 4
        with pytest.raises(NotAudioError) as refusal:
            await read_all(rig.pool.open(bad, bad.name, ENERGY))
        assert refusal.value.message.startswith(r"bad\udcff\x1b[31m.wav: ")
        assert refusal.value.message.encode().isascii()


async def test_of_surround_sound_the_first_two_channels_are_split(tmp_path: Path) -> None:
    left, right = bursts(3), np.roll(bursts(3, seed=2), SAMPLE_RATE_HZ // 2)
    columns = np.stack((left, right, *(bursts(3, seed=seed) for seed in range(3, 7))), 1)
    path = write_wav(tmp_path / "5.1.wav", columns.reshape(-1), channels=6)
    options = AudioOptions(vad=VadMode.ENERGY, channel=ChannelMode.SPLIT)
    async with running_pool(ONE) as rig:
        file = rig.pool.open(path, "5.1.wav", options)
        pieces = await read_all(file)
    assert file.channels == 2
    assert {channel for channel, _, _ in pieces} == {0, 1}
    for channel, start_s, sound in pieces:
        start = round(start_s * SAMPLE_RATE_HZ)
        source = (left, right)[channel]
        assert sound == source[start : start + len(sound) // 2].tobytes()
    assert "6 channels" in file.warnings[0]


async def test_a_detector_that_this_server_lacks_is_a_bad_request(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", bursts(1))
    async with running_pool(ONE) as rig:
        with pytest.raises(ParameterError, match="no fsmn-vad model") as refusal:
            await read_all(rig.pool.open(path, "a.wav", AudioOptions(vad=VadMode.FSMN)))
        assert (refusal.value.status, refusal.value.param) == (400, "vad")
        assert "/" not in refusal.value.message


async def test_folders_are_removed_beside_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removers: list[threading.Thread] = []

    def watched(path: Path) -> None:
        removers.append(threading.current_thread())
        remove(path)

    monkeypatch.setattr("voxfleet.media.media_file.remove", watched)
    path = write_wav(tmp_path / "a.wav", bursts(4))
    async with running_pool(ONE) as rig:
        # an empty folder takes one call; one that still holds sound may take long
        await read_all(rig.pool.open(path, "a.wav", ENERGY))
        half_read = rig.pool.open(path, "b.wav", ENERGY)
        await anext(half_read)
    assert len(removers) == 1
    assert threading.main_thread() not in removers


def test_a_segment_that_its_reader_removes_meanwhile_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    for index in range(3):
        (folder / f"{index}.pcm").touch()
    rmtree, calls = shutil.rmtree, []

    def overtaken(path: Path) -> None:
        calls.append(path)
        if len(calls) == 1:
            (folder / "1.pcm").unlink()
            raise FileNotFoundError(str(folder / "1.pcm"))
        rmtree(path)

    monkeypatch.setattr(shutil, "rmtree", overtaken)
    remove(folder)
    assert not folder.exists()
