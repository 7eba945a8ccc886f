"""Sources that go once their text is stored, in folders: also after a crash between two steps."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.errors import OverloadError, ParameterError, SettingsError, VoxfleetError
from voxfleet.jobs.archive import Archiver, archived_name, refuse_archive
from voxfleet.jobs.blob_store import BlobStore
from voxfleet.jobs.job import Archive, ArchiveDue, FileSource
from voxfleet.jobs.object_stores import ObjectStores
from voxfleet.jobs.source_rules import SourceRules


class Rig:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = folder / "in" / "talk.wav"
        self.source.parent.mkdir()
        self.source.write_bytes(b"sound")
        self.target = folder / "archive" / "job_1" / "3-talk.wav"
        self.blobs = BlobStore("", folder / "data", ObjectStores())

    def archiver(self, url: str | None = None) -> Archiver:
        return Archiver(
            SourceRules([str(self.source.parent)]),
            self.blobs,
            ObjectStores(),
            f"{self.folder}/archive" if url is None else url,
            self.folder / "scratch",
        )

    def due(self, action: Archive, place: str = "", *, uploaded: bool = False) -> ArchiveDue:
        source = FileSource("talk.wav", place or str(self.source), uploaded)
        return ArchiveDue("job_1", 3, source, action)

    def files(self) -> dict[str, bytes]:
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in found}


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


MOVED = {"archive/job_1/3-talk.wav": b"sound"}


async def test_a_source_is_deleted_once_and_again(rig: Rig) -> None:
    for _ in range(2):
        await rig.archiver().archive(rig.due(Archive.DELETE))
        assert rig.files() == {}


async def test_a_source_is_moved_once_and_again(rig: Rig) -> None:
    for _ in range(2):
        await rig.archiver().archive(rig.due(Archive.MOVE))
        assert rig.files() == MOVED


async def test_a_source_that_is_kept_stays(rig: Rig) -> None:
    await rig.archiver().archive(rig.due(Archive.KEEP))
    assert rig.files() == {"in/talk.wav": b"sound"}


@pytest.mark.parametrize(("action", "left"), [(Archive.DELETE, {}), (Archive.MOVE, MOVED)])
async def test_an_upload_goes_too(rig: Rig, action: Archive, left: dict[str, bytes]) -> None:
    await rig.blobs.put(rig.source, "job_1/3")
    for _ in range(2):
        await rig.archiver().archive(rig.due(action, "job_1/3", uploaded=True))
        assert rig.files() == left


async def test_the_real_file_goes_not_the_link_to_it(rig: Rig) -> None:
    link = rig.source.with_name("link.wav")
    link.symlink_to("talk.wav")
    await rig.archiver().archive(rig.due(Archive.DELETE, str(link)))
    assert rig.files() == {}


@pytest.mark.parametrize("action", [Archive.DELETE, Archive.MOVE])
async def test_nothing_outside_the_allowed_folders_goes(rig: Rig, action: Archive) -> None:
    (rig.folder / "secret").write_bytes(b"secret")
    link = rig.source.with_name("link.wav")
    link.symlink_to("../secret")
    for place in (str(link), f"{rig.folder}/secret"):
        with pytest.raises(ParameterError):
            await rig.archiver().archive(rig.due(action, place))
    assert rig.files()["secret"] == b"secret"


def _crash(*_: object, **__: object) -> None:
    raise OSError(errno.EIO, "the power is gone")


async def _moved_after_crash(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, break_it: Callable[[pytest.MonkeyPatch], None]
) -> dict[str, bytes]:
    """What is there after a move that broke off; then it is asked again."""
    with monkeypatch.context() as broken:
        break_it(broken)
        with pytest.raises(VoxfleetError) as raised:
            await rig.archiver().archive(rig.due(Archive.MOVE))
        assert raised.value.retryable
    between = rig.files()
    await rig.archiver().archive(rig.due(Archive.MOVE))
    assert rig.files() == MOVED
    return between


def _other_file_system(broken: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    broken.setattr(os, "rename", refused)


async def test_a_move_that_breaks_off_before_it_is_done_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    between = await _moved_after_crash(rig, monkeypatch, lambda b: b.setattr(os, "rename", _crash))
    assert between == {"in/talk.wav": b"sound"}


async def test_a_copy_that_breaks_off_is_done_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(patch: pytest.MonkeyPatch) -> None:
        _other_file_system(patch)
        patch.setattr(os, "fchmod", _crash)

    assert await _moved_after_crash(rig, monkeypatch, broken) == {"in/talk.wav": b"sound"}


async def test_a_copy_whose_source_stayed_is_finished(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(patch: pytest.MonkeyPatch) -> None:
        _other_file_system(patch)
        patch.setattr(os, "unlink", _crash)

    between = await _moved_after_crash(rig, monkeypatch, broken)
    assert between == {"in/talk.wav": b"sound"} | MOVED


async def test_a_new_file_in_the_place_of_one_that_was_moved_stays(rig: Rig) -> None:
    """The crash came before the move was noted: nobody has heard the new one."""
    await rig.archiver().archive(rig.due(Archive.MOVE))
    rig.source.write_bytes(b"other")
    os.utime(rig.source, (1e9, 1e9))
    await rig.archiver().archive(rig.due(Archive.MOVE))
    assert rig.files() == {"in/talk.wav": b"other"} | MOVED


async def test_a_source_that_somebody_else_removed_is_told(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.source.unlink()
    with caplog.at_level(logging.WARNING):
        await rig.archiver().archive(rig.due(Archive.MOVE))
    assert "job job_1 file 3" in caplog.text
    assert str(rig.folder) not in caplog.text


@pytest.mark.parametrize("action", [Archive.DELETE, Archive.MOVE])
async def test_a_folder_that_is_not_mounted_is_asked_again(rig: Rig, action: Archive) -> None:
    """Else its files would count as gone, and stay."""
    rig.source.unlink()
    rig.source.parent.rmdir()
    with pytest.raises(OverloadError):
        await rig.archiver().archive(rig.due(action))


async def test_what_a_crash_left_in_the_archive_goes(rig: Rig) -> None:
    rig.target.parent.mkdir(parents=True)
    old, young = rig.target.with_name(".1.part"), rig.target.with_name(".2.part")
    old.write_bytes(b"half")
    os.utime(old, (1e9, 1e9))
    young.write_bytes(b"half")
    await rig.archiver().archive(rig.due(Archive.MOVE))
    assert rig.files() == MOVED | {"archive/job_1/.2.part": b"half"}


async def test_without_a_place_nothing_is_moved(rig: Rig) -> None:
    with pytest.raises(SettingsError, match=r"jobs\.archive_url"):
        await rig.archiver("").archive(rig.due(Archive.MOVE))
    assert rig.files() == {"in/talk.wav": b"sound"}


@pytest.mark.parametrize("action", [Archive.DELETE, Archive.MOVE])
async def test_a_source_over_http_neither_goes_nor_moves(rig: Rig, action: Archive) -> None:
    due = rig.due(action, "https://h.example/a.wav")
    with pytest.raises(ParameterError) as refused:
        refuse_archive(due.action, due.source)
    assert refused.value.param == "archive"
    with pytest.raises(ParameterError):
        await rig.archiver().archive(due)
    refuse_archive(Archive.KEEP, due.source)
    refuse_archive(action, replace(due.source, place="/srv/a.wav"))


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("talk.wav", "3-talk.wav"),
        ("会议 1.wav", "3-会议_1.wav"),
        ("a/../../etc/passwd", "3-passwd"),
        ("C:\\sounds\\a.wav", "3-a.wav"),
        ("..", "3-.."),
        ("", "3-"),
        ("a\n\0.wav", "3-a__.wav"),
        ("会" * 200 + ".opus", "3-" + "会" * 48 + ".opus"),
    ],
)
def test_a_moved_file_has_a_safe_name(name: str, safe: str) -> None:
    assert archived_name(3, name) == safe


@given(st.text(max_size=400))
def test_any_name_becomes_one_part_of_a_path(name: str) -> None:
    safe = archived_name(3, name)
    assert Path("/x", safe).name == safe
    assert len(os.fsencode(safe)) < 255
    assert safe.isprintable()
