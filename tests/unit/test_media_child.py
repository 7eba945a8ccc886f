"""Which process gets a file, which file is blamed for a death, and when a replacement starts."""

from typing import cast

import pytest

from voxfleet.core import AudioOptions, WorkClass
from voxfleet.media.media_child import MediaChild, least_loaded
from voxfleet.media.media_file import MediaFile
from voxfleet.media.media_settings import MediaSettings, from_json, to_json
from voxfleet.media.watched_child import restart_delay_s
from voxfleet.wire.child_process import ChildProcess
from voxfleet.wire.messages import OpenFile, SegmentCut, SliceEnded

INTERACTIVE, BATCH = WorkClass.INTERACTIVE, WorkClass.BATCH


class Reader:
    """The keeper of files that are never decoded here."""

    def taken(self, file: MediaFile) -> None:
        raise AssertionError("nothing is read")

    async def discard(self, file: MediaFile) -> None:
        raise AssertionError("nothing is closed")


def open_file(file_id: str = "f1", work_class: WorkClass = INTERACTIVE) -> MediaFile:
    order = OpenFile(file_id, b"/x", "x.wav", "/s", work_class, AudioOptions(), window=2)
    return MediaFile(Reader(), order)


def child_with(name: str, *classes: WorkClass, ready: bool = True) -> MediaChild:
    child = MediaChild(name, cast("ChildProcess", None), ready=ready)
    for index, work_class in enumerate(classes):
        file = open_file(f"{name}-{index}", work_class)
        child.files[file.id] = file
    return child


def test_a_file_goes_where_the_fewest_are_that_do_not_give_way() -> None:
    crowded = child_with("crowded", BATCH, BATCH, BATCH)
    busy = child_with("busy", INTERACTIVE)
    assert least_loaded([busy, crowded], INTERACTIVE) is crowded
    assert least_loaded([busy, crowded], BATCH) is busy


def test_only_a_process_that_is_ready_and_alive_gets_files() -> None:
    starting = child_with("starting", ready=False)
    hung = child_with("hung")
    hung.hung = True
    assert least_loaded([starting, hung], INTERACTIVE) is None


def test_a_process_owes_nothing_while_all_its_files_are_paused() -> None:
    assert child_with("working", BATCH).owes_a_word
    assert not child_with("idle").owes_a_word
    assert child_with("starting", ready=False).owes_a_word


def test_a_process_owes_nothing_for_a_file_nobody_reads() -> None:
    child = child_with("paused", BATCH)
    (file,) = child.files.values()
    for index in range(2):
        file.hear(SegmentCut(file.id, index, 0, index, 16_000, "/s/0.pcm", 9.0, "d"))
    assert not child.owes_a_word
    assert (file.hold().window, file.hold().skip_segments) == (0, 2)


async def test_a_segment_keeps_the_digest_of_its_sound() -> None:
    class Generous(Reader):
        def taken(self, file: MediaFile) -> None: ...

    file = MediaFile(Generous(), open_file().hold())
    file.hear(SegmentCut(file.id, 0, 0, 0, 16_000, "/s/0.pcm", 9.0, "d1"))
    assert (await anext(file)).digest == "d1"


@pytest.mark.parametrize("progress_s", [[0.0], [30.0, 30.0], [30.0, 12.0]])
def test_a_file_that_kills_twice_at_one_place_is_at_fault(progress_s: list[float]) -> None:
    file = open_file()
    file.hear(SliceEnded(file.id, progress_s[0]))
    assert not file.blame()
    file.hear(SliceEnded(file.id, progress_s[-1]))
    assert file.blame()


def test_a_file_that_gets_beyond_the_place_of_a_death_did_not_cause_it() -> None:
    file = open_file()
    verdicts = []
    for progress_s in range(1, 10):
        file.hear(SliceEnded(file.id, 30.0 * progress_s))
        verdicts.append(file.blame())
    assert not any(verdicts)
    file.hear(SliceEnded(file.id, 900.0))
    # but no file may cost any number of processes
    assert file.blame()


def test_restarts_come_at_once_and_then_ever_later_up_to_a_limit() -> None:
    delays = [restart_delay_s(failures) for failures in range(200)]
    assert delays[:4] == [0.0, 0.0, 0.25, 0.5]
    assert delays == sorted(delays)
    assert delays[-1] == 10.0


def test_settings_survive_the_way_to_the_process() -> None:
    settings = MediaSettings(processes=3, slice_s=7.5)
    assert from_json(to_json(settings)) == settings
