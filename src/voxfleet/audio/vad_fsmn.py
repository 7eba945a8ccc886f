"""Speech detection by fsmn-vad (ONNX): features, model and end points, over a stream of samples.

Knows no file format of sound and no segments; what it finds does not depend on slicing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxfleet.audio import kaldi_cmvn
from voxfleet.audio.fbank import MEL_BANDS, SHIFT_SAMPLES, Fbank
from voxfleet.audio.fsmn_endpoint import Endpointer, EndpointLimits
from voxfleet.audio.onnx_session import Session, open_session
from voxfleet.audio.speech import SpeechSpan, SpeechUpdate
from voxfleet.errors import SettingsError, StartError

#: the export that carries its caches from call to call, under the names it is published with
_MODEL_NAMES = ("fsmnvad-online.onnx", "model.onnx")
_CMVN_NAME = "am.mvn"
#: each row the model reads is a frame with two neighbours on either side
_STACKED = 5
_CONTEXT = _STACKED // 2
_CACHES = 4
_CACHE_SHAPE = (1, 128, 19, 1)
#: probability of silence at which a frame is speech: 1 - p >= p + 0.6
_SPEECH_MARGIN = 0.6
#: samples taken at once: about 300 frames, whose activations stay in the cache
_BLOCK_SAMPLES = 48_000


@dataclass(frozen=True, slots=True)
class FsmnModel:
    """What detectors of many files share."""

    session: Session
    shift: NDArray[np.float32]
    scale: NDArray[np.float32]


def missing_files(folder: Path) -> list[str]:
    """Names that the folder lacks; empty when fsmn-vad can be loaded from it."""
    missing = [] if _model_file(folder) else [" or ".join(_MODEL_NAMES)]
    if not (folder / _CMVN_NAME).is_file():
        missing.append(_CMVN_NAME)
    return missing


def _model_file(folder: Path) -> Path | None:
    return next((folder / name for name in _MODEL_NAMES if (folder / name).is_file()), None)


@cache
def load_fsmn(folder: Path) -> FsmnModel:
    """The model of a folder, once per process; raises SettingsError."""
    model = _model_file(folder)
    missing = missing_files(folder)
    if model is None or missing:
        raise SettingsError(
            f"audio.fsmn_dir: the folder {folder} lacks {' and '.join(missing)}: "
            "put the ONNX export of fsmn-vad there, or leave audio.fsmn_dir unset",
            param="audio.fsmn_dir",
        )
    shift, scale = read_cmvn(folder / _CMVN_NAME)
    return FsmnModel(open_session(model), shift, scale)


def read_cmvn(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Shift and scale, each of the width of a model row; raises SettingsError."""
    try:
        return kaldi_cmvn.read_cmvn(path, MEL_BANDS * _STACKED)
    except StartError as fault:
        raise SettingsError(
            f"{fault.message}, or leave audio.fsmn_dir unset", param="audio.fsmn_dir"
        ) from fault


class FsmnDetector:
    """Finds speech in one channel; its state is a few frames and the model's caches."""

    def __init__(self, model: FsmnModel, max_segment_s: float = 60.0) -> None:
        self._model = model
        self._samples = 0
        self._fbank = Fbank()
        self._frames = np.empty((0, MEL_BANDS), np.float32)
        self._caches = [np.zeros(_CACHE_SHAPE, np.float32) for _ in range(_CACHES)]
        self._ends = Endpointer(EndpointLimits(longest=round(max_segment_s * 100)))

    def push(self, samples: NDArray[np.int16]) -> SpeechUpdate:
        pieces: list[tuple[int, int]] = []
        for at in range(0, len(samples), _BLOCK_SAMPLES):
            pieces += self._read(self._fbank.push(samples[at : at + _BLOCK_SAMPLES]))
        self._samples += len(samples)
        return SpeechUpdate(_spans(pieces), *self._open())

    def finish(self) -> SpeechUpdate:
        pieces: list[tuple[int, int]] = []
        if len(self._frames):
            # the last frame stands in for the neighbours it does not have
            pieces += self._read(np.repeat(self._frames[-1:], _CONTEXT, axis=0))
        pieces += self._ends.finish()
        return SpeechUpdate(_spans(pieces), None, self._samples)

    def _open(self) -> tuple[int | None, int, int | None]:
        since, settled = self._ends.open_since, self._ends.settled * SHIFT_SAMPLES
        if since is None:
            return None, settled, None
        return since * SHIFT_SAMPLES, settled, self._ends.open_until * SHIFT_SAMPLES

    def _read(self, fbank: NDArray[np.float32]) -> list[tuple[int, int]]:
        if not len(self._frames) and len(fbank):
            fbank = np.concatenate((np.repeat(fbank[:1], _CONTEXT, axis=0), fbank))
        frames = np.concatenate((self._frames, fbank))
        count = len(frames) - (_STACKED - 1)
        if count <= 0:
            self._frames = frames
            return []
        self._frames = frames[count:].copy()
        return self._ends.push(self._speech(frames, count))

    def _speech(self, frames: NDArray[np.float32], count: int) -> NDArray[np.bool_]:
        """Whether each of `count` frames is speech."""
        width = MEL_BANDS * _STACKED
        # neighbouring rows overlap in memory: row t begins at frame t
        stacked = np.lib.stride_tricks.as_strided(
            frames, (count, width), frames.strides, writeable=False
        )
        rows = stacked + self._model.shift
        rows *= self._model.scale
        feed = {f"in_cache{index}": cached for index, cached in enumerate(self._caches)}
        posteriors, *self._caches = self._model.session.run(None, {"speech": rows[None], **feed})
        silence = posteriors[0, :, 0].astype(np.float64)
        verdict: NDArray[np.bool_] = 1.0 - silence >= silence + _SPEECH_MARGIN
        return verdict


def _spans(pieces: list[tuple[int, int]]) -> tuple[SpeechSpan, ...]:
    return tuple(SpeechSpan(a * SHIFT_SAMPLES, b * SHIFT_SAMPLES) for a, b in pieces)
