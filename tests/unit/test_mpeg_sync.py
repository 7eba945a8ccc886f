"""Frame lengths against the standard's formulae, and chains of frames against chance."""

from __future__ import annotations

import pytest

from voxfleet.audio.mpeg_sync import adts_frame_bytes, first_mpeg_frame, mpeg_frame_bytes


@pytest.mark.parametrize(
    ("header", "length"),
    [
        (b"\xff\xfb\x90\x00", 417),  # MPEG-1 layer III, 128 kbit/s, 44.1 kHz
        (b"\xff\xfb\x92\x00", 418),  # the same, padded
        (b"\xff\xf3\x48\x00", 144),  # MPEG-2 layer III, 32 kbit/s, 16 kHz
        (b"\xff\xe3\x28\x00", 144),  # MPEG-2.5 layer III, 16 kbit/s, 8 kHz
        (b"\xff\xfd\xa4\x00", 576),  # MPEG-1 layer II, 192 kbit/s, 48 kHz
    ],
)
def test_frame_length(header: bytes, length: int) -> None:
    assert mpeg_frame_bytes(header) == length


@pytest.mark.parametrize(
    "header",
    [
        b"\xff\xeb\x90\x00",
        b"\xff\xfb\xf0\x00",
        b"\xff\xfb\x9c\x00",
        b"\xff\xfb",
        b"\xff\xf1\x90\x00",
    ],
)
def test_impossible_headers_are_refused(header: bytes) -> None:
    assert mpeg_frame_bytes(header) is None


def test_adts_length_spans_three_bytes() -> None:
    assert adts_frame_bytes(b"\xff\xf1\x60\x40\x20\x7f") == 0x103
    assert adts_frame_bytes(b"\xff\xfb\x60\x40\x20\x7f") is None


def test_one_frame_header_in_the_middle_is_not_enough() -> None:
    frame = b"\xff\xf3\x48\x00" + b"\0" * 140
    assert first_mpeg_frame(b"\0" * 10 + frame + b"\0" * 999, mpeg_frame_bytes) is None
    assert first_mpeg_frame(b"\0" * 10 + frame * 3, mpeg_frame_bytes) == 10


def test_one_frame_that_is_the_whole_file_is_enough() -> None:
    assert first_mpeg_frame(b"\xff\xf3\x48\x00" + b"\0" * 60, mpeg_frame_bytes) == 0
