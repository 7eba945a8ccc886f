"""Which detector a `vad` option means; loads only the one asked for. Knows no sound file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from voxfleet.audio.speech import SpeechDetector, SpeechSpan, SpeechUpdate
from voxfleet.core import VadMode
from voxfleet.errors import SettingsError

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
    """A fresh detector for one channel; models are loaded once per process and shared."""
    mode = _resolve(mode, fsmn_dir)
    if mode is VadMode.OFF:
        return EverythingIsSpeech()
    if mode is VadMode.ENERGY:
        from voxfleet.audio.vad_energy import EnergyDetector

        return EnergyDetector()
    if mode is VadMode.SILERO:
        from voxfleet.audio.vad_silero import SileroDetector, silero_weights

        return SileroDetector(silero_weights())
    return _fsmn(fsmn_dir, max_segment_s)


def _resolve(mode: VadMode, fsmn_dir: Path | None) -> VadMode:
    if mode is not VadMode.AUTO:
        return mode
    if fsmn_dir is None:
        return VadMode.SILERO
    from voxfleet.audio.vad_fsmn import missing_files

    return VadMode.SILERO if missing_files(fsmn_dir) else VadMode.FSMN


def _fsmn(fsmn_dir: Path | None, max_segment_s: float) -> SpeechDetector:
    from voxfleet.audio.vad_fsmn import FsmnDetector, load_fsmn, missing_files

    if fsmn_dir is None:
        raise SettingsError(
            "vad=fsmn needs the folder of the fsmn-vad model and none is set: "
            "name it in the settings, or use vad=silero",
            param="vad",
        )
    if missing := missing_files(fsmn_dir):
        raise SettingsError(
            f"vad=fsmn: the folder {fsmn_dir} lacks {' and '.join(missing)}: "
            "put the ONNX export of fsmn-vad there, or use vad=silero",
            param="vad",
        )
    return FsmnDetector(load_fsmn(fsmn_dir), max(_FSMN_LONGEST_S, max_segment_s))
