"""Containers are told by content alone; what is no sound is named for what it is."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.made_sound import encoded, int16_tone, wav_16
from voxfleet.audio.containers import foreign_kind, leading_tag_bytes, sniff


@pytest.mark.parametrize(
    ("muxer", "codec", "rate", "expected"),
    [
        ("mp3", "libmp3lame", 16_000, "mp3"),
        ("adts", "aac", 16_000, "aac"),
        ("mp4", "aac", 16_000, "mp4"),
        ("webm", "libopus", 48_000, "matroska"),
        ("ogg", "libopus", 48_000, "ogg"),
        ("flac", "flac", 16_000, "flac"),
        ("amr", "libopencore_amrnb", 8_000, "amr"),
        ("asf", "wmav2", 44_100, "asf"),
        ("aiff", "pcm_s16be", 16_000, "aiff"),
        ("caf", "pcm_s16be", 16_000, "caf"),
        ("au", "pcm_s16be", 16_000, "au"),
        ("w64", "pcm_s16le", 16_000, "w64"),
        ("mpegts", "aac", 16_000, "mpegts"),
        ("ac3", "ac3", 32_000, "ac3"),
        ("avi", "pcm_s16le", 16_000, "avi"),
    ],
)
def test_content_names_the_container(muxer: str, codec: str, rate: int, expected: str) -> None:
    head = encoded(muxer, codec, rate, seconds=0.5)
    found = sniff(head[leading_tag_bytes(head) :])
    assert found is not None
    assert found.name == expected


def test_wav_is_told_from_other_riff_files() -> None:
    content = wav_16(int16_tone(0.1, 16_000))
    assert sniff(content) is not None
    assert sniff(content.replace(b"WAVE", b"WEBP")) is None


def test_mp3_behind_some_junk_is_found() -> None:
    mp3 = encoded("mp3", "libmp3lame", 16_000)
    found = sniff(b"\0\x11" * 700 + mp3[leading_tag_bytes(mp3) :])
    assert found is not None
    assert found.name == "mp3"


def test_only_an_mp3_with_a_length_tag_is_trusted_about_its_length() -> None:
    mp3 = encoded("mp3", "libmp3lame", 16_000)
    frames = mp3[leading_tag_bytes(mp3) :]
    tagged = sniff(frames)
    bare = sniff(frames.replace(b"Xing", bytes(4)).replace(b"Info", bytes(4)))
    assert tagged is not None
    assert bare is not None
    assert (tagged.length_known, bare.length_known) == (True, False)


def test_random_bytes_are_no_sound() -> None:
    for seed in range(20):
        noise = np.random.default_rng(seed).integers(0, 256, 65_536, dtype=np.uint8)
        assert sniff(noise.tobytes()) is None


@pytest.mark.parametrize("length", range(12))
def test_a_few_bytes_never_break_the_sniffer(length: int) -> None:
    for content in (b"RIFF\0\0\0\0WAVE", b"\xff\xfb\x90\x00" * 3, b"ID3\x04\0\0\x7f\x7f\x7f\x7f"):
        known = sniff(content[:length])
        assert known is None or known.name
        assert leading_tag_bytes(content[:length]) >= 0


@pytest.mark.parametrize(
    ("head", "word"),
    [
        (b"#EXTM3U\nother.wav", "playlist"),
        (b"ffconcat version 1.0\nfile other.wav", "playlist"),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1", "session description"),
        (b"%PDF-1.7", "PDF"),
        (b"<!doctype html>", "web page"),
        (b'<?xml version="1.0"?><MPD>', "XML"),
    ],
)
def test_what_is_no_sound_is_named(head: bytes, word: str) -> None:
    assert sniff(head) is None
    assert word in (foreign_kind(head) or "")


def test_tag_length_counts_seven_bits_a_byte_and_the_footer() -> None:
    assert leading_tag_bytes(b"ID3\x04\x00\x00\x00\x00\x02\x01") == 10 + 257
    assert leading_tag_bytes(b"ID3\x04\x00\x10\x00\x00\x02\x01") == 20 + 257
    assert leading_tag_bytes(b"ID3\x04\x00\x00\x00\x00\x82\x01") == 0
    assert leading_tag_bytes(b"RIFF") == 0
