"""The bytes of a pipe as sound, in whatever pieces they come."""

from __future__ import annotations

import io
import struct
import wave
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxfleet.cli_listen_pcm import PipeSound
from voxfleet.errors import CorruptAudioError, UsageError, VoxfleetError

RANDOM = np.random.default_rng(3)
SAMPLES = RANDOM.integers(-20_000, 20_000, 4_000, np.int16)
RAW = SAMPLES.astype("<i2").tobytes()


def wav(rate_hz: int = 16_000, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(2)
        writer.setframerate(rate_hz)
        writer.writeframes(np.repeat(SAMPLES, channels).astype("<i2").tobytes())
    return file.getvalue()


def heard(raw: bytes, cuts: list[int] | None = None, rate_hz: int = 16_000) -> bytes:
    sound = PipeSound(rate_hz)
    places = [0, *sorted(cut % (len(raw) + 1) for cut in cuts or []), len(raw)]
    blocks = [raw[start:end] for start, end in pairwise(places)]
    return b"".join(map(sound.push, filter(None, blocks))) + sound.finish()


#: a recorder that cannot know yet how much will come
STREAMED = wav()[:40] + b"\xff\xff\xff\xff" + RAW
CUTS = st.lists(st.integers(0, 9_000), max_size=12)


@pytest.mark.parametrize(
    "raw", [RAW, wav(), STREAMED, wav() + b"LIST" + struct.pack("<I", 2) + b"ab"]
)
@given(cuts=CUTS)
def test_at_16_khz_the_samples_come_through_untouched(raw: bytes, cuts: list[int]) -> None:
    assert heard(raw, cuts) == RAW


@pytest.mark.parametrize(("raw", "rate_hz"), [(RAW, 44_100), (wav(8_000, channels=2), 16_000)])
@given(cuts=CUTS)
def test_other_rates_do_not_depend_on_the_pieces(raw: bytes, rate_hz: int, cuts: list[int]) -> None:
    whole = heard(raw, rate_hz=rate_hz)
    cut = heard(raw, cuts, rate_hz)
    assert len(cut) == len(whole)
    sounds = (np.frombuffer(each, "<i2").astype(int) for each in (cut, whole))
    assert np.abs(np.subtract(*sounds)).max() <= 1


def test_the_rate_said_is_the_rate_heard() -> None:
    assert len(heard(RAW, rate_hz=8_000)) == pytest.approx(2 * len(RAW), abs=8)
    assert len(heard(wav(8_000), rate_hz=48_000)) == pytest.approx(2 * len(RAW), abs=8)


def test_half_a_sample_is_left_out() -> None:
    assert heard(RAW + b"\x01") == RAW


@pytest.mark.parametrize("raw", [b"", b"R", b"RI"])
def test_next_to_nothing_is_no_fault(raw: bytes) -> None:
    assert len(heard(raw)) == len(raw) // 2 * 2


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"RIFF", CorruptAudioError),
        (wav()[:30], CorruptAudioError),
        (b"RIFF" + b"\x00" * 100_000, CorruptAudioError),
        # a fmt chunk of MP3
        (wav()[:20] + b"\x55\x00" + wav()[22:], UsageError),
    ],
)
@given(cuts=CUTS)
def test_a_wav_nobody_can_play_is_refused(
    raw: bytes, kind: type[VoxfleetError], cuts: list[int]
) -> None:
    with pytest.raises(kind, match="standard input"):
        heard(raw, cuts)
