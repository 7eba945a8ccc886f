"""Speech whose ends are known: pieces that begin and end loudly, with digital silence between.

Real recordings where VOXFLEET_SPEECH_DIR names some, else the clip that comes with voxfleet. Knows
no server.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import voxfleet
from voxfleet.audio.decode import open_audio
from voxfleet.core import SAMPLE_RATE_HZ

FRAME_S = 0.04
_FRAME_SAMPLES = round(FRAME_S * SAMPLE_RATE_HZ)
_FOLDERS = ("audio/zh-aishell", "audio/zh-standard", "audio/en")
_LONGEST_RECORDING_S = 30.0
#: of recordings and of the clip alike
_PIECE_S = (1.5, 6.0)
_BETWEEN_S = (1.4, 2.6)
_MOST_RECORDINGS = 40
#: what counts as speech, below the loudest 10 ms
_QUIET_DB = -25.0
_PEAK = 12_000
_STEP = SAMPLE_RATE_HZ // 100

Samples = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Track:
    """`frames` last FRAME_S each; `spoken` are start and end of each piece in seconds."""

    frames: tuple[bytes, ...]
    spoken: tuple[tuple[float, float], ...]

    @property
    def duration_s(self) -> float:
        return len(self.frames) * FRAME_S


def pieces() -> list[Samples]:
    """Each begins and ends with a loud moment, and holds no long pause."""
    found = [piece for path in _recordings() for piece in _without_pauses(_read(path))]
    shortest, longest = (round(limit_s * SAMPLE_RATE_HZ) for limit_s in _PIECE_S)
    return [piece[:longest] for piece in found if len(piece) >= shortest]


def track(sound: list[Samples], seconds: float, seed: int) -> Track:
    """Pieces in random order until the time is full; it begins and ends with silence."""
    random = np.random.default_rng(seed)
    parts: list[Samples] = []
    spoken: list[tuple[float, float]] = []
    at = 0
    while at < seconds * SAMPLE_RATE_HZ:
        silence = np.zeros(round(random.uniform(*_BETWEEN_S) * SAMPLE_RATE_HZ), np.int16)
        piece = sound[int(random.integers(len(sound)))]
        start = at + len(silence)
        at = start + len(piece)
        spoken.append((start / SAMPLE_RATE_HZ, at / SAMPLE_RATE_HZ))
        parts += [silence, piece]
    whole = np.concatenate([*parts, np.zeros(2 * SAMPLE_RATE_HZ, np.int16)])
    raw = whole.astype("<i2").tobytes()
    step = 2 * _FRAME_SAMPLES
    frames = tuple(raw[start : start + step] for start in range(0, len(raw), step))
    return Track(frames, tuple(spoken))


def _recordings() -> list[Path]:
    folder = os.environ.get("VOXFLEET_SPEECH_DIR")
    if not folder:
        return sorted((Path(voxfleet.__path__[0]) / "samples").glob("*.wav"))
    every = [path for name in _FOLDERS for path in sorted((Path(folder) / name).glob("*.wav"))]
    return every[:_MOST_RECORDINGS]


def _read(path: Path) -> Samples:
    with open_audio(path, path.name) as stream:
        samples = stream.read(round(_LONGEST_RECORDING_S * SAMPLE_RATE_HZ))[:, 0]
    louder = _PEAK / max(1, int(np.abs(samples.astype(np.int32)).max()))
    scaled: Samples = (samples * louder).astype(np.int16)
    return scaled


def _without_pauses(samples: Samples, longest_pause_s: float = 0.3) -> list[Samples]:
    steps = samples[: len(samples) // _STEP * _STEP].reshape(-1, _STEP).astype(np.float64)
    level_db = 10 * np.log10(np.maximum((steps**2).mean(axis=1), 1.0))
    loud = np.flatnonzero(level_db > level_db.max() + _QUIET_DB)
    breaks = np.flatnonzero(np.diff(loud) > longest_pause_s * SAMPLE_RATE_HZ / _STEP)
    starts = loud[np.concatenate([[0], breaks + 1])]
    ends = loud[np.concatenate([breaks, [len(loud) - 1]])] + 1
    return [samples[a * _STEP : b * _STEP] for a, b in zip(starts, ends, strict=True)]
