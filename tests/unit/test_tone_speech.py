"""The tone language itself: what is spelt, heard and sounded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.tone_speech import (
    DEFAULT_OF,
    HIGH_HZ,
    HOMOPHONES,
    LOW_HZ,
    PIECES,
    SAMPLE_RATE_HZ,
    SOUNDS,
    Manner,
    heard,
    random_manner,
    random_pieces,
    speak,
    speak_pieces,
    spell,
    written,
)


def test_every_sound_has_a_tone_pair_of_its_own() -> None:
    assert len(set(SOUNDS)) == len(SOUNDS) <= len(LOW_HZ) * len(HIGH_HZ)
    assert len(set(PIECES)) == len(PIECES)
    assert set(HOMOPHONES) <= set(SOUNDS)
    assert not set(DEFAULT_OF) & set(SOUNDS)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("你好", ("你", "好")),
        ("你vox好", ("你", "vo@@", "x", "好")),
        ("vox fleet ok", ("vo@@", "x", "fle@@", "et", "ok")),
        ("", ()),
    ],
)
def test_a_text_and_its_pieces(text: str, pieces: tuple[str, ...]) -> None:
    assert spell(text) == pieces
    assert written(pieces) == text


def test_a_pause_is_spelt_but_not_spoken() -> None:
    assert spell("你|好") == ("你", "|", "好")
    assert speak("你|好").pieces == ("你", "好")


def test_what_is_no_tone_language_is_refused() -> None:
    with pytest.raises(ValueError, match="hello"):
        spell("你hello")


def test_homophones_are_heard_as_the_default() -> None:
    assert heard("它好") == "他好"


@pytest.mark.parametrize(
    ("text", "hotwords", "transcript"),
    [
        ("他好他大", ["它好"], "它好他大"),
        ("它大", ["它好"], "他大"),
        ("雨花vox", ["语花"], "语花vox"),
        ("山木金", ["衫目今"], "衫目今"),
        ("他好", ["它"], "它好"),
        ("他好", [], "他好"),
    ],
)
def test_a_hotword_decides_where_it_is_spoken(
    text: str, hotwords: list[str], transcript: str
) -> None:
    assert heard(text, hotwords) == transcript


def test_the_same_seed_makes_the_same_sound() -> None:
    noisy = Manner(snr_db=10)
    first, again = speak("你好", noisy, seed=3), speak("你好", noisy, seed=3)
    np.testing.assert_array_equal(first.samples, again.samples)
    assert not np.array_equal(first.samples, speak("你好", noisy, seed=4).samples)


def test_homophones_sound_the_same() -> None:
    np.testing.assert_array_equal(speak("他好").samples, speak("它好").samples)


def test_a_character_holds_its_two_tones_and_no_other() -> None:
    spoken = speak("你", Manner(character_s=0.2, lead_s=0, tail_s=0))
    power = np.abs(np.fft.rfft(spoken.samples.astype(float))) ** 2
    hertz = np.fft.rfftfreq(len(spoken.samples), 1 / SAMPLE_RATE_HZ)
    sound = SOUNDS.index("你")
    pair = (LOW_HZ[sound % len(LOW_HZ)], HIGH_HZ[sound // len(LOW_HZ)])
    near = np.any([np.abs(hertz - tone) < 40 for tone in pair], axis=0)
    assert power[near].sum() > 0.98 * power.sum()


def test_times_are_those_of_the_sound() -> None:
    manner = Manner(lead_s=0.5, tail_s=0.25, pause_s=1.0, speed=0.9)
    spoken = speak("天|地", manner)
    loud = np.flatnonzero(np.abs(spoken.samples.astype(int)) > 300) / SAMPLE_RATE_HZ
    assert loud[0] == pytest.approx(spoken.starts_s[0], abs=0.01)
    assert loud[-1] == pytest.approx(spoken.ends_s[1], abs=0.01)
    assert spoken.starts_s[1] - spoken.ends_s[0] == pytest.approx(1.0)
    assert len(spoken.samples) / SAMPLE_RATE_HZ == pytest.approx(spoken.ends_s[1] + 0.25, abs=1e-3)


@pytest.mark.parametrize("noise", ["white", "pink"])
def test_noise_is_as_loud_as_asked(noise: str) -> None:
    quiet = Manner(level_dbfs=-20)
    kind = replace(quiet, noise="pink" if noise == "pink" else "white")
    clean = speak("大", quiet, seed=1).samples.astype(float)
    noisy = speak("大", replace(kind, snr_db=10), seed=1).samples.astype(float)
    power = np.mean((noisy - clean) ** 2)
    assert 10 * np.log10(0.25 * (0.1 * 32767) ** 2 / power) == pytest.approx(10, abs=0.3)


def test_a_telephone_band_leaves_the_tones() -> None:
    manner = Manner(snr_db=10)
    wide = speak("小", manner, seed=1).samples.astype(float)
    narrow = speak("小", replace(manner, telephone=True), seed=1).samples.astype(float)
    power = np.abs(np.fft.rfft(narrow)) ** 2
    hertz = np.fft.rfftfreq(len(narrow), 1 / SAMPLE_RATE_HZ)
    assert power[hertz > 3900].sum() < 1e-3 * power.sum()
    assert np.mean(narrow**2) > 0.7 * np.mean(wide**2)


def test_random_speech_stays_within_int16_and_the_language() -> None:
    rng = np.random.default_rng(11)
    for _ in range(20):
        pieces = random_pieces(rng, 6, homophones=True, pauses=True)
        spoken = speak_pieces(pieces, random_manner(rng), rng)
        assert set(spoken.pieces) <= set(PIECES)
        assert spoken.samples.dtype == np.int16
        assert np.abs(spoken.samples.astype(int)).max() > 500
