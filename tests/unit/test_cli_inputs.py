"""Which files a command line means, and what their transcripts are called."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.cli_inputs import STANDARD_INPUT, find_inputs, output_paths
from voxfleet.errors import UsageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.wav", "a.MP3", "notes.txt", "deep/c.flac", "empty/readme.md"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


def test_a_folder_means_its_recordings_to_the_bottom(folder: Path) -> None:
    assert find_inputs([str(folder)]) == [
        folder / "a.MP3",
        folder / "b.wav",
        folder / "deep/c.flac",
    ]


def test_a_named_file_may_have_any_name(folder: Path) -> None:
    assert find_inputs([str(folder / "notes.txt")]) == [folder / "notes.txt"]


def test_a_quoted_pattern_is_expanded(folder: Path) -> None:
    assert find_inputs([f"{folder}/**/*.[wf]*"]) == [folder / "b.wav", folder / "deep/c.flac"]


def test_a_file_whose_name_looks_like_a_pattern_is_itself(tmp_path: Path) -> None:
    odd = tmp_path / "take[1].wav"
    odd.touch()
    assert find_inputs([str(odd)]) == [odd]


def test_each_file_once_in_the_order_given(folder: Path) -> None:
    assert find_inputs([str(folder / "b.wav"), str(folder), "-"]) == [
        folder / "b.wav",
        folder / "a.MP3",
        folder / "deep/c.flac",
        STANDARD_INPUT,
    ]


def test_a_missing_file_is_kept_to_be_reported(tmp_path: Path) -> None:
    assert find_inputs([str(tmp_path / "gone.wav")]) == [tmp_path / "gone.wav"]


@pytest.mark.parametrize("word", ["empty", "*.opus"])
def test_a_word_that_means_nothing_is_refused(folder: Path, word: str) -> None:
    with pytest.raises(UsageError, match=r"no (audio|file)"):
        find_inputs([f"{folder}/{word}"])


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        (["x/a.wav"], ["a.srt"]),
        (["a.wav", "a.mp3"], ["a.wav.srt", "a.mp3.srt"]),
        (["x/a.wav", "y/a.wav", "z/a.wav"], ["a.wav.srt", "a.wav-2.srt", "a.wav-3.srt"]),
        (["a.wav", "a.mp3", "a.wav.wav"], ["a.wav.srt", "a.mp3.srt", "a.wav-2.srt"]),
        (["-"], ["stdin.srt"]),
    ],
)
def test_no_two_transcripts_have_one_name(inputs: list[str], outputs: list[str]) -> None:
    places = output_paths([Path(name) for name in inputs], Path("out"), "srt")
    assert list(places.values()) == [Path("out") / name for name in outputs]


NAMES = st.text("ab.", min_size=1, max_size=4).filter(lambda name: name.strip("."))


@given(st.lists(st.builds(Path, st.sampled_from("xy"), NAMES), unique=True, max_size=8))
def test_every_transcript_has_a_place_of_its_own(inputs: list[Path]) -> None:
    places = output_paths(inputs, Path("out"), "text")
    assert len(set(places.values())) == len(inputs)


def test_a_name_the_system_refuses_is_kept_to_be_reported() -> None:
    endless = "x" * 300
    assert find_inputs([endless]) == [Path(endless)]
