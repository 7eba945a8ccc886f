"""What one file is cut into, turn by turn, without a process around it."""

from __future__ import annotations

import hashlib
from itertools import count
from pathlib import Path

import pytest

from tests.integration.media_rig import ENERGY, bursts, write_wav
from voxfleet.core import WorkClass
from voxfleet.errors import OverloadError
from voxfleet.media.file_cutter import FileCutter
from voxfleet.media.media_settings import MediaSettings
from voxfleet.wire.messages import FileFinished, FileOpened, FromChild, OpenFile, SegmentCut

SEGMENTS = 30


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wav(tmp_path_factory.mktemp("recording") / "a.wav", bursts(SEGMENTS))


class Turns:
    """A file being cut and all that was said about it."""

    def __init__(self, recording: Path, spool: Path, *, hurried: bool = False, skip: int = 0):
        order = OpenFile(
            "f1", bytes(recording), "a.wav", str(spool), WorkClass.BATCH, ENERGY, 8, skip
        )
        self.said: list[FromChild] = []
        # in a hurry every look at the clock shows that the turn is over
        seconds = count(step=1.0 if hurried else 0.0)
        self.cutter = FileCutter(order, MediaSettings(), self.said.append, lambda: next(seconds))
        self.taken = 0

    def work_to_the_end(self, room: int = 1000) -> int:
        for number in count(1):
            delivered = self.cutter.work(room)
            assert delivered <= room
            if self.cutter.finished:
                self.cutter.close()
                return number
        raise AssertionError("never finished")

    def cuts(self) -> list[SegmentCut]:
        return [message for message in self.said if isinstance(message, SegmentCut)]

    def sounds(self) -> list[tuple[int, float, bytes]]:
        return [(cut.index, cut.start_s, Path(cut.path).read_bytes()) for cut in self.cuts()]


def test_a_file_is_opened_cut_and_finished_in_this_order(recording: Path, tmp_path: Path) -> None:
    turns = Turns(recording, tmp_path / "s")
    turns.work_to_the_end()
    assert isinstance(turns.said[0], FileOpened)
    assert turns.said[-1] == FileFinished("f1", SEGMENTS * 3.5, 1, ())
    assert [cut.index for cut in turns.cuts()] == list(range(SEGMENTS))


def test_the_division_into_turns_changes_no_segment(recording: Path, tmp_path: Path) -> None:
    calm = Turns(recording, tmp_path / "calm")
    hurried = Turns(recording, tmp_path / "hurried", hurried=True)
    narrow = Turns(recording, tmp_path / "narrow")
    calm_turns = calm.work_to_the_end()
    assert hurried.work_to_the_end() > 5 * calm_turns
    assert narrow.work_to_the_end(room=1) > SEGMENTS - 2
    assert calm.sounds() == hurried.sounds() == narrow.sounds()


def test_equal_sound_has_an_equal_digest_and_other_sound_another(
    recording: Path, tmp_path: Path
) -> None:
    first, again = Turns(recording, tmp_path / "1"), Turns(recording, tmp_path / "2", skip=3)
    first.work_to_the_end()
    again.work_to_the_end()
    digests = [cut.digest for cut in first.cuts()]
    assert [cut.digest for cut in again.cuts()] == digests[3:]
    sounds = [sound for _, _, sound in first.sounds()]
    assert len(set(digests)) == len(set(sounds)) > 1
    assert digests == [hashlib.sha256(sound).hexdigest()[:32] for sound in sounds]


@pytest.mark.parametrize("skip", [1, 13, SEGMENTS])
def test_a_second_process_goes_on_where_the_first_one_died(
    recording: Path, tmp_path: Path, skip: int
) -> None:
    whole = Turns(recording, tmp_path / "whole")
    rest = Turns(recording, tmp_path / "rest", skip=skip)
    whole.work_to_the_end()
    rest.work_to_the_end(room=3)
    assert rest.sounds() == whole.sounds()[skip:]


def test_without_room_nothing_is_written(recording: Path, tmp_path: Path) -> None:
    turns = Turns(recording, tmp_path / "s")
    for _ in range(5):
        assert turns.cutter.work(0) == 0
    assert turns.cuts() == []
    # one slice is kept, not the whole recording
    assert turns.cutter.decoded_s == pytest.approx(30.0)
    turns.cutter.close()


def test_a_full_disk_is_nobodys_audio(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "0.pcm").symlink_to("/dev/full")
    turns = Turns(recording, tmp_path)
    with pytest.raises(OverloadError, match=r"a\.wav: no disk space"):
        turns.work_to_the_end()
    turns.cutter.close()
