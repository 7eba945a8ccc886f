"""Bytes of every PCM coding become the samples they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from voxfleet.audio.pcm import RAW_ENCODINGS, PcmCoding, PcmFormat, decode_pcm_bytes
from voxfleet.audio.sound_block import as_int16

_RAMP = np.array([-32768, -12345, -256, 0, 256, 12345, 32512], np.int16)


def _form(encoding: str, channels: int = 1) -> PcmFormat:
    coding, width, big_endian = RAW_ENCODINGS[encoding]
    return PcmFormat(coding, width, 16_000, channels, big_endian)


def _stored(encoding: str) -> bytes:
    """The ramp in this encoding, written by numpy's own conversions."""
    wide = _RAMP.astype(np.int64)
    if encoding.startswith("s24"):
        whole = (wide << 8).astype(">i4" if encoding.endswith("be") else "<i4").tobytes()
        first = 1 if encoding.endswith("be") else 0
        return b"".join(whole[i + first : i + first + 3] for i in range(0, len(whole), 4))
    order = ">" if encoding.endswith("be") else "<"
    if encoding[0] == "f":
        return (_RAMP / 32768).astype(f"{order}f{int(encoding[1:3]) // 8}").tobytes()
    if encoding[1:] == "8":
        return ((wide >> 8) + (128 if encoding == "u8" else 0)).astype(np.uint8).tobytes()
    bits = int(encoding[1:3])
    return (wide << (bits - 16)).astype(f"{order}i{bits // 8}").tobytes()


@pytest.mark.parametrize("encoding", sorted(set(RAW_ENCODINGS) - {"alaw", "mulaw"}))
def test_linear_codings_are_exact(encoding: str) -> None:
    block = as_int16(decode_pcm_bytes(_stored(encoding), _form(encoding)))
    expected = _RAMP >> 8 << 8 if encoding in ("u8", "s8") else _RAMP
    assert block[:, 0].tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("encoding", "code", "sample"),
    [
        ("mulaw", 0x00, -32124),
        ("mulaw", 0x80, 32124),
        ("mulaw", 0xFF, 0),
        ("mulaw", 0x7F, 0),
        ("mulaw", 0xF0, 120),
        ("alaw", 0x55, -8),
        ("alaw", 0xD5, 8),
        ("alaw", 0x2A, -32256),
        ("alaw", 0xAA, 32256),
        ("alaw", 0x80, 5504),
    ],
)
def test_g711_codes(encoding: str, code: int, sample: int) -> None:
    assert decode_pcm_bytes(bytes([code]), _form(encoding))[0, 0] == sample


def test_a_broken_last_frame_is_left_out() -> None:
    assert decode_pcm_bytes(bytes(11), _form("s16le", channels=2)).shape == (2, 2)
    assert decode_pcm_bytes(bytes(1), _form("s16le")).shape == (0, 1)


def test_not_a_number_becomes_silence_and_absurd_values_are_clipped() -> None:
    values = np.array([np.nan, np.inf, -np.inf, 1e30, 0.5], "<f4")
    block = as_int16(decode_pcm_bytes(values.tobytes(), _form("f32le")))
    assert block[:, 0].tolist() == [0, 32767, -32768, 32767, 16384]


def test_signalling_nan_and_doubles_beyond_float32_make_no_noise() -> None:
    raw = bytes.fromhex("010000000000f07f") + np.array([1e300], "<f8").tobytes()
    block = as_int16(decode_pcm_bytes(raw, _form("f64le")))
    assert block[:, 0].tolist() == [0, 32767]


def test_codecs_have_the_usual_names() -> None:
    assert _form("s16le").codec == "pcm_s16le"
    assert _form("u8").codec == "pcm_u8"
    assert _form("f32be").codec == "pcm_f32be"
    assert PcmFormat(PcmCoding.MULAW, 1, 8_000, 1).codec == "pcm_mulaw"
