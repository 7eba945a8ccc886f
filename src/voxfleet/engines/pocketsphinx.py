"""The bundled English model: CMU pocketsphinx, whose model files come inside its package.

One segment after the other on one core, which holds the interpreter: while it works on one, no
other thread of the process runs. Knows nothing of batches that pay.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from voxfleet.core import SAMPLE_RATE_HZ, EngineInfo, Hypothesis, Segment, Waveform, Word
from voxfleet.engines.catalog import EngineOptions
from voxfleet.engines.engine import Tick, no_tick
from voxfleet.errors import RecognitionError, StartError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FRAMES_PER_S = 100
#: below the decoder's first window there is not one frame of features
_MIN_SAMPLES = 1600
#: the decoder hears words in a constant signal, so what is quieter than this is not shown to it
_SILENT_PEAK = 4
#: measured on English recordings: scoring every other frame and fewer states at once halve the
#: time and cost no accuracy; fewer still (3000), narrower beams or fewer Gaussians do cost some
_SEARCH: dict[str, float | int] = {"maxhmmpf": 5000, "ds": 2}
_LEAST_CONFIDENCE = 1e-4
_VARIANT = re.compile(r"\(\d+\)$")
_INFO = EngineInfo(
    model="pocketsphinx",
    languages=("en",),
    speed=3.0,
    word_times=True,
    max_batch_s=60.0,
    memory_mb=150,
)


class DecodedWord(Protocol):
    """One entry of pocketsphinx's segmentation; `prob` is a posterior that may round above 1."""

    @property
    def word(self) -> str: ...
    @property
    def start_frame(self) -> int: ...
    @property
    def end_frame(self) -> int: ...
    @property
    def prob(self) -> float: ...


class Decoder(Protocol):
    """The part of `pocketsphinx.Decoder` that is used; the package itself is untyped."""

    def reinit_feat(self) -> None: ...
    def start_utt(self) -> None: ...
    def process_raw(self, data: bytes, *, full_utt: bool) -> object: ...
    def end_utt(self) -> None: ...
    def seg(self) -> Iterable[DecodedWord] | None: ...


class PocketsphinxEngine:
    def __init__(self, options: EngineOptions, tick: Tick = no_tick) -> None:
        self._options = options
        self._tick = tick
        self._decoder: Decoder | None = None

    @property
    def info(self) -> EngineInfo:
        return _INFO

    def load(self) -> None:
        if self._options.device != "cpu":
            raise StartError(
                f"model pocketsphinx runs on the CPU only, not on {self._options.device!r};"
                " set device to cpu"
            )
        self._decoder = _load_decoder()

    def warm_up(self) -> None:
        import numpy as np

        noise = np.random.default_rng(0).normal(0, 1000, SAMPLE_RATE_HZ).astype(np.int16)
        self.recognise([Segment("warm-up", Waveform(noise))])

    def recognise(self, batch: Sequence[Segment]) -> list[Hypothesis | RecognitionError]:
        if self._decoder is None:
            raise StartError("model pocketsphinx: asked before it was loaded")
        answers = []
        for segment in batch:
            answers.append(_recognise(self._decoder, segment))
            self._tick()
        return answers


def _load_decoder() -> Decoder:
    try:
        import pocketsphinx
    except ImportError as fault:
        raise StartError(f"model pocketsphinx: {fault}; install voxfleet again") from None
    try:
        decoder: Decoder = pocketsphinx.Decoder(loglevel="FATAL", **_SEARCH)
    except (RuntimeError, ValueError) as fault:
        raise StartError(f"model pocketsphinx cannot be loaded: {fault}") from None
    return decoder


def _recognise(decoder: Decoder, segment: Segment) -> Hypothesis | RecognitionError:
    samples = segment.waveform.samples
    if len(samples) < _MIN_SAMPLES or _peak(samples) < _SILENT_PEAK:
        return Hypothesis(text="", language="en")
    try:
        heard = _decode(decoder, samples)
    except RuntimeError as fault:
        return RecognitionError(f"segment {segment.id}: pocketsphinx gave up: {fault}")
    return hypothesis_from(heard)


def _decode(decoder: Decoder, samples: NDArray[np.int16]) -> list[DecodedWord]:
    # forgets the noise statistics of what was heard before; `full_utt` takes the cepstral mean of
    # this segment alone: the text would depend on earlier segments without either
    decoder.reinit_feat()
    decoder.start_utt()
    try:
        decoder.process_raw(samples.tobytes(), full_utt=True)
    finally:
        decoder.end_utt()
    return list(decoder.seg() or ())


def _peak(samples: NDArray[np.int16]) -> int:
    """Half the distance between the extremes: a constant offset is silence too."""
    return (int(samples.max()) - int(samples.min()) + 1) // 2


def hypothesis_from(heard: Iterable[DecodedWord]) -> Hypothesis:
    """Words without the decoder's marks for silence and noise, in seconds."""
    words = tuple(_word(entry) for entry in heard if entry.word[0] not in "<[+")
    logs = [math.log(word.confidence) for word in words if word.confidence is not None]
    return Hypothesis(
        text=" ".join(word.text for word in words),
        words=words,
        language="en",
        avg_logprob=sum(logs) / len(logs) if logs else None,
    )


def _word(entry: DecodedWord) -> Word:
    return Word(
        # the dictionary numbers pronunciations: "the(2)"
        text=_VARIANT.sub("", entry.word),
        start_s=entry.start_frame / _FRAMES_PER_S,
        end_s=(entry.end_frame + 1) / _FRAMES_PER_S,
        confidence=min(1.0, max(_LEAST_CONFIDENCE, entry.prob)),
    )
