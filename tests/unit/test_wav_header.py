"""wav headers, honest and hostile: where the samples lie, or one line of what is wrong."""

from __future__ import annotations

import io
import struct

import pytest

from tests.unit.made_sound import chunk, fmt_body, wav
from voxfleet.audio.pcm import PcmCoding, PcmLayout
from voxfleet.audio.wav_header import read_wav_header
from voxfleet.errors import AudioError, CorruptAudioError, UnsupportedAudioError


def _read(content: bytes) -> PcmLayout | None:
    return read_wav_header(io.BytesIO(content), "a.wav")


def _layout(content: bytes) -> PcmLayout:
    layout = _read(content)
    assert layout is not None
    return layout


@pytest.mark.parametrize(
    ("tag", "bits", "codec"),
    [
        (1, 8, "pcm_u8"),
        (1, 12, "pcm_s16le"),
        (1, 16, "pcm_s16le"),
        (1, 24, "pcm_s24le"),
        (1, 32, "pcm_s32le"),
        (3, 32, "pcm_f32le"),
        (3, 64, "pcm_f64le"),
        (6, 8, "pcm_alaw"),
        (7, 8, "pcm_mulaw"),
    ],
)
def test_plain_codings(tag: int, bits: int, codec: str) -> None:
    layout = _layout(wav(fmt_body(tag, 2, 8_000, bits), bytes(64)))
    assert layout.format.codec == codec
    assert (layout.offset, layout.byte_count, layout.format.channels) == (44, 64, 2)


def test_extensible_says_its_coding_further_down() -> None:
    guid = struct.pack("<H", 3) + bytes.fromhex("000000001000800000aa00389b71")
    body = fmt_body(0xFFFE, 1, 16_000, 32) + struct.pack("<HHI", 22, 32, 4) + guid
    assert _layout(wav(body, bytes(8))).format.coding is PcmCoding.FLOAT


def test_twenty_bits_in_four_bytes() -> None:
    body = struct.pack("<HHIIHH", 1, 2, 16_000, 128_000, 8, 20)
    assert _layout(wav(body, bytes(16))).format.sample_bytes == 4


def test_other_chunks_before_the_sound_are_passed_over() -> None:
    odd = chunk(b"LIST", b"abc")
    assert _layout(wav(fmt_body(1, 1, 16_000, 16), bytes(4), before=odd)).offset == 56


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFDB, 0x7FFFFFFF])
def test_streamed_sizes_mean_unknown(size: int) -> None:
    assert _layout(wav(fmt_body(1, 1, 16_000, 16), bytes(4), size)).byte_count is None


def test_rf64_has_its_size_in_a_chunk_of_its_own() -> None:
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 0, 6 << 30, 0, 0))
    content = wav(fmt_body(1, 1, 16_000, 16), bytes(4), 0xFFFFFFFF, before=ds64)
    layout = _layout(b"RF64" + content[4:])
    assert (layout.container, layout.byte_count) == ("rf64", 6 << 30)


def test_rifx_is_big_endian() -> None:
    fmt = struct.pack(">4sIHHIIHH", b"fmt ", 16, 1, 1, 16_000, 32_000, 2, 16)
    data = struct.pack(">4sI", b"data", 4) + bytes(4)
    layout = _layout(b"RIFX" + struct.pack(">I", 40) + b"WAVE" + fmt + data)
    assert layout.format.codec == "pcm_s16be"


def test_a_compressed_codec_is_left_to_others() -> None:
    assert _read(wav(fmt_body(0x11, 1, 8_000, 4), bytes(64))) is None


@pytest.mark.parametrize(
    ("fmt", "error", "word"),
    [
        (fmt_body(1, 0, 16_000, 16), CorruptAudioError, "0 channels"),
        (fmt_body(1, 1, 0, 16), CorruptAudioError, "0 Hz"),
        (fmt_body(1, 65_535, 16_000, 16), UnsupportedAudioError, "65535 channels"),
        (fmt_body(1, 1, 1, 16), UnsupportedAudioError, "1 Hz"),
        (fmt_body(1, 1, 4_000_000_000, 16), UnsupportedAudioError, "4000000000 Hz"),
        (fmt_body(1, 1, 16_000, 0)[:12] + b"\0\0\0\0", CorruptAudioError, "0 bits"),
        (fmt_body(3, 1, 16_000, 16), CorruptAudioError, "16 bits"),
        (b"\1\0\1\0", CorruptAudioError, "too short"),
    ],
)
def test_absurd_headers_are_refused_by_name(fmt: bytes, error: type[AudioError], word: str) -> None:
    with pytest.raises(error, match=word) as caught:
        _read(wav(fmt, bytes(64)))
    assert caught.value.message.startswith("a.wav: ")


def test_a_file_without_sound_or_format_is_refused() -> None:
    whole = wav(fmt_body(1, 1, 16_000, 16), bytes(4))
    with pytest.raises(CorruptAudioError, match="no 'data' chunk"):
        _read(whole[:36])
    with pytest.raises(CorruptAudioError, match="no 'fmt ' chunk"):
        _read(whole[:12])
    with pytest.raises(CorruptAudioError, match="before its 'fmt ' chunk"):
        _read(b"RIFF\0\0\0\0WAVE" + chunk(b"data", bytes(4)))


def test_a_million_empty_chunks_are_not_walked() -> None:
    with pytest.raises(CorruptAudioError):
        _read(b"RIFF\0\0\0\0WAVE" + chunk(b"junk", b"") * 100_000 + chunk(b"data", b""))
