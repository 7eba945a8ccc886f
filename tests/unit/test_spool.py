"""The spool's folders: what is empty goes at once, what is not is left to be removed in full."""

from __future__ import annotations

from pathlib import Path

from voxfleet.media.spool import remove_empty


def test_an_empty_folder_goes(tmp_path: Path) -> None:
    folder = tmp_path / "f0"
    folder.mkdir()
    assert remove_empty(folder)
    assert not folder.exists()


def test_a_folder_that_was_never_made_needs_nothing_more(tmp_path: Path) -> None:
    assert remove_empty(tmp_path / "f0")


def test_a_folder_with_a_segment_is_left_as_it_is(tmp_path: Path) -> None:
    segment = tmp_path / "f0" / "0.pcm"
    segment.parent.mkdir()
    segment.write_bytes(b"sound")
    assert not remove_empty(segment.parent)
    assert segment.read_bytes() == b"sound"
