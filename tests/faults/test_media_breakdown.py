"""Media processes that cannot be started, and what the pool says of itself meanwhile."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any, cast

import pytest

from tests.integration.media_rig import ENERGY, bursts, read_all, running_pool, until, write_wav
from voxfleet.core import AudioOptions, VadMode
from voxfleet.errors import NotReadyError, StartError, VoxfleetError
from voxfleet.media.media_pool import MediaPool
from voxfleet.media.media_settings import MediaSettings
from voxfleet.wire.child_process import ChildProcess

ONE = MediaSettings(processes=1)
NO_MEMORY = OSError(errno.ENOMEM, "Cannot allocate memory")
NO_THREAD = RuntimeError("can't start new thread")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "a.wav", bursts(4))


async def test_a_process_that_cannot_be_launched_is_tried_again(
    tmp_path: Path, recording: Path
) -> None:
    logs, hidden = tmp_path / "logs", tmp_path / "hidden"
    logs.mkdir()
    async with running_pool(ONE, logs / "media.log") as rig:
        assert (rig.pool.ready, rig.pool.refusal) == (True, "")
        logs.rename(hidden)
        rig.processes()[0].kill()
        await until(lambda: "could not be started (No such file" in rig.pool.refusal)
        assert not rig.pool.ready
        with pytest.raises(NotReadyError, match=r"a\.wav: .*could not be started"):
            await read_all(rig.pool.open(recording, "a.wav", ENERGY))
        hidden.rename(logs)
        await until(lambda: rig.pool.ready)
        assert rig.pool.refusal == ""
        assert len(await read_all(rig.pool.open(recording, "a.wav", ENERGY))) == 4


async def test_a_turn_file_that_cannot_be_read_breaks_nothing(recording: Path) -> None:
    async with running_pool(ONE) as rig:
        (turn_path,) = rig.spool_dir.glob("*.turn")
        turn_path.unlink()
        turn_path.mkdir()
        rig.processes()[0].kill()
        await until(lambda: not rig.pool.ready)
        assert len(await read_all(rig.pool.open(recording, "a.wav", ENERGY))) == 4
        assert rig.pool.ready
        turn_path.rmdir()


class Launches:
    """The first `failing` attempts to start a process fail, as when no memory is left."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, failing: int, fault: Exception = NO_MEMORY
    ) -> None:
        self._fault = fault
        self._start = ChildProcess.start
        self._failing = failing
        monkeypatch.setattr(ChildProcess, "start", self.start)

    async def start(self, *arguments: Any, **options: Any) -> ChildProcess:
        self._failing -= 1
        if self._failing >= 0:
            raise self._fault
        return await self._start(*arguments, **options)


@pytest.mark.parametrize("fault", [NO_MEMORY, NO_THREAD])
async def test_one_failed_start_of_several_does_not_fail_the_server(
    monkeypatch: pytest.MonkeyPatch, recording: Path, fault: Exception
) -> None:
    Launches(monkeypatch, failing=1, fault=fault)
    async with running_pool(MediaSettings(processes=2)) as rig:
        assert len(await read_all(rig.pool.open(recording, "a.wav", ENERGY))) == 4
        await until(lambda: len(rig.processes()) == 2)


async def test_the_start_fails_when_every_process_has_failed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Launches(monkeypatch, failing=100)
    pool = MediaPool(MediaSettings(processes=2), tmp_path / "m.sock", tmp_path / "spool")
    assert pool.refusal == "decoding has not been started"
    with pytest.raises(StartError, match=r"decoding cannot start: .*Cannot allocate memory"):
        await pool.start()
    assert not pool.ready


async def test_a_detector_that_is_set_and_not_there_fails_the_start_in_its_own_words(
    tmp_path: Path,
) -> None:
    settings = MediaSettings(processes=1, fsmn_dir=tmp_path / "models")
    pool = MediaPool(settings, tmp_path / "m.sock", tmp_path / "spool", tmp_path / "media.log")
    with pytest.raises(StartError, match=r"audio\.fsmn_dir: the folder .*models lacks") as refusal:
        await pool.start()
    assert "\n" not in refusal.value.message


async def test_a_message_that_cannot_be_sent_ends_its_file_alone(recording: Path) -> None:
    async with running_pool(ONE) as rig:
        options = AudioOptions(vad=cast("VadMode", object()))
        broken = rig.pool.open(recording, "broken.wav", options)
        with pytest.raises(VoxfleetError, match=r"broken\.wav: cannot be handed to decoding"):
            await read_all(broken)
        assert len(await read_all(rig.pool.open(recording, "a.wav", ENERGY))) == 4
        assert rig.left_over() == []


async def test_a_log_that_has_grown_long_begins_anew(tmp_path: Path) -> None:
    log_path = tmp_path / "media.log"
    with log_path.open("wb") as log:
        log.truncate(11_000_000)
    async with running_pool(MediaSettings(processes=1, step_timeout_s=0.4), log_path):
        await until(lambda: log_path.stat().st_size < 1_000_000)
