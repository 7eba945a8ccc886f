"""Whatever is cut off or flipped in a file: samples or one line that names it, nothing else."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.made_sound import decoded, encoded, int16_tone, wav_16
from voxfleet.errors import AudioError

_KINDS = {
    "flac": ("flac", "flac", 16_000),
    "mp3": ("mp3", "libmp3lame", 16_000),
    "ogg": ("ogg", "libopus", 48_000),
    "m4a": ("ipod", "aac", 16_000),
    "webm": ("webm", "libopus", 48_000),
    "amr": ("amr", "libopencore_amrnb", 8_000),
    "ts": ("mpegts", "aac", 16_000),
}
_SECONDS = 0.4


@functools.cache
def _whole(kind: str) -> bytes:
    if kind == "wav":
        return wav_16(int16_tone(_SECONDS, 16_000))
    muxer, codec, rate = _KINDS[kind]
    return encoded(muxer, codec, rate, seconds=_SECONDS)


def _is_sound_or_one_line(content: bytes, most_seconds: float) -> None:
    refusal = ""
    samples, warnings = np.zeros((0, 1), np.int16), list[str]()
    with tempfile.TemporaryDirectory() as folder:
        try:
            samples, warnings = decoded(content, Path(folder))
        except AudioError as error:
            refusal = error.message
    assert refusal.startswith("clip.bin: ") == bool(not len(samples))
    assert "\n" not in refusal
    assert samples.dtype == np.int16
    assert len(samples) <= most_seconds * 16_000
    assert all("\n" not in warning for warning in warnings)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(["wav", *_KINDS]), st.floats(0, 1))
def test_any_truncation(kind: str, share: float) -> None:
    whole = _whole(kind)
    _is_sound_or_one_line(whole[: int(share * len(whole))], _SECONDS + 0.2)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 43), st.integers(0, 255))
def test_any_byte_of_a_wav_header(place: int, value: int) -> None:
    content = bytearray(_whole("wav"))
    content[place] = value
    _is_sound_or_one_line(bytes(content), 16 * _SECONDS * 16_000 / 1_000)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(sorted(_KINDS)),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
)
def test_any_bytes_of_compressed_files(kind: str, flips: list[tuple[float, int]]) -> None:
    content = bytearray(_whole(kind))
    for share, value in flips:
        content[int(share * min(len(content), 600))] = value
    _is_sound_or_one_line(bytes(content), 3_600)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(
        [b"", b"RIFF\0\0\0\0WAVE", b"NIST_1A\n   1024\n", b"ID3\4\0\0\0\0\0\1", b"\xff\xfb"]
    ),
    st.binary(max_size=300),
)
def test_any_bytes_at_all(opening: bytes, rest: bytes) -> None:
    _is_sound_or_one_line(opening + rest, 3_600)
