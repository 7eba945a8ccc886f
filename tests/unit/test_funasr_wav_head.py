"""A wav header before PCM is found wherever the pieces end, and nothing else is taken for one."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.gateway.funasr_wav_head import Bare, OtherFile, Skippable, WavHead, wav_head

LIST = b"LIST" + struct.pack("<I", 26) + bytes(26)


def header(
    *, channels: int = 1, rate_hz: int = 16_000, bits: int = 16, coding: int = 1, size: int = 64_000
) -> bytes:
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", coding, channels, rate_hz, rate_hz * block, block, bits)
    return (
        b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + struct.pack("<I", 16) + form
        + b"data" + struct.pack("<I", size)
    )  # fmt: skip


def extensible(channels: int = 1) -> bytes:
    form = struct.pack("<HHIIHH", 0xFFFE, channels, 16_000, 32_000, 2 * channels, 16)
    form += struct.pack("<HHIH", 22, 16, 4, 1) + bytes(14)
    return (
        b"RIFF" + bytes(4) + b"WAVEfmt " + struct.pack("<I", len(form)) + form
        + b"data" + struct.pack("<I", 8)
    )  # fmt: skip


WITH_LIST = header()[:36] + LIST + header()[36:]


@pytest.mark.parametrize(
    ("begin", "head"),
    [
        (header() + b"sound", Skippable(44, 16_000, 64_000)),
        (header(rate_hz=44_100), Skippable(44, 44_100, 64_000)),
        (header(size=0), Skippable(44, 16_000, None)),
        (header(size=0xFFFFFFFF - 36), Skippable(44, 16_000, None)),
        (WITH_LIST, Skippable(44 + len(LIST), 16_000, 64_000)),
        (extensible(), Skippable(68, 16_000, 8)),
        (extensible(channels=2), OtherFile()),
        (header(channels=2), OtherFile()),
        (header(bits=8), OtherFile()),
        (header(coding=6, bits=8), OtherFile()),
        (header(rate_hz=96_000), OtherFile()),
        (header()[:12] + header()[36:], OtherFile()),
        (b"\x00\x01" * 100, Bare()),
        (b"RIFFxxxxAVI ", Bare()),
        (b"RIFX" + bytes(40), Bare()),
    ],
)
def test_what_it_is(begin: bytes, head: WavHead) -> None:
    assert wav_head(begin) == head


@given(st.integers(0, len(WITH_LIST) - 1))
def test_a_part_of_a_header_waits_for_more(length: int) -> None:
    assert wav_head(WITH_LIST[:length]) is None


def test_too_little_to_tell_at_the_end() -> None:
    assert wav_head(b"RIF", complete=True) == Bare()
    assert wav_head(header()[:20], complete=True) == OtherFile()


def test_a_header_without_end_is_not_waited_for() -> None:
    hostile = header()[:36] + b"junk" + struct.pack("<I", 0x7FFFFFFF)
    assert wav_head(hostile) == OtherFile()


@given(st.binary(max_size=200))
def test_any_bytes(begin: bytes) -> None:
    for sound in (begin, b"RIFF" + begin, header()[:12] + begin, header()[:16] + begin):
        assert wav_head(sound, complete=True) is not None


def test_a_header_of_ever_more_parts_is_no_microphones() -> None:
    parts = b"RIFF\x00\x00\x00\x00WAVE" + b"junk\x00\x00\x00\x00" * 40
    assert wav_head(parts[: 12 + 8 * 20]) is None
    assert wav_head(parts) == OtherFile()
