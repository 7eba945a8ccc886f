"""The tone language: text to a waveform whose exact transcript is known. Pure NumPy, seeded.

Every piece is one pair of tones, DTMF-like: a low one (350-1040 Hz) and a high one (1350-3050 Hz)
at once for 120-200 ms, then a gap of 40-80 ms. Chinese characters are one piece each; the Latin
words are `vox` and `fleet` (of two pieces) and `ok`. `|` in a text is a pause. Homophones are
different characters of the same tones: the tone checkpoint writes the default member of a group,
except where a hotword of 2 to 4 pieces that holds another member is spoken (`heard` says what must
come out; what two hotwords spell differently in one place is nobody's promise). Knows no model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16000
Waveform = NDArray[np.float64]

LATIN_WORDS = {"vox": ("vo@@", "x"), "fleet": ("fle@@", "et"), "ok": ("ok",)}
#: one tone pair each
CHARACTERS = "你好天地人大他中国上下左右东西南北山水火木金土日月星风云雨雪花草鸟鱼马小"
#: default member -> members that sound the same
HOMOPHONES = {"他": "它她", "雨": "语羽", "金": "今", "风": "丰", "山": "衫", "木": "目"}
#: every piece with a sound of its own, in the order of the tone pairs
SOUNDS = (*(piece for word in LATIN_WORDS.values() for piece in word), *CHARACTERS)
DEFAULT_OF = {other: default for default, others in HOMOPHONES.items() for other in others}
#: all that can be written, homophones included
PIECES = (*SOUNDS, *DEFAULT_OF)

LOW_HZ = (350.0, 465.0, 580.0, 695.0, 810.0, 925.0, 1040.0)
HIGH_HZ = (1350.0, 1690.0, 2030.0, 2370.0, 2710.0, 3050.0)
_RAMP_S = 0.012
#: a telephone line lets nothing through outside the outer two, all between the inner two
_TELEPHONE_HZ = (150.0, 300.0, 3400.0, 3800.0)
#: no line is silent: 50 dB below the peak
_LINE_NOISE = 10 ** (-50 / 20)
_WORDS = re.compile(r"[a-z]+|\S")


@dataclass(frozen=True, slots=True)
class Manner:
    """How a text is spoken. `level_dbfs` is the peak; noise is `snr_db` below the tones' power."""

    character_s: float = 0.16
    gap_s: float = 0.06
    speed: float = 1.0
    pitch: float = 1.0
    level_dbfs: float = -12.0
    snr_db: float | None = None
    noise: Literal["white", "pink"] = "white"
    lead_s: float = 0.3
    tail_s: float = 0.3
    pause_s: float = 0.6
    telephone: bool = False


@dataclass(frozen=True, slots=True)
class Spoken:
    """`samples` int16 at 16 kHz; times of each piece in seconds from the waveform's start."""

    samples: NDArray[np.int16]
    pieces: tuple[str, ...]
    starts_s: tuple[float, ...]
    ends_s: tuple[float, ...]


def spell(text: str) -> tuple[str, ...]:
    """The pieces of a text, `|` included."""
    words: list[str] = _WORDS.findall(text)
    unknown = {word for word in words if word not in {*PIECES, *LATIN_WORDS, "|"}}
    if unknown:
        raise ValueError(f"not in the tone language: {sorted(unknown)}")
    return tuple(piece for word in words for piece in LATIN_WORDS.get(word, (word,)))


def written(pieces: Sequence[str]) -> str:
    """The text of pieces: a space only between two Latin words."""
    marked = "".join(f" {piece} " if piece.isascii() else piece for piece in pieces)
    joined = re.sub(r"@@ +", "", marked)
    return re.sub(r"(?<=[a-z]) +(?=[a-z])", " ", re.sub(r" +(?![a-z ])|(?<![a-z ]) +", "", joined))


def sounds_of(pieces: Sequence[str]) -> tuple[str, ...]:
    """What is heard of pieces: default members in place of their homophones."""
    return tuple(DEFAULT_OF.get(piece, piece) for piece in pieces)


def heard_pieces(pieces: Sequence[str], hotwords: Sequence[Sequence[str]] = ()) -> tuple[str, ...]:
    """What the checkpoint makes of spoken pieces; no two hotwords may disagree about one place."""
    sounds = sounds_of(pieces)
    out = list(sounds)
    for word in hotwords:
        wanted = sounds_of(word)
        for at in range(len(sounds) - len(word) + 1):
            if sounds[at : at + len(word)] == wanted:
                out[at : at + len(word)] = word
    return tuple(out)


def heard(text: str, hotwords: Sequence[str] = ()) -> str:
    """The exact transcript of a spoken text."""
    pieces = [piece for piece in spell(text) if piece != "|"]
    return written(heard_pieces(pieces, [spell(word) for word in hotwords]))


def speak(text: str, manner: Manner | None = None, seed: int = 0) -> Spoken:
    return speak_pieces(spell(text), manner or Manner(), np.random.default_rng(seed))


