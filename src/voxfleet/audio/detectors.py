"""Which detector a `vad` option means; loads only the one asked for. Knows no sound file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from voxfleet.audio.fsmn_present import present_fsmn
from voxfleet.audio.speech import SpeechDetector, SpeechSpan, SpeechUpdate
from voxfleet.core import VadMode

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: fsmn-vad ends speech after a minute by itself, as published; never below what a segment may be
_FSMN_LONGEST_S = 60.0


class EverythingIsSpeech:
    """`vad=off`: one piece of speech, as long as the recording."""

    def __init__(self) -> None:
        self._samples = 0

    def push(self, samples: NDArray[np.int16]) -> SpeechUpdate:
        self._samples += len(samples)
        if not self._samples:
            return SpeechUpdate((), None, 0)
        return SpeechUpdate((), 0, 0, self._samples)

    def finish(self) -> SpeechUpdate:
        spans = (SpeechSpan(0, self._samples),) if self._samples else ()
        return SpeechUpdate(spans, None, self._samples)


def make_detector(mode: VadMode, fsmn_dir: Path | None, max_segment_s: float) -> SpeechDetector:
    """A fresh detector for one channel; models are loaded once per process and shared.

    With `fsmn_dir` set, AUTO means FSMN and nothing else: a model that is not there is an error.
    """
    if mode is VadMode.AUTO:
        mode = VadMode.SILERO if fsmn_dir is None else VadMode.FSMN
    if mode is VadMode.OFF:
        return EverythingIsSpeech()
    if mode is VadMode.ENERGY:
        from voxfleet.audio.vad_energy import EnergyDetector

        return EnergyDetector()
    if mode is VadMode.SILERO:
        from voxfleet.audio.vad_silero import SileroDetector, silero_weights

        return SileroDetector(silero_weights())
    return _fsmn(fsmn_dir, max_segment_s)


def make_live_detector(mode: VadMode, fsmn_dir: Path | None, threshold: float) -> SpeechDetector:
    """A fresh detector for sound that is being spoken, pushed a few milliseconds at a time.

    AUTO means Silero even with `fsmn_dir` set: FSMN hears an end late.
    """
    if mode not in (VadMode.AUTO, VadMode.SILERO):
        return make_detector(mode, fsmn_dir, _FSMN_LONGEST_S)
    from voxfleet.audio.vad_silero import SileroDetector, silero_weights

    return SileroDetector(silero_weights(), threshold, block_chunks=1)


def _fsmn(fsmn_dir: Path | None, max_segment_s: float) -> SpeechDetector:
    from voxfleet.audio.vad_fsmn import FsmnDetector, load_fsmn

    fsmn_dir = present_fsmn(fsmn_dir)
    return FsmnDetector(load_fsmn(fsmn_dir), max(_FSMN_LONGEST_S, max_segment_s))
