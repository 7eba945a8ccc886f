"""Media processes killed, stopped and orphaned: who notices, and what is left behind."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import psutil
import pytest

from tests.integration.media_rig import (
    ENERGY,
    LIMIT_S,
    Piece,
    Rig,
    bursts,
    read_all,
    running_pool,
    taken,
    until,
    write_stillness,
    write_wav,
)
from voxfleet.errors import CorruptAudioError, NotReadyError
from voxfleet.media.media_file import MediaFile
from voxfleet.media.media_settings import MediaSettings
from voxfleet.media.turn_file import read_turn

ONE = MediaSettings(processes=1, window=3)
#: the first turn of a long file lasts long enough to be hit twice
LONG_TURNS = MediaSettings(
    processes=1, window=3, slice_s=1500.0, turn_s=60.0, step_timeout_s=1.5, memory_limit_mb=2000
)


def in_work(rig: Rig) -> set[str | None]:
    """The files that the processes work on at this moment."""
    return {read_turn(path) for path in rig.spool_dir.glob("*.turn")}


async def kill_at_work(rig: Rig, file: MediaFile, number: signal.Signals = signal.SIGKILL) -> None:
    """Hit the only process in the middle of a turn of this file.

    It is stopped first and looked at then, since a turn may end while we decide.
    """
    deaths = file.deaths
    async with asyncio.timeout(LIMIT_S):
        while file.deaths == deaths:
            await until(lambda: file.id in in_work(rig))
            (process,) = rig.processes()
            process.suspend()
            if file.id not in in_work(rig):
                process.resume()
                continue
            process.send_signal(number)
            await until(lambda: file.deaths > deaths)


async def segments_lie_unread(rig: Rig, file: MediaFile, count: int) -> None:
    folder = rig.spool_dir / file.id
    await until(lambda: folder.is_dir() and len(list(folder.iterdir())) == count)


async def pieces_before(file: MediaFile, count: int) -> list[Piece]:
    return [taken(await anext(file)) for _ in range(count)]


async def test_only_the_file_that_kills_twice_fails_and_the_other_is_complete(
    tmp_path: Path,
) -> None:
    path = write_wav(tmp_path / "good.wav", bursts(30))
    long_path = write_stillness(tmp_path / "killer.wav", 10)
    async with running_pool(LONG_TURNS) as rig:
        undisturbed = await read_all(rig.pool.open(path, "good.wav", ENERGY))
        good = rig.pool.open(path, "good.wav", ENERGY)
        pieces = await pieces_before(good, 5)
        killer = rig.pool.open(long_path, "killer.wav", ENERGY)
        await kill_at_work(rig, killer)
        pieces += await pieces_before(good, 1)
        assert not killer.over
        await kill_at_work(rig, killer)
        with pytest.raises(CorruptAudioError, match=r"killer\.wav: decoding it killed its process"):
            await read_all(killer)
        pieces += await read_all(good)
        assert pieces == undisturbed
        assert len(pieces) == 30
        assert good.duration_s == pytest.approx(105.0)
        assert good.deaths == 0
        assert rig.left_over() == []


async def test_a_file_survives_one_death_of_its_own(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", bursts(200))
    async with running_pool(MediaSettings(processes=1, window=300, slice_s=5.0)) as rig:
        undisturbed = await read_all(rig.pool.open(path, "a.wav", ENERGY))
        file = rig.pool.open(path, "a.wav", ENERGY)
        await kill_at_work(rig, file)
        assert await read_all(file) == undisturbed
        assert file.deaths == 1


async def test_a_paused_file_and_an_idle_process_lose_nothing(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", bursts(20))
    async with running_pool(ONE) as rig:
        undisturbed = await read_all(rig.pool.open(path, "a.wav", ENERGY))
        for _ in range(2):
            file = rig.pool.open(path, "a.wav", ENERGY)
            await segments_lie_unread(rig, file, 3)
            await until(lambda: in_work(rig) == {None})
            (process,) = rig.processes()
            process.kill()
            assert await read_all(file) == undisturbed
            assert file.deaths == 0


async def test_of_two_processes_the_other_takes_over(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", bursts(60))
    async with running_pool(MediaSettings(processes=2, window=3)) as rig:
        undisturbed = await read_all(rig.pool.open(path, "a.wav", ENERGY))
        await until(lambda: len(list(rig.spool_dir.glob("*.turn"))) == 2)
        files = [rig.pool.open(path, f"{index}.wav", ENERGY) for index in range(4)]
        before = [await pieces_before(file, 2) for file in files]
        rig.processes()[0].kill()
        rest = await asyncio.gather(*(read_all(file) for file in files))
        assert [[*a, *b] for a, b in zip(before, rest, strict=True)] == [undisturbed] * 4


async def test_a_turn_that_hangs_is_ended_and_its_file_fails_at_the_second_time(
    tmp_path: Path,
) -> None:
    path = write_wav(tmp_path / "good.wav", bursts(10))
    long_path = write_stillness(tmp_path / "hanging.wav", 10)
    async with running_pool(LONG_TURNS) as rig:
        undisturbed = await read_all(rig.pool.open(path, "good.wav", ENERGY))
        good = rig.pool.open(path, "good.wav", ENERGY)
        hanging = rig.pool.open(long_path, "hanging.wav", ENERGY)
        pieces = await pieces_before(good, 2)
        for _ in range(2):
            await kill_at_work(rig, hanging, signal.SIGSTOP)
        with pytest.raises(CorruptAudioError, match=r"hanging\.wav: .*took over 1\.5 s"):
            await read_all(hanging)
        assert pieces + await read_all(good) == undisturbed
        assert rig.left_over() == []


async def test_closing_a_file_of_a_stopped_process_ends_in_time(tmp_path: Path) -> None:
    long_path = write_stillness(tmp_path / "long.wav", 10)
    async with running_pool(MediaSettings(processes=1, step_timeout_s=0.4)) as rig:
        file = rig.pool.open(long_path, "long.wav", ENERGY)
        await until(lambda: file.decoded_s > 0)
        (process,) = rig.processes()
        process.suspend()
        await asyncio.wait_for(file.close(), LIMIT_S)
        assert rig.left_over() == []


async def test_a_file_that_vanishes_from_the_spool_is_one_files_fault(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", bursts(20))
    async with running_pool(ONE) as rig:
        undisturbed = await read_all(rig.pool.open(path, "a.wav", ENERGY))
        first = rig.pool.open(path, "first.wav", ENERGY)
        segment = await anext(first)
        segment.path.unlink()
        (process,) = rig.processes()
        # a file where the folder was: no segment can be written any more
        folder = rig.spool_dir / first.id
        await segments_lie_unread(rig, first, 3)
        for left in folder.iterdir():
            left.unlink()
        folder.rmdir()
        folder.touch()
        with pytest.raises(Exception, match=r"first\.wav: decoding failed unexpectedly"):
            [segment async for segment in first]
        await first.close()
        assert await read_all(rig.pool.open(path, "a.wav", ENERGY)) == undisturbed
        assert rig.processes() == [process]


async def test_readers_are_told_when_no_process_can_start_and_work_goes_on_when_one_can(
    tmp_path: Path,
) -> None:
    path = write_wav(tmp_path / "a.wav", bursts(4))
    async with running_pool(ONE) as rig:
        hidden = rig.spool_dir.with_name("hidden")
        rig.spool_dir.rename(hidden)
        rig.processes()[0].kill()
        waiting = rig.pool.open(path, "a.wav", ENERGY)
        with pytest.raises(NotReadyError, match=r"a\.wav: decoding cannot start"):
            await read_all(waiting)
        for turn_file in hidden.iterdir():
            turn_file.unlink()
        hidden.rename(rig.spool_dir)
        assert len(await read_all(rig.pool.open(path, "a.wav", ENERGY))) == 4


GATEWAY = """
import asyncio, sys
from pathlib import Path
from voxfleet.media.media_pool import MediaPool
from voxfleet.media.media_settings import MediaSettings

async def main(folder: Path) -> None:
    pool = MediaPool(MediaSettings(processes=2), folder / "m.sock", folder / "spool")
    await pool.start()
    pool.open(folder / "long.wav", "long.wav")
    print("started", flush=True)
    await asyncio.sleep(60)

asyncio.run(main(Path(sys.argv[1])))
"""


async def test_media_processes_die_with_the_gateway_that_is_killed(tmp_path: Path) -> None:
    write_stillness(tmp_path / "long.wav", 10)
    gateway = await asyncio.create_subprocess_exec(
        sys.executable, "-c", GATEWAY, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert gateway.stdout is not None
    assert await asyncio.wait_for(gateway.stdout.readline(), LIMIT_S) == b"started\n"
    children = psutil.Process(gateway.pid).children(recursive=True)
    assert len(children) == 2
    gateway.kill()
    await asyncio.wait_for(gateway.communicate(), LIMIT_S)
    await until(lambda: not any(child.is_running() for child in children))