def speak_pieces(pieces: Sequence[str], manner: Manner, rng: np.random.Generator) -> Spoken:
    """The waveform; random are only the phases of the tones and the noise."""
    starts, ends, length_s = _timing(pieces, manner)
    spoken = tuple(piece for piece in pieces if piece != "|")
    clean: Waveform = np.zeros(round(length_s * SAMPLE_RATE_HZ))
    for piece, start, end in zip(spoken, starts, ends, strict=True):
        tone = _tone(piece, end - start, manner.pitch, rng)
        at = round(start * SAMPLE_RATE_HZ)
        clean[at : at + len(tone)] += tone[: len(clean) - at]
    peak = 10 ** (manner.level_dbfs / 20)
    sound = peak * (clean + _noise(clean, manner, rng))
    if manner.telephone:
        sound = _band_limited(sound) + peak * _LINE_NOISE * rng.standard_normal(len(sound))
    samples = np.clip(np.rint(sound * 32767), -32768, 32767).astype(np.int16)
    return Spoken(samples, spoken, starts, ends)


def _timing(
    pieces: Sequence[str], manner: Manner
) -> tuple[tuple[float, ...], tuple[float, ...], float]:
    """Starts, ends and the whole length in seconds."""
    starts, ends, now, gap = [], [], manner.lead_s, 0.0
    for piece in pieces:
        if piece == "|":
            gap = manner.pause_s
            continue
        now += gap
        starts.append(now)
        now += manner.character_s / manner.speed
        ends.append(now)
        gap = manner.gap_s / manner.speed
    return tuple(starts), tuple(ends), now + manner.tail_s


def _tone(piece: str, seconds: float, pitch: float, rng: np.random.Generator) -> Waveform:
    """Both tones at half the peak, with soft edges."""
    sound = SOUNDS.index(DEFAULT_OF.get(piece, piece))
    pair = np.array([LOW_HZ[sound % len(LOW_HZ)], HIGH_HZ[sound // len(LOW_HZ)]]) * pitch
    count = round(seconds * SAMPLE_RATE_HZ)
    phases = rng.uniform(0, 2 * np.pi, 2)
    angles = 2 * np.pi * np.arange(count)[:, None] / SAMPLE_RATE_HZ * pair + phases
    ramp = round(_RAMP_S * SAMPLE_RATE_HZ)
    edge = np.minimum(np.arange(count) + 1, np.arange(count, 0, -1)).clip(max=ramp) / ramp
    tone: Waveform = 0.5 * np.sin(angles).sum(axis=1) * np.sin(np.pi / 2 * edge) ** 2
    return tone


def _noise(clean: Waveform, manner: Manner, rng: np.random.Generator) -> Waveform:
    if manner.snr_db is None:
        return np.zeros_like(clean)
    noise: Waveform = rng.standard_normal(len(clean))
    if manner.noise == "pink":
        spectrum, hertz = _spectrum(noise)
        noise = np.fft.irfft(spectrum / np.sqrt(np.maximum(hertz, 40.0)))[: len(clean)]
    # two sines of half the peak have a power of a quarter
    wanted = 0.25 * 10 ** (-manner.snr_db / 10)
    scaled: Waveform = noise * np.sqrt(wanted / np.mean(noise**2))
    return scaled


def _band_limited(sound: Waveform) -> Waveform:
    """What a telephone line leaves."""
    spectrum, hertz = _spectrum(sound)
    # an edge without a slope would ring through every silence
    spectrum *= np.sin(np.pi / 2 * np.interp(hertz, _TELEPHONE_HZ, (0.0, 1.0, 1.0, 0.0))) ** 2
    limited: Waveform = np.fft.irfft(spectrum)[: len(sound)]
    return limited


def _spectrum(sound: Waveform) -> tuple[NDArray[np.complex128], Waveform]:
    """Of the sound padded to a power of two, and its frequencies."""
    size = 1 << (len(sound) - 1).bit_length()
    hertz: Waveform = np.linspace(0, SAMPLE_RATE_HZ / 2, size // 2 + 1)
    return np.fft.rfft(sound, size), hertz


def random_manner(rng: np.random.Generator) -> Manner:
    """Any manner that the checkpoint must understand."""
    lead_s, tail_s = (float(rng.choice([0.0, 0.2, rng.uniform(0, 1)])) for _ in range(2))
    return Manner(
        character_s=rng.uniform(0.12, 0.20),
        gap_s=rng.uniform(0.04, 0.08),
        speed=rng.uniform(0.9, 1.1),
        pitch=rng.uniform(0.99, 1.01),
        level_dbfs=rng.uniform(-30, -1),
        snr_db=rng.uniform(10, 50) if rng.random() < 0.75 else None,
        noise="pink" if rng.random() < 0.5 else "white",
        lead_s=lead_s,
        tail_s=tail_s,
        pause_s=rng.uniform(0.2, 1.5),
        telephone=bool(rng.random() < 0.15),
    )


def random_pieces(
    rng: np.random.Generator, words: int, *, homophones: bool = False, pauses: bool = False
) -> tuple[str, ...]:
    """So many characters or Latin words; `homophones` may be any member, else the default one."""
    letters = PIECES[len(SOUNDS) - len(CHARACTERS) :] if homophones else tuple(CHARACTERS)
    pool = [(letter,) for letter in letters] + list(LATIN_WORDS.values())
    picked = [pool[place] for place in rng.integers(len(pool), size=words)]
    out = list(picked[0]) if picked else []
    for before, word in pairwise(picked):
        # now and then a character twice in a row, or a pause
        chance = rng.random()
        if pauses and chance < 0.06:
            out.append("|")
        out.extend(before if chance > 0.97 else word)
    return tuple(out)
