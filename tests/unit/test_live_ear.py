"""What the live process hears of one stream: the same in any slicing, at any rate and coding."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voxfleet.audio.detectors import make_live_detector
from voxfleet.audio.speech import SpeechDetector
from voxfleet.core import VadMode
from voxfleet.errors import ParameterError
from voxfleet.media.live_ear import LiveEar
from voxfleet.wire.live_messages import LiveCut, LiveHeard, LiveOpen, LiveSound

CLIP = Path(__file__).resolve().parents[2] / "src" / "voxfleet" / "samples" / "hello.wav"
Span = tuple[int, int]


def detector(mode: VadMode, threshold: float) -> SpeechDetector:
    return make_live_detector(mode, None, threshold)


def ear(
    encoding: str = "pcm16",
    rate: int = 16_000,
    vad: VadMode = VadMode.AUTO,
    threshold: float = 0.5,
    position: int = 0,
    keep_s: float = 60.0,
) -> LiveEar:
    return LiveEar(LiveOpen("s", encoding, rate, vad, threshold, keep_s, position), detector)


def spoken(rate: int = 16_000) -> NDArray[np.int16]:
    clip = np.frombuffer(CLIP.read_bytes()[44:], "<i2")
    still = np.zeros(8_000, np.int16)
    sound = np.concatenate((still, clip, still, clip[: len(clip) // 2]))
    places = np.arange(len(sound) * rate // 16_000) * 16_000 / rate
    samples: NDArray[np.int16] = np.interp(places, np.arange(len(sound)), sound).astype(np.int16)
    return samples


def heard(listener: LiveEar, sound: bytes, edges: list[int], width: int = 2) -> list[LiveHeard]:
    """In slices of whole samples, then to the end."""
    cuts = [0, *sorted(edge * width for edge in edges), len(sound)]
    news = [
        listener.hear(LiveSound("s", sound[begin:end], 0))
        for begin, end in itertools.pairwise(cuts)
    ]
    return [*news, listener.hear(LiveSound("s", b"", 0, finish=True))]


def spans(news: list[LiveHeard]) -> list[Span]:
    return [span for one in news if one.speech for span in one.speech.spans]


def all_of(listener: LiveEar, start: int, end: int) -> bytes:
    return listener.cut(LiveCut("s", 0, start, end, None, "")).sound


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([(8_000, "pcm16"), (16_000, "pcm16"), (24_000, "pcm16"), (8_000, "ulaw")]),
    st.sampled_from([VadMode.AUTO, VadMode.ENERGY, VadMode.OFF]),
    st.lists(st.integers(0, 20_000), max_size=30),
)
def test_slicing_changes_neither_speech_nor_sound(
    kind: tuple[int, str], vad: VadMode, edges: list[int]
) -> None:
    rate, encoding = kind
    width = 2 if encoding == "pcm16" else 1
    sound = spoken(rate).astype("<i2").tobytes()[: width * 40_000]
    whole, sliced = ear(encoding, rate, vad), ear(encoding, rate, vad)
    once, often = heard(whole, sound, [], width), heard(sliced, sound, edges, width)
    assert once[-1].position == often[-1].position == len(sound) // width * 16_000 // rate
    assert spans(once) == spans(often)
    end = once[-1].position
    assert all_of(whole, 0, end) == all_of(sliced, 0, end)


def expanded_ulaw(code: int) -> int:
    inverted = ~code & 0xFF
    size = ((((inverted & 0x0F) << 3) + 0x84) << ((inverted & 0x70) >> 4)) - 0x84
    return -size if inverted & 0x80 else size


def expanded_alaw(code: int) -> int:
    even = code ^ 0x55
    exponent, mantissa = (even >> 4) & 7, even & 15
    size = mantissa * 16 + 8 if exponent == 0 else (mantissa * 16 + 264) << (exponent - 1)
    return size if even & 0x80 else -size


@pytest.mark.parametrize(
    ("encoding", "expanded"), [("ulaw", expanded_ulaw), ("alaw", expanded_alaw)]
)
def test_telephone_codes_are_the_samples_the_standard_says(encoding: str, expanded: object) -> None:
    assert callable(expanded)
    listener = ear(encoding, 16_000, VadMode.OFF)
    heard(listener, bytes(range(256)), [], 1)
    sound = np.frombuffer(all_of(listener, 0, 256), "<i2")
    assert sound.tolist() == [expanded(code) for code in range(256)]


def test_a_stream_begins_where_it_is_said_to() -> None:
    sound = spoken().astype("<i2").tobytes()
    from_zero, later = ear(), ear(position=48_000)
    expected = spans(heard(from_zero, sound, []))
    found = spans(heard(later, sound, []))
    assert found == [(start + 48_000, end + 48_000) for start, end in expected]


def test_a_threshold_nothing_reaches_hears_nothing() -> None:
    sound = spoken().astype("<i2").tobytes()
    assert spans(heard(ear(), sound, []))
    assert spans(heard(ear(threshold=1.1), sound, [])) == []
    assert spans(heard(ear(threshold=0.0), sound, [])) == [(0, len(sound) // 2)]


def test_after_a_flush_a_new_stretch_is_heard() -> None:
    sound = spoken().astype("<i2").tobytes()
    listener = ear(vad=VadMode.OFF)
    first = heard(listener, sound[:32_000], [])
    second = heard(listener, sound[32_000:64_000], [])
    assert (spans(first), spans(second)) == ([(0, 16_000)], [(16_000, 32_000)])
    changed = listener.detect(VadMode.ENERGY, 0.5)
    assert (changed.position, changed.finished) == (32_000, False)
    third = heard(listener, sound[:32_000], [])
    assert third[-1].position == 48_000
    assert all(start >= 32_000 for start, _ in spans(third))


def test_sound_goes_when_it_is_forgotten_or_old() -> None:
    listener = ear(keep_s=1.0)
    listener.hear(LiveSound("s", bytes(16_000), 5_000))
    with pytest.raises(ParameterError, match="no sound from 4999"):
        all_of(listener, 4_999, 8_000)
    assert len(all_of(listener, 5_000, 8_000)) == 6_000
    listener.hear(LiveSound("s", bytes(32_000), 0))
    with pytest.raises(ParameterError, match="no sound"):
        all_of(listener, 7_999, 8_500)
    with pytest.raises(ParameterError, match="no sound"):
        all_of(listener, 20_000, 24_001)
    assert len(all_of(listener, 8_000, 24_000)) == 32_000


def test_a_piece_may_end_at_its_quietest_point() -> None:
    loud = np.random.default_rng(0).integers(-9_000, 9_000, 48_000).astype(np.int16)
    loud[30_000:33_200] //= 100
    listener = ear(vad=VadMode.OFF)
    heard(listener, loud.astype("<i2").tobytes(), [])
    piece = listener.cut(LiveCut("s", 0, 1_000, 40_000, 24_000, ""))
    assert 30_000 <= piece.start + piece.sample_count <= 33_200
    forced = listener.cut(LiveCut("s", 0, 1_000, 1_010, 1_005, ""))
    assert 1_005 <= forced.start + forced.sample_count <= 1_010


def test_news_are_told_when_they_tell_something() -> None:
    sound = spoken().astype("<i2").tobytes()
    listener = ear()
    told: list[LiveHeard] = []
    for at in range(0, len(sound), 1_024):
        one = listener.hear(LiveSound("s", sound[at : at + 1_024], 0))
        if one.speech:
            told.append(one)
    gaps = [after.position - before.position for before, after in itertools.pairwise(told)]
    speaking = [
        gap
        for gap, (before, after) in zip(gaps, itertools.pairwise(told), strict=True)
        if _is_open(before) and _is_open(after)
    ]
    assert told[0].position >= 7_000
    assert max(speaking) <= 2_048
    ended = next(index for index, one in enumerate(told) if one.speech and one.speech.spans)
    assert gaps[ended : ended + 3] == [512, 512, 512]
    still = ear()
    quiet = [still.hear(LiveSound("s", bytes(1_024), 0)) for _ in range(100)]
    assert sum(one.speech is not None for one in quiet) == 6


def _is_open(one: LiveHeard) -> bool:
    return one.speech is not None and one.speech.open_since is not None
